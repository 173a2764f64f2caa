//! Writing what rooms have for a connection: one room's run while the connection's gate is clear, or
//! a turn over all that waits. The gate says what may be written; the socket is the connection's.

use std::cell::Ref;
use std::io::IoSlice;
use std::rc::Rc;

use super::{MAX_TURN_BYTES, MemberReader, Room, RoomSlab, RoomState, Run, Settled};
use crate::connection::Connection;
use crate::room_log::Cursor;

/// Rooms written in one turn; 7 runs of at most 128 slices and two of the gate's own stay below
/// IOV_MAX (1024).
const MAX_ROOMS: usize = 7;

/// What writing a run came to.
#[derive(Debug)]
pub(super) struct WroteRun {
    /// Where the reader is now.
    pub(super) cursor: Cursor,
    /// Frames begun or finished.
    pub(super) frames: u64,
    /// Bytes the socket took.
    pub(super) bytes: usize,
}

/// What a turn of writing came to.
#[derive(Debug, Default)]
pub(crate) struct WroteTurn {
    /// Something is left, and the socket may take it at once.
    pub(crate) more: bool,
    /// Room frames begun or finished.
    pub(crate) frames: u64,
    /// Bytes the socket took.
    pub(crate) bytes: usize,
    /// Rooms in which this member came to the end of a page and the log does not reach back.
    pub(crate) page_ended: Vec<Rc<Room>>,
}

/// One of the rooms whose turn it is.
struct RoomTurn {
    /// The connection's membership in it.
    membership: u32,
    room: Rc<Room>,
    slot: u32,
}

/// Writes a run while the gate is clear. What the socket does not take is noted in the gate.
pub(super) fn write_run(
    connection: &Connection,
    run: &Run<'_>,
    slices: &[IoSlice<'_>],
) -> WroteRun {
    let bytes = if run.bytes() == 0 { 0 } else { connection.write_slices(slices, run.bytes()) };
    if bytes == run.bytes() {
        return WroteRun { cursor: run.end(), frames: run.frames(), bytes };
    }
    let Settled { cursor, rest, frames } = run.settle(bytes);
    connection.keep_rest(rest);
    WroteRun { cursor, frames, bytes }
}

/// Writes what waits, once across everything: the frame begun, control, then rooms in turn, each
/// with an equal share of the turn.
pub(crate) fn write_turn(connection: &Connection, rooms: &RoomSlab) -> WroteTurn {
    if !connection.may_write() {
        return WroteTurn::default();
    }
    let turns = take_turns(connection, rooms);
    let states: Vec<Ref<'_, RoomState>> =
        turns.iter().map(|turn| turn.room.state.borrow()).collect();
    let share = MAX_TURN_BYTES / turns.len().max(1);
    let runs: Vec<Run<'_>> = (states.iter().zip(&turns))
        .map(|(state, turn)| run(connection, state, turn.slot, share))
        .collect();

    let bytes = connection.write_across(runs.iter().flat_map(Run::slices));
    let mut beyond = connection.written(bytes);
    let mut settled = Vec::with_capacity(runs.len());
    for run in &runs {
        let taken = beyond.min(run.bytes());
        beyond -= taken;
        settled.push(run.settle(taken));
    }
    drop(runs);
    drop(states);
    settle(connection, turns, settled, bytes)
}

/// The rooms whose turn it is. A membership ends before its room does, so each is found.
fn take_turns(connection: &Connection, rooms: &RoomSlab) -> Vec<RoomTurn> {
    connection.take_owed(MAX_ROOMS, |membership, entry| {
        let room = rooms.by_id(entry.room)?.clone();
        Some(RoomTurn { membership, room, slot: entry.slot? })
    })
}

fn run<'a>(connection: &Connection, state: &'a RoomState, slot: u32, share: usize) -> Run<'a> {
    let member = state.members.at(slot);
    let author = member.author.then_some(connection.id);
    match &member.reader {
        MemberReader::Log(cursor) => {
            Run::of_log(&state.log, *cursor, connection.form, author, share)
        }
        MemberReader::Page { page, frame } => {
            Run::of_page(page, *frame, connection.form, author, share)
        }
        MemberReader::Waiting(_) => Run::empty(),
    }
}

/// Moves the readers and keeps what is left.
fn settle(
    connection: &Connection,
    turns: Vec<RoomTurn>,
    settled: Vec<Settled>,
    bytes: usize,
) -> WroteTurn {
    let mut wrote = WroteTurn { bytes, ..WroteTurn::default() };
    let is_blocked = connection.is_blocked();
    for (RoomTurn { membership, room, slot }, Settled { cursor, rest, frames }) in
        turns.into_iter().zip(settled)
    {
        wrote.frames += frames;
        if !rest.is_empty() {
            connection.keep_rest(rest);
        }
        let mut state = room.state.borrow_mut();
        state.advance(slot, cursor);
        if is_blocked {
            // However many stall in history, they hold none of it.
            state.put_page_down(slot);
        }
        let waits = state.is_waiting(slot);
        if state.is_behind(slot) || waits && is_blocked {
            connection.list_again(membership);
        } else if waits {
            drop(state);
            wrote.page_ended.push(room);
        }
    }
    wrote.more = connection.has_more();
    wrote
}
