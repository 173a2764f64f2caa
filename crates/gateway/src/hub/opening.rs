//! Rooms that wait to be opened, by when those who wait for them are refused. Pure.

use std::collections::BTreeSet;

use roomcast_protocol::RoomName;
use tokio::time::Instant;

/// Each waiting room once.
#[derive(Debug, Default)]
pub(super) struct Opening {
    rooms: BTreeSet<(Instant, RoomName)>,
}

impl Opening {
    /// A room is to be looked at then.
    pub(super) fn watch(&mut self, until: Instant, room: RoomName) {
        self.rooms.insert((until, room));
    }

    /// A room whose moment has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<RoomName> {
        let (until, _) = self.rooms.first()?;
        if *until > now {
            return None;
        }
        self.rooms.pop_first().map(|(_, room)| room)
    }
}
