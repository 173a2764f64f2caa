//! Writing to the socket. Nothing else in the node writes to it, and nothing is written but what
//! the gate says: a room's run while the gate is clear, or a turn over everything that waits.

use std::cell::Ref;
use std::io::{self, IoSlice};
use std::rc::Rc;

use super::{Connection, Phase};
use crate::log::Cursor;
use crate::room::{MAX_TURN_BYTES, Reader, Room, RoomState, Run, Settled};

/// Rooms written in one turn; 7 runs of at most 128 slices and two of the gate's own stay below
/// IOV_MAX (1024).
const MAX_ROOMS: usize = 7;

/// What writing a run came to.
#[derive(Debug)]
pub(crate) struct Wrote {
    /// Where the reader stands now.
    pub(crate) cursor: Cursor,
    /// Frames begun or finished.
    pub(crate) frames: u64,
    /// Bytes the socket took.
    pub(crate) bytes: usize,
}

/// What a turn of writing came to.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Something is left, and the socket may take it at once.
    pub(crate) more: bool,
    /// Room frames begun or finished.
    pub(crate) frames: u64,
    /// Bytes the socket took.
    pub(crate) bytes: usize,
    /// Rooms in which this member came to the end of a page and the log does not reach back.
    pub(crate) page_ended: Vec<Rc<Room>>,
}

impl Connection {
    /// Whether a pass may write a run to it directly: it is in one room and nothing waits.
    pub(crate) fn takes_runs(&self) -> bool {
        let gate = self.gate.borrow();
        self.joined.get() == 1 && gate.is_clear() && !gate.owes() && self.is_open()
    }

    /// Writes a run while the gate is clear. What the socket does not take is noted in the gate.
    pub(crate) fn write_run(&self, run: &Run<'_>, slices: &[IoSlice<'_>]) -> Wrote {
        let bytes = if run.bytes() == 0 { 0 } else { self.write_slices(slices, run.bytes()) };
        if bytes == run.bytes() {
            return Wrote { cursor: run.end(), frames: run.frames(), bytes };
        }
        let Settled { cursor, rest, frames } = run.settle(bytes);
        self.begin(rest);
        Wrote { cursor, frames, bytes }
    }

    /// One system call. A short write blocks the gate until the socket is writable; an error ends
    /// the connection.
    fn write_slices(&self, slices: &[IoSlice<'_>], total: usize) -> usize {
        let written = match self.socket.try_write(slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.fail();
                0
            }
        };
        if written < total {
            self.gate.borrow_mut().block();
            self.wake();
        }
        written
    }

    /// Writes what waits, once across everything: the frame begun, control, then rooms in turn,
    /// each with an equal share of the turn.
    pub(crate) fn write_turn(&self) -> Turn {
        if self.gate.borrow().is_blocked() || matches!(self.phase.get(), Phase::Gone(_)) {
            return Turn::default();
        }
        let owed = self.take_owed();
        let states: Vec<Ref<'_, RoomState>> =
            owed.iter().map(|(_, room, _)| room.state.borrow()).collect();
        let share = MAX_TURN_BYTES / owed.len().max(1);
        let runs: Vec<Run<'_>> = (states.iter().zip(&owed))
            .map(|(state, &(_, _, slot))| self.run(state, slot, share))
            .collect();

        let bytes = self.write_across(&runs);
        let mut beyond = self.written(bytes);
        let mut settled = Vec::with_capacity(runs.len());
        for run in &runs {
            let taken = beyond.min(run.bytes());
            beyond -= taken;
            settled.push(run.settle(taken));
        }
        drop(runs);
        drop(states);
        self.settle(owed, settled, bytes)
    }

    /// Writes the frame begun, control and the runs in one system call. The gate lends its bytes
    /// for that time: it must not be borrowed, as a short write is noted in it.
    fn write_across(&self, runs: &[Run<'_>]) -> usize {
        let lent = self.gate.borrow_mut().lend();
        let first = lent.slices().into_iter().filter(|bytes| !bytes.is_empty());
        let slices: Vec<IoSlice<'_>> =
            first.map(IoSlice::new).chain(runs.iter().flat_map(Run::slices)).collect();
        let total = slices.iter().map(|slice| slice.len()).sum();
        let bytes = if total == 0 { 0 } else { self.write_slices(&slices, total) };
        drop(slices);
        self.gate.borrow_mut().give_back(lent);
        bytes
    }

    /// Keeps what is left of a frame that was begun, and counts it.
    fn begin(&self, rest: Vec<u8>) {
        let mut gate = self.gate.borrow_mut();
        gate.begin(rest);
        self.stalled.set(self.stalled.get() + gate.rest_held());
    }

    /// Takes what was written off the gate's own bytes; returns how many bytes lie beyond.
    fn written(&self, bytes: usize) -> usize {
        let mut gate = self.gate.borrow_mut();
        let before = gate.rest_held();
        let beyond = gate.written(bytes);
        self.stalled.set(self.stalled.get() - (before - gate.rest_held()));
        beyond
    }

    /// The rooms whose turn it is: membership, room, slot.
    fn take_owed(&self) -> Vec<(u32, Rc<Room>, u32)> {
        let next = self.gate.borrow_mut().next_owed(MAX_ROOMS);
        let mut memberships = self.memberships.borrow_mut();
        let mut owed = Vec::with_capacity(next.len());
        for index in next {
            if let Some(membership) = memberships.get_mut(index) {
                membership.owed = false;
                owed.push((index, membership.room.clone(), membership.slot));
            }
        }
        owed
    }

    fn run<'a>(&self, state: &'a RoomState, slot: u32, share: usize) -> Run<'a> {
        let member = state.members.at(slot);
        let author = member.author.then_some(self.id);
        match &member.reader {
            Reader::Log(cursor) => Run::of_log(&state.log, *cursor, self.encoding, author, share),
            Reader::Page { page, frame } => {
                Run::of_page(page, *frame, self.encoding, author, share)
            }
            Reader::Waiting(_) => Run::empty(),
        }
    }

    /// Moves the readers and keeps what is left.
    fn settle(&self, owed: Vec<(u32, Rc<Room>, u32)>, settled: Vec<Settled>, bytes: usize) -> Turn {
        let mut turn = Turn { bytes, ..Turn::default() };
        let is_blocked = self.is_blocked();
        for ((membership, room, slot), Settled { cursor, rest, frames }) in
            owed.into_iter().zip(settled)
        {
            turn.frames += frames;
            if !rest.is_empty() {
                self.begin(rest);
            }
            let mut state = room.state.borrow_mut();
            state.advance(slot, cursor);
            if is_blocked {
                // However many stall in history, they hold none of it.
                state.put_page_down(slot);
            }
            let waits = state.is_waiting(slot);
            if state.is_behind(slot) || waits && is_blocked {
                self.list(membership);
            } else if waits {
                drop(state);
                turn.page_ended.push(room);
            }
        }
        let gate = self.gate.borrow();
        turn.more = !gate.is_blocked() && !gate.is_empty();
        turn
    }

    /// Lists a membership in the gate, once.
    fn list(&self, membership: u32) {
        if let Some(entry) = self.memberships.borrow_mut().get_mut(membership)
            && !std::mem::replace(&mut entry.owed, true)
        {
            self.gate.borrow_mut().owe(membership);
        }
    }
}
