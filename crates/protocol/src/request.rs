//! What a client may send: one variant for each frame type.

use crate::{Data, EventName, Position, PublishKey, RoomName, Seq};

/// A client's number for one request, echoed in its answer: a positive integer below 2^53.
pub type RequestId = u64;

/// A frame from a client.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClientFrame {
    /// Become a member of one room or several.
    Join {
        /// Echoed in each `joined`.
        id: Option<RequestId>,
        /// At least one.
        rooms: Vec<JoinRoom>,
    },
    /// Stop being a member.
    Leave {
        /// Echoed in `left`.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
    },
    /// Publish one message.
    Publish(Publish),
    /// An ephemeral event to the room's members.
    Signal {
        /// Echoed in an error.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// Its kind.
        event: EventName,
        /// Its payload, if any.
        data: Option<Data>,
    },
    /// The user is writing (or has stopped).
    Typing {
        /// Echoed in an error.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// True unless given.
        active: bool,
    },
    /// Read a room's history.
    History(HistoryQuery),
    /// List a room's members.
    Members {
        /// Echoed in the answer.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// The `more` of the page before; `None` for the first page.
        page: Option<Box<str>>,
    },
    /// Change what other members see of this one.
    Presence {
        /// Echoed in the answer.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// Replaces the member's info.
        info: Option<Data>,
        /// `active` or `away`.
        state: Option<Box<str>>,
    },
    /// Present a new token before the old one ends.
    Refresh {
        /// Echoed in `refreshed`.
        id: Option<RequestId>,
        /// The new token.
        token: Box<str>,
    },
    /// Ask for a `pong`.
    Ping {
        /// Echoed in `pong`.
        id: Option<RequestId>,
    },
}

/// One room of a `join`.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinRoom {
    /// The room.
    pub room: RoomName,
    /// Resume: everything after this position, first.
    pub since: Option<Position>,
    /// Begin with up to this many of the latest messages; without `since` only.
    pub history: Option<u32>,
    /// Receive joins and leaves of others.
    pub presence: bool,
    /// What other members see of this one.
    pub info: Option<Data>,
    /// A token for this room.
    pub token: Option<Box<str>>,
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// Asks for an `ack` when given.
    pub id: Option<RequestId>,
    /// The room.
    pub room: RoomName,
    /// The payload; JSON `null` (MessagePack nil) is a payload too.
    pub data: Data,
    /// The application's word for its kind.
    pub event: Option<EventName>,
    /// Idempotency key.
    pub key: Option<PublishKey>,
    /// Only if the room stands exactly here (`if_seq` with `epoch` on the wire).
    pub if_seq: Option<Position>,
    /// Whether this connection receives it too; true unless given.
    pub echo: bool,
    /// W3C trace context.
    pub traceparent: Option<Box<str>>,
}

/// A page of history: after a seq going forward, or before one going backward, else the latest.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryQuery {
    /// Echoed in the answer.
    pub id: Option<RequestId>,
    /// The room.
    pub room: RoomName,
    /// Messages with a greater seq, ascending.
    pub after: Option<Seq>,
    /// Messages with a smaller seq; the page ends just before it. Excludes `after`.
    pub before: Option<Seq>,
    /// At most this many; 50 unless given.
    pub limit: u32,
}
