//! A TCP proxy on a free port of 127.0.0.1 that can swallow answers, hold everything back, or cut
//! its connections, on the way to a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PASS: u8 = 0;
const SWALLOW_ANSWERS: u8 = 1;
const REFUSE: u8 = 2;

/// A running proxy; dropping it ends it and cuts what goes through it.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    mode: Arc<AtomicU8>,
    /// Rises when all connections are to be cut.
    cut: watch::Sender<u64>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy to a port of 127.0.0.1, on the current runtime.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let mode = Arc::new(AtomicU8::new(PASS));
        let cut = watch::Sender::new(0);
        let acceptor = tokio::spawn(accept(listener, target, mode.clone(), cut.clone()));
        Self { port, mode, cut, acceptor }
    }

    /// Where Redis clients find it.
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Everything passes again.
    pub fn pass(&self) {
        self.mode.store(PASS, Ordering::SeqCst);
    }

    /// Requests reach the server, its answers reach nobody.
    pub fn swallow_answers(&self) {
        self.mode.store(SWALLOW_ANSWERS, Ordering::SeqCst);
    }

    /// New connections are closed at once, until `pass`.
    pub fn refuse(&self) {
        self.mode.store(REFUSE, Ordering::SeqCst);
    }

    /// Cuts every connection that is open now.
    pub fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, target: u16, mode: Arc<AtomicU8>, cut: watch::Sender<u64>) {
    while let Ok((client, _)) = listener.accept().await {
        if mode.load(Ordering::SeqCst) == REFUSE {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { continue };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("a connected socket takes its options");
        }
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        let mut cut = cut.subscribe();
        let mode = mode.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = cut.changed() => {}
                () = copy(from_client, to_server, || false) => {}
                () = copy(from_server, to_client, || mode.load(Ordering::SeqCst) == SWALLOW_ANSWERS) => {}
            }
        });
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallow: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut buffer).await {
        let passes = count > 0;
        if !passes || (!swallow() && to.write_all(&buffer[..count]).await.is_err()) {
            return;
        }
    }
}
