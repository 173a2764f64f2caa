//! What a node sends: one variant for each frame type.

mod kind;
mod people;

use std::sync::Arc;

use crate::{
    ConnectionId, Data, Epoch, ErrorCode, EventName, Message, NodeId, RequestId, RoomName, Seq,
    UserName,
};

pub use people::{
    MAX_PAGE_ENTRIES, MAX_PAGE_MEMBERS, MAX_STATE_POINTS, Member, OnlineUser, PresenceCounts,
    PresenceStatus, ReadMarks, StateEntry, StatePoint, UserEvent,
};

/// A frame from a node.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ServerFrame {
    /// The first frame of every connection.
    Connected {
        /// This connection, named by the node.
        connection: ConnectionId,
        /// Who the node takes the client for.
        user: Option<UserName>,
        /// The node that serves it.
        node: NodeId,
        /// The node's clock, Unix time in ms.
        time: u64,
        /// When the identity ends unless it is refreshed, Unix time in ms; `None` if it does not.
        expires: Option<u64>,
        /// Connections in the cluster, if known.
        online: Option<u64>,
        /// When the client may take the node for dead.
        heartbeat: Heartbeat,
        /// Bounds on what the client may send.
        limits: Limits,
    },
    /// The client is a member now; what it missed follows, then what is new.
    Joined {
        /// Of the `join`.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// The epoch of the frames that follow.
        epoch: Epoch,
        /// The seq that the next frames continue from.
        seq: Seq,
        /// With `since`: whether everything since then follows.
        recovered: Option<bool>,
        /// Its members in numbers, if presence is on and the client may know.
        counts: Option<PresenceCounts>,
        /// How far its user has confirmed it, in rooms with receipts.
        marks: Option<ReadMarks>,
        /// Whether a snapshot of the room's state follows.
        state: bool,
    },
    /// The client is no member any more.
    Left {
        /// Of the `leave`; `None` if the node removed the member.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// Why the node removed the member.
        reason: Option<Box<str>>,
    },
    /// The message is sequenced and kept.
    Ack {
        /// Of the `publish`.
        id: RequestId,
        /// The room.
        room: RoomName,
        /// The epoch it was sequenced in.
        epoch: Epoch,
        /// Its number.
        seq: Seq,
        /// Its time, Unix ms, by the bus's clock.
        time: u64,
    },
    /// A message of a room.
    Message {
        /// The room.
        room: RoomName,
        /// The message.
        message: Arc<Message>,
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
    /// Somebody began to write, or stopped.
    Typing {
        /// The room.
        room: RoomName,
        /// Who, if known.
        user: Option<UserName>,
        /// The connection that told it, if it came by one.
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
        /// Whether the client's list stays good: only numbers changed.
        list: bool,
    },
    /// The member list is no longer known; ask for it again with `members`.
    PresenceReset {
        /// The room.
        room: RoomName,
        /// How long to wait before, in ms.
        after_ms: u64,
    },
    /// Messages `from` to `to`, both included, cannot be delivered to this member.
    Gap {
        /// The room.
        room: RoomName,
        /// First missing seq.
        from: Seq,
        /// Last missing seq.
        to: Seq,
        /// Whether newer values of the same keys stand for them, in a state room.
        conflated: bool,
        /// Whether a snapshot of the room's state follows.
        state: bool,
    },
    /// The room goes on in another epoch.
    Reset {
        /// The room.
        room: RoomName,
        /// The new epoch.
        epoch: Epoch,
        /// The seq that the next frames continue from.
        seq: Seq,
        /// How many messages that the old epoch delivered here are not part of the new one;
        /// 0 if the new epoch merely continues the old.
        lost: u64,
        /// Whether a snapshot of the room's state follows.
        state: bool,
    },
    /// A page of history, ascending.
    History {
        /// Of the `history`.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// The epoch the seqs count in.
        epoch: Epoch,
        /// The messages, ascending by seq.
        messages: Vec<Arc<Message>>,
        /// Whether there are more in the direction asked for.
        more: bool,
    },
    /// A page of a room's members.
    Members {
        /// Of the `members`.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// The members of this page.
        members: Vec<Member>,
        /// The room's members in numbers; the list is that of `rev`.
        counts: PresenceCounts,
        /// What to give as `page` for the next page; `None` on the last.
        more: Option<Box<str>>,
    },
    /// What other members see of one member: the answer to `presence`.
    Presence {
        /// Of the `presence`.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// Whose it is, if known.
        user: Option<UserName>,
        /// The member's connection.
        connection: Option<ConnectionId>,
        /// The member's info.
        info: Option<Data>,
        /// Whether the user is there.
        status: Option<PresenceStatus>,
        /// Revision of the member list.
        rev: Option<u64>,
    },
    /// A part of a room's state, all parts at one position.
    State {
        /// Of the `state`; `None` in a snapshot that the node sends by itself.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// The epoch of the position.
        epoch: Epoch,
        /// The seq of the position.
        seq: Seq,
        /// The values of this part.
        entries: Vec<StateEntry>,
        /// Whether other parts follow.
        more: bool,
        /// What to give as `page` for the next part, where the client asks for it.
        page: Option<Box<str>>,
    },
    /// Where a room is.
    Room {
        /// Of the `room`.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// Its epoch; `Epoch::NONE` if nothing was ever published in it.
        epoch: Epoch,
        /// Its last seq.
        seq: Seq,
        /// Its members in numbers, if presence is on and the client may know.
        counts: Option<PresenceCounts>,
        /// How far the user has confirmed it, in rooms with receipts.
        marks: Option<ReadMarks>,
        /// The time of its last message, Unix ms by the bus's clock.
        time: Option<u64>,
    },
    /// How far the user has confirmed a room now.
    Received {
        /// Of the `received`; `None` if another device of the user confirmed it.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// The epoch that the seqs count in.
        epoch: Epoch,
        /// The last message that was received.
        seq: Seq,
        /// The last message that was read.
        read: Seq,
    },
    /// How many users have received and read a message of this connection.
    Receipts {
        /// The room.
        room: RoomName,
        /// The epoch that `seq` counts in.
        epoch: Epoch,
        /// The message.
        seq: Seq,
        /// Users that received it.
        received: u64,
        /// Users that read it.
        read: u64,
    },
    /// The users of a `watch` or `unwatch`, and which of them are online.
    Watching {
        /// Of the request.
        id: Option<RequestId>,
        /// In the request's order.
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
    /// The new token is taken.
    Refreshed {
        /// Of the `refresh`.
        id: Option<RequestId>,
        /// When it ends, Unix time in ms.
        expires: u64,
        /// The node's clock, Unix time in ms.
        time: u64,
    },
    /// Answer to `ping`.
    Pong {
        /// Of the `ping`.
        id: Option<RequestId>,
        /// The node's clock, Unix time in ms.
        time: u64,
    },
    /// Keep receiving; after `after_ms` open a new connection and resume there.
    Reconnect {
        /// How long to wait, in ms.
        after_ms: u64,
        /// Why.
        reason: Box<str>,
    },
    /// A request failed, or the connection is about to end.
    Error {
        /// Of the request, if it had one.
        id: Option<RequestId>,
        /// The room it was about.
        room: Option<RoomName>,
        /// Stable code.
        code: ErrorCode,
        /// For people.
        message: Box<str>,
        /// When to try again, in ms.
        retry_after_ms: Option<u64>,
    },
}

/// How the node watches over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// A WebSocket ping comes every so many ms.
    pub interval_ms: u64,
    /// The node ends a connection after this long without anything from it, in ms: never earlier,
    /// and at most a second later.
    pub timeout_ms: u64,
}

/// Bounds on what a client may send; more is answered by an error or a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest frame in bytes, envelope included.
    pub message_bytes: u64,
    /// Rooms per connection.
    pub rooms: u64,
}
