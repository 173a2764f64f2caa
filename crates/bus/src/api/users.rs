//! What nodes say and ask about the connections of one user. Plain data only.

use roomcast_protocol::ConnectionId;

/// A connection of a user whose client named itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedConnection {
    /// The connection.
    pub id: ConnectionId,
    /// A hash of the client's name for itself, the same on all nodes.
    pub client: u64,
}

/// All connections of one user on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPresence {
    /// Rises with each of the node's states of the user: a late one changes nothing.
    pub number: u64,
    /// How many there are.
    pub count: usize,
    /// Those of them whose clients named themselves.
    pub named: Vec<NamedConnection>,
}

/// A connection that wants to be one of a user's; it is in the node's state already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserNewcomer {
    /// Connections that the user may have, on all nodes together.
    pub most: usize,
    /// The connection.
    pub id: ConnectionId,
    /// A hash of what its client calls itself: it may take the place of a connection of the same.
    pub client: Option<u64>,
    /// Which connections it may replace.
    pub replaces: ReplacePlace,
    /// Whether it comes, or only asks.
    pub step: NewcomerStep,
}

/// On which nodes a connection may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplacePlace {
    /// On the newcomer's node.
    Here,
    /// On all nodes.
    Anywhere,
}

/// What a newcomer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewcomerStep {
    /// It takes its place, if there is one.
    Enter,
    /// It asks whether there is one; nothing is written.
    Look,
}

/// Whether a user has a place for a newcomer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserPlace {
    /// Yes. These connections no longer count, and are to be closed.
    Granted {
        /// On the newcomer's node.
        here: Vec<ConnectionId>,
        /// On other nodes.
        elsewhere: Vec<ConnectionId>,
    },
    /// No: the user has as many connections as it may have.
    Full,
}
