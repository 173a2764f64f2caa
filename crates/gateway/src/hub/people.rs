//! What the members of one room hear of who is in it: joins and leaves as they come, numbers and what
//! users show of themselves at most once a second, the newest. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_bus::{PresenceChange, PresenceNews, PresenceStep, Writer};
use roomcast_protocol::{
    Data, Epoch, PresenceCounts, PresenceStatus, RoomName, ServerFrame, UserEvent,
};
use tokio::time::Instant;

use crate::ephemeral::{Audience, AudienceMembers, EphemeralFrame, EphemeralItem};

/// Time between two frames about the same thing.
const PERIOD: Duration = Duration::from_secs(1);
/// Lists are asked for again within this time, in a room of a thousand or more.
const MAX_SPREAD_MS: u64 = 10_000;
/// Per membership: the members of a room of up to a thousand ask for a hundred lists a second. Those of
/// a larger room ask for more, as the spread ends at `MAX_SPREAD_MS`; one read serves them for a second.
const SPREAD_MS_PER_MEMBER: u64 = 10;

/// One room's part.
#[derive(Debug, Default)]
pub(super) struct RoomPeople {
    /// The life of the list, as far as members heard.
    epoch: Option<Epoch>,
    /// Numbers that members have not heard.
    numbers: Option<Numbers>,
    /// The numbers that they heard last.
    heard: Option<PresenceCounts>,
    /// When numbers may go out again.
    numbers_from: Option<Instant>,
    /// Users, and connections without one, of which members heard within the period: what they have
    /// shown since.
    shown: HashMap<Writer, Option<Shown>>,
    /// When each of them may be heard of again.
    quiet: BTreeSet<(Instant, Writer)>,
}

#[derive(Debug, Clone, Copy)]
struct Numbers {
    counts: PresenceCounts,
    /// Whether lists stay good.
    keeps_list: bool,
}

impl Numbers {
    /// Whether members that heard these know all of it. Events bring a revision that changes alone,
    /// unless there are no events.
    fn say_nothing_after(self, heard: PresenceCounts) -> bool {
        let numbers = |it: PresenceCounts| (it.rev_epoch, it.count, it.users);
        if self.keeps_list { numbers(heard) == numbers(self.counts) } else { heard == self.counts }
    }
}

#[derive(Debug)]
struct Shown {
    info: Option<Data>,
    status: PresenceStatus,
    rev: u64,
}

impl RoomPeople {
    /// News have come; what members hear at once.
    pub(super) fn take_in(
        &mut self,
        room: &RoomName,
        news: PresenceNews,
        now: Instant,
    ) -> Vec<EphemeralItem> {
        let mut items = Vec::new();
        let epoch = counts_of(&news).map(|counts| counts.rev_epoch);
        if self.epoch.is_some() && epoch.is_some() && self.epoch != epoch {
            // Redis went on from a copy of the list: revisions of the two are not compared.
            items.extend(self.reset(room, counts_of(&news).unwrap_or_default()));
        }
        self.epoch = epoch.or(self.epoch);
        match news {
            PresenceNews::Steps(steps) => {
                for PresenceStep { change, counts } in steps {
                    items.extend(change.and_then(|change| self.change(room, change, counts, now)));
                    self.numbers = Some(Numbers { counts, keeps_list: true });
                }
            }
            PresenceNews::Counts(counts) => {
                self.numbers = Some(Numbers { counts, keeps_list: false });
            }
            PresenceNews::Reset(counts) => {
                if items.is_empty() {
                    items.extend(self.reset(room, counts));
                }
            }
        }
        items.extend(self.due(room, now));
        items
    }

    /// All that waits is forgotten: lists are to be read again.
    fn reset(&mut self, room: &RoomName, counts: PresenceCounts) -> Option<EphemeralItem> {
        let (numbers_from, epoch) = (self.numbers_from, Some(counts.rev_epoch));
        *self = Self { numbers_from, epoch, heard: Some(counts), ..Self::default() };
        let spread_ms = (counts.count * SPREAD_MS_PER_MEMBER).min(MAX_SPREAD_MS);
        Some(EphemeralItem::ListReset { room: room.clone(), spread_ms })
    }

