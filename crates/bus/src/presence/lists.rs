//! Reads of numbers and lists for those who ask: one read of a room at a time, and one a second at
//! most.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use hashbrown::HashMap;
use redis::{RedisError, RedisResult, Value};
use roomcast_metrics::{BusCommand, BusMetrics};
use roomcast_protocol::{Epoch, RoomName};
use tokio::time::{Instant, sleep_until, timeout};

use super::found::incarnations_with_members;
use super::scan::{Scan, scan};
use crate::api::{PresenceCounts, PresenceEntry, PresenceList, ReadError};
use crate::leases::Incarnation;
use crate::placement::keys::Keyspace;
use crate::primary::link::LinkUp;
use crate::server_map::ServerMap;

/// How long a list is good for all who ask, and the time between two reads of a room.
const LIST_KEPT: Duration = Duration::from_secs(1);
/// Time limit of a read of numbers.
const COUNTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Scans for one list, as long as members may be missing.
const MAX_SCANS: usize = 3;
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
    ) -> Result<Arc<PresenceList>, ReadError> {
        self.shared(room, since).await
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
            let mut scans = 0;
            loop {
                let before = self.read_head(&up, room).await?;
                let scan = scan((&self.shards, &self.keys), &up, room).await?;
                scans += 1;
                let after = self.read_head(&up, room).await?;
                if scans == MAX_SCANS || before.is_whole(scan.seats.len() as u64, &after) {
                    let mut list = PresenceList { counts: before.counts, entries: entries(scan) };
                    list.sort();
                    return Ok(list);
                }
            }
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
        let words = self.read_fields(up, room, &["e", "r", "n", "u"]).await?;
        Ok(read_counts(&words).unwrap_or_default())
    }

    async fn read_head(&self, up: &LinkUp, room: &RoomName) -> RedisResult<ListHead> {
        let words = self.read_fields(up, room, &["e", "r", "n", "u", "i"]).await?;
        let counts = read_counts(&words).unwrap_or_default();
        let nodes = words.get(4).and_then(Option::as_deref).unwrap_or_default();
        Ok(ListHead { counts, seated: incarnations_with_members(nodes).collect() })
    }

    async fn read_fields(
        &self,
        up: &LinkUp,
        room: &RoomName,
        fields: &[&str],
    ) -> RedisResult<Vec<Option<String>>> {
        self.metrics.commands[BusCommand::PresenceRead].inc();
        let mut read = redis::cmd("HMGET");
        read.arg(self.keys.room(room).presence()).arg(fields);
        let answer: Value = self.shards.ask(up, room, &[read]).await?;
        Ok(redis::from_redis_value(answer)?)
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

/// A room's numbers and the incarnations that have members there.
struct ListHead {
    counts: PresenceCounts,
    seated: BTreeSet<Incarnation>,
}

impl ListHead {
    /// Whether a scan between this head and a later one that found so many members has all that stayed.
    /// A node that takes another incarnation renames its members' fields, and a scan may miss a field
    /// under both names.
    fn is_whole(&self, found: u64, later: &Self) -> bool {
        self.seated == later.seated && found >= self.counts.count.min(later.counts.count)
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

/// The entries of a list, in any order.
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
    // Those whose grace runs, and those whose connections the scan has missed.
    users.retain(|user, _| !seated.contains(user));
    let unseated = users.into_iter().map(|(user, shown)| PresenceEntry {
        connection: None,
        user: Some(user),
        info: shown.info,
        status: shown.status,
    });
    entries.extend(unseated);
    entries
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::{ConnectionId, UserName};

    use super::*;
    use crate::presence::scan::{ScannedSeat, ScannedUser};

    fn head(count: u64, nodes: &str) -> ListHead {
        let counts = PresenceCounts { count, ..PresenceCounts::default() };
        ListHead { counts, seated: incarnations_with_members(nodes).collect() }
    }

    #[test]
    fn a_scan_that_may_have_missed_members_is_repeated() {
        let (one, two) = ("0000000000000001 12 3 1700 0;", "0000000000000002 4 2 1700 0;");
        let both = format!("{one}{two}");
        assert!(head(5, &both).is_whole(5, &head(5, &format!("{two}{one}"))));
        // Calls change numbers and times, not who has members; what a dead one left has none.
        let later = "0000000000000002 9 1 1800 0;0000000000000001 dead 4 1800 1;0000000000000003 dead 0 1 0;";
        assert!(head(5, &both).is_whole(6, &head(5, later)));
        assert!(!head(5, &both).is_whole(4, &head(5, &both)), "fewer than stayed");
        assert!(head(5, &both).is_whole(4, &head(4, &both)), "one left");
        assert!(!head(3, one).is_whole(3, &head(3, &one.replace("0001", "0007"))), "renamed");
    }

    #[test]
    fn a_user_without_a_seat_is_listed_all_the_same() {
        let (ann, bob) = (UserName::parse("ann").unwrap(), UserName::parse("bob").unwrap());
        let status = Default::default();
        let user = |connections| ScannedUser { connections, leaving: 0, status, info: None };
        let seat = ScannedSeat {
            incarnation: Incarnation(1),
            status,
            user: Some(ann.clone()),
            info: None,
        };
        let scan = Scan {
            seats: [(ConnectionId(1), seat)].into_iter().collect(),
            users: [(ann, user(1)), (bob.clone(), user(2))].into_iter().collect(),
        };
        let mut list = PresenceList { entries: entries(scan), ..PresenceList::default() };
        list.sort();
        let seats: Vec<_> =
            list.entries.iter().map(|it| (it.connection, it.user.clone())).collect();
        assert_eq!(seats.len(), 2);
        assert_eq!(seats[1], (None, Some(bob)));
    }
}
