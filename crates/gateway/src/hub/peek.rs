//! What the simulation asks of a hub beyond what the node does.

use roomcast_protocol::RoomName;

use super::driver::Hub;
use super::upkeep::expire;

impl Hub {
    /// Whether a room is kept here, and its feed open or about to be.
    pub(crate) fn has(&self, room: &RoomName) -> bool {
        self.rooms.contains_key(room)
    }

    /// Whether nothing is kept here.
    pub(crate) fn is_bare(&self) -> bool {
        self.rooms.is_empty() && self.budget.used() == 0
    }

    /// Drops a room's messages older than `oldest`: what a sweep does, one room at a time.
    pub(crate) fn expire(&mut self, room: &RoomName, oldest: u64) {
        if let Some(ledger) = self.rooms.get_mut(room) {
            expire(&mut self.outlets, room, ledger, oldest);
        }
    }
}
