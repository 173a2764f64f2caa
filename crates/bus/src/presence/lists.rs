//! Reads of numbers and lists for those who ask: one read of a room at a time, and one a second at
//! most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use hashbrown::HashMap;
use redis::{RedisError, RedisResult, Value};
use roomcast_metrics::{BusCommand, BusMetrics};
use roomcast_protocol::{Epoch, RoomName};
use tokio::time::{Instant, sleep_until, timeout};

use super::scan::{Scan, scan};
use crate::api::{PresenceCounts, PresenceEntry, PresenceList, ReadError};
use crate::placement::keys::Keyspace;
use crate::primary::link::LinkUp;
use crate::server_map::ServerMap;

/// How long a list is good for all who ask, and the time between two reads of a room.
const LIST_KEPT: Duration = Duration::from_secs(1);
/// Time limit of a read of numbers.
const COUNTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit of a read of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

type SharedList = Shared<BoxFuture<'static, Result<Arc<PresenceList>, ReadError>>>;

/// When a read began and ended.
#[derive(Debug, Clone, Copy, Default)]
struct ReadTimes {
    /// `None` while it waits for its turn.
    begun: Option<Instant>,
    /// `None` while it is under way.
    ended: Option<Instant>,
}

impl ReadTimes {
    fn is_old(self, now: Instant) -> bool {
        self.ended.is_some_and(|ended| now.duration_since(ended) >= LIST_KEPT)
    }

    /// Whether it began after all that who asks has missed.
    fn is_after(self, since: Option<Instant>) -> bool {
        self.begun.is_none_or(|begun| since.is_none_or(|since| begun > since))
    }
}

/// The last read of a room's list.
#[derive(Clone)]
struct LastRead {
    list: SharedList,
    times: Arc<Mutex<ReadTimes>>,
}

