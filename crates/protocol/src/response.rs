//! What a node sends: one variant for each frame type.

mod kind;

use std::sync::Arc;

use crate::{
    ConnectionId, Data, Epoch, ErrorCode, EventName, Message, NodeId, RequestId, RoomName, Seq,
    UserName,
};

/// Members in one page, at most: a page has 64 KiB or a single member.
pub const MAX_PAGE_MEMBERS: usize = 4096;

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
        /// Members in the room, if presence is on.
        count: Option<u64>,
        /// Revision of the member list, if presence is on.
        rev: Option<u64>,
        /// The first page of members, if presence was asked for and the room is small enough.
        members: Option<Vec<Member>>,
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
    /// The member list is no longer known; ask for it again with `members`.
    PresenceReset {
        /// The room.
        room: RoomName,
    },
    /// Messages `from` to `to`, both included, cannot be delivered to this member.
    Gap {
        /// The room.
        room: RoomName,
        /// First missing seq.
        from: Seq,
        /// Last missing seq.
        to: Seq,
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
        /// Members in the room.
        count: u64,
        /// Different users among them.
        users: u64,
        /// Revision of the member list.
        rev: u64,
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
        /// `active` or `away`.
        state: Option<Box<str>>,
        /// Revision of the member list.
        rev: Option<u64>,
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

/// A user appeared in a room or went away.
#[derive(Debug, Clone, PartialEq)]
pub struct UserEvent {
    /// The room.
    pub room: RoomName,
    /// Who.
    pub user: UserName,
    /// What the user shows of itself.
    pub info: Option<Data>,
    /// When, Unix time in ms by the bus's clock.
    pub time: u64,
    /// Members in the room after it.
    pub count: u64,
    /// Revision of the member list after it.
    pub rev: u64,
}

/// One connection in a room, as other members see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The connection.
    pub connection: ConnectionId,
    /// Its user, if known.
    pub user: Option<UserName>,
    /// What it shows of itself.
    pub info: Option<Data>,
    /// `active` or `away`.
    pub state: Option<Box<str>>,
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
