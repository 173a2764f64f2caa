//! What members of a room tell each other without it being numbered or kept. Plain data only.

use roomcast_protocol::{ConnectionId, Data, EventName, UserName};

/// Something that is pushed to the nodes that have a room open, and nothing more: it is lost where
/// it cannot be delivered at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ephemeral {
    /// An application's own event.
    Signal(Signal),
    /// A word about somebody who writes.
    Typing(TypingWord),
}

/// An application's own event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Who sent it, if known.
    pub user: Option<UserName>,
    /// The connection that sent it, if it came by one: it does not get it back.
    pub connection: Option<ConnectionId>,
    /// Its kind.
    pub event: EventName,
    /// Its payload, if any.
    pub data: Option<Data>,
}

/// A word about somebody who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypingWord {
    /// Who.
    pub writer: Writer,
    /// False when it stops.
    pub active: bool,
}

/// Whose typing it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Writer {
    /// A user, on whichever of its devices.
    User(UserName),
    /// A connection without a user.
    Connection(ConnectionId),
}

/// What became of something ephemeral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EphemeralFate {
    /// It is on its way, as far as this node knows.
    Taken,
    /// Too much waits, or the bus is away: it is gone.
    Dropped,
}
