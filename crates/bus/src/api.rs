//! The contract of a bus: what a node asks of it and what it answers, the same in memory and over
//! Redis. Plain data only.

mod ephemeral;
mod presence;
mod receipts;
mod state;
mod users;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use roomcast_protocol::{
    ConnectionId, Data, Epoch, EventName, Lineage, Message, Position, PublishKey, RoomName, Seq,
    UserName,
};

pub use ephemeral::{Ephemeral, EphemeralFate, Signal, TypingWord, Writer};
pub(crate) use presence::ChangeTally;
pub use presence::{
    Departure, PresenceChange, PresenceCounts, PresenceEntry, PresenceList, PresenceMember,
    PresenceMode, PresenceNews, PresencePolicy, PresenceReply, PresenceStatus, PresenceStep,
};
pub use receipts::{
    ReceiptCounts, ReceiptError, ReceiptKind, ReceiptMarks, ReceiptMove, ReceiptNews, ReceiptRules,
    RoomOutline,
};
pub use state::{RoomStateRead, StateAction, StateBounds, StateChange, StateValue};
pub use users::{
    NamedConnection, NewcomerStep, ReplacePlace, UserNewcomer, UserPlace, UserPresence,
};

/// How long a room's messages are kept, by its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Messages that users may read back.
    pub history_size: u32,
    /// How long users may read a message back.
    pub history_age: Duration,
    /// Messages kept for repair between nodes even where users may read none.
    pub repair_window: u32,
    /// Replicas that must have a message before its ack (Redis `WAIT`); 0 for none.
    pub replicas: u32,
    /// Keys that one author may use in the room within `KEY_WINDOW`.
    pub keys_per_user: u32,
    /// Keys that all authors together may use in the room within `KEY_WINDOW`.
    pub keys_per_room: u32,
}

/// A message before it has a seq.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The user that publishes, if it is known.
    pub user: Option<UserName>,
    /// The name that a client without a user gives itself on each of its connections, for the scope
    /// of `key`.
    pub client: Option<Arc<str>>,
    /// The name of the API key by which a backend publishes: its keys are bounded by the room's
    /// number only.
    pub api_key: Option<Arc<str>>,
    /// The connection that it arrived on.
    pub connection: Option<ConnectionId>,
    /// The application's name for its kind.
    pub event: Option<EventName>,
    /// Idempotency key, scoped to the room and the API key; without one to the user; without a
    /// user to the client; without either to all authors in the room that have neither.
    pub key: Option<PublishKey>,
    /// Publishes only if the room is exactly at this position; `Position::START`: only if the room
    /// never had a message.
    pub if_seq: Option<Position>,
    /// What it does to the room's state; `None` in a room that has none.
    pub state: Option<StateChange>,
    /// Whether the author's own connection receives it.
    pub echo: bool,
    /// W3C trace context.
    pub traceparent: Option<Box<str>>,
    /// The payload.
    pub data: Data,
    /// What its author shows of itself, where the namespace adds that to messages.
    pub info: Option<Data>,
    /// How the room keeps it.
    pub retention: Retention,
    /// The room's keys last at least so long after it, whatever its retention.
    pub keys_age: Duration,
    /// Messages per second that the room takes of all authors of the cluster together, as many at
    /// once; 0: no limit, or none for this author.
    pub room_rate: u32,
}

/// The message has a seq and is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishAck {
    /// The message's position.
    pub position: Position,
    /// Its time: Unix ms, by the bus's clock.
    pub time: u64,
}

/// Called with the outcome of one submitted publication, exactly once.
pub type PublishReply = Box<dyn FnOnce(Result<PublishAck, PublishError>) + Send>;

