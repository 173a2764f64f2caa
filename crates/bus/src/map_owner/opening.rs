//! The first way to Redis: the servers are checked, again and again while they are unreachable,
//! then the owner of the map starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::cluster::ClusterOwner;
use super::servers::{ServerListChange, ServerListOwner};
use crate::circuit::Circuit;
use crate::placement::keys::Keyspace;
use crate::primary::fault::RedisStartError;
use crate::primary::start;
use crate::server_map::ServerMap;

/// After a successful check: longest wait until the servers are connected and a cluster's slots are
/// known.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// The reason why the node waits is logged when it changes, and again after this time.
const REMINDER_INTERVAL: Duration = Duration::from_secs(30);

/// Reaches Redis for the first time. If it is dropped, the bus stays unopened.
#[must_use = "the bus does not work before its opening has ended"]
pub struct RedisOpening {
    unopened: Unopened,
    /// Changes from the bus's handles; the channel ends with the last of them.
    changes: mpsc::UnboundedReceiver<ServerListChange>,
    keys: Keyspace,
    shards: ServerMap,
    reached: Arc<AtomicBool>,
}

/// The owner of the map, before it starts.
pub(crate) enum Unopened {
    Servers(ServerListOwner),
    Cluster(ClusterOwner),
}

impl RedisOpening {
    pub(crate) fn new(
        (unopened, changes): (Unopened, mpsc::UnboundedReceiver<ServerListChange>),
        (keys, shards): (Keyspace, ServerMap),
        reached: Arc<AtomicBool>,
    ) -> Self {
        Self { unopened, changes, keys, shards, reached }
    }

    /// Returns when Redis was reached. It waits while a server is unreachable; any other fault is
    /// an error. If the bus gets another list of servers meanwhile, it waits for those.
    pub async fn wait(mut self) -> Result<(), RedisStartError> {
        let mut circuit = Circuit::HalfOpen;
        let mut logged: Option<(RedisStartError, Instant)> = None;
        loop {
            let attempt = async {
                sleep(circuit.pause(rand::random())).await;
                self.unopened.check(&self.keys).await
            };
            let checked = tokio::select! {
                checked = attempt => checked,
                change = self.changes.recv() => match change {
                    Some(change) => {
                        self.unopened.take_over(change);
                        circuit = Circuit::HalfOpen;
                        continue;
                    }
                    // The bus has no handle left.
                    None => return Ok(()),
                }
            };
            match checked {
                Ok(()) => break,
                Err(error) if error.passes() => {
                    circuit = circuit.failed();
                    let is_old = |(said, at): &(RedisStartError, Instant)| {
                        *said == error && at.elapsed() < REMINDER_INTERVAL
                    };
                    if !logged.as_ref().is_some_and(is_old) {
                        warn!(reason = %error, "waiting for Redis, not ready");
                        logged = Some((error, Instant::now()));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.open().await;
        Ok(())
    }

    /// Returns when Redis was reached; an unreachable server is an error.
    pub async fn try_once(self) -> Result<(), RedisStartError> {
        self.unopened.check(&self.keys).await?;
        self.open().await;
        Ok(())
    }

    /// Starts the owner of the map with servers that passed their checks, and waits until they are
    /// connected.
    async fn open(self) {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        match self.unopened {
            Unopened::Servers(mut owner) => {
                owner.open();
                tokio::spawn(owner.run(self.changes));
            }
            Unopened::Cluster(mut owner) => {
                owner.settle(deadline).await;
                tokio::spawn(owner.run(self.changes));
            }
        }
        self.shards.settle(deadline).await;
        self.reached.store(true, Ordering::Relaxed);
        info!("reached Redis");
    }
}

impl Unopened {
    async fn check(&self, keys: &Keyspace) -> Result<(), RedisStartError> {
        match self {
            Self::Servers(owner) => {
                let version = *owner.version.borrow();
                start::check_servers(&owner.servers, keys, version).await
            }
            Self::Cluster(owner) => start::check_cluster(owner.seeds(), keys).await,
        }
    }

    /// Takes another list of servers. No room is placed yet, so nothing has to move.
    fn take_over(&mut self, change: ServerListChange) {
        // The bus refuses to change a cluster before this.
        if let Self::Servers(owner) = self {
            owner.version.send_replace(change.version);
            owner.servers = change.servers;
        }
        // The caller may have stopped waiting.
        let _ = change.done.send(());
    }
}
