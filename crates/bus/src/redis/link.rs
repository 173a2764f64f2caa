//! The command connections to one server: kept up by one task, shared by everyone who sends.
//! They are made and dropped together; each time the server is asked who it is, since its life
//! decides over epochs.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushKind, RedisResult};
use roomcast_metrics::{BusConnection, BusMetrics};
use roomcast_protocol::RoomName;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use super::circuit::Circuit;
use super::scripts;
use super::server::{Server, identify};

/// How often the server's life is checked and its silence noticed.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A handle to the connections.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    state: watch::Receiver<State>,
    /// Asks for a check now: a command failed or got no answer.
    doubt: Arc<Notify>,
}

/// Open connections to a server whose life is known.
#[derive(Debug, Clone)]
pub(crate) struct Up {
    connections: Arc<[MultiplexedConnection]>,
    /// The server's replication id.
    pub(crate) life: Arc<str>,
}

#[derive(Debug, Clone)]
enum State {
    Up(Up),
    Away(Circuit),
}

/// The server is away, and is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Away;

impl Up {
    /// The connection on which this room's commands go, always the same of one generation.
    pub(crate) fn of(&self, room: &RoomName) -> MultiplexedConnection {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(room);
        self.connections[hash as usize % self.connections.len()].clone()
    }

    /// A connection for what belongs to no room.
    pub(crate) fn any(&self) -> MultiplexedConnection {
        self.connections[0].clone()
    }
}

impl Link {
    /// Connects `count` connections for the first time; the future keeps them up for good.
    pub(crate) async fn start(
        server: Server,
        count: usize,
        metrics: BusMetrics,
    ) -> RedisResult<(Self, impl Future<Output = ()> + Send)> {
        let doubt = Arc::new(Notify::new());
        let up = connect(&server, count, &doubt).await?;
        let (sender, state) = watch::channel(State::Up(up));
        let link = Self { state, doubt: doubt.clone() };
        let keeper = Keeper { server, count, metrics, state: sender, doubt };
        Ok((link, keeper.run()))
    }

    /// The connections, if they are up now.
    pub(crate) fn up(&self) -> Option<Up> {
        match &*self.state.borrow() {
            State::Up(up) => Some(up.clone()),
            State::Away(_) => None,
        }
    }

    /// The connections; waits only where they may be back at once, and not beyond the deadline.
    pub(crate) async fn soon(&self, deadline: Instant) -> Result<Up, Away> {
        self.wait(deadline, |state| !matches!(state, State::Away(Circuit::HalfOpen))).await
    }

    /// The connections, waiting for them until the deadline.
    pub(crate) async fn by(&self, deadline: Instant) -> Result<Up, Away> {
        self.wait(deadline, |state| matches!(state, State::Up(_))).await
    }

    async fn wait(&self, deadline: Instant, enough: fn(&State) -> bool) -> Result<Up, Away> {
        if let Some(up) = self.up() {
            return Ok(up);
        }
        let mut state = self.state.clone();
        match timeout_at(deadline, state.wait_for(enough)).await {
            Ok(Ok(state)) => match &*state {
                State::Up(up) => Ok(up.clone()),
                State::Away(_) => Err(Away),
            },
            _ => Err(Away),
        }
    }

    /// A command failed or got no answer: have the server checked now.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }
}

/// The task that keeps the connections up.
struct Keeper {
    server: Server,
    count: usize,
    metrics: BusMetrics,
    state: watch::Sender<State>,
    doubt: Arc<Notify>,
}

impl Keeper {
    async fn run(self) {
        let mut circuit = Circuit::Closed;
        while !self.state.is_closed() {
            let up = match &*self.state.borrow() {
                State::Up(up) => Some(up.clone()),
                State::Away(_) => None,
            };
            match up {
                Some(up) => {
                    if let Err(reason) = self.watch(up).await {
                        warn!(%reason, "lost Redis");
                        circuit = circuit.lost();
                        self.state.send_replace(State::Away(circuit));
                    }
                }
                None => {
                    sleep(circuit.pause(rand::random())).await;
                    match connect(&self.server, self.count, &self.doubt).await {
                        Ok(up) => {
                            info!(life = %up.life, "reconnected to Redis");
                            self.metrics.reconnects[BusConnection::Publish].inc();
                            circuit = Circuit::Closed;
                            self.state.send_replace(State::Up(up));
                        }
                        Err(reason) => {
                            circuit = circuit.failed();
                            if circuit == Circuit::Open(1) {
                                warn!(%reason, "Redis is away; publishes fail until it is back");
                            }
                            self.state.send_replace(State::Away(circuit));
                        }
                    }
                }
            }
        }
    }

    /// Checks the server every second and at each doubt, until something is wrong with it.
    async fn watch(&self, up: Up) -> Result<(), String> {
        loop {
            tokio::select! {
                () = self.doubt.notified() => {}
                () = sleep(CHECK_EVERY) => {}
                () = self.state.closed() => return Ok(()),
            }
            for connection in up.connections.iter() {
                let identity =
                    identify(&mut connection.clone()).await.map_err(|e| e.to_string())?;
                if !identity.primary {
                    return Err("it is a replica now".to_owned());
                }
                if *identity.life != *up.life {
                    info!(life = %identity.life, "Redis has another life");
                    let up = Up { life: identity.life.into(), ..up };
                    self.state.send_replace(State::Up(up));
                    return Ok(());
                }
            }
        }
    }
}

async fn connect(server: &Server, count: usize, doubt: &Arc<Notify>) -> RedisResult<Up> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let doubt = doubt.clone();
        let closed = move |info: redis::PushInfo| {
            if info.kind == PushKind::Disconnection {
                doubt.notify_one();
            }
        };
        connections.push(server.connect(closed).await?);
    }
    let identity = identify(&mut connections[0]).await?;
    if !identity.primary {
        return Err((redis::ErrorKind::Client, "it is a replica").into());
    }
    scripts::load(&mut connections[0]).await?;
    Ok(Up { connections: connections.into(), life: identity.life.into() })
}
