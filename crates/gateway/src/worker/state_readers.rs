//! Readers of rooms with state that the log does not serve: joins, which begin with a snapshot, and
//! members and resumes behind the log, which get the newest message of each key that changed, or a
//! snapshot where a removal is forgotten. What they get is in the view that the hub sends.

use std::rc::Rc;
use std::sync::Arc;

use roomcast_metrics::{GapCause, ResumeOutcome, SlowAction, StateForm};
use roomcast_protocol::{CloseCode, Position, Seq, ServerFrame};

use super::Worker;
use super::backfill_joins::{JoinStart, lost};
use crate::connection::Connection;
use crate::room::{
    Attachment, Laggard, LaggardVerdict, MemberReader, PendingJoin, PositionCheck, Room, RoomState,
    StartPoint, start_point_in_state,
};
use crate::room_log::{Batch, Cursor, LogEntry, RoomLog, StateView};

/// Snapshots of one room that members may still be reading beside the newest one.
const MAX_OLD_SNAPSHOTS: usize = 3;

/// What is served to a reader of a room with state.
enum StateStart {
    /// The newest messages of the keys that changed.
    Changes(Arc<Batch>),
    /// All values.
    Snapshot(Arc<Batch>),
}

impl Worker {
    /// The hub has sent a view of a room's state.
    pub(super) fn take_state(&self, room: &Rc<Room>, view: &StateView) {
        room.state.borrow_mut().page_asked = false;
        self.serve_state(room, Some(view));
        self.end_old_snapshots(room, view);
    }

    /// Closes members whose sockets take nothing in the middle of an old snapshot, where too many old
    /// ones are held: each is as large as the room's state.
    fn end_old_snapshots(&self, room: &Rc<Room>, view: &StateView) {
        let mut old: Vec<(Arc<Batch>, Vec<Rc<Connection>>)> = Vec::new();
        for (_, member) in room.state.borrow_mut().members.iter_mut() {
            let (MemberReader::Page { page, .. }, Some(connection)) =
                (&member.reader, &member.connection)
            else {
                continue;
            };
            if !page.is_snapshot() || Arc::ptr_eq(page, &view.snapshot) {
                continue;
            }
            match old.iter_mut().find(|(known, _)| Arc::ptr_eq(known, page)) {
                Some((_, connections)) => connections.push(connection.clone()),
                None => old.push((page.clone(), vec![connection.clone()])),
            }
        }
        if old.len() <= MAX_OLD_SNAPSHOTS {
            return;
        }
        old.sort_by_key(|(page, _)| page.end().seq);
        old.truncate(old.len() - MAX_OLD_SNAPSHOTS);
        for connection in old.into_iter().flat_map(|(_, connections)| connections) {
            if connection.is_blocked() {
                self.metrics.delivery.slow[SlowAction::Closed].inc();
                tracing::info!(%connection, room = %room.name, "closed: stalls in an old snapshot");
                self.close(&connection, CloseCode::Slow);
            }
        }
    }

    /// Answers the joins and moves on the members that the log serves, or the view; if others are left
    /// that need one, asks for it. A member whose socket takes no bytes asks in its next turn.
    pub(super) fn serve_state(&self, room: &Rc<Room>, view: Option<&StateView>) {
        let usable = |view: &&StateView| view.leads_into(&room.state.borrow().log);
        let view = view.filter(usable);
        let joins = self.serve_joins(room, view);
        self.move_waiting(room);
        let members = self.serve_members(room, view);
        let Some(least) = joins.into_iter().chain(members).max() else { return };
        let mut state = room.state.borrow_mut();
        let is_live = matches!(state.attachment, Attachment::Live(_));
        if is_live && !std::mem::replace(&mut state.page_asked, is_live) {
            drop(state);
            self.hub.state(room.name.clone(), least);
        }
    }

