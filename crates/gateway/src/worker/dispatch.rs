//! From a decoded frame to the action it asks for. A client's request that concerns a room is permitted
//! or refused at one place, [`Worker::perform`], but for these: `room` (`room_info.rs`), a join by a token
//! of the room (`tokens.rs`), typing in a room that is not the application's, which is refused in
//! [`Worker::dispatch`], and what waited for a join and is decided again after it. A backend's join
//! (`questions.rs`) needs no permission of the connection.

use std::rc::Rc;

use roomcast_bus::ReceiptKind;
use roomcast_protocol::{
    ClientFrame, Data, ErrorCode, HistoryQuery, JoinRoom, Position, Publish, RequestId, RoomKind,
    RoomName, ServerFrame,
};

use super::Worker;
use super::confirms::ConfirmedPlace;
use super::state_reads::StateQuery;
use crate::connection::{Connection, RequestRate};
use crate::hub::now_ms;
use crate::permit::{Denial, RoomAction};
use crate::room::MemberWord;

/// A request that concerns one room.
enum RoomRequest {
    Join { id: Option<RequestId>, join: JoinRoom },
    Leave { id: Option<RequestId>, room: RoomName },
    Publish(Publish),
    History(HistoryQuery),
    Confirm { id: Option<RequestId>, confirmation: ConfirmedPlace },
    Say { id: Option<RequestId>, room: RoomName, word: MemberWord },
    Members { id: Option<RequestId>, room: RoomName, page: Option<Box<str>> },
    State(StateQuery),
}

impl RoomRequest {
    /// What is to be permitted: the request's number, the room and the action.
    fn parts(&self) -> (Option<RequestId>, &RoomName, RoomAction) {
        match self {
            Self::Join { id, join } => (*id, &join.room, RoomAction::of_join(join)),
            Self::Leave { id, room } => (*id, room, RoomAction::Leave),
            Self::Publish(Publish { id, room, data, .. }) => {
                (*id, room, RoomAction::Publish { data_bytes: data.len() })
            }
            Self::History(HistoryQuery { id, room, .. }) => (*id, room, RoomAction::ReadHistory),
            Self::Confirm { id, confirmation } => (*id, &confirmation.room, RoomAction::Confirm),
            Self::Say { id, room, word } => (*id, room, action_of(word)),
            Self::Members { id, room, .. } => (*id, room, RoomAction::SeeMembers),
            Self::State(StateQuery { id, room, .. }) => (*id, room, RoomAction::ReadState),
        }
    }
}

/// What a member's word needs.
fn action_of(word: &MemberWord) -> RoomAction {
    let bytes = |data: &Option<Data>| data.as_ref().map_or(0, Data::len);
    match word {
        MemberWord::Signal { data, .. } => RoomAction::Signal { data_bytes: bytes(data) },
        MemberWord::Typing { .. } => RoomAction::Signal { data_bytes: 0 },
        MemberWord::Show { info, .. } => RoomAction::Show { info_bytes: bytes(info) },
    }
}

