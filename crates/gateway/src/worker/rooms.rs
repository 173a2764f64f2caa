//! Owner of a worker's rooms: those with local members, or with joins that wait. It also numbers
//! the worker's commands to the hub, by which an answer is told from an older one, and knows when
//! the joins that wait are to be refused. It knows no hub and refuses no join itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hashbrown::HashMap;
use roomcast_protocol::RoomName;
use tokio::time::Instant;

use super::deadlines::Deadlines;
use crate::room::{Room, RoomState};

/// The map of rooms gives memory back when its rooms fill less than one part in so many of its
/// capacity.
const SHRINK_BELOW_PART: usize = 4;
/// Rooms for which the map keeps its memory in any case.
const MIN_CAPACITY: usize = 1024;

/// The rooms of one worker.
#[derive(Debug, Default)]
pub(super) struct LocalRooms {
    by_name: RefCell<HashMap<RoomName, Rc<Room>>>,
    /// Rooms with joins that wait.
    waiting: RefCell<Deadlines>,
    /// The number of the last command to the hub.
    last_number: Cell<u64>,
}

impl LocalRooms {
    /// A room by its name.
    pub(super) fn get(&self, name: &RoomName) -> Option<Rc<Room>> {
        self.by_name.borrow().get(name).cloned()
    }

    /// Whether this very room is still one of the worker's: it may have been removed, and another
    /// of the same name added.
    pub(super) fn contains(&self, room: &Rc<Room>) -> bool {
        self.by_name.borrow().get(&room.name).is_some_and(|known| Rc::ptr_eq(known, room))
    }

    /// All rooms.
    pub(super) fn all(&self) -> Vec<Rc<Room>> {
        self.by_name.borrow().values().cloned().collect()
    }

    /// Adds a room.
    pub(super) fn add(&self, room: Rc<Room>) {
        self.by_name.borrow_mut().insert(room.name.clone(), room);
    }

    /// Removes this very room; false if it was removed before.
    pub(super) fn remove(&self, room: &Rc<Room>) -> bool {
        if !self.contains(room) {
            return false;
        }
        let mut rooms = self.by_name.borrow_mut();
        rooms.remove(&room.name);
        if rooms.capacity() > MIN_CAPACITY && rooms.len() < rooms.capacity() / SHRINK_BELOW_PART {
            let enough = rooms.len() * 2;
            rooms.shrink_to(enough);
        }
        true
    }

    /// The number of the next command to the hub.
    pub(super) fn next_number(&self) -> u64 {
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        number
    }

    /// Has a room taken out when its first join has waited too long, unless it is watched already.
    pub(super) fn watch(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        // The first join has waited longest: all may wait equally long.
        if let (None, Some(first)) = (state.watch, state.pending.first()) {
            state.watch = Some(self.waiting.borrow_mut().watch(first.deadline, room.clone()));
        }
    }

    /// Has a room taken out no more.
    pub(super) fn unwatch(&self, state: &mut RoomState) {
        if let Some(watch) = state.watch.take() {
            self.waiting.borrow_mut().forget(watch);
        }
    }

    /// Takes out a room whose first join has waited too long.
    pub(super) fn take_due(&self, now: Instant) -> Option<Rc<Room>> {
        let room = self.waiting.borrow_mut().take_due(now)?;
        room.state.borrow_mut().watch = None;
        Some(room)
    }

    /// How many rooms there are, for how many there is space, and how many are watched.
    #[cfg(test)]
    pub(super) fn counts(&self) -> [usize; 3] {
        let rooms = self.by_name.borrow();
        [rooms.len(), rooms.capacity(), self.waiting.borrow().len()]
    }
}
