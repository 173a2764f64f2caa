//! A TCP proxy on a free port of 127.0.0.1 that disturbs what goes through it: slow, in bits, not
//! at all, or cut. For Redis and WebSockets alike; it knows neither.

mod connection;
mod fault;
mod line;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use fault::State;

pub use fault::{Direction, ProxyFault};

/// Between an accept that failed and the next.
const RETRY: Duration = Duration::from_millis(10);

/// A running proxy; dropping it ends it and cuts what goes through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy to a port of 127.0.0.1, on the current runtime.
    pub async fn start(target: u16) -> Self {
        Self::start_to((Ipv4Addr::LOCALHOST, target).into()).await.expect("a free port")
    }

    /// Starts a proxy to any address, on the current runtime.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start_to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State::PASS);
        let acceptor = tokio::spawn(accept(listener, target, state.subscribe()));
        Ok(Self { address, state, acceptor })
    }

    /// Where its clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where Redis clients find it.
    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Puts both directions under a fault, from now on and whatever they were under.
    pub fn set(&self, fault: ProxyFault) {
        self.state.send_modify(|state| state.faults = [fault; 2]);
    }

    /// Puts one direction under a fault; the other stays as it is.
    pub fn set_toward(&self, direction: Direction, fault: ProxyFault) {
        self.state.send_modify(|state| state.faults[direction as usize] = fault);
    }

    /// Everything passes again, new connections as well. Those that lost something are cut.
    pub fn pass(&self) {
        self.state.send_modify(|state| {
            state.faults = State::PASS.faults;
            state.refuses = false;
        });
    }

    /// Requests reach the server, its answers reach nobody.
    pub fn swallow_answers(&self) {
        self.set_toward(Direction::ToClient, ProxyFault::BlackHole);
    }

    /// New connections are reset at once, until `pass`.
    pub fn refuse(&self) {
        self.state.send_modify(|state| state.refuses = true);
    }

    /// Closes every connection that is open now, on both sides. A client's connection of this very
    /// moment may not have been accepted yet, and is then a new one; so too in the following.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Resets every connection that is open now, on both sides; what is on its way is lost.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }

    /// Ends one direction of every connection that is open now: its receiver reads the end of the
    /// stream, and what its sender says from now on is lost. The other direction goes on.
    pub fn half_close(&self, direction: Direction) {
        self.state.send_modify(|state| state.half_closes[direction as usize] += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Either that client has left, or there are too many open files.
            sleep(RETRY).await;
            continue;
        };
        let begun = *state.borrow();
        if begun.refuses {
            let _ = client.set_zero_linger();
            continue;
        }
        tokio::spawn(connection::serve(client, target, state.clone(), begun));
    }
}
