//! A frame of the node: which part of the session it is for.

use std::time::{Duration, Instant};

use roomcast_protocol::{ErrorCode, Position, ServerFrame};

use super::link::{Live, SessionLink};
use super::renewal::life;
use super::request::ClientRequest;
use super::requests::{self, may_pass};
use super::{Action, Session};
use crate::answer::ClientAnswer;
use crate::{Ack, ConfirmedMarks, Event, HistoryPage, MemberPage, RoomFacts, RoomStatePart};

impl Session {
    pub(super) fn take(&mut self, now: Instant, frame: ServerFrame) {
        self.link.heard(now);
        let actions = &mut self.actions;
        match frame {
            ServerFrame::Connected { .. } => self.connected(now, frame),
            ServerFrame::Refreshed { time, expires, .. } => {
                self.renewal.taken(now, Some(life(time, expires)));
            }
            ServerFrame::Reconnect { after_ms, .. } => {
                self.link.move_at(now + Duration::from_millis(after_ms));
            }
            ServerFrame::Left { id, room, reason } => self.rooms.left(id, room, reason, actions),
            ServerFrame::Ack { id, epoch, seq, time, .. } => {
                self.requests.acked(id, Ack { position: Position { epoch, seq }, time }, actions);
            }
            ServerFrame::Error { .. } => self.refused(now, frame),
            ServerFrame::Receipts { room, epoch, seq, received, read } => {
                let position = Position { epoch, seq };
                let event = Event::Receipts { room, position, received, read };
                actions.push_back(Action::Tell(event));
            }
            ServerFrame::Watching { id, users } => {
                self.watches.answered(id);
                let watched = |user: &roomcast_protocol::OnlineUser| self.watches.knows(&user.user);
                let users: Vec<_> = users.into_iter().filter(watched).collect();
                if !users.is_empty() {
                    actions.push_back(Action::Tell(Event::Watching { users }));
                }
            }
            ServerFrame::User { user, online, time } if self.watches.knows(&user) => {
                actions.push_back(Action::Tell(Event::User { user, online, time }));
            }
            frame => self.take_answer(frame),
        }
    }

    /// The answer to a question, or what a room's members are told.
    fn take_answer(&mut self, frame: ServerFrame) {
        let (id, answer) = match frame {
            ServerFrame::History { id: Some(id), epoch, messages, more, .. } => {
                let end = messages.last().map(|last| Position { epoch, seq: last.seq });
                (id, ClientAnswer::History(HistoryPage { end, messages, more }))
            }
            ServerFrame::Members { id: Some(id), members, counts, more, .. } => {
                (id, ClientAnswer::Members(MemberPage { members, counts, more }))
            }
            ServerFrame::State { id: Some(id), epoch, seq, entries, page, .. } => {
                let position = Position { epoch, seq };
                (id, ClientAnswer::State(RoomStatePart { position, entries, page }))
            }
            ServerFrame::Room { id: Some(id), room, epoch, seq, counts, marks, time } => {
                let position = Position { epoch, seq };
                let facts = RoomFacts { room, position, counts, marks, time };
                return self.requests.room_answered(id, facts, &mut self.actions);
            }
            ServerFrame::Received { id: Some(id), epoch, seq, read, .. } => {
                (id, ClientAnswer::Confirmed(ConfirmedMarks { epoch, received: seq, read }))
            }
            ServerFrame::Presence { id: Some(id), .. } => (id, ClientAnswer::Shown),
            frame => return self.rooms.told(frame, &mut self.actions),
        };
        let request = self.requests.answered(id, answer, &mut self.actions);
        if let Some(ClientRequest::Show(room, showing)) = request {
            self.rooms.shown(&room, showing);
        }
    }

    fn connected(&mut self, now: Instant, frame: ServerFrame) {
        let ServerFrame::Connected {
            connection, user, node, time, expires, heartbeat, limits, ..
        } = frame
        else {
            return;
        };
        self.failures = 0;
        self.connected = self.attempt;
        self.has_replaced = false;
        self.renewal.taken(now, expires.map(|expires| life(time, expires)));
        self.link = SessionLink::Live(Live::new(now, heartbeat, limits));
        let attempt = self.attempt;
        let event = Event::Connected { node, connection, user, attempt };
        self.actions.push_back(Action::Tell(event));
    }

    /// An `error` frame: the answer to a request or a join, or a remark about the connection.
    fn refused(&mut self, now: Instant, frame: ServerFrame) {
        let ServerFrame::Error { id, room, code, message, retry_after_ms } = frame else { return };
        let retry_after = retry_after_ms.map(Duration::from_millis);
        // Each connection joins its rooms again, and requests about them may overtake that.
        let is_early = code == ErrorCode::NotJoined
            && room.as_ref().is_some_and(|room| self.rooms.wants(room));
        let is_passing = may_pass(code) || is_early;
        let refusal = requests::Refusal { code, message, retry_after, is_passing };
        let actions = &mut self.actions;
        match id {
            Some(id) if self.renewal.is_its(id) => {
                tracing::debug!("a new token was refused: {}", refusal.message);
                self.renewal.failed(now, refusal.retry_after.unwrap_or_default());
            }
            Some(id) if self.requests.knows(id) => {
                self.requests.refused(now, (id, room), refusal, &mut self.pauses, actions);
            }
            Some(id) if self.watches.refused(id, &refusal, actions) => {}
            Some(id) => {
                self.rooms.refused(now, (id, room), refusal, &mut self.pauses, actions);
            }
            None => actions.push_back(Action::Tell(Event::Error {
                room,
                code: refusal.code,
                message: refusal.message,
                retry_in: None,
            })),
        }
    }
}
