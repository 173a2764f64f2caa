//! The desk: the truth of this node's members by room, and which calls bring Redis to it. One call
//! of a room at a time, under numbers that rise; what waits meanwhile goes with the next. Pure: the
//! driver carries calls out and tells their outcomes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_protocol::{ConnectionId, RoomName, UserName};
use tokio::time::Instant;

use super::call::{CallExtent, CallKind, GRACE_MARGIN, PresenceCall};
use super::desk_room::DeskRoom;
use super::seat_replies::SeatWord;
use crate::api::{Departure, PresenceCounts, PresenceMember, PresencePolicy};
use crate::leases::Incarnation;

/// Pause after a call without an outcome; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// What the driver does for a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeskTask {
    /// Adds the room to the index of this incarnation.
    Index(RoomName, u64),
    /// Removes it, unless it was added under a higher number (the first) or the room's hash has
    /// another last call than this one (the second; 0: there was none).
    Unindex(RoomName, u64, u64),
    /// Changes the room.
    Call(PresenceCall),
}

/// What became of a change of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexOutcome {
    /// Redis has it.
    Done,
    /// The incarnation is dead in this partition.
    Dead,
    /// It was not removed: the room's hash has another last call, this one.
    Behind(u64),
    /// Unknown.
    Lost,
}

/// What a room's hash says of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberFound {
    /// The number of the last call that it has.
    Call(u64),
    /// Nothing.
    Missing,
}

/// Replies and what they get.
pub(super) type Answers<R> = Vec<(R, Option<PresenceCounts>)>;

enum Timer {
    Retry(RoomName),
    Grace(RoomName, UserName),
}

/// This node's members of all rooms. `R` is what is answered when a member is written.
pub(super) struct Desk<R> {
    pub(super) rooms: HashMap<RoomName, DeskRoom<R>>,
    pub(super) incarnation: Option<Incarnation>,
    /// The last number used, for all rooms, so that it rises in each.
    number: u64,
    /// Rooms that may have something to do.
    ready: VecDeque<RoomName>,
    timers: BTreeMap<(Instant, u64), Timer>,
    timer_ids: u64,
    /// Replies that have their answer.
    pub(super) answers: Answers<R>,
}

impl<R> Desk<R> {
    pub(super) fn new() -> Self {
        Self {
            rooms: HashMap::new(),
            incarnation: None,
            number: 0,
            ready: VecDeque::new(),
            timers: BTreeMap::new(),
            timer_ids: 0,
            answers: Vec::new(),
        }
    }

    /// Adds a member; `is_open` says whether the room's feed is open.
    pub(super) fn enter(
        &mut self,
        room: &RoomName,
        member: PresenceMember,
        policy: PresencePolicy,
        (is_open, reply): (bool, R),
    ) {
        let state = self.rooms.entry_ref(room).or_insert_with(|| DeskRoom::new(None));
        state.policy = Some(policy);
        state.is_open |= is_open;
        let superseded = state.put(member, SeatWord::Enter(reply));
        self.answers.extend(superseded.map(|reply| (reply, None)));
        self.queue(room);
    }

    /// Changes what a member shows.
    pub(super) fn show(&mut self, room: &RoomName, member: PresenceMember, reply: R) {
        let is_here = |state: &&mut DeskRoom<R>| {
            state.seats.get(&member.connection).is_some_and(|seat| seat.gone.is_none())
        };
        let Some(state) = self.rooms.get_mut(room).filter(is_here) else {
            return self.answers.push((reply, None));
        };
        let superseded = state.put(member, SeatWord::Show(reply));
        self.answers.extend(superseded.map(|reply| (reply, None)));
        self.queue(room);
    }

    /// Takes a member out.
    pub(super) fn exit(&mut self, room: &RoomName, connection: ConnectionId, how: Departure) {
        let Some(state) = self.rooms.get_mut(room) else { return };
        let superseded = state.leave(connection, how);
        self.answers.extend(superseded.into_iter().map(|reply| (reply, None)));
        self.queue(room);
    }

    /// A room's feed is open.
    pub(super) fn opened(&mut self, room: &RoomName) {
        if let Some(state) = self.rooms.get_mut(room) {
            state.is_open = true;
            self.queue(room);
        }
    }

