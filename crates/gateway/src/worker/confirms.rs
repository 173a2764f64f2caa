//! Receipts: a client confirms what its user received or read, and learns what the user's other
//! connections confirmed.

use std::rc::Rc;
use std::sync::Arc;

use roomcast_bus::{ReceiptError, ReceiptKind, ReceiptMarks, ReceiptNews};
use roomcast_protocol::{ErrorCode, Position, RequestId, RoomKind, RoomName, ServerFrame};

use super::Worker;
use super::requests::{BusAnswer, Requester};
use crate::connection::Connection;
use crate::receipts::{ReceiptDesk, ReceiptRequest};

/// What a client confirms.
pub(super) struct ConfirmedPlace {
    pub(super) room: RoomName,
    pub(super) at: Position,
    pub(super) kind: ReceiptKind,
}

impl Worker {
    /// Confirms through this desk from now on.
    pub(crate) fn confirm_through(&self, desk: Arc<ReceiptDesk>) {
        // It is set once, when the worker starts.
        let _again = self.receipt_desk.set(desk);
    }

    /// A client confirms a room that it is in.
    pub(super) fn confirm(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        ConfirmedPlace { room, at, kind }: ConfirmedPlace,
    ) {
        let rules = self.settings.borrow().namespace_of(&room).receipts;
        let is_member = || {
            let known = self.room(&room);
            known.is_some_and(|known| connection.membership_in(known.id).is_some())
        };
        let refusal = match (rules, &connection.user) {
            (None, _) => (ErrorCode::Unsupported, "this room keeps no receipts"),
            (_, None) => (ErrorCode::Forbidden, "a connection without a user confirms nothing"),
            _ if !is_member() => (ErrorCode::NotJoined, "this connection is not in that room"),
            (Some(rules), Some(user)) => {
                let to = self.begin_request(connection, id);
                let (answers, name) = (self.answers.clone(), room.clone());
                let reply = Box::new(move |outcome| {
                    // The worker may have ended meanwhile.
                    let _ = answers.send(BusAnswer::Confirmed { to, room: name, outcome });
                });
                let (user, by) = (user.clone(), connection.id);
                let request = ReceiptRequest { user, at, kind, by, reply };
                match self.receipt_desk.get() {
                    Some(desk) => desk.confirm(&room, rules, request),
                    None => (request.reply)(Err(ReceiptError::Unavailable)),
                }
                return;
            }
        };
        self.refuse(connection, id, Some(&room), refusal);
    }

    /// Answers a confirmation with `received` or `error`.
    pub(super) fn answer_confirm(
        &self,
        to: Requester,
        room: RoomName,
        outcome: Result<ReceiptMarks, ReceiptError>,
    ) {
        let Some(connection) = self.end_request(to) else { return };
        match outcome {
            Ok(marks) => connection.send(&received(to.id, room, marks)),
            Err(error) => {
                let code = match error {
                    ReceiptError::Unavailable => ErrorCode::BusUnavailable,
                    ReceiptError::Stranger => ErrorCode::SeqConflict,
                    ReceiptError::TooManyUsers => ErrorCode::Overloaded,
                };
                self.refuse(&connection, to.id, Some(&room), (code, &error.to_string()));
            }
        }
        self.write_soon(&connection);
    }

    /// Users' positions in a room moved: a user's own devices are told which, and authors how many
    /// have their messages.
    pub(super) fn take_receipts(&self, name: &RoomName, news: &[ReceiptNews]) {
        let Some(room) = self.room(name) else { return };
        if name.kind() == RoomKind::User {
            let members = room.state.borrow().members.connections();
            for ReceiptNews { marks, by, .. } in news {
                for connection in members.iter().filter(|one| !by.contains(&one.id)) {
                    connection.send(&received(None, name.clone(), *marks));
                    self.write_soon(connection);
                }
            }
        }
        self.recount_receipts(&room, news);
    }
}

fn received(id: Option<RequestId>, room: RoomName, marks: ReceiptMarks) -> ServerFrame {
    let ReceiptMarks { epoch, received: seq, read } = marks;
    ServerFrame::Received { id, room, epoch, seq, read }
}
