//! The labels of the bus's families.

use crate::Label;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusCommand {
    /// Sequence, keep and push one group of messages.
    Publish,
    /// Read a room's epoch and last seq.
    Meta,
    /// Read a range of a room's messages.
    History,
    /// Move, read or count what users confirmed of a room.
    Receipts,
    /// Read a part of a room's state.
    State,
    /// Write a probe.
    Probe,
    /// Pushes without a script: signals and typing.
    Push,
    /// Subscribe to a room.
    Subscribe,
    /// Unsubscribe from one.
    Unsubscribe,
    /// Write one step of a room's presence.
    Presence,
    /// Read a room's presence.
    PresenceRead,
}

impl Label for BusCommand {
    const NAME: &'static str = "command";
    const ALL: &'static [Self] = &[
        Self::Publish,
        Self::Meta,
        Self::History,
        Self::Receipts,
        Self::State,
        Self::Probe,
        Self::Push,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Presence,
        Self::PresenceRead,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Meta => "meta",
            Self::History => "history",
            Self::Receipts => "receipts",
            Self::State => "state",
            Self::Probe => "probe",
            Self::Push => "push",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Presence => "presence",
            Self::PresenceRead => "presence_read",
        }
    }
}

/// What changed in rooms' lists of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceChangeKind {
    /// A user joined, as this node wrote it.
    Joined,
    /// A user left, as this node wrote it.
    Left,
    /// The info of a user changed, as this node wrote it.
    Info,
    /// The status of a user changed, as this node wrote it.
    Status,
    /// A room's list is to be read again here.
    Reset,
}

impl Label for PresenceChangeKind {
    const NAME: &'static str = "change";
    const ALL: &'static [Self] = &[Self::Joined, Self::Left, Self::Info, Self::Status, Self::Reset];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Info => "info",
            Self::Status => "status",
            Self::Reset => "reset",
        }
    }
}

/// What a connection to the bus is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusConnection {
    /// Publishes.
    Publish,
    /// Pushes.
    Subscribe,
    /// Reads.
    Pool,
}

impl Label for BusConnection {
    const NAME: &'static str = "connection";
    const ALL: &'static [Self] = &[Self::Publish, Self::Subscribe, Self::Pool];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Pool => "pool",
        }
    }
}

/// Why a room was repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairCause {
    /// A push skipped a seq.
    Hole,
    /// The sweep found the bus ahead of the feed.
    Tail,
    /// Its subscription was lost and came back.
    Resubscribe,
    /// Pushes came faster than they were taken.
    Overflow,
    /// A push carried another epoch.
    Epoch,
    /// Its primary is another one now.
    Moved,
}

impl Label for RepairCause {
    const NAME: &'static str = "cause";
    const ALL: &'static [Self] =
        &[Self::Hole, Self::Tail, Self::Resubscribe, Self::Overflow, Self::Epoch, Self::Moved];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::Tail => "tail",
            Self::Resubscribe => "resubscribe",
            Self::Overflow => "overflow",
            Self::Epoch => "epoch",
            Self::Moved => "moved",
        }
    }
}

/// Why a room went on in another epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochResetCause {
    /// The bus's data has another life: a replica was promoted, or the server restarted.
    Life,
    /// The bus no longer knew the room.
    Missing,
    /// Another node had begun the new epoch already.
    Foreign,
}

impl Label for EpochResetCause {
    const NAME: &'static str = "cause";
    const ALL: &'static [Self] = &[Self::Life, Self::Missing, Self::Foreign];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Life => "life",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
        }
    }
}

/// How the command connections of a primary are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// They work.
    Closed,
    /// They were lost a moment ago: publishes wait.
    HalfOpen,
    /// They are away: publishes are refused.
    Open,
}

impl Label for CircuitState {
    const NAME: &'static str = "state";
    const ALL: &'static [Self] = &[Self::Closed, Self::HalfOpen, Self::Open];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What the leases say of an incarnation of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// It has a lease.
    Live,
    /// It is marked dead.
    Dead,
}

impl Label for LeaseState {
    const NAME: &'static str = "state";
    const ALL: &'static [Self] = &[Self::Live, Self::Dead];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Dead => "dead",
        }
    }
}
