//! The members of a room on one worker: dense, so that a pass walks memory in order. While a pass
//! is under way no member moves: a leaving member becomes a hole, which is filled after the pass.

use std::rc::Rc;
use std::sync::Arc;

use roomcast_protocol::Position;

use crate::connection::Connection;
use crate::room_log::{Batch, Cursor};

/// Where a member reads.
#[derive(Debug, Clone)]
pub(crate) enum MemberReader {
    /// In the room's log: live, or catching up with it.
    Log(Cursor),
    /// In a page of older history, which leads to the log.
    Page { page: Arc<Batch>, frame: u32 },
    /// Its next page is being read.
    Waiting(Position),
}

/// One connection in one room.
#[derive(Debug)]
pub(crate) struct RoomMember {
    /// Whose; `None` once it left while a pass was under way.
    pub(crate) connection: Option<Rc<Connection>>,
    /// Index of this membership in the connection's list.
    pub(crate) membership: u32,
    /// It published here with a key or without echo, so its own frames may differ.
    pub(crate) author: bool,
    /// It follows who is in the room.
    pub(crate) listens: bool,
    /// Where it reads.
    pub(crate) reader: MemberReader,
}

/// Invariant: outside of passes there are no holes.
#[derive(Debug, Default)]
pub(crate) struct Members {
    slots: Vec<RoomMember>,
    holes: Vec<u32>,
    /// A pass is under way: no member moves.
    pinned: bool,
}

impl Members {
    /// Members present.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.holes.len()
    }

    /// Slots, holes included: what a pass walks.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Adds a member at the end, where a pass under way still finds it; returns its slot.
    pub(crate) fn add(&mut self, member: RoomMember) -> u32 {
        self.slots.push(member);
        self.slots.len() as u32 - 1
    }

    /// A member by its slot.
    pub(crate) fn at(&self, slot: u32) -> &RoomMember {
        &self.slots[slot as usize]
    }

    /// A member by its slot.
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut RoomMember {
        &mut self.slots[slot as usize]
    }

    /// Everyone present, with slots.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut RoomMember)> {
        let slots = self.slots.iter_mut().enumerate();
        slots.filter(|(_, m)| m.connection.is_some()).map(|(slot, m)| (slot as u32, m))
    }

    /// The connections of all that are present.
    pub(crate) fn connections(&self) -> Vec<Rc<Connection>> {
        self.slots.iter().filter_map(|member| member.connection.clone()).collect()
    }

    /// A range of slots for one chunk of a pass.
    pub(crate) fn chunk(&mut self, from: usize, to: usize) -> &mut [RoomMember] {
        let to = to.min(self.slots.len());
        &mut self.slots[from.min(to)..to]
    }

    /// Removes the member in `slot`, at once or when the pass has ended.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.slots[slot as usize].connection = None;
        self.holes.push(slot);
        if !self.pinned {
            self.compact();
        }
    }

    /// A pass begins.
    pub(crate) fn pin(&mut self) {
        self.pinned = true;
    }

    /// A pass has ended: fills the holes.
    pub(crate) fn unpin(&mut self) {
        self.pinned = false;
        self.compact();
    }

    fn compact(&mut self) {
        self.holes.sort_unstable();
        while let Some(slot) = self.holes.pop() {
            self.slots.swap_remove(slot as usize);
            let moved = self.slots.get(slot as usize);
            if let Some(RoomMember { connection: Some(connection), membership, .. }) = moved {
                connection.moved(*membership, slot);
            }
        }
    }
}

#[cfg(test)]
mod tests;
