//! Backfill of a room: pages of history for members and joins behind the log. The worker asks the hub
//! for one page at a time, and its readers read pages until they reach the log. Where messages are
//! missing, they get a `gap`.

use std::rc::Rc;

use roomcast_metrics::{GapCause, ResumeOutcome};
use roomcast_protocol::{ErrorCode, Position, Seq, ServerFrame};

use super::Worker;
use super::backfill_joins::{JoinStart, withheld_start};
use crate::hub::{BackfillAnswer, BackfillPage};
use crate::room::{MemberReader, PendingJoin, Room, RoomState, StartPoint, start_point};

impl Worker {
    /// Asks the hub for the page that the oldest reader behind the log needs, unless a request is under
    /// way. A member whose socket takes no bytes does not count: it asks in its next turn of writing.
    pub(super) fn request_backfill(&self, room: &Rc<Room>) {
        if room.keeps_state() {
            return self.serve_state(room, None);
        }
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
            self.hub.backfill(room.name.clone(), after);
        }
    }

    /// The hub has answered a request for backfill.
    pub(super) fn take_backfill(&self, room: &Rc<Room>, answer: BackfillAnswer) {
        room.state.borrow_mut().page_asked = false;
        match answer {
            BackfillAnswer::InLog => {}
            BackfillAnswer::Page(page) => self.read_page(room, &page),
            // Members go on waiting: the history may still hold what they lack when the bus answers
            // again, and `joined` has promised it.
            BackfillAnswer::Failed => self.refuse_paged(room),
        }
        self.move_waiting(room);
        self.resolve(room);
        self.request_backfill(room);
    }

    /// Moves the joins and members that a page serves into it.
    fn read_page(&self, room: &Rc<Room>, page: &BackfillPage) {
        let mut state = room.state.borrow_mut();
        if state.lineage.epoch != page.epoch {
            return;
        }
        let mut ready = Vec::new();
        let mut kept = Vec::new();
        for mut pending in std::mem::take(&mut state.pending) {
            match start_point(&state.log, &state.lineage, &pending) {
                StartPoint::Page { after } if page.serves(after) && pending.oldest.is_some() => {
                    match recent_start_in(room, page, after, &pending) {
                        Some(start) => ready.push((pending, start)),
                        None => {
                            let (epoch, seq) = (page.epoch, page.to);
                            pending.withheld = Some(Position { epoch, seq });
                            kept.push(pending);
                        }
                    }
                }
                StartPoint::Page { after } if page.serves(after) => {
                    let start = start_in(room, page, after, &pending, &state);
                    ready.push((pending, start));
                }
                _ => kept.push(pending),
            }
        }
        state.pending = kept;
        let mut moved = Vec::new();
        for (slot, connection, position) in state.waiting() {
            if connection.is_blocked() {
                continue;
            }
            // After a reset, a member gets `reset` first (`rebase_waiting`).
            if position.epoch == page.epoch && page.serves(position.seq) {
                let reader = reader_in(page, position.seq, &state);
                state.place(slot, reader);
                moved.push((connection, page.missing(position.seq)));
            }
        }
        drop(state);
        let gaps =
            ready.iter().filter(|(_, start)| matches!(start.notice, Some(ServerFrame::Gap { .. })));
        self.metrics.rooms.gaps[GapCause::History].inc_by(gaps.count() as u64);
        self.admit_all(room, ready);
        for (connection, missing) in moved {
            if let Some((from, to)) = missing {
                self.metrics.rooms.gaps[GapCause::Budget].inc();
                connection.send(&ServerFrame::gap(room.name.clone(), (from, to)));
            }
            self.owe(&connection, room);
        }
    }

    /// The bus does not answer: refuses the joins that need a page.
    fn refuse_paged(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        let all = std::mem::take(&mut state.pending);
        let needs_page = |pending: &PendingJoin| {
            matches!(start_point(&state.log, &state.lineage, pending), StartPoint::Page { .. })
        };
        let (refused, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(needs_page);
        state.pending = kept;
        drop(state);
        self.refuse_joins(room, refused, ErrorCode::BusUnavailable);
    }
}

/// Where a reader goes on that has all messages up to `after`, which the page serves.
fn reader_in(page: &BackfillPage, after: Seq, state: &RoomState) -> MemberReader {
    match &page.batch {
        Some(batch) => {
            MemberReader::Page { page: batch.clone(), frame: batch.frame_after(after, 0) }
        }
        None => state.after(Position { epoch: page.epoch, seq: page.to }),
    }
}

/// How a join begins whose reader may not read history, and that the page serves at `after`; `None`
/// if the page has nothing recent.
fn recent_start_in(
    room: &Room,
    page: &BackfillPage,
    after: Seq,
    pending: &PendingJoin,
) -> Option<JoinStart> {
    let batch = page.batch.as_ref()?;
    let frame = batch.frame_since(pending.oldest?, batch.frame_after(after, 0));
    if frame == batch.len() {
        return None;
    }
    let end = batch.position_before(frame);
    let reader = MemberReader::Page { page: batch.clone(), frame };
    Some(withheld_start(room, pending, reader, end))
}

/// How a join begins that the page serves at `after`.
fn start_in(
    room: &Room,
    page: &BackfillPage,
    after: Seq,
    pending: &PendingJoin,
    state: &RoomState,
) -> JoinStart {
    let reader = reader_in(page, after, state);
    if pending.since.is_none() {
        let at = Position { epoch: page.epoch, seq: after.max(page.start) };
        return JoinStart { reader, at, outcome: None, notice: None, has_snapshot: false };
    }
    let at = Position { epoch: page.epoch, seq: after };
    let missing = page.missing(after);
    let notice = missing.map(|(from, to)| ServerFrame::gap(room.name.clone(), (from, to)));
    let outcome = if missing.is_some() { ResumeOutcome::Gap } else { ResumeOutcome::Recovered };
    JoinStart { reader, at, outcome: Some(outcome), notice, has_snapshot: false }
}

#[cfg(test)]
mod tests;
