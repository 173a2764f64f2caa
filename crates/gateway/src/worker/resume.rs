//! Joins that wait and members that lie behind the log: each finds its place in the log, in a page
//! of history, or is told what is missing.

use std::rc::Rc;

use roomcast_metrics::{GapCause, ResumeOutcome};
use roomcast_protocol::{ErrorCode, Lineage, Position, Seq, ServerFrame};
use tokio::time::Instant;

use super::{Reply, Worker};
use crate::connection::Connection;
use crate::hub::{HubCommand, Page, PageAnswer};
use crate::room::{Attachment, Known, Pending, Plan, Reader, Room, plan};

/// How a join begins.
struct Start {
    reader: Reader,
    at: Position,
    outcome: Option<ResumeOutcome>,
    /// Told right after `joined`.
    notice: Option<ServerFrame>,
}

impl Worker {
    /// Answers every waiting join that can be answered now, and asks for what the others need.
    pub(super) fn resolve(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        if !matches!(state.attachment, Attachment::Live(_)) {
            return;
        }
        let mut ready = Vec::new();
        let mut kept = Vec::new();
        let mut is_ahead = false;
        for pending in std::mem::take(&mut state.pending) {
            match plan(&state.log, &state.lineage, &pending) {
                Plan::Log { cursor, at } => {
                    let outcome = pending.since.map(|_| ResumeOutcome::Recovered);
                    let reader = Reader::Log(cursor);
                    ready.push((pending, Start { reader, at, outcome, notice: None }));
                }
                Plan::Reset => {
                    let (reader, at) = (Reader::Log(state.log.end_cursor()), state.log.end());
                    let lost = lost(&state.lineage, at, pending.since);
                    let (epoch, seq) = (at.epoch, at.seq);
                    let notice = Some(ServerFrame::Reset { room: room.name.clone(), epoch, seq, lost });
                    let outcome = Some(ResumeOutcome::Reset);
                    ready.push((pending, Start { reader, at, outcome, notice }));
                }
                Plan::Page { .. } => kept.push(pending),
                Plan::Ahead => {
                    is_ahead |= pending.known == Known::Unasked;
                    kept.push(pending);
                }
            }
        }
        state.pending = kept;
        let ask_standing = is_ahead && !std::mem::replace(&mut state.standing_asked, is_ahead);
        drop(state);
        for (pending, start) in ready {
            self.admit(room, pending, start);
        }
        if ask_standing {
            self.ask_standing(room);
        }
        self.ask_page(room);
    }

    /// The join is answered and the connection is a member.
    fn admit(&self, room: &Rc<Room>, pending: Pending, start: Start) {
        let Pending { connection, id, since, .. } = pending;
        connection.joining.borrow_mut().retain(|waiting| !Rc::ptr_eq(waiting, room));
        if !connection.is_open() {
            return;
        }
        if let Some(outcome) = start.outcome {
            self.metrics.rooms.resumes[outcome].inc();
        }
        let recovered = since.map(|_| start.outcome == Some(ResumeOutcome::Recovered));
        connection.send(&ServerFrame::Joined {
            id,
            room: room.name.clone(),
            epoch: start.at.epoch,
            seq: start.at.seq,
            recovered,
            count: None,
            rev: None,
            members: None,
        });
        if let Some(notice) = start.notice {
            connection.send(&notice);
        }
        self.enter(&connection, room, start.reader);
        self.write_soon(&connection);
    }

    /// Lets the connection be written once this turn's other work is done.
    pub(super) fn write_soon(&self, connection: &Rc<Connection>) {
        if !connection.queued.replace(true) {
            self.later.borrow_mut().push(connection.clone());
            self.pass_wake.notify_one();
        }
    }

    /// Asks the hub for the page that the oldest reader behind the log needs, one at a time.
    pub(super) fn ask_page(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        if state.page_asked {
            return;
        }
        let Some(after) = state.oldest_wanted() else { return };
        state.page_asked = true;
        let (worker, room) = (self.index, room.name.clone());
        self.hub.ask(HubCommand::Page { worker, room, after });
    }

