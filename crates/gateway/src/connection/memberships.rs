//! The rooms that one connection is in or waits for, by an index that stays while a membership lasts,
//! and by room. A few are searched; many have an index, so that neither joining nor leaving depends
//! on their number. It knows rooms by their ids only.

use hashbrown::HashMap;

use super::{Connection, RoomId};

/// Places that are searched one by one; beyond that there is an index.
const MAX_SEARCHED: usize = 16;

/// One of the rooms a connection is in or waits for.
#[derive(Debug)]
pub(crate) struct Membership {
    /// The room.
    pub(crate) room: RoomId,
    /// Its slot among the room's members; `None` as long as it waits.
    pub(crate) slot: Option<u32>,
    /// It is in the gate's list of rooms with frames to write.
    pub(super) owed: bool,
}

/// All of them. Invariant: the last place is taken, and there is an index if there are more places
/// than are searched.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    places: Vec<Option<Membership>>,
    index: Option<Box<Index>>,
}

#[derive(Debug, Default)]
struct Index {
    by_room: HashMap<RoomId, u32>,
    /// Places that were left; some of them may be taken or gone by now.
    free: Vec<u32>,
}

impl Memberships {
    /// Adds one; its index.
    pub(super) fn add(&mut self, room: RoomId, slot: Option<u32>) -> u32 {
        let membership = Some(Membership { room, slot, owed: false });
        let at = match self.free_place() {
            Some(at) => {
                self.places[at] = membership;
                at
            }
            None => {
                if self.places.capacity() == 0 {
                    self.places.reserve_exact(1);
                }
                self.places.push(membership);
                self.places.len() - 1
            }
        };
        let at = u32::try_from(at).expect("a connection is in at most 65,536 rooms");
        match &mut self.index {
            Some(index) => drop(index.by_room.insert(room, at)),
            None if self.places.len() > MAX_SEARCHED => self.build_index(),
            None => {}
        }
        at
    }

    /// Ends one.
    pub(super) fn remove(&mut self, at: u32) -> Option<Membership> {
        let left = self.places.get_mut(at as usize)?.take()?;
        if let Some(index) = &mut self.index {
            index.by_room.remove(&left.room);
            index.free.push(at);
        }
        self.trim();
        Some(left)
    }

    /// One by its index.
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Membership> {
        self.places.get_mut(at as usize)?.as_mut()
    }

    /// The one in a room, with its index.
    pub(super) fn of(&self, room: RoomId) -> Option<(u32, &Membership)> {
        let at = match &self.index {
            Some(index) => *index.by_room.get(&room)? as usize,
            None => {
                let is_its = |place: &Option<Membership>| {
                    place.as_ref().is_some_and(|membership| membership.room == room)
                };
                self.places.iter().position(is_its)?
            }
        };
        Some((at as u32, self.places[at].as_ref()?))
    }

    /// All of them, with their indices.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Membership)> {
        (0..).zip(&self.places).filter_map(|(at, place)| Some((at, place.as_ref()?)))
    }

    fn free_place(&mut self) -> Option<usize> {
        let Some(index) = &mut self.index else {
            return self.places.iter().position(Option::is_none);
        };
        while let Some(at) = index.free.pop() {
            if self.places.get(at as usize).is_some_and(Option::is_none) {
                return Some(at as usize);
            }
        }
        None
    }

    fn build_index(&mut self) {
        let mut index = Index::default();
        for (at, place) in (0..).zip(&self.places) {
            match place {
                Some(membership) => drop(index.by_room.insert(membership.room, at)),
                None => index.free.push(at),
            }
        }
        self.index = Some(Box::new(index));
    }

    /// Gives back what few memberships do not need.
    fn trim(&mut self) {
        while let Some(None) = self.places.last() {
            self.places.pop();
        }
        let len = self.places.len();
        // Half as many as make an index: joining and leaving one room does not rebuild it.
        if len <= MAX_SEARCHED / 2 {
            self.index = None;
        }
        if self.places.capacity() > 4 * len {
            self.places.shrink_to(2 * len);
            if let Some(index) = &mut self.index {
                index.by_room.shrink_to(2 * len);
                index.free.shrink_to(2 * len);
            }
        }
    }
}

impl Connection {
    /// Number of rooms it is in.
    pub(crate) fn rooms(&self) -> usize {
        self.joined.get() as usize
    }

    /// Number of rooms it waits to be in.
    pub(crate) fn joining(&self) -> usize {
        self.joining.get() as usize
    }

    /// It waits to be in a room.
    pub(crate) fn begin_join(&self, room: RoomId) {
        self.joining.set(self.joining.get() + 1);
        self.memberships.borrow_mut().add(room, None);
    }

    /// Whether it waits to be in a room.
    pub(crate) fn is_joining(&self, room: RoomId) -> bool {
        let memberships = self.memberships.borrow();
        self.joining() > 0 && memberships.of(room).is_some_and(|(_, known)| known.slot.is_none())
    }

    /// It does not wait for a room any more; false if it did not.
    pub(crate) fn end_join(&self, room: RoomId) -> bool {
        let mut memberships = self.memberships.borrow_mut();
        match memberships.of(room) {
            Some((at, Membership { slot: None, .. })) => {
                memberships.remove(at);
                self.joining.set(self.joining.get() - 1);
                true
            }
            _ => false,
        }
    }

    /// Up to `count` of the rooms that it waits for.
    pub(crate) fn some_joining(&self, count: usize) -> Vec<RoomId> {
        if self.joining() == 0 {
            return Vec::new();
        }
        let memberships = self.memberships.borrow();
        let waiting = memberships.iter().filter(|(_, membership)| membership.slot.is_none());
        waiting.map(|(_, membership)| membership.room).take(count).collect()
    }

    /// Enters a room; the membership's index, which stays. Its slot is to follow with
    /// [`Self::moved`].
    pub(crate) fn enter(&self, room: RoomId) -> u32 {
        self.joined.set(self.joined.get() + 1);
        self.memberships.borrow_mut().add(room, Some(u32::MAX))
    }

    /// The member of this membership has another slot now.
    pub(crate) fn moved(&self, membership: u32, slot: u32) {
        if let Some(membership) = self.memberships.borrow_mut().get_mut(membership) {
            membership.slot = Some(slot);
        }
    }

    /// Ends a membership; its room and its slot.
    pub(crate) fn exit(&self, membership: u32) -> Option<(RoomId, u32)> {
        let mut memberships = self.memberships.borrow_mut();
        let slot = memberships.get_mut(membership)?.slot?;
        let left = memberships.remove(membership)?;
        self.joined.set(self.joined.get() - 1);
        if left.owed {
            self.gate.borrow_mut().forget(membership);
        }
        Some((left.room, slot))
    }

    /// The membership in a room, if it is in it: index and slot.
    pub(crate) fn membership_in(&self, room: RoomId) -> Option<(u32, u32)> {
        let memberships = self.memberships.borrow();
        memberships.of(room).and_then(|(index, membership)| Some((index, membership.slot?)))
    }

    /// All rooms that it is in or waits for.
    pub(crate) fn all_rooms(&self) -> Vec<RoomId> {
        self.memberships.borrow().iter().map(|(_, membership)| membership.room).collect()
    }

    /// Indices of up to `count` of its memberships.
    pub(crate) fn some_memberships(&self, count: usize) -> Vec<u32> {
        let memberships = self.memberships.borrow();
        let entered = memberships.iter().filter(|(_, membership)| membership.slot.is_some());
        entered.map(|(at, _)| at).take(count).collect()
    }
}

#[cfg(test)]
mod tests;
