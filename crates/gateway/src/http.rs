//! HTTP/1.1: routes, admission, health, metrics and the demo's files; where an upgrade is granted, the
//! socket goes on to `websocket`. hyper parses; nothing here touches a room.

mod address_check;
mod admission;
mod answer;
mod api;
mod body;
mod client_addr;
mod client_address;
mod credentials;
mod host;
mod http_connection;
mod http_socket;
mod origin_check;
mod pages;
mod percent;
mod progress;
mod query;
mod route;
mod route_table;
mod serve;
mod tickets;
mod upgrade;
mod user_check;
mod web_files;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use roomcast_metrics::RefusalReason;
use tokio::net::TcpStream;
use tokio::time::{Instant as TokioInstant, timeout_at};

pub(crate) use serve::{AdminNode, serve_admin, serve_monitor};

use self::http_connection::HttpConnection;
use self::http_socket::HttpTransport;
use self::progress::{HttpProgress, HttpStage};
use self::serve::{HttpEnd, serve};
use crate::config::HttpConfig;
use crate::node_status::{ConnectionSlot, NodeStatus};
use crate::worker::Worker;

/// Serves a socket that was just accepted and assigned to this worker, in a task of its own.
pub(crate) fn accept(
    worker: &Rc<Worker>,
    status: &Arc<NodeStatus>,
    mut socket: TcpStream,
    (peer, accepted): (IpAddr, Instant),
) {
    let slot = ConnectionSlot::new(status.clone(), worker.index);
    let (own, status) = (worker.clone(), status.clone());
    let progress = HttpProgress::default();
    let counter = progress.counter();
    let task = tokio::task::spawn_local(async move {
        let worker = own;
        let settings = worker.settings();
        let refused = &worker.metrics.connections.refused;
        let mut peer = peer.to_canonical();
        let begun = TokioInstant::now();
        if settings.http.proxy_protocol {
            match Box::pin(behind_proxy(&mut socket, peer, begun, &settings.http)).await {
                Ok(client) => peer = client,
                Err(reason) => return refused[reason].inc(),
            }
        }
        let socket = match Box::pin(transport(&worker, socket, begun)).await {
            Ok(socket) => socket,
            Err(reason) => return refused[reason].inc(),
        };
        let http = HttpConnection::new(worker.clone(), status, slot, (accepted, peer));
        let answer = |request| route::answer(&http, request);
        match serve((socket, begun), progress, &settings.http, answer).await {
            HttpEnd::Done => http.leave().await,
            HttpEnd::Late(HttpStage::Head) => refused[RefusalReason::Timeout].inc(),
            HttpEnd::Late(stage) => tracing::debug!(?stage, "http: ended, it took too long"),
            HttpEnd::Failed(error) if error.is_parse() => refused[RefusalReason::BadRequest].inc(),
            HttpEnd::Failed(error) => tracing::debug!("http: {error}"),
        }
    });
    worker.note_http_task(task.abort_handle(), counter);
}

/// The client's address as the head of the PROXY protocol says, or why the socket is refused.
async fn behind_proxy(
    socket: &mut TcpStream,
    peer: IpAddr,
    begun: TokioInstant,
    http: &HttpConfig,
) -> Result<IpAddr, RefusalReason> {
    let proxied = client_addr::proxied(socket, peer, &http.trusted_proxies);
    match timeout_at(begun + http.header_timeout, proxied).await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => {
            tracing::debug!(%peer, "refused: {error}");
            Err(RefusalReason::BadRequest)
        }
        Err(_late) => Err(RefusalReason::Timeout),
    }
}

/// The socket as HTTP is spoken over it: after the TLS handshake, where the node speaks TLS. What the
/// handshake takes is taken off the time of the request's head.
async fn transport(
    worker: &Worker,
    socket: TcpStream,
    begun: TokioInstant,
) -> Result<HttpTransport, RefusalReason> {
    let settings = worker.settings();
    let Some(tls) = &settings.tls else { return Ok(socket.into()) };
    let deadline = begun + settings.http.header_timeout;
    match timeout_at(deadline, tls.accept(socket, &worker.handshake_turn)).await {
        Ok(Ok(socket)) => Ok(socket.into()),
        Ok(Err(error)) => {
            tracing::debug!("tls: {error}");
            Err(RefusalReason::Tls)
        }
        Err(_late) => Err(RefusalReason::Timeout),
    }
}