    /// What members hear of a change at once.
    fn change(
        &mut self,
        room: &RoomName,
        change: PresenceChange,
        counts: PresenceCounts,
        now: Instant,
    ) -> Option<EphemeralItem> {
        let (user, info, time, event): (_, _, _, fn(UserEvent) -> ServerFrame) = match change {
            PresenceChange::Joined { user, info, time } => {
                (user, info, time, ServerFrame::UserJoined)
            }
            PresenceChange::Left { user, info, time } => (user, info, time, ServerFrame::UserLeft),
            PresenceChange::Shown { user, connection, info, status } => {
                let key = user.map(Writer::User).or(connection.map(Writer::Connection))?;
                let shown = Shown { info, status, rev: counts.rev };
                return self.show(room, key, shown, now);
            }
        };
        self.heard = Some(counts);
        // What it showed before says nothing any more.
        if let Some(shown) = self.shown.get_mut(&Writer::User(user.clone())) {
            *shown = None;
        }
        let PresenceCounts { count, users, rev, .. } = counts;
        let but = Some(Writer::User(user.clone()));
        let frame = event(UserEvent { room: room.clone(), user, info, time, count, users, rev });
        Some(listeners(frame, but))
    }

    fn show(
        &mut self,
        room: &RoomName,
        key: Writer,
        shown: Shown,
        now: Instant,
    ) -> Option<EphemeralItem> {
        if let Some(waiting) = self.shown.get_mut(&key) {
            *waiting = Some(shown);
            return None;
        }
        self.shown.insert(key.clone(), None);
        self.quiet.insert((now + PERIOD, key.clone()));
        Some(presence_item(room, key, shown))
    }

    /// What members hear by now.
    pub(super) fn due(&mut self, room: &RoomName, now: Instant) -> Vec<EphemeralItem> {
        let mut items = Vec::new();
        while let Some((at, _)) = self.quiet.first()
            && *at <= now
            && let Some((_, key)) = self.quiet.pop_first()
        {
            if let Some(Some(shown)) = self.shown.remove(&key) {
                items.extend(self.show(room, key, shown, now));
            }
        }
        if self.numbers_from.is_none_or(|from| from <= now)
            && let Some(numbers) = self.numbers.take()
            && !self.heard.is_some_and(|heard| numbers.say_nothing_after(heard))
        {
            let Numbers { counts, keeps_list } = numbers;
            self.heard = Some(counts);
            self.numbers_from = Some(now + PERIOD);
            let PresenceCounts { count, users, rev, .. } = counts;
            let frame =
                ServerFrame::Count { room: room.clone(), count, users, rev, list: keeps_list };
            items.push(listeners(frame, None));
        }
        items
    }

    /// When the next thing is due, if anything waits.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let numbers = self.numbers.as_ref().and(self.numbers_from);
        self.quiet.first().map(|(at, _)| *at).into_iter().chain(numbers).min()
    }
}

/// The first numbers in news.
fn counts_of(news: &PresenceNews) -> Option<PresenceCounts> {
    match news {
        PresenceNews::Steps(steps) => steps.first().map(|step| step.counts),
        PresenceNews::Counts(counts) | PresenceNews::Reset(counts) => Some(*counts),
    }
}

fn presence_item(room: &RoomName, key: Writer, shown: Shown) -> EphemeralItem {
    let (user, connection) = match &key {
        Writer::User(user) => (Some(user.clone()), None),
        Writer::Connection(connection) => (None, Some(*connection)),
    };
    let frame = ServerFrame::Presence {
        id: None,
        room: room.clone(),
        user,
        connection,
        info: shown.info,
        status: Some(shown.status),
        rev: Some(shown.rev),
    };
    listeners(frame, Some(key))
}

fn listeners(frame: ServerFrame, but: Option<Writer>) -> EphemeralItem {
    let audience = Audience { members: AudienceMembers::Listeners, but };
    EphemeralItem::Frame(EphemeralFrame::new(frame, audience))
}

#[cfg(test)]
mod tests;
