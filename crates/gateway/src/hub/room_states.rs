//! The states of all rooms that keep one: when they are read, which workers get a view, and which
//! values have come to their end. What is known of one room is in `room_state.rs`.

use std::time::Duration;

use roomcast_bus::{Publication, ReadError, RoomStateRead, StateAction, StateBounds, StateChange};
use roomcast_metrics::StateReadOutcome;
use roomcast_protocol::{Data, RoomName, Seq, StateKey};
use tokio::time::Instant;

use super::WorkerEvent;
use super::driver::Hub;
use super::ledger::{FeedPhase, RoomLedger};
use super::room_state::KeptState;
use crate::room_log::{Batch, LogEntry};
use crate::settings::Namespace;

/// Pause before a state is read again: after a failure, or as the room is between two epochs.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Values that are removed in one tick, all rooms together: 20,000 a second.
const ENDS_PER_TICK: usize = 1024;
/// How long after the end of a value a state that is forgotten is read to remove it, at the earliest:
/// values that end within this time cost one read.
const FORGOTTEN_END_DELAY: Duration = Duration::from_secs(2);
/// Values of one room that are removed in one tick: two groups of the bus.
const ENDS_PER_ROOM: usize = 256;

/// A finished read: its room, its number, and the result.
pub(super) type StateRead = (RoomName, u64, Result<RoomStateRead, ReadError>);

impl RoomLedger {
    /// The state follows a batch that was appended. When the first value of the batch ends, where the
    /// state is forgotten.
    pub(super) fn follow_state(&mut self, batch: &Batch) -> Option<Instant> {
        let state = self.state.as_mut()?;
        let now = Instant::now();
        let mut first: Option<u64> = None;
        for entry in batch.entries() {
            if let LogEntry::Message(message) = entry {
                state.follow(message, now);
                let life = message.ttl_ms.filter(|_| !message.remove);
                first = first.into_iter().chain(life).min();
            }
        }
        state.caught_up(self.log.end().seq);
        let life = first.filter(|_| state.is_unread())?;
        now.checked_add(Duration::from_millis(life) + FORGOTTEN_END_DELAY)
    }
}

impl Hub {
    /// The feed of a room is open, or has lost something: its state is read, if it keeps one.
    pub(super) fn begin_state(&mut self, room: &RoomName) {
        let bounds = self.settings.borrow().namespace_of(room).state;
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        if let (Some(bounds), FeedPhase::Open) = (bounds, ledger.phase) {
            let budget = &self.budget;
            let state =
                ledger.state.get_or_insert_with(|| Box::new(KeptState::new(bounds.points, budget)));
            let number = state.begin(ledger.log.end());
            self.stated.put(&mut ledger.state_place, 0, room);
            self.state_reads_due.push((room.clone(), number, Duration::ZERO));
        }
    }

    /// The reads to start now, each after its pause.
    pub(crate) fn take_state_reads_due(&mut self) -> Vec<(RoomName, u64, Duration)> {
        std::mem::take(&mut self.state_reads_due)
    }