impl Worker {
    /// Does what a frame asks for. So many of its joins with `since` are free of the rate of joins.
    pub(crate) fn dispatch(
        &self,
        connection: &Rc<Connection>,
        frame: ClientFrame,
        mut free_joins: usize,
    ) {
        let request = match frame {
            ClientFrame::Join { id, rooms } => {
                for mut join in rooms {
                    let is_free = join.since.is_some() && free_joins > 0;
                    free_joins -= usize::from(is_free);
                    let taken = match is_free {
                        true => Ok(()),
                        false => self.take_request(connection, RequestRate::Join),
                    };
                    if let Err(excess) = taken {
                        self.refuse_above(connection, id, Some(&join.room), excess);
                        continue;
                    }
                    match join.token.take() {
                        // What its token gives counts in the decision.
                        Some(token) => self.join_by_token(connection, id, (join, token)),
                        None => self.perform(connection, RoomRequest::Join { id, join }),
                    }
                }
                return;
            }
            ClientFrame::Leave { id, room } => RoomRequest::Leave { id, room },
            ClientFrame::Publish(publish) => RoomRequest::Publish(publish),
            ClientFrame::History(query) => RoomRequest::History(query),
            ClientFrame::Received { id, room, epoch, seq, read } => {
                let kind = if read { ReceiptKind::Read } else { ReceiptKind::Received };
                let at = Position { epoch, seq };
                RoomRequest::Confirm { id, confirmation: ConfirmedPlace { room, at, kind } }
            }
            ClientFrame::Room { id, rooms } => return self.room_info(connection, id, rooms),
            ClientFrame::State { id, room, page } => {
                RoomRequest::State(StateQuery { id, room, page })
            }
            ClientFrame::Signal { id, room, event, data } => {
                RoomRequest::Say { id, room, word: MemberWord::Signal { event, data } }
            }
            ClientFrame::Typing { id, room, .. } if room.kind() != RoomKind::Application => {
                let reason = (ErrorCode::Unsupported, "there is no typing in this room");
                return self.refuse(connection, id, Some(&room), reason);
            }
            ClientFrame::Typing { id, room, active } => {
                RoomRequest::Say { id, room, word: MemberWord::Typing { active } }
            }
            ClientFrame::Presence { id, room, info, status } => {
                RoomRequest::Say { id, room, word: MemberWord::Show { info, status } }
            }
            ClientFrame::Members { id, room, page } => RoomRequest::Members { id, room, page },
            ClientFrame::Ping { id } => {
                return connection.send(&ServerFrame::Pong { id, time: now_ms() });
            }
            ClientFrame::Refresh { id, token } => return self.refresh(connection, id, token),
            ClientFrame::Watch { id, .. } | ClientFrame::Unwatch { id, .. } => {
                let reason = (ErrorCode::Unsupported, "this node does not watch users");
                return self.refuse(connection, id, None, reason);
            }
            _ => {
                let reason = (ErrorCode::Unsupported, "this node does not serve such frames");
                return self.refuse(connection, None, None, reason);
            }
        };
        self.perform(connection, request);
    }

    /// Publishes a message that waited for a join, if it is still permitted. Its rate and its payload
    /// were judged before it waited.
    pub(super) fn publish_after_join(&self, connection: &Rc<Connection>, publish: Publish) {
        let action = RoomAction::Publish { data_bytes: publish.data.len() };
        match self.decide(connection, &publish.room, action) {
            Ok(()) => self.publish(connection, publish),
            Err(Denial { code, message }) => {
                self.refuse(connection, publish.id, Some(&publish.room), (code, &message));
            }
        }
    }

    /// Says what waited for a join, if it is still permitted. Its rate was counted before it waited.
    pub(super) fn say_after_join(
        &self,
        connection: &Rc<Connection>,
        (id, room): (Option<RequestId>, RoomName),
        word: MemberWord,
    ) {
        match self.decide(connection, &room, action_of(&word)) {
            Ok(()) => self.say(connection, (id, room), word),
            Err(Denial { code, message }) => {
                self.refuse(connection, id, Some(&room), (code, &message));
            }
        }
    }

    /// Does what is asked for in a room, if it is permitted.
    fn perform(&self, connection: &Rc<Connection>, request: RoomRequest) {
        let (id, room, action) = request.parts();
        let taken = match action {
            RoomAction::Publish { .. } => self.take_publish(connection, room),
            RoomAction::ReadHistory | RoomAction::ReadState | RoomAction::SeeMembers => {
                self.take_request(connection, RequestRate::Read)
            }
            RoomAction::Signal { .. } | RoomAction::Show { .. } => {
                self.take_signal(connection, room)
            }
            // Joins are counted before, as some are free.
            RoomAction::Join { .. } | RoomAction::Stay | RoomAction::Leave => Ok(()),
            // They are few writes, however many come.
            RoomAction::Confirm => Ok(()),
        };
        if let Err(excess) = taken {
            return self.refuse_above(connection, id, Some(room), excess);
        }
        if let Err(Denial { code, message }) = self.decide(connection, room, action) {
            return self.refuse(connection, id, Some(room), (code, &message));
        }
        match request {
            RoomRequest::Join { id, join } => self.join(connection, id, join, None),
            RoomRequest::Leave { id, room } => self.leave(connection, id, room),
            RoomRequest::Publish(publish) => self.publish_judged(connection, publish),
            RoomRequest::History(query) => self.history(connection, query),
            RoomRequest::Confirm { id, confirmation } => self.confirm(connection, id, confirmation),
            RoomRequest::Say { id, room, word } => self.say(connection, (id, room), word),
            RoomRequest::Members { id, room, page } => self.members(connection, (id, room), page),
            RoomRequest::State(query) => self.read_state(connection, query),
        }
    }
}
