//! The handshake of a WebSocket (RFC 6455 section 4.2): what is asked, whether it is granted, and
//! the change from an HTTP request to a connection.

use std::cell::RefCell;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use roomcast_metrics::{CloseReason, Encoding as EncodingLabel, Label};
use roomcast_metrics::{RefusalReason, Transport};
use roomcast_protocol::{ConnectionId, Encoding, Subprotocol};
use tokio::net::TcpStream;

use super::client::forwarded;
use super::handshake::{self, Flaw, Wish};
use super::query::Hello;
use super::{Answer, Place, Site, answer};
use crate::connection::{Connection, Ended};
use crate::form::Form;
use crate::websocket::{abandon, serve};
use crate::worker::Worker;

/// One accepted socket while it speaks HTTP.
pub(super) struct Visit {
    pub(super) worker: Rc<Worker>,
    pub(super) site: Arc<Site>,
    place: Rc<Place>,
    accepted: Instant,
    /// The address that the socket comes from, or what its PROXY protocol says.
    peer: IpAddr,
    /// What the last request was granted, once hyper has let go of the socket.
    granted: RefCell<Option<(OnUpgrade, Grant)>>,
}

/// What a granted handshake settled.
struct Grant {
    hello: Hello,
    subprotocol: Subprotocol,
    /// Kept as long as the connection.
    place: Rc<Place>,
    accepted: Instant,
    /// Where the client is.
    client: IpAddr,
}

/// Why a handshake is not granted.
struct Refusal {
    status: StatusCode,
    reason: RefusalReason,
    code: &'static str,
    detail: String,
}

impl Visit {
    pub(super) fn new(
        worker: Rc<Worker>,
        site: Arc<Site>,
        place: Place,
        (accepted, peer): (Instant, IpAddr),
    ) -> Self {
        let (place, granted) = (Rc::new(place), RefCell::default());
        Self { worker, site, place, accepted, peer, granted }
    }

    /// HTTP has ended: if it ended in an upgrade, the socket is a connection from now on.
    pub(super) async fn leave(&self) {
        let granted = self.granted.borrow_mut().take();
        if let Some((upgrade, grant)) = granted {
            become_connection(self.worker.clone(), upgrade, grant).await;
        }
    }
}

/// Answers a request for a WebSocket. Asked without an upgrade, it answers what an upgrade would
/// get, as browsers hide that; 426 where it would be granted.
pub(super) fn answer(visit: &Visit, mut request: Request<Incoming>) -> Answer {
    let trusted = &visit.worker.settings().http.trusted_proxies;
    let client = forwarded(visit.peer, request.headers(), trusted);
    let refused = &visit.worker.metrics.connections.refused;
    let grant = match grant(visit, client, &request) {
        Ok(grant) => grant,
        Err(refusal) => {
            tracing::debug!(%client, code = refusal.code, "refused: {}", refusal.detail);
            refused[refusal.reason].inc();
            return answer::problem(refusal.status, refusal.code, &refusal.detail);
        }
    };
    match handshake::read(&request) {
        Ok(Wish::Answer) => {
            upgrade_required("upgrade_required", "an upgrade to WebSocket would be granted here")
        }
        Ok(Wish::Upgrade(accept)) => {
            let response = switching(accept, grant.subprotocol.chosen);
            let upgrade = hyper::upgrade::on(&mut request);
            *visit.granted.borrow_mut() = Some((upgrade, grant));
            response
        }
        Err(Flaw::Version) => {
            refused[RefusalReason::BadRequest].inc();
            upgrade_required("bad_handshake", "this node speaks version 13 of WebSocket only")
        }
        Err(Flaw::Rule(detail)) => {
            refused[RefusalReason::BadRequest].inc();
            answer::problem(StatusCode::BAD_REQUEST, "bad_handshake", detail)
        }
    }
}

/// The answer that grants an upgrade (RFC 6455, section 4.2.2).
fn switching(accept: HeaderValue, subprotocol: Option<&'static str>) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    insert(headers, [(CONNECTION, "Upgrade"), (UPGRADE, "websocket")]);
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    insert(headers, subprotocol.map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol)));
    response
}

