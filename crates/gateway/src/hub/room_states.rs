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
/// Values of one room that are removed in one tick: two groups of the bus.
const ENDS_PER_ROOM: usize = 256;

/// A finished read: its room, its number, and the result.
pub(super) type StateRead = (RoomName, u64, Result<RoomStateRead, ReadError>);

impl RoomLedger {
    /// The state follows a batch that was appended.
    pub(super) fn follow_state(&mut self, batch: &Batch) {
        let Some(state) = &mut self.state else { return };
        let now = Instant::now();
        for entry in batch.entries() {
            if let LogEntry::Message(message) = entry {
                state.follow(message, now);
            }
        }
        state.caught_up(self.log.end().seq);
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
                self.stated.insert(room.clone());
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
        let next = state.next_end();
        if ledger.state_end != next {
            if let Some(end) = ledger.state_end {
                self.state_ends.remove(&(end, room.clone()));
            }
            if let Some(end) = next {
                self.state_ends.insert((end, room.clone()));
            }
            ledger.state_end = next;
        }
        let Some((workers, view)) = served else { return };
        for worker in workers {
            let event = WorkerEvent::State { room: room.clone(), view: view.clone() };
            self.send(worker, room, event);
        }
        self.keep_budget(None);
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
            let namespace = self.settings.borrow().namespace_of(&room).clone();
            let Some(ledger) = self.rooms.get_mut(&room) else { continue };
            ledger.state_end = None;
            left -= 1;
            let Some(state) = &mut ledger.state else { continue };
            let ends = state.take_ends(now, ENDS_PER_ROOM.min(left + 1));
            left = left.saturating_sub(ends.len().saturating_sub(1));
            let Some(bounds) = namespace.state else { continue };
            for (key, seq) in ends {
                self.metrics.rooms.state_ends.inc();
                removals.push((room.clone(), removal(key, seq, (&namespace, bounds))));
            }
            self.serve_state(&room);
        }
        removals
    }

    /// Forgets a room's state, which can be read again. Readers that wait for it have it read.
    pub(super) fn forget_state(&mut self, room: &RoomName) {
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        let Some(state) = &mut ledger.state else { return };
        state.forget();
        if state.is_wanted() {
            self.begin_state(room);
        }
    }

    /// Begins or ends to keep a room's state after the configuration has changed, and reads one again
    /// that was forgotten for the memory's sake, once there is enough.
    pub(super) fn look_after_state(&mut self, room: &RoomName, keeps_state: bool) {
        let has_space = self.budget.kept() < self.log_limits().1 / 2;
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        match &mut ledger.state {
            Some(_) if !keeps_state => {
                ledger.state = None;
                self.stated.remove(room);
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
