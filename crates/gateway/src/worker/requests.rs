//! Requests to the bus: how a connection's requests are counted, and how their answers come back to
//! it. Each verb's own file (`publish.rs`, `history.rs`) says what is asked and what is answered.

use std::rc::Rc;
use std::sync::Arc;

use roomcast_bus::{
    History, PresenceList, ReadError, ReceiptCounts, ReceiptError, ReceiptMarks, RoomOutline,
    RoomStateRead,
};
use roomcast_protocol::{ConnectionId, Lineage, PresenceCounts, RequestId, RoomName, Seq};
use tokio::time::Instant;

use super::Worker;
use super::join_lookups::JoinFound;
use super::judging::Verdict;
use super::people::ShownAnswer;
use super::tokens::CheckedToken;
use crate::connection::Connection;
use crate::member_list::ListMark;
use crate::publication::PublishOutcome;
use crate::traces::Followed;

/// An answer to something that this worker asked: of the bus, or of the check of a token.
pub(crate) enum BusAnswer {
    /// The outcome of a publication.
    Published {
        to: Requester,
        room: RoomName,
        outcome: PublishOutcome,
        followed: Option<Box<Followed>>,
    },
    /// A page of history that a client asked for.
    History { to: Requester, room: RoomName, outcome: Result<History, ReadError> },
    /// Where a room is, that a client asked for.
    Room {
        to: Requester,
        room: RoomName,
        outcome: Result<(RoomOutline, Option<PresenceCounts>), ReadError>,
    },
    /// Where a join begins.
    JoinFound { room: RoomName, number: u64, found: Result<JoinFound, ReadError> },
    /// What a client confirmed.
    Confirmed { to: Requester, room: RoomName, outcome: Result<ReceiptMarks, ReceiptError> },
    /// How many users have messages of a room.
    Counted { room: RoomName, seqs: Vec<Seq>, counts: Result<ReceiptCounts, ReadError> },
    /// A room's members, for a page after a mark.
    Members {
        to: Requester,
        room: RoomName,
        after: Option<ListMark>,
        list: Result<Arc<PresenceList>, ReadError>,
    },
    /// A connection is among a room's members, or an exit of it came first.
    Appeared {
        room: RoomName,
        connection: ConnectionId,
        /// The number of its enter.
        number: u64,
        counts: Option<PresenceCounts>,
    },
    /// What a member shows was written, or not in time.
    Shown(Box<ShownAnswer>),
    /// The state of a room that clients asked for.
    State { room: RoomName, outcome: Result<RoomStateRead, ReadError> },
    /// A token whose key had to be waited for.
    Token { to: Requester, checked: CheckedToken },
    /// A large payload was judged.
    Judged(Box<Verdict>),
    /// The lineage and the last seq of a room.
    Standing { room: RoomName, standing: Result<(Lineage, Seq), ReadError> },
}

/// The connection that sent a request, and when it did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requester {
    pub(super) connection: ConnectionId,
    pub(super) id: Option<RequestId>,
    pub(super) begun: Instant,
    /// A room was reserved, as the request may begin one.
    pub(super) reserved: bool,
    /// Its connection is told of the message's receipts.
    pub(super) receipts: bool,
}

impl Worker {
    /// Counts a request to the bus. While as many as `limits.inflight_publishes` are unanswered, the
    /// connection is not read.
    pub(super) fn begin_request(
        &self,
        connection: &Connection,
        id: Option<RequestId>,
    ) -> Requester {
        connection.in_flight.set(connection.in_flight.get() + 1);
        Requester {
            connection: connection.id,
            id,
            begun: Instant::now(),
            reserved: false,
            receipts: false,
        }
    }

    /// Counts a request as answered. Returns its connection unless that has ended.
    pub(super) fn end_request(&self, to: Requester) -> Option<Rc<Connection>> {
        let connection = self.connections.get(to.connection)?;
        connection.in_flight.set(connection.in_flight.get() - 1);
        self.release(&connection);
        Some(connection)
    }

    /// Takes in an answer of the bus. Its connection is written after the other answers of this
    /// turn.
    pub(crate) fn reply(&self, answer: BusAnswer) {
        match answer {
            BusAnswer::Published { to, room, outcome, followed } => {
                self.answer_publish(to, room, outcome, followed);
            }
            BusAnswer::History { to, room, outcome } => self.answer_history(to, room, outcome),
            BusAnswer::Room { to, room, outcome } => self.answer_room_info(to, room, outcome),
            BusAnswer::JoinFound { room, number, found } => {
                self.take_join_found(&room, number, found);
            }
            BusAnswer::Confirmed { to, room, outcome } => self.answer_confirm(to, room, outcome),
            BusAnswer::Counted { room, seqs, counts } => self.take_counts(&room, &seqs, counts),
            BusAnswer::Members { to, room, after, list } => {
                self.answer_members((to, room), after.as_ref(), list);
            }
            BusAnswer::Appeared { room, connection, number, counts } => {
                if let Some(room) = self.room(&room) {
                    self.take_numbers(&room, (connection, number), counts);
                }
            }
            BusAnswer::Shown(answer) => self.answer_show(*answer),
            BusAnswer::State { room, outcome } => self.answer_state(room, outcome),
            BusAnswer::Token { to, checked } => self.take_token(to, checked),
            BusAnswer::Judged(verdict) => self.take_verdict(*verdict),
            BusAnswer::Standing { room, standing } => {
                if let Some(room) = self.room(&room) {
                    self.take_standing(&room, standing);
                }
            }
        }
    }
}
