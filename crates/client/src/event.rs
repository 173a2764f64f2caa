//! What a client tells its application, and what the application may ask of a join.

use std::sync::Arc;
use std::time::Duration;

use roomcast_protocol::{
    ConnectionId, ErrorCode, Message, NodeId, Position, RoomName, Seq, StateEntry, UserName,
};

/// Something that happened, in the order in which it happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A node took the connection. Rooms are joined again by themselves.
    Connected {
        /// The node.
        node: NodeId,
        /// The node's name for this connection.
        connection: ConnectionId,
        /// Who the node takes the client for.
        user: Option<UserName>,
        /// Number of this try, counted from 1 over the client's whole life.
        attempt: u32,
    },
    /// The connection ended or could not be made; another try follows by itself.
    Disconnected {
        /// Which of the URLs it was, without its query.
        url: Box<str>,
        /// Why, for people.
        reason: Box<str>,
        /// When the next try begins.
        retry_in: Duration,
    },
    /// The client is a member of the room (again).
    Joined {
        /// The room.
        room: RoomName,
        /// Where the following events continue from.
        position: Position,
        /// If the join resumed: whether everything since then follows. If not, the position is
        /// still the old one, and a `Gap` or a `Reset` says what is missing, or `State` stands for it.
        recovered: Option<bool>,
    },
    /// A message, told once and in ascending order.
    Message {
        /// The room.
        room: RoomName,
        /// Where a reader stands after this message; what `JoinOptions::since` takes.
        position: Position,
        /// The message.
        message: Arc<Message>,
    },
    /// Messages `from` to `to`, both included, will not come.
    Gap {
        /// The room.
        room: RoomName,
        /// First missing seq.
        from: Seq,
        /// Last missing seq.
        to: Seq,
        /// Where a reader stands after the gap.
        position: Position,
    },
    /// In a room with state: of messages `from` to `to`, both included, only those come that are the
    /// newest of their keys. A map that follows them is complete.
    Conflated {
        /// The room.
        room: RoomName,
        /// First seq that is left out.
        from: Seq,
        /// Last seq that is left out.
        to: Seq,
        /// Where a reader stands then.
        position: Position,
    },
    /// A part of a room's whole state. All parts of one snapshot are of one position; it stands for
    /// everything before it, also for what was missed.
    State {
        /// The room.
        room: RoomName,
        /// It is the first part: the map begins empty.
        begins: bool,
        /// The values of this part.
        entries: Vec<StateEntry>,
        /// Where a reader stands after the last part; `None` if others follow.
        position: Option<Position>,
    },
    /// The room goes on in another epoch.
    Reset {
        /// The room.
        room: RoomName,
        /// Where the following messages continue from.
        position: Position,
        /// How many messages told before are not part of the new epoch.
        lost: u64,
    },
    /// The client is no member any more and does not join again by itself.
    Left {
        /// The room.
        room: RoomName,
        /// Why, if the node removed it.
        reason: Option<Box<str>>,
    },
    /// A request without an outcome of its own failed, most often a join.
    Error {
        /// The room it was about.
        room: Option<RoomName>,
        /// Stable code.
        code: ErrorCode,
        /// For people.
        message: Box<str>,
        /// When the client tries again by itself; `None`: it does not, and is not in the room.
        retry_in: Option<Duration>,
    },
    /// The end: nothing follows. Make another client to come back.
    Closed {
        /// Which of the URLs was tried or used last, without its query.
        url: Box<str>,
        /// The close code, if a node closed the connection or the application did (1000).
        code: Option<u16>,
        /// Why, for people.
        reason: Box<str>,
    },
}

/// How to enter a room. Only for the first entry: later ones resume by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JoinOptions {
    /// Resume: everything after this position, first.
    pub since: Option<Position>,
    /// Begin with up to this many of the latest messages; without `since` only.
    pub history: Option<u32>,
}
