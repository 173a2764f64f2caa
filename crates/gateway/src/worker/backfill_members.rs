//! Members that lie behind the log: they go on in the log once it reaches back to them, in another
//! epoch where they share it, or after a `gap` at the end of the log.

use std::rc::Rc;

use roomcast_metrics::GapCause;
use roomcast_protocol::{Position, ServerFrame};

use super::Worker;
use crate::connection::Connection;
use crate::room::{MemberReader, Room};

impl Worker {
    /// A member has something to read, or needs a page once its socket takes bytes again: queues its
    /// connection.
    pub(super) fn owe(&self, connection: &Rc<Connection>, room: &Rc<Room>) {
        if let Some((membership, _)) = connection.membership_in(room.id)
            && connection.owe(membership)
        {
            self.write_later(connection);
        }
    }

    /// Moves members that wait for a page into the log, where the log reaches back to them.
    pub(super) fn move_waiting(&self, room: &Rc<Room>) {
        if !room.keeps_state() {
            self.rebase_waiting(room);
        }
        let mut moved = Vec::new();
        let mut state = room.state.borrow_mut();
        for (slot, connection, position) in state.waiting() {
            let reader = state.after(position);
            if let MemberReader::Log(_) = reader {
                state.place(slot, reader);
                moved.push(connection);
            }
        }
        drop(state);
        for connection in moved {
            self.owe(&connection, room);
        }
    }

    /// Moves members that wait at a position of an older epoch to the last position that the current
    /// epoch shares with it.
    fn rebase_waiting(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        for (slot, connection, position) in state.waiting() {
            let kept = state.rebase(position);
            if kept != position {
                state.place(slot, MemberReader::Waiting(kept));
                Self::send_reset(room, &connection, position, kept);
                self.write_soon(&connection);
            }
        }
    }

    /// Sends `reset` to a member that moves from one position to another, if their epochs differ. It
    /// says how many messages that the member received are not part of the new epoch.
    fn send_reset(
        room: &Room,
        connection: &Connection,
        from: Position,
        Position { epoch, seq }: Position,
    ) {
        if from.epoch != epoch {
            let (room, lost) = (room.name.clone(), from.seq - seq);
            connection.send(&ServerFrame::reset(room, Position { epoch, seq }, lost));
        }
    }

    /// Moves a member from `position` to the end of the log, and sends it a `gap` for what it misses.
    pub(super) fn skip_to_end(
        &self,
        room: &Rc<Room>,
        (connection, slot): (&Rc<Connection>, u32),
        position: Position,
        cause: GapCause,
    ) {
        let mut state = room.state.borrow_mut();
        let to = state.log.end().seq;
        let reader = MemberReader::Log(state.log.end_cursor());
        state.place(slot, reader);
        let kept = state.rebase(position);
        drop(state);
        Self::send_reset(room, connection, position, kept);
        let from = kept.seq + 1;
        if from <= to {
            self.metrics.rooms.gaps[cause].inc();
            connection.send(&ServerFrame::gap(room.name.clone(), (from, to)));
        }
        self.write(connection);
    }
}
