//! One order, its parts, and its encoding: JSON, as the hash in Redis and the control room hold
//! it.

use std::fmt;

use roomcast_protocol::{ConnectionId, UserName};
use serde::{Deserialize, Serialize};

use super::BanNetwork;
use crate::identity::TokenId;

/// Longest reason in bytes: a sentence for the banned user.
pub const MAX_REASON_BYTES: usize = 256;

/// The id of an order: a random number, written as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(pub u64);

impl OrderId {
    /// Reads the 16 hex digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        ConnectionId::parse(text).map(|id| Self(id.0))
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A fact with an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessOrder {
    /// Its id.
    pub id: OrderId,
    /// What it orders.
    pub kind: OrderKind,
    /// When it ends, in milliseconds since 1970 by the clock of Redis.
    pub end: u64,
    /// Why, for the user it concerns.
    pub reason: Option<String>,
    /// Whether it is in force.
    pub state: OrderState,
}

/// What is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderKind {
    /// Handshakes of the target are refused and its connections end.
    Ban(BanTarget),
    /// Connections of the target that began before a time end.
    Disconnect {
        /// Which connections.
        target: DisconnectTarget,
        /// Those that began before this time.
        before: u64,
        /// Whether the client is to come back with a new token.
        renewal: Renewal,
    },
}

/// What is banned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BanTarget {
    /// A user.
    User(UserName),
    /// A token, by its `jti`.
    TokenId(TokenId),
    /// All addresses of a network.
    Network(BanNetwork),
}

/// Whose connections end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisconnectTarget {
    /// All of a user.
    User(UserName),
    /// One connection.
    Connection(ConnectionId),
    /// All that came by a token, by its `jti`.
    TokenId(TokenId),
}

/// Whether a client whose connection is ended is to come back with a new token. Of several orders
/// for a connection the last in this list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Renewal {
    /// Yes: 4100.
    Yes,
    /// No: another connection of its client took its place, 4503.
    Replaced,
    /// No: 4502.
    No,
}

/// Whether an order is in force. A lift is kept until the order's end: else a node that has not
/// heard of the lift would bring the order back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// It holds until its end.
    InForce,
    /// It was lifted.
    Lifted,
}

impl AccessOrder {
    /// Whether it is a ban.
    pub fn is_ban(&self) -> bool {
        matches!(self.kind, OrderKind::Ban(_))
    }

    /// Whether it is in force at this time.
    pub fn holds(&self, now: u64) -> bool {
        self.state == OrderState::InForce && now < self.end
    }

    /// What two orders of the same id and kind say together.
    pub(super) fn union(&self, other: &Self) -> Self {
        let is_lifted = [self, other].into_iter().any(|order| order.state == OrderState::Lifted);
        Self {
            id: self.id,
            kind: self.kind.clone(),
            end: self.end.max(other.end),
            reason: self.reason.clone().max(other.reason.clone()),
            state: if is_lifted { OrderState::Lifted } else { OrderState::InForce },
        }
    }

    /// The order as JSON.
    pub fn encode(&self) -> String {
        let mut text = OrderText {
            id: self.id.to_string(),
            end: self.end,
            reason: self.reason.clone(),
            lifted: self.state == OrderState::Lifted,
            ..OrderText::default()
        };
        match &self.kind {
            OrderKind::Ban(BanTarget::User(user)) => text.user = Some(user.to_string()),
            OrderKind::Ban(BanTarget::TokenId(id)) => text.jti = Some(id.as_str().to_owned()),
            OrderKind::Ban(BanTarget::Network(network)) => {
                text.network = Some(network.to_string());
            }
            OrderKind::Disconnect { target, before, renewal } => {
                text.before = Some(*before);
                text.renew = *renewal == Renewal::Yes;
                text.replaced = *renewal == Renewal::Replaced;
                match target {
                    DisconnectTarget::User(user) => text.user = Some(user.to_string()),
                    DisconnectTarget::TokenId(id) => text.jti = Some(id.as_str().to_owned()),
                    DisconnectTarget::Connection(id) => text.connection = Some(id.to_string()),
                }
            }
        }
        // Only maps with odd keys and failing writers make this fail, and there is neither.
        serde_json::to_string(&text).unwrap_or_default()
    }

    /// Reads what `encode` wrote; `None` for anything else. Members that it does not know are
    /// ignored: a later version may add some.
    pub fn decode(text: &str) -> Option<Self> {
        let text: OrderText = serde_json::from_str(text).ok()?;
        if text.reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON_BYTES) {
            return None;
        }
        let kind = match (text.user, text.jti, text.network, text.connection, text.before) {
            (Some(user), None, None, None, None) => {
                OrderKind::Ban(BanTarget::User(UserName::parse(&user).ok()?))
            }
            (None, Some(jti), None, None, None) => {
                OrderKind::Ban(BanTarget::TokenId(TokenId::parse(&jti)?))
            }
            (None, None, Some(network), None, None) => {
                OrderKind::Ban(BanTarget::Network(BanNetwork::parse(&network).ok()?))
            }
            (user, jti, None, connection, Some(before)) => {
                let target = match (user, jti, connection) {
                    (Some(user), None, None) => {
                        DisconnectTarget::User(UserName::parse(&user).ok()?)
                    }
                    (None, Some(jti), None) => DisconnectTarget::TokenId(TokenId::parse(&jti)?),
                    (None, None, Some(id)) => {
                        DisconnectTarget::Connection(ConnectionId::parse(&id)?)
                    }
                    _ => return None,
                };
                let renewal = match (text.renew, text.replaced) {
                    (true, _) => Renewal::Yes,
                    (false, true) => Renewal::Replaced,
                    (false, false) => Renewal::No,
                };
                OrderKind::Disconnect { target, before, renewal }
            }
            _ => return None,
        };
        let state = if text.lifted { OrderState::Lifted } else { OrderState::InForce };
        let id = OrderId::parse(&text.id)?;
        Some(Self { id, kind, end: text.end, reason: text.reason, state })
    }
}

/// An order as JSON. A ban has no `before`.
#[derive(Default, Serialize, Deserialize)]
struct OrderText {
    id: String,
    end: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    renew: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    replaced: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    lifted: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}