    /// Answers the joins that wait. The seq that a view must have reached for the others, if any need
    /// one.
    fn serve_joins(&self, room: &Rc<Room>, view: Option<&StateView>) -> Option<Seq> {
        self.appear_all(room);
        let mut state = room.state.borrow_mut();
        if state.pending.is_empty() || !matches!(state.attachment, Attachment::Live(_)) {
            return None;
        }
        let (mut ready, mut kept) = (Vec::new(), Vec::new());
        let (mut is_ahead, mut wanted) = (false, None);
        for pending in std::mem::take(&mut state.pending) {
            let point = start_point_in_state(&state.log, &state.lineage, &pending);
            if point == StartPoint::Asked {
                kept.push(pending);
            } else if let StartPoint::Ahead = point {
                is_ahead |= pending.known == PositionCheck::Unasked;
                kept.push(pending);
            } else if let Some(start) = log_start(&state.log, point, &pending) {
                ready.push((pending, start));
            } else {
                let least = least_of(&state, point, &pending);
                match view.filter(|view| view.at.seq >= least) {
                    Some(view) => {
                        let start = self.start_in_state(room, &state, view, (point, &pending));
                        ready.push((pending, start));
                    }
                    None => {
                        wanted = wanted.max(Some(least));
                        kept.push(pending);
                    }
                }
            }
        }
        state.pending = kept;
        let ask_standing = is_ahead && !std::mem::replace(&mut state.standing_asked, is_ahead);
        drop(state);
        self.admit_all(room, ready);
        if ask_standing {
            self.ask_standing(room);
        }
        wanted
    }

    /// How a join begins that the log does not serve.
    fn start_in_state(
        &self,
        room: &Room,
        state: &RoomState,
        view: &StateView,
        (point, pending): (StartPoint, &PendingJoin),
    ) -> JoinStart {
        let end = view.at;
        let Some(since) = pending.since else {
            let reader = self.reader_of(StateStart::Snapshot(view.snapshot.clone()));
            return JoinStart { reader, at: end, outcome: None, notice: None, has_snapshot: true };
        };
        if let StartPoint::Page { after } = point
            && let Some(batch) = view.page(after)
        {
            let is_whole = batch.end().seq == end.seq
                && batch.entries().iter().all(|entry| matches!(entry, LogEntry::Message(_)));
            let outcome = if is_whole { ResumeOutcome::Recovered } else { ResumeOutcome::Gap };
            let reader = self.reader_of(StateStart::Changes(Arc::new(batch)));
            let at = Position { epoch: end.epoch, seq: after };
            let outcome = Some(outcome);
            return JoinStart { reader, at, outcome, notice: None, has_snapshot: false };
        }
        let reader = self.reader_of(StateStart::Snapshot(view.snapshot.clone()));
        let name = room.name.clone();
        let (at, outcome, notice) = match point {
            StartPoint::Page { after: seq } | StartPoint::Log { at: Position { seq, .. }, .. } => {
                self.metrics.rooms.gaps[GapCause::History].inc();
                let at = Position { epoch: end.epoch, seq };
                (at, ResumeOutcome::Gap, state_gap(name, (seq + 1, end.seq)))
            }
            StartPoint::Reset | StartPoint::Ahead | StartPoint::Asked => {
                let lost = lost(&state.lineage, state.log.end(), Some(since));
                (end, ResumeOutcome::Reset, state_reset(name, end, lost))
            }
        };
        let (outcome, notice) = (Some(outcome), Some(notice));
        JoinStart { reader, at, outcome, notice, has_snapshot: true }
    }

