//! A way to a server on which the subscribe connections of one moment can be made deaf: they stay
//! open and take what the node says, and nothing comes back on them any more. Commands pass.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What the connections of a way share.
#[derive(Debug, Default)]
struct State {
    made: AtomicUsize,
    /// Those made before this one are deaf if they subscribe.
    deaf_before: AtomicUsize,
}

/// The way; its tasks end with the runtime.
pub struct DeafWay {
    address: SocketAddr,
    state: Arc<State>,
}

impl DeafWay {
    /// A way to a port of this machine.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = shared.made.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let listens = Arc::new(AtomicBool::new(false));
                tokio::spawn(up(from_client, to_server, listens.clone()));
                tokio::spawn(down(from_server, to_client, (shared.clone(), number, listens)));
            }
        });
        Self { address, state }
    }

    /// Where Redis clients find it.
    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// From now on nothing comes on the subscribe connections that there are; new ones hear.
    pub fn deafen(&self) {
        let made = self.state.made.load(Ordering::SeqCst);
        self.state.deaf_before.store(made, Ordering::SeqCst);
    }
}

/// Passes requests on, and sees whether they subscribe.
async fn up(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, listens: Arc<AtomicBool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if buffer[..count].windows(9).any(|word| word == b"SUBSCRIBE") {
            listens.store(true, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (state, number, listens): (Arc<State>, usize, Arc<AtomicBool>),
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let deaf = number < state.deaf_before.load(Ordering::SeqCst);
        if deaf && listens.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
