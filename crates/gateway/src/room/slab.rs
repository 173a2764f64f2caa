//! The rooms of one worker, by name and by id. An id is a place and its generation: an id that has
//! outlived its room finds no other room.

use std::rc::Rc;

use hashbrown::HashMap;
use roomcast_protocol::RoomName;

use super::Room;
use crate::connection::RoomId;

/// Memory is given back when there is less than one room in so many of what there is space for …
const SPARSE: usize = 4;
/// … unless that is less than this.
const SMALL: usize = 1024;

/// All rooms of a worker. Invariant: a room is found by its name and by its id, or by neither.
#[derive(Debug, Default)]
pub(crate) struct RoomSlab {
    by_name: HashMap<RoomName, Rc<Room>>,
    places: Vec<RoomPlace>,
    /// Places that were left; some of them may be taken or dropped by now.
    free: Vec<u32>,
    /// The generation of a place that is added: above that of each place that was dropped.
    first: u32,
}

#[derive(Debug)]
struct RoomPlace {
    /// That of its room, or of the next one. The last generation is never given out.
    generation: u32,
    room: Option<Rc<Room>>,
}

impl RoomPlace {
    fn is_free(&self) -> bool {
        self.room.is_none() && self.generation < u32::MAX
    }
}

impl RoomSlab {
    /// A room by its name.
    pub(crate) fn by_name(&self, name: &RoomName) -> Option<&Rc<Room>> {
        self.by_name.get(name)
    }

    /// A room by its id, while it lasts.
    pub(crate) fn by_id(&self, id: RoomId) -> Option<&Rc<Room>> {
        let place = self.places.get(id.index as usize)?;
        place.room.as_ref().filter(|_| place.generation == id.generation)
    }

    /// Number of rooms.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// All rooms, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rc<Room>> {
        self.by_name.values()
    }

    /// Adds a room, which is made with its id. No room may have its name yet.
    pub(crate) fn add(&mut self, make: impl FnOnce(RoomId) -> Room) -> Rc<Room> {
        let index = self.free_place().unwrap_or_else(|| {
            self.places.push(RoomPlace { generation: self.first, room: None });
            u32::try_from(self.places.len() - 1).expect("a worker has fewer than 2^32 rooms")
        });
        let place = &mut self.places[index as usize];
        let room = Rc::new(make(RoomId { index, generation: place.generation }));
        place.room = Some(room.clone());
        let before = self.by_name.insert(room.name.clone(), room.clone());
        debug_assert!(before.is_none(), "a room is added once");
        room
    }

    /// Removes a room; false if it was removed before, whether or not another has its name now.
    pub(crate) fn remove(&mut self, room: &Room) -> bool {
        if self.by_id(room.id).is_none() {
            return false;
        }
        self.by_name.remove(&room.name);
        let place = &mut self.places[room.id.index as usize];
        place.room = None;
        place.generation += 1;
        if place.generation < u32::MAX {
            self.free.push(room.id.index);
        }
        self.shrink();
        true
    }

    fn free_place(&mut self) -> Option<u32> {
        while let Some(index) = self.free.pop() {
            if self.places.get(index as usize).is_some_and(RoomPlace::is_free) {
                return Some(index);
            }
        }
        None
    }

    fn shrink(&mut self) {
        let len = self.by_name.len();
        if self.by_name.capacity() > SMALL && len < self.by_name.capacity() / SPARSE {
            self.by_name.shrink_to(2 * len);
        }
        if self.places.len() <= SMALL || len >= self.places.len() / SPARSE {
            return;
        }
        while let Some(last) = self.places.pop_if(|last| last.is_free()) {
            self.first = self.first.max(last.generation);
        }
        let enough = 2 * self.places.len();
        if self.places.capacity() > 2 * enough {
            self.places.shrink_to(enough);
            self.free.retain(|&index| (index as usize) < self.places.len());
            self.free.shrink_to(enough);
        }
    }

    /// How many rooms there is space for, by name and by id.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.by_name.capacity().max(self.places.capacity()).max(self.free.capacity())
    }
}

#[cfg(test)]
mod tests;
