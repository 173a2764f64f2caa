//! What a client tells its application.

use std::sync::Arc;
use std::time::Duration;

use roomcast_protocol::{
    ConnectionId, Data, ErrorCode, EventName, Message, NodeId, OnlineUser, Position,
    PresenceCounts, PresenceStatus, ReadMarks, RoomName, Seq, StateEntry, UserEvent, UserName,
};

use crate::ConfirmedMarks;

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
        /// Where the following events continue from. With `state` it is that of the snapshot, and
        /// the reader stands there only after its last part.
        position: Position,
        /// If the join resumed: whether everything since then follows. If not, the position is
        /// still the old one, and a `Gap` or a `Reset` says what is missing.
        recovered: Option<bool>,
        /// The room's members in numbers, if presence is on and the client may know.
        counts: Option<PresenceCounts>,
        /// How far the user has confirmed it, in rooms with receipts.
        marks: Option<ReadMarks>,
        /// Whether a snapshot of the room's state follows.
        state: bool,
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
        /// Where a reader stands after the gap; with `state`, only after the snapshot.
        position: Position,
        /// Whether newer values of the same keys come in place of them, in a state room.
        conflated: bool,
        /// Whether a snapshot of the room's state follows.
        state: bool,
    },
    /// The room goes on in another epoch.
    Reset {
        /// The room.
        room: RoomName,
        /// Where the following messages continue from; with `state`, only after the snapshot.
        position: Position,
        /// How many messages told before are not part of the new epoch.
        lost: u64,
        /// Whether a snapshot of the room's state follows.
        state: bool,
    },
    /// A part of a snapshot of the room's state: all values at one position. They take the place of
    /// those before with the last part: a connection lost before that may resume at the old position.
    State {
        /// The room.
        room: RoomName,
        /// What the values hold; the reader stands there after the last part.
        position: Position,
        /// Whether a snapshot begins with it; one that was cut short does not count.
        is_first: bool,
        /// Whether other parts follow.
        more: bool,
        /// The values of this part.
        entries: Vec<StateEntry>,
    },
    /// An ephemeral event of a room.
    Signal {
        /// The room.
        room: RoomName,
        /// Who sent it, if known.
        user: Option<UserName>,
        /// The connection that sent it, if it came by one.
        connection: Option<ConnectionId>,
        /// Its kind.
        event: EventName,
        /// Its payload, if any.
        data: Option<Data>,
    },
    /// A user began to write, or stopped.
    Typing {
        /// The room.
        room: RoomName,
        /// Who, if known.
        user: Option<UserName>,
        /// The connection of one without a user.
        connection: Option<ConnectionId>,
        /// False when it ended.
        active: bool,
    },
    /// A user's first connection joined the room.
    UserJoined(UserEvent),
    /// A user's last connection left the room.
    UserLeft(UserEvent),
    /// The room's members in numbers.
    Count {
        /// The room.
        room: RoomName,
        /// Memberships.
        count: u64,
        /// Different users.
        users: u64,
        /// Revision of the member list.
        rev: u64,
        /// Whether the application's list stays good: only numbers changed.
        list: bool,
    },
    /// The application's list of members is out of date; ask for it again, after this time.
    PresenceReset {
        /// The room.
        room: RoomName,
        /// How long to wait before.
        after: Duration,
    },
    /// What other members see of one.
    Presence {
        /// The room.
        room: RoomName,
        /// Whose it is, if known.
        user: Option<UserName>,
        /// The connection of one without a user.
        connection: Option<ConnectionId>,
        /// The member's info.
        info: Option<Data>,
        /// Whether the user is there.
        status: Option<PresenceStatus>,
        /// Revision of the member list.
        rev: Option<u64>,
    },
    /// Another device of the user confirmed a room.
    Received {
        /// The room.
        room: RoomName,
        /// How far.
        confirmation: ConfirmedMarks,
    },
    /// How many users have received and read a message that this connection published.
    Receipts {
        /// The room.
        room: RoomName,
        /// The message.
        position: Position,
        /// Users that received it.
        received: u64,
        /// Users that read it.
        read: u64,
    },
    /// Which of the users of a `watch` or `unwatch` are online, also after each reconnect.
    Watching {
        /// The users.
        users: Vec<OnlineUser>,
    },
    /// A watched user came online or left.
    User {
        /// Who.
        user: UserName,
        /// Whether it is online.
        online: bool,
        /// When, Unix time in ms.
        time: u64,
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
