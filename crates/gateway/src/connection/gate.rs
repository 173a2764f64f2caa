//! The gate: the one place that says what may be written to a connection next. Order: the frame
//! that was begun, control bytes, then the rooms with frames for it, in turn. Pure.

use std::collections::VecDeque;

/// What waits to be written to one connection. Room frames are not in it: they are read from the
/// room's log when their turn comes.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The rest of a room's frame that was begun; copied, so that the log may forget it.
    rest: Pending,
    /// Whole frames of our own: answers, acks, pings, Close.
    control: Pending,
    /// Memberships whose rooms have frames for it, in turn.
    owed: VecDeque<u32>,
    /// The socket took less than it was given: its own task goes on when it is writable.
    blocked: bool,
}

/// Bytes of which the first were written.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    written: usize,
}

impl Pending {
    fn left(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Takes up to `count` bytes off; returns how many remain of `count`.
    fn take(&mut self, count: usize) -> usize {
        let taken = count.min(self.bytes.len() - self.written);
        self.written += taken;
        if self.written == self.bytes.len() {
            // An idle connection holds no buffer.
            *self = Self::default();
        } else if self.written > self.bytes.len() / 2 {
            // A reader that never quite catches up must not make the buffer grow for ever.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        count - taken
    }
}

/// The gate's own bytes, lent for one write.
#[derive(Debug)]
pub(crate) struct Lent {
    rest: Pending,
    control: Pending,
}

impl Lent {
    /// The frame begun, then control; either may be empty.
    pub(crate) fn slices(&self) -> [&[u8]; 2] {
        [self.rest.left(), self.control.left()]
    }
}

impl Gate {
    /// Nothing waits here but perhaps rooms.
    pub(crate) fn is_clear(&self) -> bool {
        !self.blocked && self.rest.bytes.is_empty() && self.control.bytes.is_empty()
    }

    /// The socket takes nothing now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Nothing waits at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.bytes.is_empty() && self.control.bytes.is_empty() && self.owed.is_empty()
    }

    /// Where whole frames of our own are appended.
    pub(crate) fn control(&mut self) -> &mut Vec<u8> {
        &mut self.control.bytes
    }

    /// Control bytes that wait.
    pub(crate) fn control_bytes(&self) -> usize {
        self.control.left().len()
    }

    /// Lends what must be written before any room, for the time of one write.
    pub(crate) fn lend(&mut self) -> Lent {
        Lent { rest: std::mem::take(&mut self.rest), control: std::mem::take(&mut self.control) }
    }

    /// Takes it back, before anything else is put in.
    pub(crate) fn give_back(&mut self, lent: Lent) {
        debug_assert!(self.rest.bytes.is_empty() && self.control.bytes.is_empty());
        (self.rest, self.control) = (lent.rest, lent.control);
    }

    /// `count` bytes of what [`Self::lend`] lent and beyond were written; returns how many of them lie
    /// beyond.
    pub(crate) fn written(&mut self, count: usize) -> usize {
        let beyond = self.rest.take(count);
        self.control.take(beyond)
    }

    /// Memory that the frame begun holds.
    pub(crate) fn rest_held(&self) -> usize {
        self.rest.bytes.capacity()
    }

    /// A room's frame was begun and this is left of it.
    pub(crate) fn begin(&mut self, rest: Vec<u8>) {
        debug_assert!(self.rest.bytes.is_empty(), "one frame is finished before the next");
        self.rest = Pending { bytes: rest, written: 0 };
    }

    /// Drops everything but the frame that was begun: the connection ends.
    pub(crate) fn drop_rooms(&mut self) {
        self.owed = VecDeque::new();
    }

    /// The socket took less than it was given.
    pub(crate) fn block(&mut self) {
        self.blocked = true;
    }

    /// The socket takes bytes again.
    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// A room has frames for this membership; the caller sees to it that none is listed twice.
    pub(crate) fn owe(&mut self, membership: u32) {
        self.owed.push_back(membership);
    }

    /// The membership ended.
    pub(crate) fn forget(&mut self, membership: u32) {
        self.owed.retain(|&owed| owed != membership);
        self.release_owed();
    }

    /// The next rooms to write, at most `count`, in turn.
    pub(crate) fn next_owed(&mut self, count: usize) -> Vec<u32> {
        let count = count.min(self.owed.len());
        let next = self.owed.drain(..count).collect();
        self.release_owed();
        next
    }

    /// An idle connection holds no list.
    fn release_owed(&mut self) {
        if self.owed.is_empty() {
            self.owed = VecDeque::new();
        }
    }

    /// Whether a room waits for its turn.
    pub(crate) fn owes(&self) -> bool {
        !self.owed.is_empty()
    }
}

#[cfg(test)]
mod tests;