    /// Moves on the members that wait behind the log. The seq that a view must have reached for the
    /// others, if there are any.
    fn serve_members(&self, room: &Rc<Room>, view: Option<&StateView>) -> Option<Seq> {
        let mut state = room.state.borrow_mut();
        let stalled = state.stalled();
        let (mut moved, mut wanted) = (Vec::new(), None);
        for (slot, connection, position) in state.waiting() {
            if connection.is_blocked() {
                continue;
            }
            let Some(view) = view else {
                wanted = Some(0);
                break;
            };
            let is_kin = position.epoch == view.at.epoch;
            let page = if is_kin { view.page(position.seq) } else { None };
            let notice = match &page {
                Some(_) => None,
                None if is_kin => {
                    let missed = (position.seq + 1, view.at.seq);
                    Some(state_gap(room.name.clone(), missed))
                }
                None => {
                    let lost = position.seq - state.rebase(position).seq;
                    Some(state_reset(room.name.clone(), view.at, lost))
                }
            };
            let start = match page {
                Some(page) => StateStart::Changes(Arc::new(page)),
                None => StateStart::Snapshot(view.snapshot.clone()),
            };
            let reader = self.reader_of(start);
            state.place(slot, reader);
            moved.push((connection, notice));
        }
        drop(state);
        stalled.iter().for_each(|connection| self.owe(connection, room));
        for (connection, notice) in moved {
            if let Some(notice) = notice {
                connection.send(&notice);
            }
            self.owe(&connection, room);
            self.write_soon(&connection);
        }
        wanted
    }

    fn reader_of(&self, start: StateStart) -> MemberReader {
        let served = &self.metrics.rooms.state_served;
        let page = match start {
            StateStart::Changes(page) => {
                served[StateForm::Conflated].inc();
                page
            }
            StateStart::Snapshot(page) => {
                served[StateForm::Snapshot].inc();
                page
            }
        };
        MemberReader::Page { page, frame: 0 }
    }

    /// Members of a room with state that need batches which the log has dropped wait for a view,
    /// whatever made them fall behind.
    pub(super) fn judge_in_state(&self, room: &Rc<Room>, fallen: Vec<Laggard>) {
        if fallen.is_empty() {
            return;
        }
        for Laggard { slot, position, verdict, .. } in fallen {
            if verdict == LaggardVerdict::Slow {
                self.metrics.delivery.slow[SlowAction::Conflated].inc();
            }
            room.state.borrow_mut().place(slot, MemberReader::Waiting(position));
        }
        self.serve_state(room, None);
    }
}

/// How a join with `since` begins that the log serves. `None` where there is no `since`, or the log has
/// something that the reader may not read back to.
fn log_start(log: &RoomLog, point: StartPoint, pending: &PendingJoin) -> Option<JoinStart> {
    let StartPoint::Log { cursor, at } = point else { return None };
    pending.since?;
    let is_withheld = |oldest: u64| first_message(log, cursor) < log.cursor_since(oldest, cursor);
    if pending.oldest.is_some_and(is_withheld) {
        return None;
    }
    let (reader, outcome) = (MemberReader::Log(cursor), Some(ResumeOutcome::Recovered));
    Some(JoinStart { reader, at, outcome, notice: None, has_snapshot: false })
}

/// The first message at or after a cursor.
fn first_message(log: &RoomLog, cursor: Cursor) -> Cursor {
    log.cursor_since(0, cursor)
}

/// The seq that a view must have reached for a join that begins here.
fn least_of(state: &RoomState, point: StartPoint, pending: &PendingJoin) -> Seq {
    match (point, pending.since) {
        // What it keeps does not come again.
        (StartPoint::Reset, Some(since)) => {
            let kept = state.lineage.kept_of(since.epoch, state.log.end().seq).unwrap_or(0);
            since.seq.min(kept)
        }
        (StartPoint::Log { at, .. }, Some(_)) => at.seq,
        _ => 0,
    }
}

fn state_gap(room: roomcast_protocol::RoomName, (from, to): (Seq, Seq)) -> ServerFrame {
    ServerFrame::Gap { room, from, to, conflated: false, state: true }
}

fn state_reset(room: roomcast_protocol::RoomName, at: Position, lost: u64) -> ServerFrame {
    ServerFrame::Reset { room, epoch: at.epoch, seq: at.seq, lost, state: true }
}
