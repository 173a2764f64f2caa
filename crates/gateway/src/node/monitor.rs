//! The metrics' own listener, if one is configured: `/metrics` and health, on the main runtime.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::http::answer_monitor;
use crate::node_status::NodeStatus;

/// A scraper asks every few seconds; one that is silent for so long is gone.
const IDLE: Duration = Duration::from_secs(120);

/// Binds the address and serves it.
pub(super) async fn start(
    address: SocketAddr,
    status: Arc<NodeStatus>,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        loop {
            let Ok((socket, _peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let status = status.clone();
            tokio::spawn(async move {
                let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
                    let status = status.clone();
                    async move { Ok::<_, Infallible>(answer_monitor(&status, request).await) }
                });
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(IDLE);
                if let Err(error) = http.serve_connection(TokioIo::new(socket), service).await {
                    tracing::debug!("metrics: {error}");
                }
            });
        }
    });
    Ok((address, task))
}