/// Why a publication got no ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Too many publications wait already; certainly not stored. Try again later.
    #[error("too many publications are waiting for this room")]
    Overloaded,
    /// The author, or the room, used as many keys within `KEY_WINDOW` as are remembered; certainly
    /// not stored. Try again later, or raise the namespace's bound.
    #[error("too many keys were used in this room within two minutes")]
    TooManyKeys,
    /// The room takes no more messages now; certainly not stored, and the key is free. Try again
    /// after this time.
    #[error("this is above the limit room_publish_rate")]
    RoomRate(Duration),
    /// The bus is unavailable; certainly not stored. Try again later.
    #[error("the bus is unavailable")]
    Unavailable,
    /// Sent without an answer: stored or not. Retry with the same key.
    #[error("the outcome is unknown")]
    Unknown,
    /// The key was used with another payload; not stored. Use another key.
    #[error("the key was used with another payload")]
    KeyConflict,
    /// The room is at another position than `if_seq`; not stored. Read on and decide again.
    #[error("the room is at seq {}", .0.seq)]
    SeqConflict(Position),
    /// The key of the room's state has another value than `if_key_seq`, or none; not stored. Read the
    /// state and decide again.
    #[error("the key's value has seq {0}")]
    KeySeqConflict(Seq),
    /// The room's state has as many keys or bytes as it may; not stored. Remove keys, or raise the
    /// namespace's bounds.
    #[error("the room's state has as many keys or bytes as it may")]
    StateFull,
}

/// Why a read failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bus is unavailable. Try again later.
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
    /// What users may see: reads keep to `history_size` and `history_age`.
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
    /// Ascending, and contiguous unless the stream itself has a hole.
    pub messages: Vec<Arc<Message>>,
    /// Whether the room has more messages in the direction asked for.
    pub more: bool,
}

/// What a read of the bus found, all at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPage {
    /// The current epoch and its ancestors.
    pub lineage: Lineage,
    /// The room's last seq.
    pub last: Seq,
    /// What the stream holds after the seq asked for, ascending.
    pub messages: Vec<Arc<Message>>,
    /// Whether the stream holds more than the page has.
    pub more: bool,
}

/// In which state a read found the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomFound {
    /// Unchanged.
    Known,
    /// Redis did not know it: this read created it.
    New,
    /// Of another life: this read gave it a new epoch.
    Forked,
    /// Of another life, and Redis refuses writes: it gets a new epoch once Redis accepts them.
    Unforked,
    /// Redis does not know it, and this read did not create it.
    Missing,
}

/// What a room's feed delivers, in order: first `Opened`, then the rest.
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
    /// The room continues in another epoch; the next message is `last` + 1.
    Reset {
        /// The new epoch and its ancestors.
        lineage: Lineage,
        /// The seq that the next messages continue from. If the old epoch is an ancestor it is at
        /// most what this feed has delivered; later messages follow as messages or as a gap.
        last: Seq,
        /// Messages of the old epoch that this feed delivered and the new epoch does not have.
        lost: u64,
    },
    /// Users' positions moved. It is no part of the order, and may be lost.
    Receipts(Arc<[ReceiptNews]>),
    /// Who is in the room changed; where these come between messages has no meaning.
    Presence(PresenceNews),
    /// Something ephemeral was told in the room.
    Ephemeral(Ephemeral),
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
    /// Redis was reached and passed its checks after the node started.
    pub reached: bool,
    /// In the last 3 s a probe that was written to every primary came back on each subscribe
    /// connection.
    pub probed: bool,
    /// Every subscription wanted for 2 s is confirmed.
    pub subscribed: bool,
}

impl Health {
    /// Whether the node may report that it is ready.
    pub fn ready(self) -> bool {
        self.reached && self.probed && self.subscribed
    }
}

/// An order as the bus keeps it: a fact with an end that holds on every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRecord {
    /// Its id, the same on all nodes; no blanks.
    pub id: String,
    /// When it ends, in ms by the bus's clock; then it is removed.
    pub end: u64,
    /// Whether it was lifted. A lift is never taken back.
    pub is_lifted: bool,
    /// All of it, as the nodes write it.
    pub text: String,
}

/// How far a node has read the orders. The default is not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderRevision {
    /// The life of the data that was read.
    pub(crate) life: Arc<str>,
    /// The latest change that was read; 0 for none.
    pub(crate) number: u64,
}

/// What an exchange of orders answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPage {
    /// The bus's clock, in ms.
    pub time: u64,
    /// What the next exchange is to begin with.
    pub revision: OrderRevision,
    /// Whether `texts` are all orders, and not only those that changed.
    pub is_whole: bool,
    /// Orders, as the nodes wrote them.
    pub texts: Vec<String>,
}

/// What becomes of a ticket that is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketUse {
    /// It can be used afterwards.
    Look,
    /// It is spent: of all calls with a ticket one gets its record.
    Take,
}

/// A random epoch for a room that a bus creates.
pub(crate) fn random_epoch() -> Epoch {
    Epoch(rand::random::<NonZeroU64>().get())
}
