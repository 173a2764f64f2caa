//! The metrics' own listener, if one is configured: `/metrics` and health, on the main runtime. Its
//! sockets are few: a new one beyond the bound ends the oldest, so that sockets which are only held
//! keep no scrape out.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinHandle};

use crate::config::HttpConfig;
use crate::http::serve_monitor;
use crate::node_status::NodeStatus;

/// Sockets at once: many times what scrapers, probes and people hold.
const MAX_SOCKETS: usize = 64;
/// Pause after the system refused a socket, as it does without descriptors.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

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
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let Ok((socket, _peer)) = listener.accept().await else {
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            };
            open.retain(|socket| !socket.is_finished());
            if open.len() == MAX_SOCKETS
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            let serving = tokio::spawn(serve_monitor(socket, status.clone(), config.clone()));
            open.push_back(serving.abort_handle());
        }
    });
    Ok((address, task))
}
