//! The primaries and which of them has a room: a map that its owner replaces as a whole
//! (`map_owner`) and all others read. It sends a room's calls to the right primary and follows
//! redirections.

mod moving;
pub(crate) mod shard;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use roomcast_metrics::{BusMetrics, CircuitState, Label};
use roomcast_protocol::RoomName;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::api::Health;
use crate::placement::keys::Keyspace;
use crate::placement::partition::Partition;
use crate::placement::{Placement, slot_of};
use crate::primary::link::LinkUp;
use crate::scripts::{Escort, PARTIAL, ScriptCall};
use shard::Shard;

/// The place of every room at one moment.
pub(crate) struct MapSnapshot {
    /// The primaries, in the placement's order.
    pub(crate) shards: Vec<Arc<Shard>>,
    /// How rooms are distributed over them.
    pub(crate) placement: Placement,
    /// A cluster's slots on the move: this node may miss pushes of their rooms.
    pub(crate) moving: BTreeSet<u16>,
}

/// A handle to the map in force.
#[derive(Clone)]
pub(crate) struct ServerMap {
    map: watch::Receiver<Arc<MapSnapshot>>,
    keys: Keyspace,
    /// Asks the owner to check the map: a call met a server that does not have its room.
    doubt: Arc<Notify>,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum CallFailure {
    /// Another primary has the room, or this one refuses to write it now; nothing was changed. Look
    /// at the map again and retry.
    Elsewhere,
    /// The room's slot is on the move, and its keys are on both servers or on neither; nothing was
    /// changed. See `moving.rs`, and retry.
    Split,
    /// The server refused before anything was stored.
    Refused(RedisError),
    /// The script failed after it stored something: the rest may not be stored or pushed.
    Partial(RedisError),
    /// No answer, or none that says what was done.
    Lost,
}

/// On which connections a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallRoute {
    /// The room's own, in order.
    Room,
    /// One of the pool.
    Pool,
    /// The connection of calls that wait for this many replicas.
    Replicated(u32),
}

impl MapSnapshot {
    /// A map without primaries.
    pub(crate) fn empty() -> Self {
        let placement = Placement::Slots(vec![None; usize::from(crate::placement::SLOTS)]);
        Self { shards: Vec::new(), placement, moving: BTreeSet::new() }
    }
}

impl ServerMap {
    /// A handle, and what the map's owner needs: the sender of maps, and the notice that the map is
    /// in doubt.
    pub(crate) fn new(keys: &Keyspace) -> (Self, watch::Sender<Arc<MapSnapshot>>, Arc<Notify>) {
        let (sender, map) = watch::channel(Arc::new(MapSnapshot::empty()));
        let doubt = Arc::new(Notify::new());
        (Self { map, keys: keys.clone(), doubt: doubt.clone() }, sender, doubt)
    }

    /// The primary that has a room; `None` where a cluster's slot has no owner.
    pub(crate) fn of(&self, room: &RoomName) -> Option<Arc<Shard>> {
        let map = self.map.borrow();
        let index = map.placement.of(&self.keys, room)?;
        map.shards.get(index).cloned()
    }

    /// The primary that has a partition; `None` where a cluster's slot has no owner.
    pub(crate) fn of_partition(&self, partition: Partition) -> Option<Arc<Shard>> {
        let map = self.map.borrow();
        let index = map.placement.of_partition(&self.keys, partition)?;
        map.shards.get(index).cloned()
    }

    /// All primaries.
    pub(crate) fn shards(&self) -> Vec<Arc<Shard>> {
        self.map.borrow().shards.clone()
    }

    /// Whether any slot is on the move.
    pub(crate) fn is_any_moving(&self) -> bool {
        !self.map.borrow().moving.is_empty()
    }

    /// Whether a room's slot is on the move.
    pub(crate) fn is_moving(&self, room: &RoomName) -> bool {
        self.map.borrow().moving.contains(&slot_of(&self.keys, room))
    }

    /// The health of all primaries together.
    pub(crate) fn health(&self) -> Health {
        let map = self.map.borrow();
        let all = map.shards.iter().map(|shard| shard.vitals.health());
        let whole = match &map.placement {
            Placement::Names(_) => !map.shards.is_empty(),
            // A slot without an owner counts like an unreachable primary.
            Placement::Slots(owners) => owners.iter().all(Option::is_some),
        };
        all.fold(Health { reached: true, probed: whole, subscribed: whole }, |sum, one| Health {
            reached: true,
            probed: sum.probed && one.probed,
            subscribed: sum.subscribed && one.subscribed,
        })
    }

    /// Whether no primary refuses writes.
    fn are_writable(&self) -> bool {
        !self.map.borrow().shards.iter().any(|shard| shard.link.refuses_writes())
    }

    /// Sets the metrics of all primaries.
    pub(crate) fn show(&self, metrics: &BusMetrics) {
        metrics.writable.set(self.are_writable().into());
        let health = self.health();
        metrics.up.set(health.probed.into());
        metrics.subscribed.set(health.subscribed.into());
        let map = self.map.borrow().clone();
        let ages = map.shards.iter().map(|shard| shard.vitals.ages());
        let (probed, waiting) = ages.fold(Default::default(), |max: (Duration, Duration), age| {
            (max.0.max(age.0), max.1.max(age.1))
        });
        metrics.probe_age.set(probed.as_secs_f64());
        metrics.unconfirmed_age.set(waiting.as_secs_f64());
        for state in CircuitState::ALL {
            let count = map.shards.iter().filter(|shard| shard.link.circuit() == *state).count();
            metrics.circuit[*state].set(count as i64);
        }
    }

