//! Presence on the bus of one node: the rooms' rosters, their graces, and the news for the feeds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_metrics::{BusMetrics, PresenceChangeKind};
use roomcast_protocol::{ConnectionId, RoomName, UserName};
use tokio::time::{Instant, sleep_until};

use super::MemoryBus;
use super::rooms::MemoryRooms;
use crate::api::{
    ChangeTally, Departure, FeedEvent, PresenceCounts, PresenceList, PresenceMember, PresenceNews,
    PresencePolicy, PresenceReply, random_epoch,
};
use crate::roster::{Roster, RosterItem};

/// Graces that end in one step, so that no step holds the lock for long.
const GRACES_PER_STEP: usize = 64;
/// Least time between two lists of a large room.
const LIST_KEPT: Duration = Duration::from_secs(1);
/// Entries of a list that costs so little that it is made again after each change.
const SMALL_LIST: usize = 256;

/// The rosters of all rooms.
#[derive(Default)]
pub(crate) struct MemoryPresence {
    rooms: HashMap<RoomName, PresentRoom>,
    /// When each grace ends, in Unix ms.
    graces: BinaryHeap<Reverse<(u64, RoomName, UserName)>>,
    /// Where changes are counted, if anywhere.
    pub(super) metrics: Option<BusMetrics>,
}

struct PresentRoom {
    roster: Roster,
    policy: PresencePolicy,
    /// The list that was made last.
    listed: Option<MadeList>,
    /// What each connection last showed.
    shown: HashMap<ConnectionId, PresenceMember>,
}

/// A list, with the number of the room's changes and the time at which it was taken.
#[derive(Clone)]
struct MadeList {
    list: Arc<PresenceList>,
    changes: u64,
    taken: Instant,
}

/// The answer to the question for a list.
enum ListStep {
    /// It is there.
    Made(Arc<PresenceList>),
    /// The question may be asked again at this time.
    Later(Instant),
    /// Its entries are here, in any order.
    Unsorted(PresenceList, u64),
}

impl MemoryPresence {
    /// Adds or changes a member; `None` if it is to be changed and not there.
    fn put(
        &mut self,
        room: &RoomName,
        member: PresenceMember,
        policy: Option<PresencePolicy>,
        now: u64,
    ) -> Option<(PresenceCounts, Option<PresenceNews>)> {
        if let Some(policy) = policy {
            let fresh = || PresentRoom {
                roster: Roster::new(random_epoch().0),
                policy,
                listed: None,
                shown: HashMap::new(),
            };
            self.rooms.entry_ref(room).or_insert_with(fresh).policy = policy;
        }
        let state = self.rooms.get_mut(room)?;
        let before = state.shown.get(&member.connection);
        if policy.is_none() && before.is_none() {
            return None;
        }
        let is_news = match before {
            Some(before) => before.info != member.info,
            None => member.info.is_some(),
        };
        state.shown.insert(member.connection, member.clone());
        let item = if is_news { RosterItem::Show(member) } else { RosterItem::Keep(member) };
        let outcome = state.roster.change([item], state.policy, now);
        let counts = state.roster.counts();
        self.count(outcome.tally);
        Some((counts, outcome.news))
    }

    fn exit(
        &mut self,
        room: &RoomName,
        connection: ConnectionId,
        how: Departure,
        now: u64,
    ) -> Option<PresenceNews> {
        let state = self.rooms.get_mut(room)?;
        let user = state.shown.remove(&connection)?.user;
        let item = RosterItem::Gone(connection, user, how);
        let outcome = state.roster.change([item], state.policy, now);
        for (user, at) in outcome.graces {
            self.graces.push(Reverse((at, room.clone(), user)));
        }
        self.drop_if_empty(room);
        self.count(outcome.tally);
        outcome.news
    }

    fn count(&self, tally: ChangeTally) {
        let Some(metrics) = &self.metrics else { return };
        let changes = &metrics.presence_changes;
        changes[PresenceChangeKind::Joined].inc_by(tally.joined);
        changes[PresenceChangeKind::Left].inc_by(tally.left);
        changes[PresenceChangeKind::Info].inc_by(tally.infos);
        changes[PresenceChangeKind::Status].inc_by(tally.statuses);
    }

