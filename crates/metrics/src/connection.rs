//! Families of connections: how many are open, why they came, why they went or were refused.

use prometheus::{Histogram, IntCounter, IntGauge};

use crate::family::{ByLabel, Families};
use crate::{Label, buckets};

/// Connections of the node.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    /// Open now: `open[transport][encoding]`.
    pub open: ByLabel<Transport, ByLabel<Encoding, IntGauge>>,
    /// Handshakes that succeeded.
    pub opened: ByLabel<ConnectionKind, IntCounter>,
    /// Connections that ended after their handshake, once each.
    pub closed: ByLabel<CloseReason, IntCounter>,
    /// Connections and requests turned away before there was a connection of ours.
    pub refused: ByLabel<RefusalReason, IntCounter>,
    /// From the end of the handshake to the end of the connection, in seconds.
    pub duration: Histogram,
    /// From the accepted socket to the written answer, in seconds; successful ones only.
    pub handshake: Histogram,
}

impl ConnectionMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        Self {
            open: families.gauges_by_two("connections", "Connections open now."),
            opened: families.counters(
                "connections_opened_total",
                "Connections opened; returning ones named themselves and a later attempt.",
            ),
            closed: families.counters(
                "connections_closed_total",
                "Connections that ended, by what ended them.",
            ),
            refused: families.counters(
                "connections_refused_total",
                "Handshakes refused, by reason; each was answered if it could be.",
            ),
            duration: families.histogram(
                "connection_duration_seconds",
                "From the end of the handshake to the end of the connection.",
                buckets::LIFETIME,
            ),
            handshake: families.histogram(
                "handshake_seconds",
                "From the accepted socket to the written answer of a successful handshake.",
                buckets::WAIT,
            ),
        }
    }
}

impl ConnectionMetrics {
    /// How many are open now.
    pub fn all_open(&self) -> i64 {
        let of = |transport| Encoding::ALL.iter().map(move |&encoding| (transport, encoding));
        let all = Transport::ALL.iter().flat_map(|&transport| of(transport));
        all.map(|(transport, encoding)| self.open[transport][encoding].get()).sum()
    }
}

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// RFC 6455.
    Websocket,
}

impl Label for Transport {
    const NAME: &'static str = "transport";
    const ALL: &'static [Self] = &[Self::Websocket];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Websocket => "websocket",
        }
    }
}

/// How frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// JSON text frames.
    Json,
    /// MessagePack binary frames.
    Msgpack,
}

impl Label for Encoding {
    const NAME: &'static str = "encoding";
    const ALL: &'static [Self] = &[Self::Json, Self::Msgpack];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
        }
    }
}

/// Whether the client was here before, by what it said at the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKind {
    /// Its first attempt, or it said nothing.
    First,
    /// A later attempt.
    Returning,
}

impl Label for ConnectionKind {
    const NAME: &'static str = "kind";
    const ALL: &'static [Self] = &[Self::First, Self::Returning];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Returning => "returning",
        }
    }
}

/// What ended a connection: the word of the node's close code, or what the client did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The node closed with 1000.
    Normal,
    /// The node closed with 1001.
    GoingAway,
    /// 1002: broken framing.
    Protocol,
    /// 1003: the wrong kind of frame.
    Unsupported,
    /// 1007: text that is no UTF-8.
    BadUtf8,
    /// 1008: too many broken frames, or a message that took too long.
    Policy,
    /// 1009: a message above the limit.
    TooBig,
    /// 1011: a fault of the node's own.
    Internal,
    /// 1012: the node drains.
    Restart,
    /// 1013: the node has too much to do.
    TryAgain,
    /// 4000: it read too slowly.
    Slow,
    /// 4001: nothing came from it for the heartbeat's time-out.
    Dead,
    /// 4002: nothing came from the application.
    Idle,
    /// The socket ended without a close from either side.
    Gone,
    /// The client sent the first Close.
    Client,
}

impl Label for CloseReason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self::Normal,
        Self::GoingAway,
        Self::Protocol,
        Self::Unsupported,
        Self::BadUtf8,
        Self::Policy,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::TryAgain,
        Self::Slow,
        Self::Dead,
        Self::Idle,
        Self::Gone,
        Self::Client,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::GoingAway => "going_away",
            Self::Protocol => "protocol",
            Self::Unsupported => "unsupported",
            Self::BadUtf8 => "bad_utf8",
            Self::Policy => "policy",
            Self::TooBig => "too_big",
            Self::Internal => "internal",
            Self::Restart => "restart",
            Self::TryAgain => "try_again",
            Self::Slow => "slow",
            Self::Dead => "dead",
            Self::Idle => "idle",
            Self::Gone => "gone",
            Self::Client => "client",
        }
    }
}

/// Why a handshake was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// The request was malformed.
    BadRequest,
    /// Subprotocols were offered and none is known.
    Subprotocol,
    /// The node has as many connections as it may have.
    Limit,
    /// The node drains.
    Draining,
    /// The node has not reached Redis since it started.
    NotReady,
    /// No such path.
    NotFound,
    /// The path does not take this method.
    Method,
    /// The request's head did not arrive in time.
    Timeout,
}

impl Label for RefusalReason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self::BadRequest,
        Self::Subprotocol,
        Self::Limit,
        Self::Draining,
        Self::NotReady,
        Self::NotFound,
        Self::Method,
        Self::Timeout,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Subprotocol => "subprotocol",
            Self::Limit => "limit",
            Self::Draining => "draining",
            Self::NotReady => "not_ready",
            Self::NotFound => "not_found",
            Self::Method => "method",
            Self::Timeout => "timeout",
        }
    }
}
