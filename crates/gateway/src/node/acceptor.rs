//! The acceptor: takes sockets off the listener and spreads them evenly over the workers.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::pace::AcceptPace;
use crate::node_status::NodeStatus;
use crate::settings::{NodeLimits, Settings};

/// Handshakes that the kernel keeps while we are busy; it takes the smaller of this and
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Pause after the system gave no descriptor.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// Binds the listener.
pub(super) fn bind(address: SocketAddr, limits: &NodeLimits) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    set_options(SockRef::from(&socket), limits)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Options of every connection: set once on the listener, whose sockets inherit them (tcp(7)).
fn set_options(socket: SockRef<'_>, limits: &NodeLimits) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if limits.send_buffer > 0 {
        socket.set_send_buffer_size(limits.send_buffer)?;
    }
    if limits.notsent_lowat > 0 {
        let lowat = u32::try_from(limits.notsent_lowat).unwrap_or(u32::MAX);
        socket.set_tcp_notsent_lowat(lowat)?;
    }
    Ok(())
}

/// A socket on its way from the acceptor to a worker.
#[derive(Debug)]
pub(super) struct Handoff {
    pub(super) socket: TcpStream,
    pub(super) peer: IpAddr,
    pub(super) accepted: Instant,
}

/// The listener, served by a thread of its own, or by the only worker itself: on one core a hop
/// between threads costs more than accepting.
pub(super) struct Acceptor {
    listener: Arc<TcpListener>,
    /// Workers run until all senders of their sockets are dropped.
    _workers: Vec<mpsc::Sender<Handoff>>,
}

impl Acceptor {
    /// Starts to accept for several workers.
    pub(super) fn start(
        listener: TcpListener,
        workers: Vec<mpsc::Sender<Handoff>>,
        (status, settings): (Arc<NodeStatus>, watch::Receiver<Arc<Settings>>),
    ) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let (served, senders) = (listener.clone(), workers.clone());
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        thread::Builder::new().name("acceptor".into()).spawn(move || {
            runtime.block_on(accept_for_all(&served, &senders, &status, &settings));
        })?;
        Ok(Self { listener, _workers: workers })
    }

    /// Leaves accepting to the only worker, which has the listener too.
    pub(super) fn alone(listener: TcpListener, worker: mpsc::Sender<Handoff>) -> Self {
        Self { listener: Arc::new(listener), _workers: vec![worker] }
    }

    /// Puts the limits of another configuration in force, for sockets to come.
    pub(super) fn configure(&self, limits: &NodeLimits) {
        if let Err(error) = set_options(SockRef::from(&*self.listener), limits) {
            tracing::warn!("socket options stay as they are: {error}");
        }
    }

    /// Stops accepting. Workers end their connections, and then themselves, when it is dropped.
    pub(super) fn close(&self) {
        // On Linux this also wakes a thread that waits in accept(2).
        let _best_effort = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
    }
}

/// The acceptor's thread: accept(2) blocks it, as it has nothing else to do.
async fn accept_for_all(
    listener: &TcpListener,
    workers: &[mpsc::Sender<Handoff>],
    status: &NodeStatus,
    settings: &watch::Receiver<Arc<Settings>>,
) {
    let hand_over = async |socket: TcpStream, peer: SocketAddr| {
        if socket.set_nonblocking(true).is_err() {
            return;
        }
        let worker = status.assign();
        let handoff = Handoff { socket, peer: peer.ip(), accepted: Instant::now() };
        if workers[worker].send(handoff).await.is_err() {
            // The worker's thread has ended: the node is no longer live, other workers still serve.
            status.release(worker);
        }
    };
    accept_each(async || listener.accept(), hand_over, status, settings).await;
}

/// Accepts sockets, no faster than `limits.accept_rate`, and passes each to `take`, until the node
/// takes no more connections.
pub(super) async fn accept_each<S>(
    mut accept: impl AsyncFnMut() -> io::Result<(S, SocketAddr)>,
    mut take: impl AsyncFnMut(S, SocketAddr),
    status: &NodeStatus,
    settings: &watch::Receiver<Arc<Settings>>,
) {
    let rate = || settings.borrow().limits.accept_rate;
    let mut pace = AcceptPace::new(Instant::now());
    loop {
        while let Some(wait) = pace.take(rate(), Instant::now()) {
            sleep(wait).await;
        }
        match accept().await {
            Ok((socket, peer)) => take(socket, peer).await,
            Err(_) if status.is_closed() => return,
            Err(error) if is_of_one_socket(&error) => {}
            Err(error) => {
                tracing::warn!("cannot accept: {error}");
                sleep(NO_DESCRIPTOR_PAUSE).await;
            }
        }
    }
}

/// Whether the error is about the socket that came, not about us (accept(2)).
fn is_of_one_socket(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
