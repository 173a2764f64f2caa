//! Families of limits: what was refused or ended because it was above one, and where a limit could
//! not be applied.

use prometheus::IntCounter;

use crate::Label;
use crate::family::{ByLabel, Families};

/// What limits did.
#[derive(Debug, Clone)]
pub struct LimitMetrics {
    /// `above[limit][action]`.
    pub above: ByLabel<LimitName, ByLabel<LimitAction, IntCounter>>,
    /// Requests with a forwarding header from an address that is no trusted proxy.
    pub untrusted_forwards: IntCounter,
}

impl LimitMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        Self {
            above: families.counters_by_two(
                "limits_total",
                "What was above a limit, by the limit's key and what was done.",
            ),
            untrusted_forwards: families.counter(
                "untrusted_forwards_total",
                "Requests with a forwarding header from an address that http.trusted_proxies does \
                 not name; the header was ignored.",
            ),
        }
    }
}

/// A limit, by the last part of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitName {
    /// Handshakes from one address per second.
    AddressHandshakes,
    /// Connections from one address.
    AddressConnections,
    /// Connections of a user.
    UserConnections,
    /// WebSocket frames of a connection per second.
    Frames,
    /// Bytes of a connection per second.
    InboundRate,
    /// Joins of a connection per second.
    Joins,
    /// Reads of a connection per second.
    Reads,
    /// Rooms that the node holds.
    NodeRooms,
    /// Rooms that a user's connections are in.
    UserRooms,
    /// Rooms that a connection's publishes began, per minute.
    CreatedRooms,
    /// Publishes of a connection in a namespace per second.
    PublishRate,
    /// Publishes of a user in a namespace per second.
    UserPublishRate,
    /// Signals of a connection in a namespace per second.
    SignalRate,
    /// Messages of a room per second.
    RoomPublishRate,
}

impl Label for LimitName {
    const NAME: &'static str = "limit";
    const ALL: &'static [Self] = &[
        Self::AddressHandshakes,
        Self::AddressConnections,
        Self::UserConnections,
        Self::Frames,
        Self::InboundRate,
        Self::Joins,
        Self::Reads,
        Self::NodeRooms,
        Self::UserRooms,
        Self::CreatedRooms,
        Self::PublishRate,
        Self::UserPublishRate,
        Self::SignalRate,
        Self::RoomPublishRate,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::AddressHandshakes => "address_handshakes",
            Self::AddressConnections => "address_connections",
            Self::UserConnections => "user_connections",
            Self::Frames => "frames",
            Self::InboundRate => "inbound_rate",
            Self::Joins => "joins",
            Self::Reads => "reads",
            Self::NodeRooms => "node_rooms",
            Self::UserRooms => "user_rooms",
            Self::CreatedRooms => "created_rooms",
            Self::PublishRate => "publish_rate",
            Self::UserPublishRate => "user_publish_rate",
            Self::SignalRate => "signal_rate",
            Self::RoomPublishRate => "room_publish_rate",
        }
    }
}

/// What a limit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitAction {
    /// It refused a request, a frame or a handshake.
    Refused,
    /// It ended a connection.
    Closed,
    /// It was not applied: the client's address is only a proxy's.
    NotApplied,
}

impl Label for LimitAction {
    const NAME: &'static str = "action";
    const ALL: &'static [Self] = &[Self::Refused, Self::Closed, Self::NotApplied];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::NotApplied => "not_applied",
        }
    }
}
