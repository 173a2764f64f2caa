//! Rooms with joins that wait, ordered by the time at which their first join is refused. Pure.

use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::time::Instant;

use crate::room::{PendingPlace, Room};

/// Each watched room once.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    rooms: BTreeMap<PendingPlace, Rc<Room>>,
    number: u64,
}

impl Deadlines {
    /// Has a room taken out at this time.
    pub(super) fn watch(&mut self, at: Instant, room: Rc<Room>) -> PendingPlace {
        self.number += 1;
        let watch = PendingPlace { at, number: self.number };
        self.rooms.insert(watch, room);
        watch
    }

    /// Has a room taken out no more.
    pub(super) fn forget(&mut self, watch: PendingPlace) {
        self.rooms.remove(&watch);
    }

    /// How many rooms are watched.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Takes out a room whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Rc<Room>> {
        let (watch, _) = self.rooms.first_key_value()?;
        if watch.at > now {
            return None;
        }
        self.rooms.pop_first().map(|(_, room)| room)
    }
}
