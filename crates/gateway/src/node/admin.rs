//! The backends' own listener, if one is configured: the routes below `/v1`, on the main runtime.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::http::{AdminNode, serve_admin};

/// Sockets of backends at once; more wait in the kernel's backlog.
const MAX_SOCKETS: usize = 1_024;
/// Pause after the system refused a socket, as it does without descriptors.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Binds the address and serves it.
pub(super) async fn start(
    address: SocketAddr,
    node: AdminNode,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let (node, places) = (Arc::new(node), Arc::new(Semaphore::new(MAX_SOCKETS)));
    let task = tokio::spawn(async move {
        while let Ok(place) = places.clone().acquire_owned().await {
            let Ok((socket, _peer)) = listener.accept().await else {
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            };
            // Answers are small: none waits for another's acknowledgement.
            let _not_supported = socket.set_nodelay(true);
            let node = node.clone();
            tokio::spawn(async move {
                serve_admin(socket, node).await;
                drop(place);
            });
        }
    });
    Ok((address, task))
}
