//! Joins that wait: each finds its place in the log, in a page of history, or is told that the room
//! began anew.

use std::rc::Rc;

use roomcast_metrics::ResumeOutcome;
use roomcast_protocol::{ErrorCode, Lineage, Position, Seq, ServerFrame};
use tokio::time::Instant;

use super::chores::SLICE;
use super::{Reply, Worker};
use crate::hub::HubCommand;
use crate::room::{Attachment, Known, Pending, Plan, Reader, Room, plan};

/// How a join begins.
pub(super) struct Start {
    pub(super) reader: Reader,
    pub(super) at: Position,
    pub(super) outcome: Option<ResumeOutcome>,
    /// Told right after `joined`.
    pub(super) notice: Option<ServerFrame>,
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
        let (mut is_ahead, mut is_before) = (false, false);
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
                    let notice =
                        Some(ServerFrame::Reset { room: room.name.clone(), epoch, seq, lost });
                    let outcome = Some(ResumeOutcome::Reset);
                    ready.push((pending, Start { reader, at, outcome, notice }));
                }
                Plan::Page { .. } => {
                    is_before = true;
                    kept.push(pending);
                }
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
        if is_before {
            self.ask_page(room);
        }
    }

    /// The join is answered and the connection is a member.
    pub(super) fn admit(&self, room: &Rc<Room>, pending: Pending, start: Start) {
        let Pending { connection, id, since, then, .. } = pending;
        connection.end_join(room.id);
        if !connection.is_open() {
            return self.publish_all(&connection, then);
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
        self.publish_all(&connection, then);
        self.write_soon(&connection);
    }

    /// Refuses all joins of a room: at once if they are few, else in slices as if they had waited
    /// for too long, while the hub is asked again for those that come meanwhile.
    pub(super) fn refuse_soon(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        if state.pending.len() <= SLICE {
            let refused = std::mem::take(&mut state.pending);
            drop(state);
            return self.refuse_joins(room, refused, ErrorCode::BusUnavailable);
        }
        let now = Instant::now();
        state.pending.iter_mut().for_each(|pending| pending.deadline = now);
        if let Some(watch) = state.watch.take() {
            self.pending.borrow_mut().forget(watch);
        }
        let number = self.next_number();
        state.attachment = Attachment::Asked(number);
        drop(state);
        self.watch_pending(room);
        let (worker, room) = (self.index, room.name.clone());
        self.ask_hub(HubCommand::Attach { worker, room, number });
    }

    pub(super) fn refuse_joins(&self, room: &Rc<Room>, refused: Vec<Pending>, code: ErrorCode) {
        for Pending { connection, id, since, then, .. } in refused {
            connection.end_join(room.id);
            if since.is_some() {
                self.metrics.rooms.resumes[ResumeOutcome::Failed].inc();
            }
            self.refuse(
                &connection,
                id,
                Some(&room.name),
                (code, "the bus does not answer; try again"),
            );
            self.publish_all(&connection, then);
            self.write_soon(&connection);
        }
        self.forget_if_empty(room);
    }

    /// Sees to it that joins that wait do not wait for ever.
    pub(super) fn watch_pending(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        // The first has waited longest: all wait equally long.
        if let (None, Some(first)) = (state.watch, state.pending.first()) {
            let watch = self.pending.borrow_mut().watch(first.deadline, room.clone());
            state.watch = Some(watch);
        }
    }

    /// Refuses joins that have waited too long, up to `count` of them; whether others may have.
    pub(crate) fn refuse_late(&self, now: Instant, count: usize) -> bool {
        let mut left = count;
        while left > 0 {
            let due = self.pending.borrow_mut().take_due(now);
            let Some(room) = due else { return false };
            let mut state = room.state.borrow_mut();
            state.watch = None;
            let is_late = |pending: &&Pending| pending.deadline <= now;
            let late = state.pending.iter().take(left).take_while(is_late).count();
            let refused: Vec<Pending> = state.pending.drain(..late).collect();
            drop(state);
            self.watch_pending(&room);
            self.refuse_joins(&room, refused, ErrorCode::BusUnavailable);
            left -= late.clamp(1, left);
        }
        true
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
                pending.known = if good { Known::Good } else { Known::Bad(lineage.epoch) };
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
    since.seq.saturating_sub(lineage.kept_of(since.epoch, end.seq).unwrap_or(0))
}

#[cfg(test)]
mod tests;
