//! What a client may send: one variant for each frame type.

use crate::{
    Data, Epoch, EventName, FrameType, Position, PresenceStatus, PublishKey, RoomName, Seq,
    StateKey, UserName,
};

/// Largest page of history in messages, and the most that a `join` may begin with: a page is
/// written in one go, and a client can ask for the next.
pub const MAX_HISTORY_LIMIT: u32 = 1000;
/// Page of history in messages when the client names no limit: a screen or two of chat.
pub const DEFAULT_HISTORY_LIMIT: u32 = 50;
/// Rooms in one `join`; a client that wants more sends several.
pub const MAX_JOIN_ROOMS: usize = 1024;
/// Longest `traceparent` in bytes: version 00 of W3C Trace Context has 55, later ones may grow.
pub const MAX_TRACEPARENT_BYTES: usize = 128;
/// Rooms in one `room`: a list of chats on a screen or two.
pub const MAX_ROOM_QUERIES: usize = 100;
/// Users in one `watch` or `unwatch` that are read at all; a connection may watch fewer.
pub const MAX_LISTED_USERS: usize = 10_000;
/// Shortest life of a value of a room's state, in ms.
pub const MIN_TTL_MS: u64 = 100;
/// Longest life of a value of a room's state, in ms: 30 days.
pub const MAX_TTL_MS: u64 = 30 * 24 * 3600 * 1000;
/// Longest `page` of `members` and `state` in bytes; the node made it, so a longer one is not its own.
pub const MAX_PAGE_BYTES: usize = 256;

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
        /// Whether the user is there.
        status: Option<PresenceStatus>,
    },
    /// Read the state of a room without joining it.
    State {
        /// Echoed in the answer.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// The `page` of the answer before; `None` for the first one.
        page: Option<Box<str>>,
    },
    /// Where rooms are: one answer each.
    Room {
        /// Echoed in each answer.
        id: Option<RequestId>,
        /// 1 to `MAX_ROOM_QUERIES`.
        rooms: Vec<RoomName>,
    },
    /// The user has received, or read, everything up to here.
    Received {
        /// Asks for an answer when given.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// The epoch that `seq` counts in.
        epoch: Epoch,
        /// The last message.
        seq: Seq,
        /// Whether they were read too.
        read: bool,
    },
    /// Tell when each of these users comes online or leaves.
    Watch {
        /// Echoed in `watching`.
        id: Option<RequestId>,
        /// 1 to `MAX_LISTED_USERS`.
        users: Vec<UserName>,
    },
    /// Tell no more of these users.
    Unwatch {
        /// Echoed in `watching`.
        id: Option<RequestId>,
        /// 1 to `MAX_LISTED_USERS`.
        users: Vec<UserName>,
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

impl ClientFrame {
    /// Its type.
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::Join { .. } => FrameType::Join,
            Self::Leave { .. } => FrameType::Leave,
            Self::Publish(_) => FrameType::Publish,
            Self::Signal { .. } => FrameType::Signal,
            Self::Typing { .. } => FrameType::Typing,
            Self::History(_) => FrameType::History,
            Self::Members { .. } => FrameType::Members,
            Self::Presence { .. } => FrameType::Presence,
            Self::State { .. } => FrameType::State,
            Self::Room { .. } => FrameType::Room,
            Self::Received { .. } => FrameType::Received,
            Self::Watch { .. } => FrameType::Watch,
            Self::Unwatch { .. } => FrameType::Unwatch,
            Self::Refresh { .. } => FrameType::Refresh,
            Self::Ping { .. } => FrameType::Ping,
        }
    }

    /// The request's number, if it has one.
    pub const fn id(&self) -> Option<RequestId> {
        match self {
            Self::Publish(publish) => publish.id,
            Self::History(query) => query.id,
            Self::Join { id, .. }
            | Self::Leave { id, .. }
            | Self::Signal { id, .. }
            | Self::Typing { id, .. }
            | Self::Members { id, .. }
            | Self::Presence { id, .. }
            | Self::State { id, .. }
            | Self::Room { id, .. }
            | Self::Received { id, .. }
            | Self::Watch { id, .. }
            | Self::Unwatch { id, .. }
            | Self::Refresh { id, .. }
            | Self::Ping { id } => *id,
        }
    }
}

/// One room of a `join`.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinRoom {
    /// The room.
    pub room: RoomName,
    /// Resume: everything after this, first.
    pub since: Option<Since>,
    /// Begin with up to this many of the latest messages (at most `MAX_HISTORY_LIMIT`); of no
    /// effect with `since`.
    pub history: Option<u32>,
    /// Receive joins and leaves of others.
    pub presence: bool,
    /// Refuse the join where it could only begin with a gap or a reset.
    pub strict: bool,
    /// What other members see of this one.
    pub info: Option<Data>,
    /// A token for this room.
    pub token: Option<Box<str>>,
}

impl JoinRoom {
    /// A join of a room from now on, with nothing else asked for.
    pub fn new(room: RoomName) -> Self {
        Self {
            room,
            since: None,
            history: None,
            presence: false,
            strict: false,
            info: None,
            token: None,
        }
    }
}

/// Where a resume begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After this position.
    Position(Position),
    /// With the messages of this time or later, Unix time in ms.
    Time(u64),
}

impl Since {
    /// The position, if it is one.
    pub const fn position(self) -> Option<Position> {
        match self {
            Self::Position(position) => Some(position),
            Self::Time(_) => None,
        }
    }
}

impl From<Position> for Since {
    fn from(position: Position) -> Self {
        Self::Position(position)
    }
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
    /// Only if the value under `state_key` was set exactly here (`if_key_seq` with `epoch` on the
    /// wire); seq 0: only if there is none.
    pub if_key_seq: Option<Position>,
    /// The key of the room's state that it sets; `None` sets the room's own value.
    pub state_key: Option<StateKey>,
    /// How long the value lasts, in ms: `MIN_TTL_MS` to `MAX_TTL_MS`.
    pub ttl_ms: Option<u64>,
    /// Remove the value in place of setting it.
    pub remove: bool,
    /// Tell this connection how many users received and read it.
    pub receipts: bool,
    /// Whether this connection receives it too; true unless given.
    pub echo: bool,
    /// W3C trace context.
    pub traceparent: Option<Box<str>>,
}

impl Publish {
    /// A message without any option, and without an ack.
    pub fn new(room: RoomName, data: Data) -> Self {
        Self {
            id: None,
            room,
            data,
            event: None,
            key: None,
            if_seq: None,
            if_key_seq: None,
            state_key: None,
            ttl_ms: None,
            remove: false,
            receipts: false,
            echo: true,
            traceparent: None,
        }
    }
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
    /// At most this many: 1 to `MAX_HISTORY_LIMIT`; `DEFAULT_HISTORY_LIMIT` unless given.
    pub limit: u32,
}