    /// Counts that members were asked to read a room's list again.
    pub(super) fn count_reset(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.presence_changes[PresenceChangeKind::Reset].inc();
        }
    }

    fn drop_if_empty(&mut self, room: &RoomName) {
        if self.rooms.get(room).is_some_and(|state| state.roster.is_empty()) {
            self.rooms.remove(room);
        }
    }

    /// Ends a bounded number of graces that are over. Returns their news and when the next one is
    /// over.
    fn expire(&mut self, now: u64) -> (Vec<(RoomName, PresenceNews)>, Option<u64>) {
        let mut news = Vec::new();
        for _ in 0..GRACES_PER_STEP {
            let Some(Reverse((at, room, user))) = self.graces.peek().cloned() else { break };
            if at > now {
                break;
            }
            self.graces.pop();
            if let Some(state) = self.rooms.get_mut(&room) {
                let policy = state.policy;
                let outcome = state.roster.change([RosterItem::Due(user)], policy, now);
                self.count(outcome.tally);
                news.extend(outcome.news.map(|news| (room.clone(), news)));
                self.drop_if_empty(&room);
            }
        }
        (news, self.graces.peek().map(|Reverse((at, ..))| *at))
    }

    /// The numbers of a room; zeros without presence.
    pub(super) fn counts(&self, room: &RoomName) -> PresenceCounts {
        self.rooms.get(room).map(|state| state.roster.counts()).unwrap_or_default()
    }

    /// A room's list for one that has missed what happened until `since`. The list of a large room may
    /// be a second old otherwise.
    fn list(&self, room: &RoomName, since: Option<Instant>, now: Instant) -> ListStep {
        let Some(state) = self.rooms.get(room) else { return ListStep::Made(Arc::default()) };
        let changes = state.roster.changes();
        if let Some(MadeList { list, changes: known, taken }) = &state.listed {
            let again = *taken + LIST_KEPT;
            let is_kept = list.entries.len() > SMALL_LIST && now < again;
            let is_after = since.is_none_or(|since| *taken > since);
            match (*known == changes, is_kept) {
                (false, true) if !is_after => return ListStep::Later(again),
                (true, _) | (_, true) => return ListStep::Made(list.clone()),
                (false, false) => {}
            }
        }
        ListStep::Unsorted(state.roster.list(), changes)
    }

    /// Keeps a list for those that ask next, unless there is a newer one.
    fn keep(&mut self, room: &RoomName, made: MadeList) {
        let Some(state) = self.rooms.get_mut(room) else { return };
        let is_newer = state.listed.as_ref().is_none_or(|known| known.changes < made.changes);
        // The room may have begun again meanwhile.
        if is_newer && state.roster.counts().rev_epoch == made.list.counts.rev_epoch {
            state.listed = Some(made);
        }
    }
}

impl MemoryRooms {
    fn tell_presence(&mut self, room: &RoomName, news: Option<PresenceNews>) {
        if let Some(news) = news.filter(|_| self.is_open(room)) {
            if matches!(news, PresenceNews::Reset(_)) {
                self.presence.count_reset();
            }
            self.pending.push(room.clone(), FeedEvent::Presence(news));
        }
    }

    /// Ends graces that are over; returns when to look again (Unix ms).
    pub(super) fn expire_presence(&mut self, now: u64) -> Option<u64> {
        let (news, due) = self.presence.expire(now);
        news.into_iter().for_each(|(room, news)| self.tell_presence(&room, Some(news)));
        due
    }
}

impl MemoryBus {
    pub(crate) fn presence_put(
        &self,
        room: &RoomName,
        member: PresenceMember,
        policy: Option<PresencePolicy>,
        reply: PresenceReply,
    ) {
        let now = self.0.clock.now();
        let counts = {
            let mut rooms = self.0.rooms();
            rooms.presence.put(room, member, policy, now).map(|(counts, news)| {
                rooms.tell_presence(room, news);
                counts
            })
        };
        self.0.ready.notify_one();
        reply(counts);
    }

    pub(crate) fn presence_exit(&self, room: &RoomName, connection: ConnectionId, how: Departure) {
        let now = self.0.clock.now();
        {
            let mut rooms = self.0.rooms();
            let news = rooms.presence.exit(room, connection, how, now);
            rooms.tell_presence(room, news);
        }
        // The feeds wait for the end of the grace too.
        self.0.ready.notify_one();
    }

    pub(crate) fn presence_counts(&self, room: &RoomName) -> PresenceCounts {
        self.0.rooms().presence.counts(room)
    }

    pub(crate) async fn presence_list(
        &self,
        room: &RoomName,
        since: Option<Instant>,
    ) -> Arc<PresenceList> {
        loop {
            let taken = Instant::now();
            let step = self.0.rooms().presence.list(room, since, taken);
            match step {
                ListStep::Made(list) => return list,
                ListStep::Later(at) => sleep_until(at).await,
                ListStep::Unsorted(mut list, changes) => {
                    // Without the lock: it numbers all messages.
                    list.sort();
                    let list = Arc::new(list);
                    let made = MadeList { list: list.clone(), changes, taken };
                    self.0.rooms().presence.keep(room, made);
                    return list;
                }
            }
        }
    }
}
