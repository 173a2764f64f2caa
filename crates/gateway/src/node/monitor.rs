//! The metrics' own listener, if one is configured: `/metrics` and health, on the main runtime.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::HttpConfig;
use crate::http::serve_monitor;
use crate::node_status::NodeStatus;

/// Binds the address and serves it.
pub(super) async fn start(
    address: SocketAddr,
    status: Arc<NodeStatus>,
    config: HttpConfig,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let config = Arc::new(config);
    let task = tokio::spawn(async move {
        loop {
            let Ok((socket, _peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            tokio::spawn(serve_monitor(socket, status.clone(), config.clone()));
        }
    });
    Ok((address, task))
}