    /// Waits until every primary is connected, or the deadline.
    pub(crate) async fn settle(&self, deadline: Instant) {
        let map = self.map.borrow().clone();
        for shard in &map.shards {
            // A primary that is late delays only its own rooms.
            let _ = shard.link.by(deadline).await;
        }
    }

    /// Waits for the next map. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if self.map.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Has the owner check the map: it may be wrong.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Sends one call of a room to a primary, or to the one that its slot is moving to. `command`
    /// makes the command for the primary that gets it. The second value is the number of replicas
    /// that have what the call wrote, if the route asks for that.
    pub(crate) async fn call(
        &self,
        (call, room): (ScriptCall, &RoomName),
        up: &LinkUp,
        line: CallRoute,
        mut command: impl FnMut(&LinkUp) -> Cmd,
    ) -> Result<(Value, u32), CallFailure> {
        let error = match send((call, room), up, line, &command(up)).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(target) = self.redirected(&error) else { return Err(self.judge(error)) };
        let (escort, mut connection) = match line {
            CallRoute::Replicated(replicas) => (Escort::AskingAndWait(replicas), target.waiting()),
            CallRoute::Room | CallRoute::Pool => (Escort::Asking, target.of(room)),
        };
        let answer = call.send(&command(&target), escort, &mut connection).await;
        answer.map_err(|error| self.judge(error))
    }

    /// Calls a script on one key of the control partition, such as the leases. Returns the answer
    /// with the life of the data it came from. Every failure is an error: callers try again with
    /// their next interval.
    pub(crate) async fn control(
        &self,
        call: ScriptCall,
        key: &str,
        words: &[String],
    ) -> RedisResult<(Arc<str>, Value)> {
        self.control_keys(call, &[key], words).await
    }

    /// The same on several keys. While the partition's slot moves, such a call may fail.
    pub(crate) async fn control_keys(
        &self,
        call: ScriptCall,
        keys: &[&str],
        words: &[String],
    ) -> RedisResult<(Arc<str>, Value)> {
        let unavailable = || RedisError::from((ErrorKind::Io, "partition 0 has no primary here"));
        let up = self
            .of_partition(Partition::CONTROL)
            .and_then(|shard| shard.link.up())
            .ok_or_else(unavailable)?;
        let command = |up: &LinkUp| {
            let mut command = call.on_keys(keys);
            command.arg(up.version).arg(self.keys.version()).arg(words);
            command
        };
        let error = match call.send(&command(&up), Escort::None, &mut up.any()).await {
            Ok((answer, _)) => return Ok((up.life, answer)),
            Err(error) => error,
        };
        let Some(target) = self.redirected(&error) else {
            if error.is_cluster_error() {
                self.doubt();
            }
            return Err(error);
        };
        let answer = call.send(&command(&target), Escort::Asking, &mut target.any()).await?;
        Ok((target.life, answer.0))
    }

    /// The primary that an `ASK` redirection names.
    fn redirected(&self, error: &RedisError) -> Option<LinkUp> {
        if error.kind() != ErrorKind::Server(ServerErrorKind::Ask) {
            return None;
        }
        let address = error.redirect_node()?.0;
        let map = self.map.borrow();
        map.shards.iter().find(|shard| shard.address == address)?.link.up()
    }

    fn judge(&self, error: RedisError) -> CallFailure {
        use ServerErrorKind::{
            Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain,
        };
        match error.kind() {
            ErrorKind::Server(TryAgain) => {
                self.doubt();
                CallFailure::Split
            }
            ErrorKind::Server(Moved | Ask | ClusterDown | MasterDown | ReadOnly | BusyLoading) => {
                self.doubt();
                CallFailure::Elsewhere
            }
            ErrorKind::Extension if error.code() == Some("ROOMCASTVERSION") => {
                CallFailure::Elsewhere
            }
            ErrorKind::Extension if error.code() == Some(PARTIAL) => CallFailure::Partial(error),
            // Out of memory, no permission … An error after something was stored has the code
            // above.
            ErrorKind::Server(_) | ErrorKind::Extension => CallFailure::Refused(error),
            _ => CallFailure::Lost,
        }
    }
}

async fn send(
    (call, room): (ScriptCall, &RoomName),
    up: &LinkUp,
    line: CallRoute,
    command: &Cmd,
) -> Result<(Value, u32), RedisError> {
    match line {
        CallRoute::Room => call.send(command, Escort::None, &mut up.of(room)).await,
        CallRoute::Replicated(replicas) => {
            call.send(command, Escort::Wait(replicas), &mut up.waiting()).await
        }
        CallRoute::Pool => {
            let unavailable = |_| RedisError::from((ErrorKind::Io, "no connection of the pool"));
            let mut connection = up.pool.get().await.map_err(unavailable)?;
            call.send(command, Escort::None, &mut connection).await
        }
    }
}
