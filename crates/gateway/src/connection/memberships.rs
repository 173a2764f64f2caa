//! The rooms of one connection, by an index that stays while a membership lasts, and by room. A few
//! are searched; many have an index, so that neither joining nor leaving depends on their number.

use std::rc::Rc;

use hashbrown::HashMap;

use crate::room::Room;

/// Places that are searched one by one; beyond that there is an index.
const MAX_SEARCHED: usize = 16;

/// One of the rooms a connection is in.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) room: Rc<Room>,
    /// Where it stands among the room's members.
    pub(crate) slot: u32,
    /// It stands in the gate's list of rooms that are owed frames.
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
    /// By the address of the room, which its membership keeps alive.
    by_room: HashMap<*const Room, u32>,
    /// Places that were left; some of them may be taken or gone by now.
    free: Vec<u32>,
}

impl Memberships {
    /// Adds one; its index.
    pub(super) fn enter(&mut self, room: Rc<Room>) -> u32 {
        let address = Rc::as_ptr(&room);
        let membership = Some(Membership { room, slot: u32::MAX, owed: false });
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
            Some(index) => drop(index.by_room.insert(address, at)),
            None if self.places.len() > MAX_SEARCHED => self.build_index(),
            None => {}
        }
        at
    }

    /// Ends one.
    pub(super) fn exit(&mut self, at: u32) -> Option<Membership> {
        let left = self.places.get_mut(at as usize)?.take()?;
        if let Some(index) = &mut self.index {
            index.by_room.remove(&Rc::as_ptr(&left.room));
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
    pub(super) fn of(&self, room: &Rc<Room>) -> Option<(u32, &Membership)> {
        let at = match &self.index {
            Some(index) => *index.by_room.get(&Rc::as_ptr(room))? as usize,
            None => {
                let is_its = |place: &Option<Membership>| {
                    place.as_ref().is_some_and(|membership| Rc::ptr_eq(&membership.room, room))
                };
                self.places.iter().position(is_its)?
            }
        };
        Some((at as u32, self.places[at].as_ref()?))
    }

    /// Indices of all.
    pub(super) fn indices(&self) -> Vec<u32> {
        (0..).zip(&self.places).filter(|(_, place)| place.is_some()).map(|(at, _)| at).collect()
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
                Some(membership) => drop(index.by_room.insert(Rc::as_ptr(&membership.room), at)),
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
        // Half as many as make an index: who joins and leaves one room does not rebuild it.
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

#[cfg(test)]
mod tests;
