//! Rooms with joins that wait, in the order in which their first join is to be refused. Pure.

use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::time::Instant;

use crate::room::{Room, Watch};

/// Each watched room once.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    rooms: BTreeMap<Watch, Rc<Room>>,
    number: u64,
}

impl Deadlines {
    /// The room is to be looked at then.
    pub(super) fn watch(&mut self, at: Instant, room: Rc<Room>) -> Watch {
        self.number += 1;
        let watch = Watch { at, number: self.number };
        self.rooms.insert(watch, room);
        watch
    }

    /// The room is looked at no more.
    pub(super) fn forget(&mut self, watch: Watch) {
        self.rooms.remove(&watch);
    }

    /// Rooms that are watched.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// A room whose moment has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Rc<Room>> {
        let (watch, _) = self.rooms.first_key_value()?;
        if watch.at > now {
            return None;
        }
        self.rooms.pop_first().map(|(_, room)| room)
    }
}
