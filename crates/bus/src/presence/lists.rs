//! Reads of numbers and lists for those who ask: one read of a room at a time, and none while the
//! last one is younger than a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use hashbrown::HashMap;
use redis::{RedisError, RedisResult, Value};
use roomcast_metrics::{BusCommand, BusMetrics};
use roomcast_protocol::{Epoch, RoomName};
use tokio::time::{Instant, timeout};

use super::scan::{Scan, scan};
use crate::api::{PresenceCounts, PresenceEntry, PresenceList, ReadError};
use crate::placement::keys::Keyspace;
use crate::primary::link::LinkUp;
use crate::server_map::ServerMap;

/// How long a list is good for all who ask.
const LIST_KEPT: Duration = Duration::from_secs(1);
/// Time limit of a read of numbers.
const COUNTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit of a read of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

type SharedList = Shared<BoxFuture<'static, Result<Arc<PresenceList>, ReadError>>>;

/// When a read ended; `None` while it is under way.
type ListEnd = Arc<Mutex<Option<Instant>>>;

/// The lists under way or just read; those that are older go with the next question.
#[derive(Default)]
struct KeptLists {
    lists: HashMap<RoomName, (SharedList, ListEnd)>,
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

    /// A room's list.
    pub(crate) async fn list(&self, room: &RoomName) -> Result<PresenceList, ReadError> {
        let list = self.shared(room);
        list.await.map(Arc::unwrap_or_clone)
    }

    /// The read under way, the last one if it is young enough, or a new one.
    fn shared(&self, room: &RoomName) -> SharedList {
        let now = Instant::now();
        let is_good = |ended: &Mutex<Option<Instant>>| {
            let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.is_none_or(|ended| now.duration_since(ended) < LIST_KEPT)
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.swept.is_none_or(|swept| now.duration_since(swept) >= LIST_KEPT) {
            kept.lists.retain(|_, (_, ended)| is_good(ended));
            kept.swept = Some(now);
        }
        if let Some((list, ended)) = kept.lists.get(room)
            && is_good(ended)
        {
            return list.clone();
        }
        let ended = Arc::new(Mutex::new(None));
        let (reader, name, end) = (self.clone(), room.clone(), ended.clone());
        // A task of its own: those who ask may stop waiting.
        let task = tokio::spawn(async move {
            let read = timeout(LIST_TIMEOUT, reader.read_list(&name)).await;
            *end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            read.unwrap_or(Err(ReadError::Unavailable)).map(Arc::new)
        });
        let joined = async { task.await.unwrap_or(Err(ReadError::Unavailable)) };
        let list = joined.boxed().shared();
        kept.lists.insert(room.clone(), (list.clone(), ended));
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
