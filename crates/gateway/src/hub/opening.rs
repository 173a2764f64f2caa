//! Rooms that wait to be opened, by the time at which the waiting workers are refused. Pure.

use std::collections::BTreeSet;

use roomcast_protocol::RoomName;
use tokio::time::Instant;

/// Each waiting room once, the earliest time first.
#[derive(Debug, Default)]
pub(super) struct Opening {
    rooms: BTreeSet<(Instant, RoomName)>,
}

impl Opening {
    /// Has a room taken out at this time.
    pub(super) fn watch(&mut self, until: Instant, room: RoomName) {
        self.rooms.insert((until, room));
    }

    /// Takes out a room whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<RoomName> {
        let (until, _) = self.rooms.first()?;
        if *until > now {
            return None;
        }
        self.rooms.pop_first().map(|(_, room)| room)
    }
}
