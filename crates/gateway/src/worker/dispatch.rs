//! From a decoded frame to the action it asks for. Every request that concerns a room is permitted
//! or refused at one place, [`Worker::perform`].

use std::rc::Rc;

use roomcast_protocol::{
    ClientFrame, ErrorCode, HistoryQuery, JoinRoom, Publish, RequestId, RoomName, ServerFrame,
};

use super::Worker;
use crate::connection::{Connection, RequestRate};
use crate::hub::now_ms;
use crate::permit::{Denial, RoomAction, permit};

/// A request that concerns one room.
enum RoomRequest {
    Join { id: Option<RequestId>, join: JoinRoom },
    Leave { id: Option<RequestId>, room: RoomName },
    Publish(Publish),
    History(HistoryQuery),
}

impl RoomRequest {
    /// What is to be permitted: the request's number, the room and the action.
    fn parts(&self) -> (Option<RequestId>, &RoomName, RoomAction) {
        match self {
            Self::Join { id, join } => (*id, &join.room, RoomAction::Join),
            Self::Leave { id, room } => (*id, room, RoomAction::Leave),
            Self::Publish(Publish { id, room, data, .. }) => {
                (*id, room, RoomAction::Publish { data_bytes: data.len() })
            }
            Self::History(HistoryQuery { id, room, .. }) => (*id, room, RoomAction::ReadHistory),
        }
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
                for join in rooms {
                    let is_free = join.since.is_some() && free_joins > 0;
                    free_joins -= usize::from(is_free);
                    let taken = match is_free {
                        true => Ok(()),
                        false => self.take_request(connection, RequestRate::Join),
                    };
                    match taken {
                        Ok(()) => self.perform(connection, RoomRequest::Join { id, join }),
                        Err(excess) => {
                            self.refuse_above(connection, id, Some(&join.room), excess);
                        }
                    }
                }
                return;
            }
            ClientFrame::Leave { id, room } => RoomRequest::Leave { id, room },
            ClientFrame::Publish(publish) => RoomRequest::Publish(publish),
            ClientFrame::History(query) => RoomRequest::History(query),
            ClientFrame::Signal { id, room, .. }
            | ClientFrame::Typing { id, room, .. }
            | ClientFrame::Members { id, room, .. }
            | ClientFrame::Presence { id, room, .. } => {
                let reason = (ErrorCode::Unsupported, "this node does not serve such frames");
                return self.refuse(connection, id, Some(&room), reason);
            }
            ClientFrame::Ping { id } => {
                return connection.send(&ServerFrame::Pong { id, time: now_ms() });
            }
            ClientFrame::Refresh { id, .. } => {
                let reason = (ErrorCode::Unsupported, "this node knows no tokens");
                return self.refuse(connection, id, None, reason);
            }
            _ => {
                let reason = (ErrorCode::Unsupported, "this node does not serve such frames");
                return self.refuse(connection, None, None, reason);
            }
        };
        self.perform(connection, request);
    }

    /// Does what is asked for in a room, if it is permitted.
    fn perform(&self, connection: &Rc<Connection>, request: RoomRequest) {
        let (id, room, action) = request.parts();
        let taken = match action {
            RoomAction::Publish { .. } => self.take_publish(connection, room),
            RoomAction::ReadHistory => self.take_request(connection, RequestRate::Read),
            // Joins are counted before, as some are free.
            RoomAction::Join | RoomAction::Leave => Ok(()),
        };
        if let Err(excess) = taken {
            return self.refuse_above(connection, id, Some(room), excess);
        }
        let decision = permit(&self.settings.borrow(), room, action);
        if let Err(Denial { code, message }) = decision {
            return self.refuse(connection, id, Some(room), (code, &message));
        }
        match request {
            RoomRequest::Join { id, join } => self.join(connection, id, join),
            RoomRequest::Leave { id, room } => self.leave(connection, id, room),
            RoomRequest::Publish(publish) => self.publish_judged(connection, publish),
            RoomRequest::History(query) => self.history(connection, query),
        }
    }
}
