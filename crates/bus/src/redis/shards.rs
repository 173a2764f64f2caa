//! The primaries that hold the rooms, and which room lies where: a map that its owner replaces as
//! a whole (`servers.rs` or `cluster.rs`), and everybody else looks into.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use roomcast_metrics::{BusMetrics, CircuitState, Label};
use roomcast_protocol::RoomName;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::keys::Keys;
use super::link::Up;
use super::partition::Partition;
use super::placement::{Placement, slot_of};
use super::scripts::{Call, Escort, PARTIAL};
use super::shard::Shard;
use crate::api::Health;

/// Where every room lies, at one moment.
pub(crate) struct Map {
    /// The primaries, in the placement's order.
    pub(crate) shards: Vec<Arc<Shard>>,
    /// How rooms are spread over them.
    pub(crate) placement: Placement,
    /// A cluster's slots on the move: pushes of their rooms may come from nowhere.
    pub(crate) moving: BTreeSet<u16>,
}

/// A handle to the map in force.
#[derive(Clone)]
pub(crate) struct Shards {
    map: watch::Receiver<Arc<Map>>,
    keys: Keys,
    /// Asks the owner to look again: a call met a server that does not have its room.
    doubt: Arc<Notify>,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The room is not here or may not be written here now; nothing was changed. Look at the map
    /// again and retry.
    Elsewhere,
    /// The server said no before anything was stored.
    Refused(RedisError),
    /// The script failed half-way: stored or not, and perhaps not pushed.
    Partial(RedisError),
    /// No answer, or none that says what happened.
    Lost,
}

/// On which connections a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// The room's own, in order.
    Room,
    /// One of the pool.
    Pool,
    /// That of calls which wait for so many replicas.
    Replicated(u32),
}

impl Map {
    /// Nothing lies anywhere.
    pub(crate) fn empty() -> Self {
        let placement = Placement::Slots(vec![None; usize::from(super::placement::SLOTS)]);
        Self { shards: Vec::new(), placement, moving: BTreeSet::new() }
    }
}

impl Shards {
    /// A handle, and what its owner needs: where to put maps, and the word that one is in doubt.
    pub(crate) fn new(keys: &Keys) -> (Self, watch::Sender<Arc<Map>>, Arc<Notify>) {
        let (sender, map) = watch::channel(Arc::new(Map::empty()));
        let doubt = Arc::new(Notify::new());
        (Self { map, keys: keys.clone(), doubt: doubt.clone() }, sender, doubt)
    }

    /// The primary that holds a room; `None` where a cluster's slot has no owner.
    pub(crate) fn of(&self, room: &RoomName) -> Option<Arc<Shard>> {
        let map = self.map.borrow();
        let index = map.placement.of(&self.keys, room)?;
        map.shards.get(index).cloned()
    }

    /// Whether any slot is on the move.
    pub(crate) fn is_any_moving(&self) -> bool {
        !self.map.borrow().moving.is_empty()
    }

    /// Whether a room's slot is.
    pub(crate) fn is_moving(&self, room: &RoomName) -> bool {
        self.map.borrow().moving.contains(&slot_of(&self.keys, room))
    }

    /// Whether all of them work.
    pub(crate) fn health(&self) -> Health {
        let map = self.map.borrow();
        let all = map.shards.iter().map(|shard| shard.vitals.health());
        let whole = match &map.placement {
            Placement::Names(_) => !map.shards.is_empty(),
            // Rooms without a primary are as unreachable as those of one that is away.
            Placement::Slots(owners) => owners.iter().all(Option::is_some),
        };
        all.fold(Health { reached: true, probed: whole, subscribed: whole }, |sum, one| Health {
            reached: true,
            probed: sum.probed && one.probed,
            subscribed: sum.subscribed && one.subscribed,
        })
    }

    /// Whether none of them answers that it refuses writes.
    fn are_writable(&self) -> bool {
        !self.map.borrow().shards.iter().any(|shard| shard.link.refuses_writes())
    }