/// 426, which names what to upgrade to (RFC 9110, section 15.5.22) and in which version (RFC 6455,
/// section 4.4).
fn upgrade_required(code: &str, detail: &str) -> Answer {
    let mut answer = answer::problem(StatusCode::UPGRADE_REQUIRED, code, detail);
    let version = (SEC_WEBSOCKET_VERSION, handshake::VERSION);
    insert(answer.headers_mut(), [(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), version]);
    answer
}

fn insert(headers: &mut HeaderMap, fields: impl IntoIterator<Item = (HeaderName, &'static str)>) {
    for (name, value) in fields {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn grant(visit: &Visit, client: IpAddr, request: &Request<Incoming>) -> Result<Grant, Refusal> {
    if visit.site.is_closed() {
        return Err(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: RefusalReason::Draining,
            code: "draining",
            detail: "the node is leaving; connect to another".into(),
        });
    }
    if !visit.site.is_reached() {
        return Err(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: RefusalReason::NotReady,
            code: "not_ready",
            detail: "the node has not reached its Redis yet; come back, or to another".into(),
        });
    }
    if visit.site.sockets() > visit.worker.settings().limits.connections {
        return Err(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: RefusalReason::Limit,
            code: "full",
            detail: "the node has as many connections as it may have".into(),
        });
    }
    let subprotocol = negotiate(request.headers())?;
    let hello =
        Hello::parse(request.uri().query().unwrap_or_default()).map_err(|detail| Refusal {
            status: StatusCode::BAD_REQUEST,
            reason: RefusalReason::BadRequest,
            code: "bad_query",
            detail,
        })?;
    let (place, accepted) = (visit.place.clone(), visit.accepted);
    Ok(Grant { hello, subprotocol, place, accepted, client })
}

/// The encoding, and the subprotocol to name in the answer.
fn negotiate(headers: &HeaderMap) -> Result<Subprotocol, Refusal> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    Subprotocol::negotiate(offered.filter_map(|value| value.to_str().ok())).map_err(|error| {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            reason: RefusalReason::Subprotocol,
            code: "unknown_subprotocol",
            detail: error.to_string(),
        }
    })
}

/// Takes the socket over and goes on in a fresh, small task: what HTTP needed is given back.
async fn become_connection(worker: Rc<Worker>, upgrade: OnUpgrade, grant: Grant) {
    let Ok(upgraded) = upgrade.await else {
        return tracing::debug!("a socket was lost during its handshake");
    };
    let parts: Parts<TokioIo<TcpStream>> =
        upgraded.downcast().expect("sockets are served as TokioIo<TcpStream>");
    let id = ConnectionId(rand::random());
    // A copy: even an empty rest of hyper's buffer would keep all 8 KiB of it.
    let (socket, early) = (parts.io.into_inner(), Bytes::copy_from_slice(&parts.read_buf));
    let connections = &worker.metrics.connections;
    connections.handshake.observe(grant.accepted.elapsed().as_secs_f64());
    connections.opened[grant.hello.kind()].inc();
    let form = Form::websocket(grant.subprotocol.encoding);
    let stalled = &worker.stalled_held;
    let connection = Rc::new(Connection::new(id, grant.hello, form, socket, stalled));
    tracing::debug!(%connection, client = %grant.client, "opened");
    tokio::task::spawn_local(live(worker, connection, early, grant.place));
}

/// A connection's whole life. A panic ends this connection only.
async fn live(worker: Rc<Worker>, connection: Rc<Connection>, early: Bytes, _place: Rc<Place>) {
    let begun = Instant::now();
    let open =
        &worker.metrics.connections.open[Transport::Websocket][label_of(connection.encoding())];
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
    worker.metrics.connections.duration.observe(begun.elapsed().as_secs_f64());
    tracing::debug!(%connection, reason = reason.as_str(), "closed");
}

fn label_of(encoding: Encoding) -> EncodingLabel {
    match encoding {
        Encoding::Json => EncodingLabel::Json,
        Encoding::MsgPack => EncodingLabel::Msgpack,
    }
}

fn reason_of(ended: Ended) -> CloseReason {
    match ended {
        Ended::Client => CloseReason::Client,
        Ended::Vanished => CloseReason::Gone,
        Ended::Node(code) => CloseReason::parse(code.reason()).unwrap_or(CloseReason::Internal),
    }
}
