//! The state of a room: the newest value of each key. What a publication does to it, and what a read
//! of it finds. Plain data only.

use std::sync::Arc;
use std::time::Duration;

use roomcast_protocol::{Lineage, Message, Position, Seq, StateKey};

/// What a publication does to the state of its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// Which value; `None`: the room's own.
    pub key: Option<StateKey>,
    /// How long the value holds, in ms; `None`: until another one.
    pub ttl_ms: Option<u64>,
    /// What becomes of the value.
    pub action: StateAction,
    /// Publishes only if the value has exactly this position; seq 0: only if there is none.
    /// `Position::START`: only if the room never had a message.
    pub if_key_seq: Option<Position>,
    /// How much state the room keeps.
    pub bounds: StateBounds,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateAction {
    /// The publication's payload is the value now.
    Set,
    /// There is none.
    Remove,
    /// There is none, if the value of this seq has expired; else the answer is `KeySeqConflict`.
    Expire(Seq),
}

/// How much state a room keeps, by its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateBounds {
    /// Keys with a value.
    pub keys: u32,
    /// Bytes of keys and payloads together.
    pub bytes: usize,
    /// Values that a key keeps for `points`; 0: none beside the newest.
    pub points: u32,
    /// How long the room is kept at least after its last publication.
    pub age: Duration,
}

/// A room's whole state at one position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomStateRead {
    /// The current epoch and its ancestors; `Epoch::NONE` if the room does not exist.
    pub lineage: Lineage,
    /// The seq at which the state is that of the entries.
    pub last: Seq,
    /// No key was removed after this seq and up to `last`.
    pub forgotten: Seq,
    /// All values, in no order: also those that have expired and that no message has removed.
    pub entries: Vec<StateValue>,
}

/// The value of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateValue {
    /// The message that set it; it names the key.
    pub message: Arc<Message>,
    /// How long it still holds, zero if it has expired; `None`: until another one.
    pub left: Option<Duration>,
    /// The last messages that set the key, the newest last, where the room keeps points.
    pub points: Vec<Arc<Message>>,
}
