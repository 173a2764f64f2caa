//! The rules of the rooms that are not the application's: each user's own, and that of all
//! connections. No namespace of the configuration is theirs.

use roomcast_access::capability::Capability;
use roomcast_access::policy::{AccessPolicy, AccessRule, Authentication};
use roomcast_bus::{ReceiptRules, Retention};
use roomcast_metrics::Metrics;

use super::Namespace;
use super::rates::PublishRates;
use crate::config::{NamespaceConfig, SlowPolicy, UsersConfig};

/// The rules of a user's own room, in logs and metrics.
const USER_ROOMS: &str = "$user";
/// Those of the room of all connections.
const ALL_ROOM: &str = "$all";
/// Users whose positions a user's own room keeps: there is one.
const OWN_USERS: u32 = 1;

/// The rules of these rooms.
#[derive(Debug)]
pub(super) struct OwnRooms {
    pub(super) user: std::sync::Arc<Namespace>,
    pub(super) all: std::sync::Arc<Namespace>,
}

impl OwnRooms {
    /// `default` is the configuration's: of it only the history counts in the room of all
    /// connections.
    pub(super) fn new(users: &UsersConfig, default: &NamespaceConfig, metrics: &Metrics) -> Self {
        let of = default.retention();
        let kept = Retention {
            history_size: users.history_size,
            history_age: users.history_age,
            ..of
        };
        let receipts = ReceiptRules { users: OWN_USERS, age: users.history_age };
        let user = own(USER_ROOMS, kept, Some(receipts), metrics);
        Self { user: user.into(), all: own(ALL_ROOM, of, None, metrics).into() }
    }
}

fn own(
    name: &str,
    retention: Retention,
    receipts: Option<ReceiptRules>,
    metrics: &Metrics,
) -> Namespace {
    // All connections join and read; the rest is for API keys.
    let rule = |action| match action {
        Capability::Join | Capability::History => Some(AccessRule::Public),
        Capability::Publish | Capability::Signal | Capability::Presence => Some(AccessRule::Server),
    };
    Namespace {
        name: name.into(),
        retention,
        message_bytes: MESSAGE_BYTES,
        slow: SlowPolicy::Close,
        policy: AccessPolicy::new(Authentication::Configured, rule),
        publish_rates: PublishRates::UNBOUND,
        receipts,
        author_info: false,
        metrics: metrics.namespace(name),
    }
}

/// Largest payload: as large as in a namespace that says nothing else.
const MESSAGE_BYTES: usize = 64 * 1024;
