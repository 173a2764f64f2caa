//! Presence on the bus of one node: the rooms' rosters, their graces, and the news for the feeds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;
use roomcast_protocol::{ConnectionId, RoomName, UserName};

use super::MemoryBus;
use super::rooms::MemoryRooms;
use crate::api::{
    Departure, FeedEvent, PresenceCounts, PresenceList, PresenceMember, PresenceNews,
    PresencePolicy, PresenceReply, random_epoch,
};
use crate::roster::{Roster, RosterItem};

/// Graces that end in one step, so that no step holds the lock for long.
const GRACES_PER_STEP: usize = 64;

/// The rosters of all rooms.
#[derive(Default)]
pub(crate) struct MemoryPresence {
    rooms: HashMap<RoomName, PresentRoom>,
    /// When each grace ends, in Unix ms.
    graces: BinaryHeap<Reverse<(u64, RoomName, UserName)>>,
}

struct PresentRoom {
    roster: Roster,
    policy: PresencePolicy,
    /// What each connection last showed.
    shown: HashMap<ConnectionId, PresenceMember>,
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
        let news = state.roster.change([item], state.policy, now).news;
        Some((state.roster.counts(), news))
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
        outcome.news
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

    fn list(&self, room: &RoomName) -> PresenceList {
        self.rooms.get(room).map(|state| state.roster.list()).unwrap_or_default()
    }
}

impl MemoryRooms {
    fn tell_presence(&mut self, room: &RoomName, news: Option<PresenceNews>) {
        if let Some(news) = news.filter(|_| self.is_open(room)) {
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

    pub(crate) fn presence_list(&self, room: &RoomName) -> PresenceList {
        self.0.rooms().presence.list(room)
    }
}
