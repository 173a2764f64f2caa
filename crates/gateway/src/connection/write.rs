//! Writing to the socket. Nothing else in the node writes to it, and nothing is written but what
//! the gate says. What a room has for the connection is read by `room/write.rs`.

use std::io::{self, IoSlice};

use super::{Connection, Membership};

impl Connection {
    /// Whether a pass may write a run to it directly: it is in one room and nothing waits.
    pub(crate) fn takes_runs(&self) -> bool {
        let gate = self.gate.borrow();
        self.joined.get() == 1 && gate.is_clear() && !gate.owes() && self.is_open()
    }

    /// Whether the socket may take bytes now.
    pub(crate) fn may_write(&self) -> bool {
        !self.is_blocked() && !self.is_gone()
    }

    /// Whether something waits that the socket may take at once.
    pub(crate) fn has_more(&self) -> bool {
        let gate = self.gate.borrow();
        !gate.is_blocked() && !gate.is_empty()
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.gate.borrow().is_empty() && self.socket.unsent_held() == 0
    }

    /// One system call; returns how many bytes the socket took. The gate is blocked until the socket
    /// is writable after a short write, and while TLS holds a record that the kernel did not take;
    /// an error ends the connection.
    pub(crate) fn write_slices(&self, slices: &[IoSlice<'_>], total: usize) -> usize {
        let unsent = self.socket.unsent_held();
        let written = match self.socket.try_write(slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.fail();
                0
            }
        };
        let is_unsent = self.note_unsent(unsent) > 0;
        if written < total || is_unsent {
            self.gate.borrow_mut().block();
            self.wake();
        }
        written
    }

    /// Counts the memory of records that TLS could not write, which was `before`; returns what it is.
    pub(super) fn note_unsent(&self, before: usize) -> usize {
        let held = self.socket.unsent_held();
        self.stalled.set(self.stalled.get() + held - before);
        held
    }

    /// Writes the frame begun, control bytes and these slices of rooms in one system call; returns
    /// how many bytes the socket took. The gate lends its bytes for that time: it must not be
    /// borrowed, because a short write is noted in it.
    pub(crate) fn write_across<'a>(&self, rooms: impl Iterator<Item = IoSlice<'a>>) -> usize {
        let lent = self.gate.borrow_mut().lend();
        let first = lent.slices().into_iter().filter(|bytes| !bytes.is_empty());
        let mut slices: Vec<IoSlice<'_>> = first.map(IoSlice::new).collect();
        // Not `extend`, by which the slices of rooms would have to live as long as the lent bytes.
        for slice in rooms {
            slices.push(slice);
        }
        let total = slices.iter().map(|slice| slice.len()).sum();
        let is_idle = total == 0 && self.socket.unsent_held() == 0;
        let bytes = if is_idle { 0 } else { self.write_slices(&slices, total) };
        drop(slices);
        self.gate.borrow_mut().give_back(lent);
        bytes
    }

    /// Writes the frame begun and control bytes, and nothing of rooms.
    pub(crate) fn write_own(&self) {
        if self.may_write() {
            let bytes = self.write_across(std::iter::empty());
            self.written(bytes);
        }
    }

    /// Keeps what is left of a room's frame that was begun, and counts it.
    pub(crate) fn keep_rest(&self, rest: Vec<u8>) {
        let mut gate = self.gate.borrow_mut();
        gate.begin(rest);
        self.stalled.set(self.stalled.get() + gate.rest_held());
    }

    /// Takes what was written off the gate's own bytes; returns how many bytes lie beyond.
    pub(crate) fn written(&self, bytes: usize) -> usize {
        let mut gate = self.gate.borrow_mut();
        let before = gate.rest_held();
        let beyond = gate.written(bytes);
        self.stalled.set(self.stalled.get() - (before - gate.rest_held()));
        beyond
    }

    /// Takes the memberships whose turn it is out of the gate's list, at most `count`; what `find`
    /// makes of each and its index.
    pub(crate) fn take_owed<T>(
        &self,
        count: usize,
        find: impl Fn(u32, &Membership) -> Option<T>,
    ) -> Vec<T> {
        let next = self.gate.borrow_mut().next_owed(count);
        let mut memberships = self.memberships.borrow_mut();
        let mut owed = Vec::with_capacity(next.len());
        for index in next {
            if let Some(membership) = memberships.get_mut(index) {
                membership.owed = false;
                owed.extend(find(index, membership));
            }
        }
        owed
    }

    /// Notes that a room has something for it. True if the worker should write it soon: it is
    /// neither blocked nor queued already.
    pub(crate) fn owe(&self, membership: u32) -> bool {
        if !self.is_open() {
            return false;
        }
        let mut memberships = self.memberships.borrow_mut();
        let Some(entry) = memberships.get_mut(membership) else { return false };
        let mut gate = self.gate.borrow_mut();
        if !entry.owed {
            entry.owed = true;
            gate.owe(membership);
        }
        !gate.is_blocked() && !self.queued.replace(true)
    }

    /// Lists a membership in the gate again, once: its room's turn is not over.
    pub(crate) fn list_again(&self, membership: u32) {
        if let Some(entry) = self.memberships.borrow_mut().get_mut(membership)
            && !std::mem::replace(&mut entry.owed, true)
        {
            self.gate.borrow_mut().owe(membership);
        }
    }
}
