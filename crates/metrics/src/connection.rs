//! Families of connections: how many are open, why they came, why they went or were refused.

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};
use roomcast_protocol::{CloseCode, Encoding};

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
    /// When the keys of `auth.jwks_url` were last fetched, in seconds since 1970; 0: never.
    pub jwks_fetched: Gauge,
    /// Fetches of the keys of `auth.jwks_url` that failed.
    pub jwks_failures: IntCounter,
    /// From the end of the handshake to the end of the connection, in seconds.
    pub duration: Histogram,
    /// From the accepted socket to the written answer, in seconds; successful ones only.
    pub handshake: Histogram,
    /// Attempts that returning clients needed, by their own word.
    pub reconnect_attempts: Histogram,
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
            jwks_fetched: families.real_gauge(
                "jwks_fetched_timestamp_seconds",
                "When the keys of auth.jwks_url were last fetched, as Unix time; 0: never.",
            ),
            jwks_failures: families.counter(
                "jwks_fetch_failures_total",
                "Fetches of the keys of auth.jwks_url that failed; the old keys stay.",
            ),
            duration: families.histogram(
                "connection_duration_seconds",
                "From the end of the handshake to the end of the connection.",
                buckets::LIFETIME,
            ),
            reconnect_attempts: families.histogram(
                "reconnect_attempts",
                "Attempts since the client's last connection, as returning clients tell.",
                buckets::ATTEMPTS,
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
        let of = |transport| Encoding::ALL.into_iter().map(move |encoding| (transport, encoding));
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

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The node closed it with this code.
    Node(CloseCode),
    /// The socket ended without a close from either side.
    Gone,
    /// The client sent the first Close.
    Client,
}

/// How many of the values of [`CloseReason`] are close codes; they come first.
const CLOSE_CODES: usize = CloseCode::ALL.len();

impl CloseReason {
    const VALUES: [Self; CLOSE_CODES + 2] = {
        let mut values = [Self::Gone; CLOSE_CODES + 2];
        let mut index = 0;
        while index < CLOSE_CODES {
            values[index] = Self::Node(CloseCode::ALL[index]);
            index += 1;
        }
        values[CLOSE_CODES + 1] = Self::Client;
        values
    };
}

impl Label for CloseReason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &Self::VALUES;

    fn index(self) -> usize {
        match self {
            Self::Node(code) => code as usize,
            Self::Gone => CLOSE_CODES,
            Self::Client => CLOSE_CODES + 1,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Node(code) => code.reason(),
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
    /// The node has not reached Redis since it started, or the key that a token needs has not come.
    NotReady,
    /// No such path.
    NotFound,
    /// The path does not take this method.
    Method,
    /// The request's head did not arrive in time.
    Timeout,
    /// Authentication is configured, and the request presents neither token nor ticket.
    NoToken,
    /// The token is not good.
    BadToken,
    /// The token was good once.
    ExpiredToken,
    /// The ticket is unknown, used or too old.
    SpentTicket,
    /// The query cannot be read, or there are two credentials.
    BadQuery,
    /// The ticket cannot be looked up: Redis does not answer.
    BusUnavailable,
    /// The page is not allowed to reach the node.
    BadOrigin,
    /// More handshakes from one address than it may make.
    RateLimited,
    /// One address has as many connections as it may have.
    TooManyConnections,
    /// The user, the token or the network is banned.
    Banned,
    /// The TLS handshake failed.
    Tls,
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
        Self::NoToken,
        Self::BadToken,
        Self::ExpiredToken,
        Self::SpentTicket,
        Self::BadQuery,
        Self::BusUnavailable,
        Self::BadOrigin,
        Self::RateLimited,
        Self::TooManyConnections,
        Self::Banned,
        Self::Tls,
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
            Self::NoToken => "no_token",
            Self::BadToken => "bad_token",
            Self::ExpiredToken => "expired_token",
            Self::SpentTicket => "spent_ticket",
            Self::BadQuery => "bad_query",
            Self::BusUnavailable => "bus_unavailable",
            Self::BadOrigin => "bad_origin",
            Self::RateLimited => "rate_limited",
            Self::TooManyConnections => "too_many_connections",
            Self::Banned => "banned",
            Self::Tls => "tls",
        }
    }
}
