//! The order in which rooms give up memory when all logs together are above their budget: by the size
//! of their logs in classes of powers of two, and within a class by the time at which they came into
//! it. A room moves only when its class changes, so that the cost of an append does not grow with
//! the number of rooms. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use roomcast_protocol::RoomName;

/// A room's place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SharePlace {
    /// The log's size when the room was placed lay between 2^class and twice that.
    class: Reverse<u32>,
    /// Rises each time a room is placed.
    number: u64,
}

/// All rooms with a log that is not empty.
#[derive(Debug, Default)]
pub(super) struct Shares {
    rooms: BTreeMap<SharePlace, RoomName>,
    number: u64,
    /// How often a room was placed: the work that was done.
    #[cfg(test)]
    pub(super) placings: usize,
}

impl Shares {
    /// A room's log holds so many bytes now. The room keeps its place until the log has left its
    /// class upwards, or fallen to half of it: a log that swings about a power of two stays.
    pub(super) fn settle(&mut self, place: &mut Option<SharePlace>, bytes: usize, room: &RoomName) {
        let class = bytes.checked_ilog2();
        match (*place, class) {
            (None, None) => {}
            (Some(SharePlace { class: Reverse(known), .. }), Some(class))
                if class == known || class + 1 == known => {}
            _ => self.put(place, bytes, room),
        }
    }

    /// The same after the log dropped batches: the room takes the place of its size.
    pub(super) fn put(&mut self, place: &mut Option<SharePlace>, bytes: usize, room: &RoomName) {
        if let Some(place) = place.take() {
            self.rooms.remove(&place);
        }
        if let Some(class) = bytes.checked_ilog2() {
            self.number += 1;
            let new = SharePlace { class: Reverse(class), number: self.number };
            self.rooms.insert(new, room.clone());
            *place = Some(new);
        }
        #[cfg(test)]
        {
            self.placings += 1;
        }
    }

    /// The next room to give up memory, but not `spared`.
    pub(super) fn first(&self, spared: Option<&RoomName>) -> Option<&RoomName> {
        self.rooms.values().find(|room| Some(*room) != spared)
    }
}

#[cfg(test)]
mod tests;
