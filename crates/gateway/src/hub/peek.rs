//! What only the simulation and tests call: whole rounds of the upkeep instead of slices, and
//! questions about the hub's state.

use roomcast_bus::RoomEvent;
use roomcast_protocol::RoomName;
use tokio::time::Instant;

use super::driver::{Hub, now_ms};
use super::upkeep::expire;

impl Hub {
    /// Handles events of the bus.
    pub(crate) fn feed(&mut self, events: Vec<RoomEvent>) {
        let now = now_ms();
        events.into_iter().for_each(|event| self.take_in(event, now));
    }

    /// Attaches again where a queue was full, and refuses workers that have waited too long.
    pub(crate) fn look_at_queues(&mut self, now: Instant) {
        self.attach_marked();
        while self.refuse_some(now) {}
        self.keep_budget(None);
    }

    /// Closes rooms without workers and drops old messages; `clock` is Unix time in ms.
    pub(crate) fn sweep(&mut self, now: Instant, clock: u64) {
        (0..self.round.len()).for_each(|_| self.sweep_next(now, clock));
    }

    /// Whether the hub has the room: its feed is open, or about to be.
    pub(crate) fn has(&self, room: &RoomName) -> bool {
        self.rooms.contains_key(room)
    }

    /// Whether the hub keeps no room and no memory.
    pub(crate) fn is_bare(&self) -> bool {
        self.rooms.is_empty() && self.round.is_empty() && self.budget.used() == 0
    }

    /// Drops a room's messages older than `oldest`: what a sweep does, one room at a time.
    pub(crate) fn expire(&mut self, room: &RoomName, oldest: u64) {
        if let Some(ledger) = self.rooms.get_mut(room) {
            expire(&mut self.queues, room, ledger, oldest);
            self.shares.settle(&mut ledger.place, ledger.log.bytes(), room);
        }
    }
}
