//! HTTP/1.1 on a worker: the handshake of WebSockets, health, metrics and the page. hyper parses;
//! nothing here touches a room.

mod admission;
mod answer;
mod body;
mod client_addr;
mod host;
mod http_connection;
mod pages;
mod percent;
mod query;
mod route;
mod route_table;
mod upgrade;

use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roomcast_metrics::RefusalReason;
use tokio::net::TcpStream;

pub(crate) use route::answer_monitor;

use self::answer::Answer;
use self::http_connection::HttpConnection;
use crate::config::HttpConfig;
use crate::node_status::{ConnectionSlot, NodeStatus};
use crate::worker::Worker;

/// A request's life from the accepted socket to the upgrade, or to the last answer of a socket
/// that is kept alive.
const HTTP_LIFE: Duration = Duration::from_secs(60);

/// Serves a socket that was just accepted and assigned to this worker, in a task of its own.
pub(crate) fn accept(
    worker: &Rc<Worker>,
    status: &Arc<NodeStatus>,
    mut socket: TcpStream,
    (peer, accepted): (IpAddr, Instant),
) {
    let slot = ConnectionSlot::new(status.clone(), worker.index);
    let (own, status) = (worker.clone(), status.clone());
    let task = tokio::task::spawn_local(async move {
        let worker = own;
        let settings = worker.settings();
        let mut peer = peer.to_canonical();
        if settings.http.proxy_protocol {
            match Box::pin(behind_proxy(&mut socket, peer, &settings.http)).await {
                Ok(client) => peer = client,
                Err(reason) => return worker.metrics.connections.refused[reason].inc(),
            }
        }
        let http = Rc::new(HttpConnection::new(worker.clone(), status, slot, (accepted, peer)));
        let service = service_fn(|request: Request<Incoming>| {
            let http = http.clone();
            async move { Ok::<Answer, Infallible>(route::answer(&http, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.http.header_timeout)
            .max_buf_size(settings.http.max_header_bytes)
            // One small head: a copy costs less than a vectored write.
            .writev(false)
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        match tokio::time::timeout(HTTP_LIFE, connection).await {
            Ok(Ok(())) => http.leave().await,
            Err(_too_long) => {}
            Ok(Err(error)) if error.is_timeout() => {
                worker.metrics.connections.refused[RefusalReason::Timeout].inc();
            }
            Ok(Err(error)) if error.is_parse() => {
                worker.metrics.connections.refused[RefusalReason::BadRequest].inc();
            }
            Ok(Err(error)) => tracing::debug!("http: {error}"),
        }
    });
    worker.note_http_task(task.abort_handle());
}

/// The client's address as the head of the PROXY protocol tells it, or why the socket is refused.
async fn behind_proxy(
    socket: &mut TcpStream,
    peer: IpAddr,
    http: &HttpConfig,
) -> Result<IpAddr, RefusalReason> {
    let proxied = client_addr::proxied(socket, peer, &http.trusted_proxies);
    match tokio::time::timeout(http.header_timeout, proxied).await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => {
            tracing::debug!(%peer, "refused: {error}");
            Err(RefusalReason::BadRequest)
        }
        Err(_late) => Err(RefusalReason::Timeout),
    }
}
