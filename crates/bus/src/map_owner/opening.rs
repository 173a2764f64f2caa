//! The way from a bus that knows where Redis is to one that uses it: the servers are checked, again
//! and again while they are away, then the owner of the map begins.

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

/// A server that was there a moment ago is connected, and a cluster known, within this.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// The reason why the node waits is logged when it changes, and again after this.
const REMINDER_INTERVAL: Duration = Duration::from_secs(30);

/// Reaches Redis for the first time. Dropped, it leaves the bus as it is.
#[must_use = "the bus does not work before its opening has ended"]
pub struct RedisOpening {
    unopened: Unopened,
    /// From the bus's handles; it ends with the last of them.
    changes: mpsc::UnboundedReceiver<ServerListChange>,
    keys: Keyspace,
    shards: ServerMap,
    reached: Arc<AtomicBool>,
}

/// The owner of the map, before it begins.
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

    /// Ends when Redis was reached; a server that is away is waited for, any other fault is the
    /// error. Another list of servers that is given to the bus meanwhile is what it waits for then.
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
                    // Nobody uses the bus any more.
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

    /// Ends when Redis was reached; a server that is away is an error.
    pub async fn try_once(self) -> Result<(), RedisStartError> {
        self.unopened.check(&self.keys).await?;
        self.open().await;
        Ok(())
    }

    /// Starts to use the servers, which answered a moment ago, and waits until they are connected.
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

    /// Another list of servers: no room is anywhere yet, so that nothing has to move.
    fn take_over(&mut self, change: ServerListChange) {
        // The bus refuses a change of a cluster before it gets here.
        if let Self::Servers(owner) = self {
            owner.version.send_replace(change.version);
            owner.servers = change.servers;
        }
        // Who asked for it may have gone.
        let _ = change.done.send(());
    }
}
