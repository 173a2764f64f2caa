//! What users confirmed of a room: how far each has received and read it. Plain data only.

use std::time::Duration;

use roomcast_protocol::{ConnectionId, Epoch, Position, Seq, UserName};

/// A user confirms a room up to a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptMove {
    /// Who.
    pub user: UserName,
    /// The last message.
    pub at: Position,
    /// What became of the messages.
    pub kind: ReceiptKind,
    /// The connections that asked for it: they get an answer, and no news.
    pub by: Vec<ConnectionId>,
}

/// What a user did with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptKind {
    /// It received them.
    Received,
    /// It received and read them.
    Read,
}

/// How a room keeps receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptRules {
    /// Users whose positions are kept.
    pub users: u32,
    /// How long they are kept at least: from the room's last publish on. Every look at one of them, and
    /// every node that has the room open, prolongs it.
    pub age: Duration,
}

/// Where a user is in a room, in its present epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptMarks {
    /// The epoch of both seqs.
    pub epoch: Epoch,
    /// The last message that it received; 0 for none.
    pub received: Seq,
    /// The last message that it read; 0 for none.
    pub read: Seq,
}

/// Why a move was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The bus is unavailable. Try again later.
    #[error("the bus is unavailable")]
    Unavailable,
    /// The position's epoch is not of the room's lineage. Join the room and take its epoch.
    #[error("the epoch is not one of the room's")]
    Stranger,
    /// The room keeps the positions of as many users as it may.
    #[error("the room keeps the positions of as many users as it may")]
    TooManyUsers,
}

/// Where a room is, and one user in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomOutline {
    /// Its epoch; `Epoch::NONE` if it does not exist.
    pub epoch: Epoch,
    /// Its last seq.
    pub last: Seq,
    /// When the last message was sequenced, Unix ms by the bus's clock; 0 if there was none.
    pub time: u64,
    /// The last message that the user received; 0 for none.
    pub received: Seq,
    /// The last message that the user read; 0 for none.
    pub read: Seq,
    /// Messages after that which are kept for users.
    pub unread: u64,
}

/// How many users have messages of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptCounts {
    /// The epoch that the seqs counted in.
    pub epoch: Epoch,
    /// The room's last seq.
    pub last: Seq,
    /// For each seq asked for: users that received it, and users that read it.
    pub counts: Vec<(u64, u64)>,
}

/// A user's position moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptNews {
    /// Who.
    pub user: UserName,
    /// Where it is now.
    pub marks: ReceiptMarks,
    /// The connections that asked for it.
    pub by: Vec<ConnectionId>,
}
