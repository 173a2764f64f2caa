//! Owner of a worker's rooms: those with local members, or with joins that wait. It also numbers
//! the worker's commands to the hub, which distinguish an answer from an older one, and knows when
//! the joins that wait are to be refused. It knows no hub and refuses no join itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use roomcast_protocol::RoomName;
use tokio::time::Instant;

use super::deadlines::Deadlines;
use crate::connection::{Connection, RoomId};
use crate::room::{Room, RoomSlab, RoomState, WroteTurn, write_turn};

/// The rooms of one worker.
#[derive(Debug, Default)]
pub(super) struct LocalRooms {
    slab: RefCell<RoomSlab>,
    /// Rooms with joins that wait.
    waiting: RefCell<Deadlines>,
    /// The number of the last command to the hub.
    last_number: Cell<u64>,
}

impl LocalRooms {
    /// A room by its name.
    pub(super) fn get(&self, name: &RoomName) -> Option<Rc<Room>> {
        self.slab.borrow().by_name(name).cloned()
    }

    /// A room by its id, until it is removed.
    pub(super) fn by_id(&self, id: RoomId) -> Option<Rc<Room>> {
        self.slab.borrow().by_id(id).cloned()
    }

    /// All rooms.
    pub(super) fn all(&self) -> Vec<Rc<Room>> {
        self.slab.borrow().iter().cloned().collect()
    }

    /// Adds a room, which is made with its id.
    pub(super) fn add(&self, make: impl FnOnce(RoomId) -> Room) -> Rc<Room> {
        self.slab.borrow_mut().add(make)
    }

    /// Removes this very room; false if it was removed before.
    pub(super) fn remove(&self, room: &Room) -> bool {
        self.slab.borrow_mut().remove(room)
    }

    /// Writes one turn of what waits for a connection, out of the rooms that it is in.
    pub(super) fn write_turn(&self, connection: &Connection) -> WroteTurn {
        write_turn(connection, &self.slab.borrow())
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
        let rooms = self.slab.borrow();
        [rooms.len(), rooms.capacity(), self.waiting.borrow().len()]
    }
}
