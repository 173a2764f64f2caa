//! The command connections to one primary: kept up by one task, shared by all senders. They are
//! made and dropped together, with the pool for reads. The server's identity is checked each time,
//! because its life decides over epochs.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_redis::Pool;
use redis::aio::MultiplexedConnection;
use roomcast_metrics::{BusMetrics, CircuitState};
use roomcast_protocol::RoomName;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::link_supervisor::LinkSupervisor;
use super::writable::WriteProbe;
use crate::circuit::Circuit;
use crate::placement::address::Target;
use crate::placement::endpoint::RedisEndpoint;
use crate::placement::keys::Keyspace;

/// What a link needs to be made.
#[derive(Clone)]
pub(crate) struct LinkOptions {
    /// The server's name, for the log.
    pub(crate) name: String,
    /// How the primary is reached.
    pub(crate) target: Target,
    /// How many connections publish.
    pub(crate) connections: usize,
    /// Names the version's key.
    pub(crate) keys: Keyspace,
    /// The version of the list of servers; `None` in a cluster, which places rooms itself.
    pub(crate) version: Option<watch::Receiver<u64>>,
    /// Counts reconnections.
    pub(crate) metrics: BusMetrics,
}

/// A handle to the connections.
#[derive(Debug, Clone)]
pub(crate) struct RedisLink {
    state: watch::Receiver<LinkState>,
    /// Asks for a check now, because a command failed or got no answer.
    doubt: Arc<Notify>,
    /// True while the server answers and refuses writes.
    refuses_writes: Arc<AtomicBool>,
}

/// Open connections to a primary whose life is known.
#[derive(Clone)]
pub(crate) struct LinkUp {
    pub(super) connections: Arc<[MultiplexedConnection]>,
    /// For publishes that wait for replicas: no other command waits behind them.
    pub(super) waiting: MultiplexedConnection,
    /// For ranges, so that their bytes never delay a publish.
    pub(crate) pool: Pool,
    /// The primary's address.
    pub(crate) at: Arc<RedisEndpoint>,
    /// The server's replication id, `:`, and the version of the list of servers.
    pub(crate) life: Arc<str>,
    /// That version; 0 in a cluster.
    pub(crate) version: u64,
    /// How the server is asked whether it accepts writes.
    pub(super) write_probe: WriteProbe,
    /// Names in the database of these connections.
    pub(crate) keys: Keyspace,
}

/// The state of a link.
#[derive(Debug, Clone)]
pub(super) enum LinkState {
    /// Connected.
    Up(LinkUp),
    /// Not connected.
    Away(Circuit),
}

/// The server is unreachable, as far as the link knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Away;

impl std::fmt::Debug for LinkUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkUp").field("at", self.at.addr()).field("life", &self.life).finish()
    }
}

impl LinkUp {
    /// The connection for this room's commands; always the same one of one generation.
    pub(crate) fn of(&self, room: &RoomName) -> MultiplexedConnection {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(room);
        self.connections[hash as usize % self.connections.len()].clone()
    }

    /// Whether these are the same connections to the same life of the data.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connections, &other.connections) && self.life == other.life
    }

    /// A connection for commands of no room.
    pub(crate) fn any(&self) -> MultiplexedConnection {
        self.connections[0].clone()
    }

    /// The connection for publishes that wait for replicas.
    pub(crate) fn waiting(&self) -> MultiplexedConnection {
        self.waiting.clone()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = MultiplexedConnection> {
        self.connections.iter().chain([&self.waiting]).cloned()
    }
}

impl RedisLink {
    /// A link that is about to connect; the future must run to keep it up, and ends when the last
    /// handle is dropped.
    pub(crate) fn new(options: LinkOptions) -> (Self, impl Future<Output = ()> + Send) {
        let doubt = Arc::new(Notify::new());
        let (sender, state) = watch::channel(LinkState::Away(Circuit::HalfOpen));
        let refuses_writes = Arc::new(AtomicBool::new(false));
        let link = Self { state, doubt: doubt.clone(), refuses_writes: refuses_writes.clone() };
        (link, LinkSupervisor { options, state: sender, doubt, refuses_writes }.run())
    }

    /// The connections, if they are up now.
    pub(crate) fn up(&self) -> Option<LinkUp> {
        match &*self.state.borrow() {
            LinkState::Up(up) => Some(up.clone()),
            LinkState::Away(_) => None,
        }
    }

    /// Whether the connections are up now.
    pub(crate) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), LinkState::Up(_))
    }

    /// Whether the server refused writes at the last check.
    pub(crate) fn refuses_writes(&self) -> bool {
        self.refuses_writes.load(Ordering::Relaxed)
    }

    /// The life of the server's data, if the connections are up now.
    pub(crate) fn life(&self) -> Option<Arc<str>> {
        match &*self.state.borrow() {
            LinkState::Up(up) => Some(up.life.clone()),
            LinkState::Away(_) => None,
        }
    }

    /// The state of the connections, for metrics.
    pub(crate) fn circuit(&self) -> CircuitState {
        match &*self.state.borrow() {
            LinkState::Up(_) | LinkState::Away(Circuit::Closed) => CircuitState::Closed,
            LinkState::Away(Circuit::HalfOpen) => CircuitState::HalfOpen,
            LinkState::Away(Circuit::Open(_)) => CircuitState::Open,
        }
    }

    /// The connections. Waits only while the first attempt to connect again is under way, and at
    /// most until the deadline.
    pub(crate) async fn soon(&self, deadline: Instant) -> Result<LinkUp, Away> {
        self.wait(deadline, |state| !matches!(state, LinkState::Away(Circuit::HalfOpen))).await
    }

    /// The connections, waiting for them until the deadline.
    pub(crate) async fn by(&self, deadline: Instant) -> Result<LinkUp, Away> {
        self.wait(deadline, |state| matches!(state, LinkState::Up(_))).await
    }

    /// The connections, without a deadline; never returns if the supervisor has ended.
    pub(crate) async fn some_day(&self) -> LinkUp {
        let mut state = self.state.clone();
        if let Ok(state) = state.wait_for(|state| matches!(state, LinkState::Up(_))).await
            && let LinkState::Up(up) = &*state
        {
            return up.clone();
        }
        std::future::pending().await
    }

    /// Waits until the link leads to another address than this one.
    pub(crate) async fn leaves(&self, at: &RedisEndpoint) {
        let elsewhere = |state: &LinkState| match state {
            LinkState::Up(up) => up.at.addr() != at.addr(),
            LinkState::Away(_) => false,
        };
        if self.state.clone().wait_for(elsewhere).await.is_err() {
            std::future::pending().await
        }
    }

    async fn wait(
        &self,
        deadline: Instant,
        enough: fn(&LinkState) -> bool,
    ) -> Result<LinkUp, Away> {
        if let Some(up) = self.up() {
            return Ok(up);
        }
        let mut state = self.state.clone();
        match timeout_at(deadline, state.wait_for(enough)).await {
            Ok(Ok(state)) => match &*state {
                LinkState::Up(up) => Ok(up.clone()),
                LinkState::Away(_) => Err(Away),
            },
            _ => Err(Away),
        }
    }

    /// Has the server checked now, because a command failed or got no answer.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }
}