    /// Shows the same as metrics.
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
            // Who is late is waited for by those who need it.
            let _ = shard.link.by(deadline).await;
        }
    }

    /// Waits for the next map. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if self.map.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// The map may be wrong: have it looked at now.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Sends one call of a room to a primary, or to where the room is just being moved to.
    /// `command` makes it for the primary that gets it. The second value is the number of
    /// replicas that have what it wrote, where the line asks for that.
    pub(crate) async fn call(
        &self,
        (call, room): (Call, &RoomName),
        up: &Up,
        line: Line,
        mut command: impl FnMut(&Up) -> Cmd,
    ) -> Result<(Value, u32), Failure> {
        let error = match send((call, room), up, line, &command(up)).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let ask = ErrorKind::Server(ServerErrorKind::Ask);
        let target = (error.kind() == ask).then(|| self.at(error.redirect_node()?.0)).flatten();
        let Some(target) = target.and_then(|shard| shard.link.up()) else {
            return Err(self.judge(error));
        };
        let escort = Escort::Asking;
        let answer = call.send(&command(&target), escort, &mut target.of(room)).await;
        answer.map_err(|error| self.judge(error))
    }

    /// Calls a script on one key of the control partition, such as the leases; the answer with the
    /// life of the data that gave it. Every failure is an
    /// error: the caller has another turn soon.
    pub(crate) async fn control(
        &self,
        call: Call,
        key: &str,
        words: &[String],
    ) -> RedisResult<(Arc<str>, Value)> {
        let unavailable = || RedisError::from((ErrorKind::Io, "partition 0 has no primary here"));
        let up =
            self.control_primary().and_then(|shard| shard.link.up()).ok_or_else(unavailable)?;
        let command = |up: &Up| {
            let mut command = call.on_key(key);
            command.arg(up.version).arg(self.keys.version()).arg(words);
            command
        };
        let error = match call.send(&command(&up), Escort::None, &mut up.any()).await {
            Ok((answer, _)) => return Ok((up.life, answer)),
            Err(error) => error,
        };
        let ask = ErrorKind::Server(ServerErrorKind::Ask);
        let target = (error.kind() == ask).then(|| self.at(error.redirect_node()?.0)).flatten();
        let Some(target) = target.and_then(|shard| shard.link.up()) else {
            if error.is_cluster_error() {
                self.doubt();
            }
            return Err(error);
        };
        let answer = call.send(&command(&target), Escort::Asking, &mut target.any()).await?;
        Ok((target.life, answer.0))
    }

    fn control_primary(&self) -> Option<Arc<Shard>> {
        let map = self.map.borrow();
        let index = map.placement.of_partition(&self.keys, Partition::CONTROL)?;
        map.shards.get(index).cloned()
    }

    /// The primary at an address, as redirections name it.
    fn at(&self, address: &str) -> Option<Arc<Shard>> {
        self.map.borrow().shards.iter().find(|shard| shard.address == address).cloned()
    }

    fn judge(&self, error: RedisError) -> Failure {
        use ServerErrorKind::{
            Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain,
        };
        match error.kind() {
            ErrorKind::Server(
                Moved | Ask | TryAgain | ClusterDown | MasterDown | ReadOnly | BusyLoading,
            ) => {
                self.doubt();
                Failure::Elsewhere
            }
            ErrorKind::Extension if error.code() == Some("ROOMCASTVERSION") => Failure::Elsewhere,
            ErrorKind::Extension if error.code() == Some(PARTIAL) => Failure::Partial(error),
            // Out of memory, no permission … What fails in a script after it stored something
            // has the code above.
            ErrorKind::Server(_) | ErrorKind::Extension => Failure::Refused(error),
            _ => Failure::Lost,
        }
    }
}

async fn send(
    (call, room): (Call, &RoomName),
    up: &Up,
    line: Line,
    command: &Cmd,
) -> Result<(Value, u32), RedisError> {
    match line {
        Line::Room => call.send(command, Escort::None, &mut up.of(room)).await,
        Line::Replicated(replicas) => {
            call.send(command, Escort::Wait(replicas), &mut up.waiting()).await
        }
        Line::Pool => {
            let unavailable = |_| RedisError::from((ErrorKind::Io, "no connection of the pool"));
            let mut connection = up.pool.get().await.map_err(unavailable)?;
            call.send(command, Escort::None, &mut connection).await
        }
    }
}
