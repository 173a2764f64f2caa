//! Families of access: requests of backends, and the orders (bans, disconnects) that hold on every
//! node.

use prometheus::{IntCounter, IntGauge};

use crate::Label;
use crate::family::{ByLabel, Families};

/// Requests of backends and orders.
#[derive(Debug, Clone)]
pub struct AccessMetrics {
    /// Requests below `/v1` that have a route: `api_requests[route][outcome]`.
    pub api_requests: ByLabel<ApiRoute, ByLabel<ApiOutcome, IntCounter>>,
    /// Bans in force that this node knows.
    pub bans: IntGauge,
    /// Exchanges of orders with the bus that failed.
    pub order_failures: IntCounter,
}

impl AccessMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        Self {
            api_requests: families.counters_by_two(
                "api_requests_total",
                "Requests of backends, by route and outcome.",
            ),
            bans: families.gauge("bans", "Bans in force that this node knows."),
            order_failures: families.counter(
                "order_failures_total",
                "Exchanges of bans and disconnects with the bus that failed.",
            ),
        }
    }
}

/// A route of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiRoute {
    /// One message.
    Publish,
    /// Messages of a room.
    Read,
    /// Members of a room.
    Members,
    /// A room's state.
    State,
    /// Several messages.
    Batch,
    /// A new ban.
    Ban,
    /// The bans in force.
    Bans,
    /// The end of a ban.
    Lift,
    /// The end of connections.
    Disconnect,
    /// A new ticket.
    Ticket,
    /// Where a room is.
    Room,
    /// How many users have a message.
    Receipts,
    /// One message to several users.
    UserMessages,
    /// A signal.
    Signal,
    /// The connections of a user.
    Connections,
    /// A connection joins a room.
    Join,
    /// A connection leaves a room.
    Leave,
}

impl Label for ApiRoute {
    const NAME: &'static str = "route";
    const ALL: &'static [Self] = &[
        Self::Publish,
        Self::Read,
        Self::Members,
        Self::State,
        Self::Batch,
        Self::Ban,
        Self::Bans,
        Self::Lift,
        Self::Disconnect,
        Self::Ticket,
        Self::Room,
        Self::Receipts,
        Self::UserMessages,
        Self::Signal,
        Self::Connections,
        Self::Join,
        Self::Leave,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Members => "members",
            Self::State => "state",
            Self::Batch => "batch",
            Self::Ban => "ban",
            Self::Bans => "bans",
            Self::Lift => "lift",
            Self::Disconnect => "disconnect",
            Self::Ticket => "ticket",
            Self::Room => "room",
            Self::Receipts => "receipts",
            Self::UserMessages => "user_messages",
            Self::Signal => "signal",
            Self::Connections => "connections",
            Self::Join => "join",
            Self::Leave => "leave",
        }
    }
}

/// How a request of a backend ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiOutcome {
    /// Status 2xx.
    Done,
    /// Status 401 or 403.
    Denied,
    /// Another status 4xx.
    Refused,
    /// Status 5xx.
    Failed,
}

impl ApiOutcome {
    /// The outcome that an HTTP status means.
    pub fn of_status(status: u16) -> Self {
        match status {
            0..400 => Self::Done,
            401 | 403 => Self::Denied,
            400..500 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

impl Label for ApiOutcome {
    const NAME: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Done, Self::Denied, Self::Refused, Self::Failed];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}
