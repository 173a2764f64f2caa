//! The acceptor: takes sockets off the listener and spreads them evenly over the workers.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
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
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listener that is being served by a thread of its own.
pub(super) struct Acceptor {
    listener: Arc<TcpListener>,
}

impl Acceptor {
    /// Starts to accept.
    pub(super) fn start(
        listener: TcpListener,
        workers: Vec<mpsc::Sender<Handoff>>,
        site: Arc<Site>,
    ) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let served = listener.clone();
        thread::Builder::new()
            .name("acceptor".into())
            .spawn(move || accept(&served, &workers, &site))?;
        Ok(Self { listener })
    }

    /// Stops accepting: the thread ends, and with it the workers' queues.
    pub(super) fn stop(&self) {
        // On Linux this wakes a thread that waits in accept(2).
        let _best_effort = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
    }
}

fn accept(listener: &TcpListener, workers: &[mpsc::Sender<Handoff>], site: &Site) {
    loop {
        match listener.accept() {
            Ok((socket, _peer)) => {
                if socket.set_nonblocking(true).is_err() {
                    continue;
                }
                let worker = site.assign();
                let handoff = Handoff { socket, accepted: Instant::now() };
                if workers[worker].blocking_send(handoff).is_err() {
                    // The worker died; its liveness fails, and others still serve.
                    site.release(worker);
                }
            }
            Err(_) if site.is_leaving() => return,
            Err(error) if is_of_one_socket(&error) => {}
            Err(error) => {
                tracing::warn!("cannot accept: {error}");
                thread::sleep(EXHAUSTED);
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