impl LastRead {
    fn times(&self) -> ReadTimes {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lists under way or just read; those that are older go with the next question.
#[derive(Default)]
struct KeptLists {
    lists: HashMap<RoomName, LastRead>,
    /// When old ones were last removed.
    swept: Option<Instant>,
}

/// Reads rooms' presence.
#[derive(Clone)]
pub(crate) struct ListReader {
    pub(super) shards: ServerMap,
    pub(super) keys: Keyspace,
    pub(super) metrics: BusMetrics,
    kept: Arc<Mutex<KeptLists>>,
}

impl ListReader {
    pub(super) fn new(shards: ServerMap, keys: Keyspace, metrics: BusMetrics) -> Self {
        Self { shards, keys, metrics, kept: Arc::default() }
    }

    /// A room's numbers.
    pub(crate) async fn counts(&self, room: &RoomName) -> Result<PresenceCounts, ReadError> {
        let read = timeout(COUNTS_TIMEOUT, async {
            let up = self.up(room, Instant::now() + COUNTS_TIMEOUT).await?;
            self.read_counts(&up, room).await.map_err(|error| self.failed(&error))
        });
        read.await.unwrap_or(Err(ReadError::Unavailable))
    }

    /// A room's list, read after `since`.
    pub(crate) async fn list(
        &self,
        room: &RoomName,
        since: Option<Instant>,
    ) -> Result<PresenceList, ReadError> {
        let list = self.shared(room, since);
        list.await.map(Arc::unwrap_or_clone)
    }

    /// The last read if it serves, or the next one.
    fn shared(&self, room: &RoomName, since: Option<Instant>) -> SharedList {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.swept.is_none_or(|swept| now.duration_since(swept) >= LIST_KEPT) {
            kept.lists.retain(|_, last| !last.times().is_old(now));
            kept.swept = Some(now);
        }
        let last = kept.lists.get(room).filter(|last| !last.times().is_old(now)).cloned();
        if let Some(last) = last.as_ref().filter(|last| last.times().is_after(since)) {
            return last.list.clone();
        }
        let times = Arc::<Mutex<ReadTimes>>::default();
        let (reader, name, own) = (self.clone(), room.clone(), times.clone());
        // A task of its own: those who ask may stop waiting.
        let task = tokio::spawn(async move {
            if let Some(last) = last {
                let _ = last.list.clone().await;
                let begun = last.times().begun.unwrap_or(now);
                sleep_until(begun + LIST_KEPT).await;
            }
            let set = |change: fn(&mut ReadTimes)| {
                change(&mut own.lock().unwrap_or_else(PoisonError::into_inner));
            };
            set(|times| times.begun = Some(Instant::now()));
            let read = timeout(LIST_TIMEOUT, reader.read_list(&name)).await;
            set(|times| times.ended = Some(Instant::now()));
            read.unwrap_or(Err(ReadError::Unavailable)).map(Arc::new)
        });
        let joined = async { task.await.unwrap_or(Err(ReadError::Unavailable)) };
        let list = joined.boxed().shared();
        kept.lists.insert(room.clone(), LastRead { list: list.clone(), times });
        list
    }

    async fn read_list(&self, room: &RoomName) -> Result<PresenceList, ReadError> {
        let started = Instant::now();
        let up = self.up(room, started + COUNTS_TIMEOUT).await?;
        let read = async {
            let counts = self.read_counts(&up, room).await?;
            let scan = scan((&self.shards, &self.keys), &up, room).await?;
            Ok(PresenceList { counts, entries: entries(scan) })
        };
        let list = read.await.map_err(|error| self.failed(&error));
        self.metrics.command[BusCommand::PresenceRead].observe(started.elapsed().as_secs_f64());
        list
    }

    async fn up(&self, room: &RoomName, deadline: Instant) -> Result<LinkUp, ReadError> {
        let shard = self.shards.of(room).ok_or(ReadError::Unavailable)?;
        shard.link.soon(deadline).await.map_err(|_| ReadError::Unavailable)
    }

    async fn read_counts(&self, up: &LinkUp, room: &RoomName) -> RedisResult<PresenceCounts> {
        self.metrics.commands[BusCommand::PresenceRead].inc();
        let mut read = redis::cmd("HMGET");
        read.arg(self.keys.room(room).presence()).arg(&["e", "r", "n", "u"]);
        let answer: Value = self.shards.ask(up, room, &[read]).await?;
        let words: Vec<Option<String>> = redis::from_redis_value(answer)?;
        Ok(read_counts(&words).unwrap_or_default())
    }

    fn failed(&self, error: &RedisError) -> ReadError {
        tracing::debug!(%error, "presence was not read");
        if error.is_cluster_error() {
            self.shards.doubt();
        }
        self.metrics.command_errors[BusCommand::PresenceRead].inc();
        ReadError::Unavailable
    }
}

fn read_counts(words: &[Option<String>]) -> Option<PresenceCounts> {
    let text = |at: usize| words.get(at)?.as_deref();
    let number = |at: usize| text(at)?.parse().ok();
    let epoch = Epoch::parse(text(0)?)?.0;
    Some(PresenceCounts {
        rev_epoch: Epoch(epoch),
        rev: number(1)?,
        count: number(2)?,
        users: number(3)?,
    })
}

/// The entries of a list, in their order.
fn entries(scan: Scan) -> Vec<PresenceEntry> {
    let Scan { seats, mut users } = scan;
    let mut entries = Vec::with_capacity(seats.len());
    let mut seated = hashbrown::HashSet::new();
    for (connection, seat) in seats {
        let shown = seat.user.as_ref().and_then(|user| users.get(user));
        let (info, status) = match shown {
            Some(shown) => (shown.info.clone(), shown.status),
            None => (seat.info, seat.status),
        };
        seated.extend(seat.user.clone());
        entries.push(PresenceEntry { connection: Some(connection), user: seat.user, info, status });
    }
    users.retain(|user, shown| shown.connections == 0 && !seated.contains(user));
    let leaving = users.into_iter().map(|(user, shown)| PresenceEntry {
        connection: None,
        user: Some(user),
        info: shown.info,
        status: shown.status,
    });
    entries.extend(leaving);
    entries.sort_by(|a, b| (&a.user, a.connection).cmp(&(&b.user, b.connection)));
    entries
}
