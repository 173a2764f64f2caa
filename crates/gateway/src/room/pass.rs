//! The pass: one round of writes over a room's members, straight from the log, in chunks. What
//! arrives meanwhile collects for the next pass, so a busy room costs one system call per member
//! and burst, not per message.

use std::io::IoSlice;
use std::rc::Rc;

use super::round::EphemeralRound;
use super::{MAX_TURN_BYTES, MemberReader, RoomMember, RoomState, Run, write_run};
use crate::connection::Connection;
use crate::form::Form;
use crate::room_log::{Cursor, RoomLog};

/// Members written before the pass yields to the worker's other work: 2 ms or so.
pub(crate) const CHUNK: usize = 512;

/// Runs kept ready in a chunk. Members are at one or two cursors, in two forms; stragglers
/// share the last place.
const MAX_PREPARED: usize = 8;

/// A pass under way.
#[derive(Debug)]
pub(crate) struct PassState {
    next: usize,
    /// What it gives members beside the log.
    round: Option<Box<EphemeralRound>>,
    /// The end of the log when it began: if that has moved at the end, another pass is due.
    end: Cursor,
}

/// What a chunk did.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The pass is over and nothing has come since it began.
    pub(crate) done: bool,
    /// The pass is over.
    pub(crate) ended: bool,
    /// Members looked at.
    pub(crate) members: usize,
    /// Connections with frames of several rooms or control bytes waiting: to be
    /// written once, across all of it, after the chunk.
    pub(crate) deferred: Vec<Rc<Connection>>,
    /// Signals that members could not take.
    pub(crate) dropped: u64,
    /// Frames written to members.
    pub(crate) delivered: u64,
    /// Bytes written to members.
    pub(crate) bytes: u64,
    /// System calls that wrote.
    pub(crate) writes: u64,
}

/// Writes to the next few hundred members.
pub(crate) fn write_chunk(state: &mut RoomState) -> Chunk {
    let end = state.log.end_cursor();
    let pass = state.pass.get_or_insert_with(|| {
        state.members.pin();
        PassState { next: 0, round: state.waiting_items.take(), end }
    });
    let (prepared, chunk) = (Vec::new(), Chunk::default());
    let mut writer =
        Writer { log: &state.log, end, round: pass.round.as_deref_mut(), prepared, chunk };
    for member in state.members.chunk(pass.next, pass.next + CHUNK) {
        writer.write(member);
    }
    let mut chunk = writer.chunk;
    chunk.members = CHUNK.min(state.members.slots() - pass.next.min(state.members.slots()));
    pass.next += CHUNK;
    if pass.next >= state.members.slots() {
        chunk.ended = true;
        chunk.done = pass.end == end && !state.waiting_items.is_due();
        state.passed = pass.end.batch;
        state.pass = None;
        state.members.unpin();
    }
    chunk
}

/// A run that all members with the same cursor and form share, built once in a chunk.
struct Prepared<'a> {
    cursor: Cursor,
    form: Form,
    run: Run<'a>,
    slices: Vec<IoSlice<'a>>,
}

struct Writer<'a> {
    log: &'a RoomLog,
    end: Cursor,
    round: Option<&'a mut EphemeralRound>,
    prepared: Vec<Prepared<'a>>,
    chunk: Chunk,
}

impl<'a> Writer<'a> {
    fn write(&mut self, member: &mut RoomMember) {
        if let (Some(round), Some(connection)) = (&mut self.round, &member.connection) {
            let (dropped, gave) = round.give(connection, member);
            self.chunk.dropped += dropped;
            if gave && !connection.is_blocked() && !connection.queued.replace(true) {
                self.chunk.deferred.push(connection.clone());
            }
        }
        let (Some(connection), MemberReader::Log(cursor)) =
            (&member.connection, &mut member.reader)
        else {
            return;
        };
        if *cursor >= self.end {
            return;
        }
        if !connection.takes_runs() {
            return self.owe(connection, member.membership);
        }
        let wrote = if member.author {
            let author = Some(connection.id);
            let run = Run::of_log(self.log, *cursor, connection.form, author, MAX_TURN_BYTES);
            write_run(connection, &run, &run.slices())
        } else {
            let prepared = self.prepared(*cursor, connection.form);
            write_run(connection, &prepared.run, &prepared.slices)
        };
        *cursor = wrote.cursor;
        self.chunk.delivered += wrote.frames;
        self.chunk.bytes += wrote.bytes as u64;
        self.chunk.writes += u64::from(wrote.bytes > 0);
        if *cursor < self.end {
            self.owe(connection, member.membership);
        }
    }

    /// Leaves the rest to the connection's own turn; at once after this chunk unless it is blocked.
    fn owe(&mut self, connection: &Rc<Connection>, membership: u32) {
        if connection.owe(membership) {
            self.chunk.deferred.push(connection.clone());
        }
    }

    fn prepared(&mut self, cursor: Cursor, form: Form) -> &Prepared<'a> {
        let known = self.prepared.iter().position(|p| p.cursor == cursor && p.form == form);
        let at = known.unwrap_or_else(|| {
            let run = Run::of_log(self.log, cursor, form, None, MAX_TURN_BYTES);
            let slices = run.shared_slices();
            self.prepared.truncate(MAX_PREPARED - 1);
            self.prepared.push(Prepared { cursor, form, run, slices });
            self.prepared.len() - 1
        });
        &self.prepared[at]
    }
}
