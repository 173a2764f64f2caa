//! The step from a granted handshake to a connection, and a connection's whole life with its
//! metrics. It gets a socket on which HTTP has ended; it knows no HTTP.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use roomcast_metrics::{CloseReason, Transport};
use roomcast_protocol::{ConnectionId, Subprotocol};

use super::access_log;
use super::serve::{abandon, serve};
use crate::address_limits::AddressHold;
use crate::connection::{Connection, Ended};
use crate::form::{Form, FrameExtension};
use crate::identity::Hello;
use crate::node_status::ConnectionSlot;
use crate::socket::Socket;
use crate::user_limits::{CensusHold, UserHold};
use crate::worker::Worker;

/// What a granted handshake settled.
pub(crate) struct Grant {
    pub(crate) hello: Hello,
    pub(crate) subprotocol: Subprotocol,
    pub(crate) extension: FrameExtension,
    /// Kept as long as the connection.
    pub(crate) slot: Rc<ConnectionSlot>,
    /// The same; it counts the connection for its address.
    pub(crate) hold: Option<AddressHold>,
    /// The same for its user; it has the connection's id.
    pub(crate) user_hold: Option<UserHold>,
    /// The same, where users are counted.
    pub(crate) census_hold: Option<CensusHold>,
    pub(crate) rates: RateBinding,
    pub(crate) accepted: Instant,
    /// Where the client is.
    pub(crate) client: IpAddr,
}

/// What is kept as long as a connection.
type ConnectionHolds =
    (Rc<ConnectionSlot>, Option<AddressHold>, Option<UserHold>, Option<CensusHold>);

/// Whether rates hold for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateBinding {
    Bound,
    /// Its client is in one of `limits.exempt_networks`.
    Exempt,
}

/// Makes a connection of a socket whose handshake was answered, in a fresh, small task: what HTTP
/// needed is given back. `early` are bytes that came with the handshake.
pub(crate) fn start(worker: Rc<Worker>, socket: Socket, early: Bytes, grant: Grant) {
    let held_id = grant.user_hold.as_ref().map(|hold| hold.id);
    let id = held_id.unwrap_or_else(|| ConnectionId(rand::random()));
    let connections = &worker.metrics.connections;
    connections.handshake.observe(grant.accepted.elapsed().as_secs_f64());
    connections.opened[grant.hello.kind()].inc();
    if let Some(tries) = grant.hello.tries {
        connections.reconnect_attempts.observe(f64::from(tries));
    }
    let form = Form::websocket(grant.subprotocol.encoding, grant.extension);
    let stalled = &worker.stalled_held;
    let connection = Connection::new(id, grant.hello, form, socket, stalled);
    let connection = Rc::new(match grant.rates {
        RateBinding::Bound => connection.with_rates(),
        RateBinding::Exempt => connection,
    });
    let settings = worker.settings();
    let trusted = &settings.http.trusted_proxies;
    connection.address.set(Some(grant.client).filter(|client| !trusted.contain(*client)));
    access_log::opened(&settings, &connection, grant.client);
    tokio::task::spawn_local(live(
        worker,
        connection,
        early,
        (grant.slot, grant.hold, grant.user_hold, grant.census_hold),
    ));
}

/// A connection's whole life. A panic ends this connection only.
async fn live(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    early: Bytes,
    _held: ConnectionHolds,
) {
    let begun = Instant::now();
    let open = &worker.metrics.connections.open[Transport::Websocket][connection.encoding()];
    open.inc();
    let served = AssertUnwindSafe(serve(&worker, &connection, early)).catch_unwind().await;
    let ended = match served {
        Ok(ended) => ended,
        Err(_panic) => {
            worker.metrics.node.panics.inc();
            tracing::error!(%connection, "a panic ended this connection");
            abandon(&worker, &connection).await
        }
    };
    worker.dismiss(connection.id);
    open.dec();
    let reason = reason_of(ended);
    worker.metrics.connections.closed[reason].inc();
    let life = begun.elapsed();
    worker.metrics.connections.duration.observe(life.as_secs_f64());
    access_log::closed(&worker.settings(), &connection, reason, life);
}

fn reason_of(ended: Ended) -> CloseReason {
    match ended {
        Ended::Client => CloseReason::Client,
        Ended::Vanished => CloseReason::Gone,
        Ended::Node(code) => CloseReason::Node(code),
    }
}
