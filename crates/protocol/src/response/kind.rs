//! What every frame of a node can tell of itself: its type, its request, its room.

use crate::{Position, RequestId, RoomName, Seq, ServerFrame};

impl ServerFrame {
    /// Every type, for tables, metrics and tests.
    pub const TYPES: [&'static str; 26] = [
        "connected",
        "joined",
        "left",
        "ack",
        "message",
        "signal",
        "typing",
        "user_joined",
        "user_left",
        "count",
        "presence_reset",
        "gap",
        "reset",
        "history",
        "members",
        "presence",
        "state",
        "room",
        "received",
        "receipts",
        "watching",
        "user",
        "refreshed",
        "pong",
        "reconnect",
        "error",
    ];

    /// Its `type` on the wire.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Joined { .. } => "joined",
            Self::Left { .. } => "left",
            Self::Ack { .. } => "ack",
            Self::Message { .. } => "message",
            Self::Signal { .. } => "signal",
            Self::Typing { .. } => "typing",
            Self::UserJoined(_) => "user_joined",
            Self::UserLeft(_) => "user_left",
            Self::Count { .. } => "count",
            Self::PresenceReset { .. } => "presence_reset",
            Self::Gap { .. } => "gap",
            Self::Reset { .. } => "reset",
            Self::History { .. } => "history",
            Self::Members { .. } => "members",
            Self::Presence { .. } => "presence",
            Self::State { .. } => "state",
            Self::Room { .. } => "room",
            Self::Received { .. } => "received",
            Self::Receipts { .. } => "receipts",
            Self::Watching { .. } => "watching",
            Self::User { .. } => "user",
            Self::Refreshed { .. } => "refreshed",
            Self::Pong { .. } => "pong",
            Self::Reconnect { .. } => "reconnect",
            Self::Error { .. } => "error",
        }
    }

    /// A `gap` that nothing else follows.
    pub const fn gap(room: RoomName, (from, to): (Seq, Seq)) -> Self {
        Self::Gap { room, from, to, conflated: false, state: false }
    }

    /// A `reset` that nothing else follows.
    pub const fn reset(room: RoomName, Position { epoch, seq }: Position, lost: u64) -> Self {
        Self::Reset { room, epoch, seq, lost, state: false }
    }

    /// The number of the request it answers, if any.
    pub const fn id(&self) -> Option<RequestId> {
        match self {
            Self::Ack { id, .. } => Some(*id),
            Self::Joined { id, .. }
            | Self::Left { id, .. }
            | Self::History { id, .. }
            | Self::Members { id, .. }
            | Self::Presence { id, .. }
            | Self::State { id, .. }
            | Self::Room { id, .. }
            | Self::Received { id, .. }
            | Self::Watching { id, .. }
            | Self::Refreshed { id, .. }
            | Self::Pong { id, .. }
            | Self::Error { id, .. } => *id,
            _ => None,
        }
    }

    /// The room it is about, if any.
    pub const fn room(&self) -> Option<&RoomName> {
        match self {
            Self::Joined { room, .. }
            | Self::Left { room, .. }
            | Self::Ack { room, .. }
            | Self::Message { room, .. }
            | Self::Signal { room, .. }
            | Self::Typing { room, .. }
            | Self::Count { room, .. }
            | Self::PresenceReset { room, .. }
            | Self::Gap { room, .. }
            | Self::Reset { room, .. }
            | Self::History { room, .. }
            | Self::Members { room, .. }
            | Self::Presence { room, .. }
            | Self::State { room, .. }
            | Self::Room { room, .. }
            | Self::Received { room, .. }
            | Self::Receipts { room, .. } => Some(room),
            Self::UserJoined(event) | Self::UserLeft(event) => Some(&event.room),
            Self::Error { room, .. } => room.as_ref(),
            Self::Connected { .. }
            | Self::Refreshed { .. }
            | Self::Pong { .. }
            | Self::Watching { .. }
            | Self::User { .. }
            | Self::Reconnect { .. } => None,
        }
    }
}
