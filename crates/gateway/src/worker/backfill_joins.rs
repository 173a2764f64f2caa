//! Where joins begin: each that waits finds its place in the log or in a page of backfill, or gets
//! `reset` if the room continues without its position. A position that this node has not seen yet is
//! checked with the bus.

use std::rc::Rc;

use roomcast_metrics::ResumeOutcome;
use roomcast_protocol::{ErrorCode, Lineage, Position, Seq, ServerFrame};

use super::people::{departure, has_presence};
use super::{BusAnswer, Worker};
use crate::permit::ListInterest;
use crate::room::{
    Attachment, JoinPresence, MemberReader, PendingJoin, PositionCheck, ReplacedJoin, Room,
    StartPoint, start_point,
};

/// How a join begins.
pub(super) struct JoinStart {
    pub(super) reader: MemberReader,
    /// The position in `joined`.
    pub(super) at: Position,
    /// Of a join with `since`: what became of the resume.
    pub(super) outcome: Option<ResumeOutcome>,
    /// `gap` or `reset`, sent right after `joined`.
    pub(super) notice: Option<ServerFrame>,
    /// A snapshot of the room's state follows.
    pub(super) has_snapshot: bool,
}

impl Worker {
    /// Answers every waiting join that can be answered now, and asks for what the others need.
    pub(super) fn resolve(&self, room: &Rc<Room>) {
        if room.keeps_state() {
            return self.serve_state(room, None);
        }
        self.appear_all(room);
        let mut state = room.state.borrow_mut();
        if !matches!(state.attachment, Attachment::Live(_)) {
            return;
        }
        let mut ready = Vec::new();
        let mut kept = Vec::new();
        let (mut is_ahead, mut is_before) = (false, false);
        for pending in std::mem::take(&mut state.pending) {
            match start_point(&state.log, &state.lineage, &pending) {
                StartPoint::Log { cursor, at } => {
                    let start = match pending.oldest {
                        Some(oldest) => {
                            let cursor = state.log.cursor_since(oldest, cursor);
                            let end = state.log.position_of(cursor);
                            withheld_start(room, &pending, MemberReader::Log(cursor), end)
                        }
                        None => {
                            let outcome = pending.since.map(|_| ResumeOutcome::Recovered);
                            let reader = MemberReader::Log(cursor);
                            JoinStart { reader, at, outcome, notice: None, has_snapshot: false }
                        }
                    };
                    ready.push((pending, start));
                }
                StartPoint::Reset => {
                    let (reader, at) = (MemberReader::Log(state.log.end_cursor()), state.log.end());
                    let lost = lost(&state.lineage, at, pending.since);
                    let (epoch, seq) = (at.epoch, at.seq);
                    let notice =
                        Some(ServerFrame::reset(room.name.clone(), Position { epoch, seq }, lost));
                    let outcome = Some(ResumeOutcome::Reset);
                    ready.push((
                        pending,
                        JoinStart { reader, at, outcome, notice, has_snapshot: false },
                    ));
                }
                StartPoint::Asked => kept.push(pending),
                StartPoint::Page { .. } => {
                    is_before = true;
                    kept.push(pending);
                }
                StartPoint::Ahead => {
                    is_ahead |= pending.known == PositionCheck::Unasked;
                    kept.push(pending);
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
        if is_before {
            self.request_backfill(room);
        }
    }

    /// Answers these joins of a room. Connections that ended meanwhile do not become members, so the
    /// room may have none afterwards.
    pub(super) fn admit_all(&self, room: &Rc<Room>, ready: Vec<(PendingJoin, JoinStart)>) {
        if ready.is_empty() {
            return;
        }
        // An answer may end its connection, which takes it out of this room: the others' joins are
        // no longer listed by then.
        room.state.borrow_mut().admitting = true;
        for (pending, start) in ready {
            self.admit(room, pending, start);
        }
        room.state.borrow_mut().admitting = false;
        self.forget_if_empty(room);
    }

    /// Answers a join with `joined`; the connection is a member from now on.
    fn admit(&self, room: &Rc<Room>, mut pending: PendingJoin, start: JoinStart) {
        let is_whole = start.outcome.is_none_or(|outcome| outcome == ResumeOutcome::Recovered);
        if pending.strict && !is_whole {
            return self.refuse_joins(room, vec![pending], ErrorCode::Unrecoverable);
        }
        if pending.presence == JoinPresence::Undecided {
            // Now that it is not refused, others may see it, and it waits for its numbers.
            pending.presence = JoinPresence::Unasked;
            if has_presence(room) && pending.connection.is_open() {
                let mut state = room.state.borrow_mut();
                let at = state.pending.partition_point(|other| other.deadline <= pending.deadline);
                state.pending.insert(at, pending);
                drop(state);
                return self.appear_all(room);
            }
        }
        let PendingJoin {
            connection,
            id,
            resumes,
            marks,
            backend,
            info,
            then,
            presence,
            listens,
            replaces,
            ..
        } = pending;
        // A room's token counts while its connection joins, and again when it is a member.
        let counts = self.numbers_for(&connection, room, presence);
        match connection.membership_in(room.id).filter(|_| replaces == ReplacedJoin::Membership) {
            Some((membership, _)) => self.step_out(&connection, room, membership),
            None => drop(connection.end_join(room.id)),
        }
        if !connection.is_open() {
            self.drop_pass(&connection, room.id);
            self.disappear(&connection, room, departure(&connection));
            return self.go_on_after_join(&connection, &room.name, then);
        }
        if let Some(outcome) = start.outcome {
            self.metrics.rooms.resumes[outcome].inc();
        }
        let recovered = resumes.then_some(is_whole);
        connection.send(&ServerFrame::Joined {
            id,
            room: room.name.clone(),
            epoch: start.at.epoch,
            seq: start.at.seq,
            recovered,
            counts,
            marks,
            state: start.has_snapshot,
        });
        if let Some(notice) = start.notice {
            connection.send(&notice);
        }
        if let Some(backend) = backend {
            backend.answer(Ok(()));
        }
        if let Some(info) = info.filter(|_| room.namespace.borrow().author_info) {
            connection.keep_info(room.id, info);
        }
        let listening = match listens && presence != JoinPresence::Unasked {
            true => ListInterest::Yes,
            false => ListInterest::No,
        };
        self.enter(&connection, room, (start.reader, listening));
        self.go_on_after_join(&connection, &room.name, then);
        self.write_soon(&connection);
    }

    /// Asks the bus for the lineage and the last seq of a room, once for all joins whose positions
    /// this node has not seen.
    pub(super) fn ask_standing(&self, room: &Rc<Room>) {
        let (bus, name) = (self.bus.clone(), room.name.clone());
        let answers = self.answers.clone();
        tokio::task::spawn_local(async move {
            let standing = bus.standing(&name).await;
            // The worker may have ended meanwhile.
            let _ = answers.send(BusAnswer::Standing { room: name, standing });
        });
    }

    /// The bus has answered: checks the positions of the waiting joins.
    pub(super) fn take_standing(
        &self,
        room: &Rc<Room>,
        standing: Result<(Lineage, Seq), roomcast_bus::ReadError>,
    ) {
        let mut state = room.state.borrow_mut();
        state.standing_asked = false;
        // On an error the joins wait for their deadline, or for the next join, which asks again.
        if let Ok((lineage, last)) = standing {
            for pending in &mut state.pending {
                let Some(since) = pending.since else { continue };
                let good = lineage.admits(since, last);
                pending.known =
                    if good { PositionCheck::Good } else { PositionCheck::Bad(lineage.epoch) };
            }
        }
        drop(state);
        self.resolve(room);
    }
}

/// How a join begins whose reader gets nothing up to `end` of the current epoch, as it may not read
/// history.
pub(super) fn withheld_start(
    room: &Room,
    pending: &PendingJoin,
    reader: MemberReader,
    end: Position,
) -> JoinStart {
    let since = pending.since.map_or(end.seq, |since| since.seq.min(end.seq));
    let at = Position { epoch: end.epoch, seq: since };
    let (from, to) = (since + 1, end.seq);
    let notice = (from <= to).then(|| ServerFrame::gap(room.name.clone(), (from, to)));
    let outcome = if notice.is_some() { ResumeOutcome::Gap } else { ResumeOutcome::Recovered };
    JoinStart { reader, at, outcome: Some(outcome), notice, has_snapshot: false }
}

/// How many messages a reader at `since` has received that are not part of the current epoch, which
/// ends at `end`.
pub(super) fn lost(lineage: &Lineage, end: Position, since: Option<Position>) -> u64 {
    let Some(since) = since else { return 0 };
    since.seq.saturating_sub(lineage.kept_of(since.epoch, end.seq).unwrap_or(0))
}

#[cfg(test)]
mod tests;
