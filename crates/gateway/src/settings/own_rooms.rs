//! The rules of the rooms that are not the application's: each user's own, and that of all
//! connections. No namespace of the configuration is theirs.

use std::sync::Arc;
use std::time::Duration;

use roomcast_access::policy::{AccessRule, Authentication};
use roomcast_bus::ReceiptRules;
use roomcast_metrics::Metrics;

use super::Namespace;
use crate::config::{Config, NamespaceConfig, PresenceSetting, SlowPolicy, UsersConfig};

/// The name of the rules of users' own rooms, in metrics.
const USER_ROOMS: &str = "$user";
/// That of the rules of the room of all connections.
const ALL_ROOM: &str = "$all";
/// Users whose positions a user's own room keeps: there is one.
const OWN_USERS: u32 = 1;
/// Largest payload: as large as in a namespace that says nothing else.
const MESSAGE_BYTES: usize = 64 * 1024;

/// The rules of these rooms.
#[derive(Debug)]
pub(super) struct OwnRooms {
    /// Of each user's own room.
    pub(super) user: Arc<Namespace>,
    /// Of the room of all connections.
    pub(super) all: Arc<Namespace>,
}

impl OwnRooms {
    /// `default` is the configuration's: of it only the history counts, in the room of all
    /// connections.
    pub(super) fn new(users: &UsersConfig, default: &NamespaceConfig, metrics: &Metrics) -> Self {
        let (history_size, history_age) = (users.history_size, users.history_age);
        let user = NamespaceConfig { history_size, history_age, ..own() };
        let (history_size, history_age) = (default.history_size, default.history_age);
        let all = NamespaceConfig { history_size, history_age, ..own() };
        let of = |name, config| {
            Namespace::new(name, config, Authentication::Configured, metrics.namespace(name))
        };
        let receipts = Some(ReceiptRules { users: OWN_USERS, age: users.history_age });
        let user = Namespace { receipts, ..of(USER_ROOMS, &user) };
        Self { user: user.into(), all: of(ALL_ROOM, &all).into() }
    }
}

/// All connections join and read; the rest is for API keys. What is not said here is as where nothing is
/// configured.
fn own() -> NamespaceConfig {
    let built_in = Config::from_settings(&[]).expect("the built-in defaults are valid");
    let (_, default) = built_in.namespaces.of_none();
    NamespaceConfig {
        message_bytes: MESSAGE_BYTES,
        publish_rate: 0,
        user_publish_rate: 0,
        room_publish_rate: 0,
        events: Vec::new(),
        schemas: None,
        max_text: 0,
        slow: SlowPolicy::Close,
        presence: PresenceSetting::Off,
        presence_grace: Duration::ZERO,
        author_info: false,
        receipts: false,
        state: false,
        conflate_signals: false,
        allow_join: Some(AccessRule::Public),
        allow_history: Some(AccessRule::Public),
        allow_publish: Some(AccessRule::Server),
        allow_signal: Some(AccessRule::Server),
        allow_presence: Some(AccessRule::Server),
        ..default.clone()
    }
}