    /// The incarnation under which is written from now on: members are those of the one before.
    /// Returns whether it is another one.
    pub(super) fn write_as(&mut self, incarnation: Incarnation) -> bool {
        if self.incarnation == Some(incarnation) {
            return false;
        }
        let before = self.incarnation.replace(incarnation);
        if before.is_some() {
            for state in self.rooms.values_mut() {
                state.register(0);
                state.may_be_indexed = false;
                state.replaces = before;
            }
            self.queue_all();
        }
        true
    }

    /// The index may have lost a room.
    pub(super) fn reindex(&mut self, lost: impl Fn(&RoomName) -> bool) {
        for (_, state) in self.rooms.iter_mut().filter(|(room, _)| lost(room)) {
            state.unplace();
        }
        self.queue_all();
    }

    /// The number of the last call of a room that has none under way; `None` if it has, or had no call
    /// yet.
    pub(super) fn settled(&self, room: &RoomName) -> Option<u64> {
        let state = self.rooms.get(room)?;
        (state.done > 0 && !state.is_calling() && !state.has_work()).then_some(state.done)
    }

    /// Whether the desk has a room.
    pub(super) fn has(&self, room: &RoomName) -> bool {
        self.rooms.contains_key(room)
    }

    /// Whether Redis has all that is to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.rooms.values().all(|state| state.flight.is_none() && !state.has_work())
    }

    /// When the next timer is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// Takes in what time brings.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some(first) = self.timers.first_entry().filter(|first| first.key().0 <= now) {
            match first.remove() {
                Timer::Retry(room) => self.queue(&room),
                Timer::Grace(room, user) => {
                    if let Some(state) = self.rooms.get_mut(&room) {
                        state.due(user);
                        self.queue(&room);
                    }
                }
            }
        }
    }

    /// The next thing to do; its outcome comes to `indexed`, `unindexed` or `called`.
    pub(super) fn next(&mut self) -> Option<DeskTask> {
        let own = self.incarnation?;
        while let Some(room) = self.ready.pop_front() {
            let Some(state) = self.rooms.get_mut(&room) else { continue };
            state.is_queued = false;
            let awaits_scan = state.is_empty() && state.scans > 0;
            if state.flight.is_some() || awaits_scan {
                continue;
            }
            if state.is_empty() && !state.may_be_indexed {
                self.rooms.remove(&room);
                continue;
            }
            if !state.is_open {
                continue;
            }
            self.number += 1;
            let number = self.number;
            if state.is_empty() {
                state.take_nothing(number);
                return Some(DeskTask::Unindex(room, number, state.seen));
            } else if !state.is_indexed {
                state.take_nothing(number);
                state.may_be_indexed = true;
                return Some(DeskTask::Index(room, number));
            } else if state.has_work() {
                let (policy, replaces, seen) = (state.policy, state.replaces, state.seen);
                let extent = if state.done == 0 { CallExtent::All } else { CallExtent::Changes };
                let items = state.take(number);
                let kind = CallKind::Live { own, number, seen, extent, replaces };
                return Some(DeskTask::Call(PresenceCall { room, kind, policy, items }));
            }
        }
        None
    }

    pub(super) fn grace(&mut self, room: &RoomName, user: UserName, left: Duration, now: Instant) {
        if let Some(state) = self.rooms.get_mut(room) {
            state.grace(user.clone());
            self.timer(now + left + GRACE_MARGIN, Timer::Grace(room.clone(), user));
        }
    }

    pub(super) fn retry(&mut self, room: &RoomName, now: Instant) {
        let Some(state) = self.rooms.get(room) else { return };
        let doubled =
            FIRST_PAUSE.saturating_mul(1 << state.failures.clamp(1, 10).saturating_sub(1));
        self.timer(now + doubled.min(MAX_PAUSE), Timer::Retry(room.clone()));
    }

    fn timer(&mut self, at: Instant, timer: Timer) {
        self.timer_ids += 1;
        self.timers.insert((at, self.timer_ids), timer);
    }

    pub(super) fn queue(&mut self, room: &RoomName) {
        if let Some(state) = self.rooms.get_mut(room)
            && !std::mem::replace(&mut state.is_queued, true)
        {
            self.ready.push_back(room.clone());
        }
    }

    fn queue_all(&mut self) {
        let rooms: Vec<_> = self.rooms.keys().cloned().collect();
        rooms.iter().for_each(|room| self.queue(room));
    }
}
