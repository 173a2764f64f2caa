//! What nodes say and hear about who is in a room. Plain data only.

use std::time::Duration;

use roomcast_protocol::{ConnectionId, Data, UserName};
pub use roomcast_protocol::{PresenceCounts, PresenceStatus};

/// One connection of this node in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceMember {
    /// The connection.
    pub connection: ConnectionId,
    /// Its user; a connection without one counts and makes no event.
    pub user: Option<UserName>,
    /// What it shows of its user; the latest of a user's connections counts.
    pub info: Option<Data>,
    /// Its status.
    pub status: PresenceStatus,
}

/// How a membership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The connection ended: its user has the grace.
    Ended,
    /// It left or was put out: its user leaves at once.
    Left,
}

/// What a room's nodes hear of its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceMode {
    /// Numbers only.
    Counts,
    /// Each change of a user, up to `events_max` memberships.
    Events,
}

/// How a room's namespace wants its presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresencePolicy {
    /// What the nodes hear.
    pub mode: PresenceMode,
    /// How long a user whose last connection ended is kept.
    pub grace: Duration,
    /// Memberships above which the room falls back to numbers, until they are below 80 % of it.
    pub events_max: u32,
}

/// One entry of a room's list: a connection, or a user whose grace runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceEntry {
    /// The connection; `None` for a user whose grace runs.
    pub connection: Option<ConnectionId>,
    /// Its user.
    pub user: Option<UserName>,
    /// What its user shows: the latest of its connections.
    pub info: Option<Data>,
    /// Its user's status.
    pub status: PresenceStatus,
}

/// A room's list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PresenceList {
    /// The numbers as they were before the list was read.
    pub counts: PresenceCounts,
    /// Ascending by user (those without one first) and connection, each once.
    pub entries: Vec<PresenceEntry>,
}

impl PresenceList {
    /// Puts the entries into their order.
    pub(crate) fn sort(&mut self) {
        self.entries.sort_by(|a, b| (&a.user, a.connection).cmp(&(&b.user, b.connection)));
    }
}

/// What changed in a room's list of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceChange {
    /// A user's first connection came.
    Joined {
        /// The user.
        user: UserName,
        /// What it shows.
        info: Option<Data>,
        /// When, in Unix ms by the bus's clock.
        time: u64,
    },
    /// A user's last connection went, and its grace is over.
    Left {
        /// The user.
        user: UserName,
        /// What it showed.
        info: Option<Data>,
        /// When, in Unix ms by the bus's clock.
        time: u64,
    },
    /// Info or status changed.
    Shown {
        /// The user.
        user: Option<UserName>,
        /// The connection; only of one without a user.
        connection: Option<ConnectionId>,
        /// What it shows now.
        info: Option<Data>,
        /// Its status now.
        status: PresenceStatus,
    },
}

/// One step of a room's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceStep {
    /// What changed; `None` if only numbers did.
    pub change: Option<PresenceChange>,
    /// The numbers after it.
    pub counts: PresenceCounts,
}

impl PresenceStep {
    /// What it holds of memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let (user, info) = match &self.change {
            Some(
                PresenceChange::Joined { user, info, .. } | PresenceChange::Left { user, info, .. },
            ) => (Some(user), info.as_ref()),
            Some(PresenceChange::Shown { user, info, .. }) => (user.as_ref(), info.as_ref()),
            None => (None, None),
        };
        let user = user.map_or(0, |user| user.as_str().len());
        size_of::<Self>() + user + info.map_or(0, Data::len)
    }
}

/// How many users a change of a room changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ChangeTally {
    /// Users that joined.
    pub(crate) joined: u64,
    /// Users that left.
    pub(crate) left: u64,
    /// Changes of what users show.
    pub(crate) infos: u64,
    /// Changes of their status.
    pub(crate) statuses: u64,
}

/// News of an open room's presence, in the order of its feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceNews {
    /// Steps in order; none is missing since the last news of this room.
    Steps(Vec<PresenceStep>),
    /// Only the latest numbers: the room is above `events_max`, or its policy says counts.
    Counts(PresenceCounts),
    /// Changes were missed, the list has another epoch, or events are back: lists are to be read
    /// again.
    Reset(PresenceCounts),
}

/// Called once with a room's numbers after a member was written, or `None` where it will not be: an exit
/// of the same connection came first, or it showed something else meanwhile. An enter is not replaced
/// by what its connection shows.
pub type PresenceReply = Box<dyn FnOnce(Option<PresenceCounts>) + Send>;