    /// A page is here, or will not come.
    pub(super) fn take_page(&self, room: &Rc<Room>, answer: PageAnswer) {
        room.state.borrow_mut().page_asked = false;
        match answer {
            PageAnswer::InLog => {}
            PageAnswer::Page(page) => self.read_page(room, &page),
            PageAnswer::Failed => {
                self.refuse_paged(room);
                self.give_up_waiting(room);
            }
        }
        self.move_waiting(room);
        self.resolve(room);
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
                    let start = start_in(room, page, after, pending.since.is_some(), &state);
                    ready.push((pending, start));
                }
                _ => kept.push(pending),
            }
        }
        state.pending = kept;
        let mut told = Vec::new();
        for (slot, connection, position) in state.waiting() {
            // After a reset it is moved to the new epoch, and told so, before it reads there.
            if position.epoch == page.epoch && page.serves(position.seq) {
                let reader = reader_in(page, position.seq, &state);
                state.place(slot, reader);
                told.push((slot, connection, page.missing(position.seq)));
            }
        }
        drop(state);
        for (pending, start) in ready {
            if let Some(ServerFrame::Gap { .. }) = start.notice {
                self.metrics.rooms.gaps[GapCause::History].inc();
            }
            self.admit(room, pending, start);
        }
        for (_, connection, missing) in told {
            if let Some((from, to)) = missing {
                self.metrics.rooms.gaps[GapCause::Budget].inc();
                connection.send(&ServerFrame::Gap { room: room.name.clone(), from, to });
            }
            self.owe(&connection, room);
        }
    }

    /// A member has something to read.
    fn owe(&self, connection: &Rc<Connection>, room: &Rc<Room>) {
        if let Some((membership, _)) = connection.membership_in(room) {
            if connection.owe(membership) {
                self.later.borrow_mut().push(connection.clone());
            }
            self.pass_wake.notify_one();
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

    /// Members that wait at a position of an older epoch go on in the current one where it still
    /// has what they had; the others begin at its end.
    fn rebase_waiting(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        let lineage = state.lineage.clone();
        let mut forked = Vec::new();
        for (slot, connection, position) in state.waiting() {
            if position.epoch == lineage.epoch {
                continue;
            }
            let (epoch, seq) = (lineage.epoch, position.seq);
            if lineage.base_of(position.epoch).is_some_and(|base| seq <= base) {
                state.place(slot, Reader::Waiting(Position { epoch, seq }));
                connection.send(&ServerFrame::Reset { room: room.name.clone(), epoch, seq, lost: 0 });
                self.write_soon(&connection);
            } else {
                forked.push((slot, connection, position));
            }
        }
        drop(state);
        for (slot, connection, position) in forked {
            self.skip_to_end(room, (&connection, slot), position, GapCause::Bus);
        }
    }

    /// The bus does not answer: members that were evicted are told what they miss.
    fn give_up_waiting(&self, room: &Rc<Room>) {
        let waiting = room.state.borrow_mut().waiting();
        for (slot, connection, position) in waiting {
            self.skip_to_end(room, (&connection, slot), position, GapCause::Budget);
        }
    }

    /// The same for joins that need a page.
    fn refuse_paged(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        let all = std::mem::take(&mut state.pending);
        let needs_page =
            |pending: &Pending| matches!(plan(&state.log, &state.lineage, pending), Plan::Page { .. });
        let (refused, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(needs_page);
        state.pending = kept;
        drop(state);
        self.refuse_joins(room, refused, ErrorCode::BusUnavailable);
    }

    /// Refuses all joins of a room.
    pub(super) fn refuse_pending(&self, room: &Rc<Room>, code: ErrorCode) {
        let refused = std::mem::take(&mut room.state.borrow_mut().pending);
        self.refuse_joins(room, refused, code);
    }

    fn refuse_joins(&self, room: &Rc<Room>, refused: Vec<Pending>, code: ErrorCode) {
        for Pending { connection, id, since, .. } in refused {
            connection.joining.borrow_mut().retain(|waiting| !Rc::ptr_eq(waiting, room));
            if since.is_some() {
                self.metrics.rooms.resumes[ResumeOutcome::Failed].inc();
            }
            self.refuse(&connection, id, Some(&room.name), (code, "the bus does not answer; try again"));
            self.write_soon(&connection);
        }
        self.forget_if_empty(room);
    }

    /// Refuses joins that have waited too long.
    pub(super) fn check_pending(&self) {
        let now = Instant::now();
        let mut rooms = std::mem::take(&mut *self.pending.borrow_mut());
        for room in &rooms {
            let mut state = room.state.borrow_mut();
            let all = std::mem::take(&mut state.pending);
            let (late, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|p| p.deadline <= now);
            state.pending = kept;
            drop(state);
            if !late.is_empty() {
                self.refuse_joins(room, late, ErrorCode::BusUnavailable);
            }
        }
        rooms.retain(|room| !room.state.borrow().pending.is_empty());
        self.pending.borrow_mut().append(&mut rooms);
    }

    /// Asks the bus where the room stands, once for all joins that name a later position.
    fn ask_standing(&self, room: &Rc<Room>) {
        let (bus, name) = (self.bus.clone(), room.name.clone());
        let replies = self.replies.clone();
        tokio::task::spawn_local(async move {
            let standing = bus.standing(&name).await;
            // The worker may have ended meanwhile.
            let _ = replies.send(Reply::Standing { room: name, standing });
        });
    }

    /// The bus has told where a room stands.
    pub(super) fn take_standing(
        &self,
        room: &Rc<Room>,
        standing: Result<(Lineage, Seq), roomcast_bus::ReadError>,
    ) {
        let mut state = room.state.borrow_mut();
        state.standing_asked = false;
        // Away: the joins wait for their deadline, or for another to ask.
        if let Ok((lineage, last)) = standing {
            for pending in &mut state.pending {
                let Some(since) = pending.since else { continue };
                let good = lineage.admits(since, last);
                pending.known = if good { Known::Good } else { Known::Bad };
            }
        }
        drop(state);
        self.resolve(room);
    }
}

/// How many messages of its epoch a reader at `since` has that the current epoch, which ends at
/// `end`, does not.
fn lost(lineage: &Lineage, end: Position, since: Option<Position>) -> u64 {
    let Some(since) = since else { return 0 };
    let shared =
        if since.epoch == end.epoch { Some(end.seq) } else { lineage.base_of(since.epoch) };
    since.seq.saturating_sub(shared.unwrap_or(0))
}

fn reader_in(page: &Page, after: Seq, state: &crate::room::RoomState) -> Reader {
    match &page.batch {
        Some(batch) => Reader::Page { page: batch.clone(), frame: batch.frame_after(after, 0) },
        None => state.after(Position { epoch: page.epoch, seq: page.to }),
    }
}

/// How a join at `after` begins that finds its place in a page.
fn start_in(
    room: &Room,
    page: &Page,
    after: Seq,
    is_resume: bool,
    state: &crate::room::RoomState,
) -> Start {
    let reader = reader_in(page, after, state);
    if !is_resume {
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
