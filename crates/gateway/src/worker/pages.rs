//! Pages of history for members and joins that lie behind the log: asked for one at a time, read
//! from there until the log is reached, or what is missing is told.

use std::rc::Rc;

use roomcast_metrics::{GapCause, ResumeOutcome};
use roomcast_protocol::{ErrorCode, Position, Seq, ServerFrame};

use super::Worker;
use super::resume::Start;
use crate::connection::Connection;
use crate::hub::{HubCommand, Page, PageAnswer};
use crate::room::{Pending, Plan, Reader, Room, RoomState, plan};

impl Worker {
    /// Asks the hub for the page that the oldest reader behind the log needs, one at a time. A member
    /// whose socket takes nothing gets a turn of writing when it does, and asks then.
    pub(super) fn ask_page(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        if state.page_asked {
            return;
        }
        let stalled = state.stalled();
        let wanted = state.oldest_wanted();
        state.page_asked = wanted.is_some();
        drop(state);
        stalled.iter().for_each(|connection| self.owe(connection, room));
        if let Some(after) = wanted {
            let (worker, room) = (self.index, room.name.clone());
            self.ask_hub(HubCommand::Page { worker, room, after });
        }
    }

    /// A page is here, or will not come.
    pub(super) fn take_page(&self, room: &Rc<Room>, answer: PageAnswer) {
        room.state.borrow_mut().page_asked = false;
        match answer {
            PageAnswer::InLog => {}
            PageAnswer::Page(page) => self.read_page(room, &page),
            // Members wait on, as those do who stand at the log's end: history may still hold what
            // they lack when the bus is back, and `joined` has promised it.
            PageAnswer::Failed => self.refuse_paged(room),
        }
        self.move_waiting(room);
        self.resolve(room);
        self.ask_page(room);
    }

    fn read_page(&self, room: &Rc<Room>, page: &Page) {
        let mut state = room.state.borrow_mut();
        if state.lineage.epoch != page.epoch {
            return;
        }
        let mut ready = Vec::new();
        let mut kept = Vec::new();
        for pending in std::mem::take(&mut state.pending) {
            match plan(&state.log, &state.lineage, &pending) {
                Plan::Page { after } if page.serves(after) => {
                    let start = start_in(room, page, after, &pending, &state);
                    ready.push((pending, start));
                }
                _ => kept.push(pending),
            }
        }
        state.pending = kept;
        let mut told = Vec::new();
        for (slot, connection, position) in state.waiting() {
            if connection.is_blocked() {
                continue;
            }
            // After a reset it is moved to the new epoch, and told so, before it reads there.
            if position.epoch == page.epoch && page.serves(position.seq) {
                let reader = reader_in(page, position.seq, &state);
                state.place(slot, reader);
                told.push((connection, page.missing(position.seq)));
            }
        }
        drop(state);
        for (pending, start) in ready {
            if let Some(ServerFrame::Gap { .. }) = start.notice {
                self.metrics.rooms.gaps[GapCause::History].inc();
            }
            self.admit(room, pending, start);
        }
        for (connection, missing) in told {
            if let Some((from, to)) = missing {
                self.metrics.rooms.gaps[GapCause::Budget].inc();
                connection.send(&ServerFrame::Gap { room: room.name.clone(), from, to });
            }
            self.owe(&connection, room);
        }
    }

    /// A member has something to read, or is to ask for it once its socket takes more.
    pub(super) fn owe(&self, connection: &Rc<Connection>, room: &Rc<Room>) {
        if let Some((membership, _)) = connection.membership_in(room.id)
            && connection.owe(membership)
        {
            self.write_later(connection);
        }
    }

    /// Members that wait although the log reaches back to them by now go on there.
    pub(super) fn move_waiting(&self, room: &Rc<Room>) {
        self.rebase_waiting(room);
        let mut moved = Vec::new();
        let mut state = room.state.borrow_mut();
        for (slot, connection, position) in state.waiting() {
            let reader = state.after(position);
            if let Reader::Log(_) = reader {
                state.place(slot, reader);
                moved.push(connection);
            }
        }
        drop(state);
        for connection in moved {
            self.owe(&connection, room);
        }
    }

    /// Members that wait at a position of an older epoch go on in the current one, from where it
    /// still has what they had.
    fn rebase_waiting(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        for (slot, connection, position) in state.waiting() {
            let kept = state.rebase(position);
            if kept != position {
                state.place(slot, Reader::Waiting(kept));
                Self::tell_reset(room, &connection, position, kept);
                self.write_soon(&connection);
            }
        }
    }

    /// The bus does not answer: joins that need a page are told so.
    fn refuse_paged(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        let all = std::mem::take(&mut state.pending);
        let needs_page = |pending: &Pending| {
            matches!(plan(&state.log, &state.lineage, pending), Plan::Page { .. })
        };
        let (refused, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(needs_page);
        state.pending = kept;
        drop(state);
        self.refuse_joins(room, refused, ErrorCode::BusUnavailable);
    }
}

fn reader_in(page: &Page, after: Seq, state: &RoomState) -> Reader {
    match &page.batch {
        Some(batch) => Reader::Page { page: batch.clone(), frame: batch.frame_after(after, 0) },
        None => state.after(Position { epoch: page.epoch, seq: page.to }),
    }
}

/// How a join at `after` begins that finds its place in a page.
fn start_in(room: &Room, page: &Page, after: Seq, pending: &Pending, state: &RoomState) -> Start {
    let reader = reader_in(page, after, state);
    if pending.since.is_none() {
        let at = Position { epoch: page.epoch, seq: after.max(page.start) };
        return Start { reader, at, outcome: None, notice: None };
    }
    let at = Position { epoch: page.epoch, seq: after };
    let missing = page.missing(after);
    let notice = missing.map(|(from, to)| ServerFrame::Gap { room: room.name.clone(), from, to });
    let outcome = if missing.is_some() { ResumeOutcome::Gap } else { ResumeOutcome::Recovered };
    Start { reader, at, outcome: Some(outcome), notice }
}

#[cfg(test)]
mod tests;
