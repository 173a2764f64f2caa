//! The acceptor: takes sockets off the listener and spreads them evenly over the workers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::http::Site;
use crate::worker::Handoff;

/// Handshakes that the kernel keeps while we are busy; it takes the smaller of this and
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Pause after the system gave no descriptor.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Binds the listener.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until it is aborted; then the workers' queues end, and so do the workers.
pub(super) async fn run(listener: TcpListener, workers: Vec<mpsc::Sender<Handoff>>, site: Arc<Site>) {
    // The listener alone is registered with this runtime: a socket is with its worker's only.
    let listener = match AsyncFd::with_interest(listener, Interest::READABLE) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("cannot wait for connections: {error}"),
    };
    loop {
        match listener.async_io(Interest::READABLE, |listener| listener.accept()).await {
            Ok((socket, _peer)) => {
                if socket.set_nonblocking(true).is_err() {
                    continue;
                }
                let worker = site.assign();
                let handoff = Handoff { socket, accepted: Instant::now() };
                if workers[worker].send(handoff).await.is_err() {
                    // The worker died; its liveness fails, and others still serve.
                    site.release(worker);
                }
            }
            Err(error) if is_of_one_socket(&error) => {}
            Err(error) => {
                tracing::warn!("cannot accept: {error}");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// Whether the error is about the socket that came, not about us (accept(2)).
fn is_of_one_socket(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
