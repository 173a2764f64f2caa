//! What the node asks of a bus and what it gets back: plain data, the same for memory and Redis.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use roomcast_protocol::{
    ConnectionId, Data, Epoch, EventName, Lineage, Message, Position, PublishKey, RoomName, Seq,
    UserName,
};

/// How a room's namespace wants its messages kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Messages that users may read back.
    pub history_size: u32,
    /// How long users may read a message back.
    pub history_age: Duration,
    /// Messages kept for repair between nodes even where users may read none.
    pub repair_window: u32,
    /// Replicas that must have a message before its ack (Redis `WAIT`); 0: none.
    pub replicas: u32,
    /// Keys that one author may use in the room within `KEY_WINDOW`.
    pub keys_per_user: u32,
    /// Keys that all authors together may use there within it.
    pub keys_per_room: u32,
}

/// A message on its way to being sequenced.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// Who publishes, if known.
    pub user: Option<UserName>,
    /// What an author without a user calls itself over its connections, for the scope of `key`.
    pub client: Option<Arc<str>>,
    /// The connection it came by.
    pub connection: Option<ConnectionId>,
    /// The application's word for its kind.
    pub event: Option<EventName>,
    /// Idempotency key, scoped to the room and the user; without a user to the client; without
    /// either to all those in the room that have neither.
    pub key: Option<PublishKey>,
    /// Only if the room stands exactly here; `Position::START`: only if it never had a message.
    pub if_seq: Option<Position>,
    /// Whether the author's own connection receives it.
    pub echo: bool,
    /// W3C trace context.
    pub traceparent: Option<Box<str>>,
    /// The payload.
    pub data: Data,
    /// How the room keeps it.
    pub retention: Retention,
}

/// The message is sequenced and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishAck {
    /// Where it stands.
    pub position: Position,
    /// Its time: Unix ms, by the bus's clock.
    pub time: u64,
}

/// Told the outcome of one submitted publication, exactly once.
pub type PublishReply = Box<dyn FnOnce(Result<PublishAck, PublishError>) + Send>;

/// Why a publication got no ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Too much is waiting already; surely not stored. Try again later.
    #[error("too many publications are waiting for this room")]
    Overloaded,
    /// Its author, or the room, used as many keys within `KEY_WINDOW` as are remembered; surely
    /// not stored. Try again later, or raise the namespace's bound.
    #[error("too many keys were used in this room within two minutes")]
    TooManyKeys,
    /// The bus is away; surely not stored. Try again later.
    #[error("the bus is unavailable")]
    Unavailable,
    /// Sent, but no answer came: stored or not. Retry with the same key.
    #[error("the outcome is unknown")]
    Unknown,
    /// The key was used with another payload; not stored. Use another key.
    #[error("the key was used with another payload")]
    KeyConflict,
    /// `if_seq` did not hold; not stored. Read on and decide again.
    #[error("the room stands at {}", .0.seq)]
    SeqConflict(Position),
}

/// Why a read failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bus is away. Try again later.
    #[error("the bus is unavailable")]
    Unavailable,
}

/// Which part of a room's history to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRange {
    /// Ascending from the first message after this seq.
    After(Seq),
    /// The latest messages before this seq, returned ascending.
    Before(Seq),
    /// The latest messages, returned ascending.
    Latest,
}

/// One read of a room's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRequest {
    /// Which part.
    pub range: HistoryRange,
    /// At most this many messages.
    pub limit: u32,
    /// At most this many bytes of payload, but always one message if there is one.
    pub max_bytes: usize,
    /// What users may see: `history_size` and `history_age` are honoured here.
    pub retention: Retention,
}

/// How long the result of a publish with a key is remembered, while the bus keeps its data.
pub const KEY_WINDOW: Duration = Duration::from_secs(120);

/// A page of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The current epoch and its ancestors; `Epoch::NONE` if the room does not exist.
    pub lineage: Lineage,
    /// The room's last seq when it was read; 0 if nothing was published yet.
    pub last: Seq,
    /// Ascending, contiguous among themselves unless the stream itself has a hole.
    pub messages: Vec<Arc<Message>>,
    /// Whether there are more in the direction asked for.
    pub more: bool,
}

/// What a read of the bus said of the room, all at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPage {
    /// The current epoch and its ancestors.
    pub lineage: Lineage,
    /// The room's last seq.
    pub last: Seq,
    /// What the stream holds after the seq asked for, ascending.
    pub messages: Vec<Arc<Message>>,
    /// Whether the stream holds more than fitted.
    pub more: bool,
}

/// How a read found the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomFound {
    /// As it was.
    Known,
    /// Unknown to Redis: it began anew by this read.
    New,
    /// Of another life: it goes on in a new epoch by this read.
    Forked,
    /// Of another life, and Redis takes no writes: it goes on in a new epoch once it does.
    Unforked,
    /// Unknown to Redis, and left so.
    Missing,
}

/// What a room's feed tells, in order. First `Opened`, then the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEvent {
    /// The feed is open: everything after `last` will follow, each once.
    Opened {
        /// The current epoch and its ancestors.
        lineage: Lineage,
        /// The room's last seq.
        last: Seq,
    },
    /// The next messages: ascending and contiguous, the first is the next one expected.
    Messages(Vec<Arc<Message>>),
    /// Messages `from` to `to`, both included, are lost to this feed.
    Gap {
        /// First missing seq.
        from: Seq,
        /// Last missing seq.
        to: Seq,
    },
    /// The room goes on in another epoch; the next message is `last` + 1.
    Reset {
        /// The new epoch and its ancestors.
        lineage: Lineage,
        /// The seq that the next messages continue from (never beyond what this feed has told if
        /// the old epoch is an ancestor; what lies between is told as messages or a gap after).
        last: Seq,
        /// Messages this feed told of the old epoch that the new one does not have.
        lost: u64,
    },
}

/// One event of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomEvent {
    /// The room.
    pub room: RoomName,
    /// What happened in it.
    pub event: FeedEvent,
}

/// Whether the bus works, as readiness (P8) sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Redis was reached, and passed its checks, since the node started.
    pub reached: bool,
    /// In the last 3 s a probe written to every primary came back on each subscribe connection.
    pub probed: bool,
    /// Every subscription wanted for 2 s is confirmed.
    pub subscribed: bool,
}

impl Health {
    /// Whether the node may call itself ready.
    pub fn ready(self) -> bool {
        self.reached && self.probed && self.subscribed
    }
}

/// An epoch that a bus would start with; random, chosen by the node.
pub(crate) fn random_epoch() -> Epoch {
    Epoch(rand::random::<NonZeroU64>().get())
}