    /// Starts a read; its result comes back through the hub's queue of them.
    pub(super) fn start_state_read(&self, room: RoomName, number: u64, pause: Duration) {
        let (bus, done) = (self.bus.clone(), self.state_read_done.clone());
        let points =
            self.settings.borrow().namespace_of(&room).state.map_or(0, |state| state.points);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let read = bus.state(&room, points).await;
            // The hub that started the read may have ended meanwhile.
            let _ = done.send((room, number, read));
        });
    }

    /// A read has ended.
    pub(crate) fn state_read_ended(
        &mut self,
        room: RoomName,
        number: u64,
        read: Result<RoomStateRead, ReadError>,
    ) {
        let Some(ledger) = self.rooms.get_mut(&room) else { return };
        let end = ledger.log.end();
        let Some(state) = ledger.state.as_mut().filter(|state| state.awaits(number)) else {
            return;
        };
        let outcome = match read {
            Ok(_) => StateReadOutcome::Ok,
            Err(_) => StateReadOutcome::Failed,
        };
        self.metrics.rooms.state_reads[outcome].inc();
        match read {
            Ok(read) if state.accepts(&read) => {
                state.arrived(read, end.seq, Instant::now());
                // At once: for them it may have been read, and it may be forgotten again.
                self.end_some(&room);
                self.serve_state(&room);
            }
            // Between two epochs: a reset is on its way.
            _ => self.state_reads_due.push((room, number, RETRY_PAUSE)),
        }
    }

    /// Readers of a worker need a room's state.
    pub(super) fn request_state(&mut self, worker: usize, room: &RoomName, least: Seq) {
        let is_unread =
            |ledger: &RoomLedger| ledger.state.as_ref().is_none_or(|state| state.is_unread());
        if self.rooms.get(room).is_some_and(is_unread) {
            self.begin_state(room);
        }
        if let Some(state) = self.rooms.get_mut(room).and_then(|ledger| ledger.state.as_mut()) {
            state.want(worker, least);
            self.serve_state(room);
        }
    }

    /// Sends the workers that wait a view of a room's state, if it is known. Notes when the next value
    /// of it ends.
    pub(super) fn serve_state(&mut self, room: &RoomName) {
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        let Some(state) = &mut ledger.state else { return };
        let served = state.serve(room, &ledger.log, Instant::now());
        self.stated.settle(&mut ledger.state_place, state.bytes(), room);
        let known = state.is_whole().then(|| state.next_end());
        if let Some(next) = known {
            self.plan_end(room, next);
        }
        let Some((workers, view)) = served else { return };
        for worker in workers {
            let event = WorkerEvent::State { room: room.clone(), view: view.clone() };
            self.send(worker, room, event);
        }
        self.keep_budget(None);
    }

    /// Has a room's values looked at when the next one ends.
    fn plan_end(&mut self, room: &RoomName, next: Option<Instant>) {
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        let before = std::mem::replace(&mut ledger.state_end, next);
        if before != next {
            if let Some(before) = before {
                self.state_ends.remove(&(before, room.clone()));
            }
            if let Some(next) = next {
                self.state_ends.insert((next, room.clone()));
            }
        }
    }

    /// The same, if nothing of the room is looked at before.
    pub(super) fn end_by(&mut self, room: &RoomName, end: Option<Instant>) {
        let planned = self.rooms.get(room).and_then(|ledger| ledger.state_end);
        if end.is_some_and(|end| planned.is_none_or(|planned| end < planned)) {
            self.plan_end(room, end);
        }
    }

    /// Removes values of one room whose time is over.
    fn end_some(&mut self, room: &RoomName) {
        for publication in self.take_room_ends(room, Instant::now(), ENDS_PER_ROOM) {
            self.bus.submit(room.clone(), publication, Box::new(|_outcome| {}));
        }
    }

    /// Removes values whose time is over, of some rooms. Another node may be first: then the bus
    /// refuses the removal.
    pub(super) fn end_states(&mut self, now: Instant) {
        for (room, publication) in self.take_ends(now) {
            // The feed tells what came of it; without a message it is tried again.
            self.bus.submit(room, publication, Box::new(|_outcome| {}));
        }
    }

    /// The removals to publish now.
    pub(crate) fn take_ends(&mut self, now: Instant) -> Vec<(RoomName, Publication)> {
        let (mut removals, mut left) = (Vec::new(), ENDS_PER_TICK);
        while left > 0 {
            if self.state_ends.first().is_none_or(|(end, _)| *end > now) {
                break;
            }
            let Some((_, room)) = self.state_ends.pop_first() else { break };
            let Some(ledger) = self.rooms.get_mut(&room) else { continue };
            ledger.state_end = None;
            left -= 1;
            if let Some(state) = ledger.state.as_ref().filter(|state| !state.is_whole()) {
                if state.is_unread() {
                    self.begin_state(&room);
                }
                // It may be forgotten before it is known.
                self.plan_end(&room, now.checked_add(FORGOTTEN_END_DELAY));
                continue;
            }
            let ends = self.take_room_ends(&room, now, ENDS_PER_ROOM.min(left + 1));
            left = left.saturating_sub(ends.len().saturating_sub(1));
            removals.extend(ends.into_iter().map(|end| (room.clone(), end)));
            self.serve_state(&room);
        }
        removals
    }

    /// The removals of one room to publish now, at most `count`.
    fn take_room_ends(&mut self, room: &RoomName, now: Instant, count: usize) -> Vec<Publication> {
        let namespace = self.settings.borrow().namespace_of(room).clone();
        let state = self.rooms.get_mut(room).and_then(|ledger| ledger.state.as_mut());
        let (Some(state), Some(bounds)) = (state, namespace.state) else { return Vec::new() };
        let ends = state.take_ends(now, count);
        self.metrics.rooms.state_ends.inc_by(ends.len() as u64);
        let publish = |(key, seq)| removal(key, seq, (&namespace, bounds));
        ends.into_iter().map(publish).collect()
    }

    /// Forgets a room's state, which can be read again; false if it keeps none. Readers that wait for
    /// it have it read, and so does the end of its next value.
    pub(super) fn forget_state(&mut self, room: &RoomName) -> bool {
        let Some(ledger) = self.rooms.get_mut(room) else { return false };
        let Some(state) = &mut ledger.state else { return false };
        state.forget();
        self.stated.put(&mut ledger.state_place, 0, room);
        let later = ledger.state_end.map(|end| end + FORGOTTEN_END_DELAY);
        if state.is_wanted() {
            self.begin_state(room);
        }
        self.plan_end(room, later);
        true
    }

    /// Begins or ends to keep a room's state after the configuration has changed, and reads one again
    /// that was forgotten for the memory's sake, once there is enough.
    pub(super) fn look_after_state(&mut self, room: &RoomName, keeps_state: bool) {
        let has_space = self.budget.kept() < self.log_limits().1 / 2;
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        match &mut ledger.state {
            Some(_) if !keeps_state => {
                ledger.state = None;
                self.stated.put(&mut ledger.state_place, 0, room);
            }
            Some(state) if state.is_unread() && has_space => self.begin_state(room),
            Some(state) => state.forget_unused(),
            None if keeps_state => self.begin_state(room),
            None => {}
        }
    }
}

/// The publication that removes a value which has expired.
fn removal(
    key: Option<StateKey>,
    seq: Seq,
    (namespace, bounds): (&Namespace, StateBounds),
) -> Publication {
    let (action, if_key_seq) = (StateAction::Expire(seq), None);
    Publication {
        user: None,
        client: None,
        api_key: None,
        connection: None,
        event: None,
        key: None,
        if_seq: None,
        state: Some(StateChange { key, ttl_ms: None, action, if_key_seq, bounds }),
        echo: true,
        traceparent: None,
        data: Data::Json("null".into()),
        retention: namespace.retention,
        info: None,
        keys_age: std::time::Duration::ZERO,
        room_rate: 0,
    }
}
