//! What the node's parts need of the configuration, resolved; replaced as a whole at a reload.

mod auth;
mod demo;
mod own_rooms;
mod rates;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_access::api_key::ApiKeyTable;
use roomcast_access::policy::{AccessPolicy, Authentication};
use roomcast_bus::{ReceiptRules, Retention, StateBounds};
use roomcast_metrics::{Metrics, NamespaceMetrics};
use roomcast_protocol::{RoomKind, RoomName};
use roomcast_schema::NameBounds;

pub(crate) use rates::{PublishRates, RateSettings};

pub(crate) use crate::config::PresenceSetting;
use crate::config::{
    Config, HttpConfig, LimitsConfig, NamespaceConfig, Networks, SlowPolicy, UsersConfig,
};
use crate::fault::InjectedFault;
use crate::payload_rules::RuleBook;

use crate::tls::TlsServer;
pub(crate) use auth::{AuthSettings, WithoutToken};
pub(crate) use demo::{DemoSettings, OWN_KEY_NAME, PageKey};
use own_rooms::OwnRooms;

/// The name of the namespace of rooms without one, and of unknown ones.
const DEFAULT: &str = "default";
/// Why something of rooms with state is refused in another room.
pub(crate) const NO_STATE: &str = "this room keeps no state (namespaces.*.state)";

/// What a node does with messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NodePurpose {
    /// It relays them in rooms.
    #[default]
    Rooms,
    /// It sends each back as it came, so that its WebSockets can be tested from outside. Every path
    /// is a WebSocket's, without subprotocol, identity and rates.
    Echo,
}

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) limits: NodeLimits,
    pub(crate) heartbeat: HeartbeatSettings,
    pub(crate) http: HttpConfig,
    pub(crate) auth: AuthSettings,
    /// Keys of backends.
    pub(crate) api_keys: ApiKeyTable,
    /// `None`: it is off.
    pub(crate) demo: Option<DemoSettings>,
    /// Each connection's begin and end is logged.
    pub(crate) logs_access: bool,
    /// What the public listener's sockets speak TLS with; `None`: plain TCP. It outlives reloads.
    pub(crate) tls: Option<TlsServer>,
    /// It outlives reloads too.
    pub(crate) purpose: NodePurpose,
    /// A fault that a test injected. Release builds do not look at it.
    pub(crate) fault: Option<InjectedFault>,
    /// What namespaces take as payload.
    pub(crate) rules: RuleBook,
    /// What concerns users.
    pub(crate) users: UsersConfig,
    own_rooms: OwnRooms,
    default: Arc<Namespace>,
    namespaces: HashMap<String, Arc<Namespace>>,
}

/// Bounds, each documented beside its default in the configuration.
#[derive(Debug)]
pub(crate) struct NodeLimits {
    pub(crate) connections: usize,
    /// New sockets in a second; 0: no bound.
    pub(crate) accept_rate: u32,
    pub(crate) rooms: usize,
    pub(crate) message_bytes: usize,
    pub(crate) inbound_bytes: usize,
    pub(crate) stalled_bytes: usize,
    pub(crate) handshake_bytes: usize,
    pub(crate) lag_bytes: usize,
    pub(crate) log_bytes: usize,
    pub(crate) control_bytes: usize,
    pub(crate) send_buffer: usize,
    pub(crate) notsent_lowat: usize,
    pub(crate) message_deadline: Duration,
    /// Requests of one connection that the bus has not answered: then it is not read.
    pub(crate) requests: usize,
    /// Largest body of an HTTP request.
    pub(crate) body_bytes: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) room_linger: Duration,
    /// Connections from one address; 0: no limit, here and below.
    pub(crate) address_connections: usize,
    /// Clients there have no limits by address and no rates.
    pub(crate) exempt_networks: Networks,
    /// Largest info of a member.
    pub(crate) info_bytes: usize,
    /// Rooms that the node holds.
    pub(crate) node_rooms: usize,
    /// Rooms that a user's connections on the node are in.
    pub(crate) user_rooms: usize,
    /// Connections of a user on all nodes.
    pub(crate) user_connections: usize,
    pub(crate) names: NameBounds,
    pub(crate) rates: RateSettings,
}

/// How connections are watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeartbeatSettings {
    /// A ping goes out so often.
    pub(crate) interval: Duration,
    /// A connection from which nothing came for so long ends.
    pub(crate) timeout: Duration,
}

impl HeartbeatSettings {
    /// As clients are told; they may judge the node in the same way.
    pub(crate) fn told(&self) -> roomcast_protocol::Heartbeat {
        roomcast_protocol::Heartbeat {
            interval_ms: self.interval.as_millis() as u64,
            timeout_ms: self.timeout.as_millis() as u64,
        }
    }
}

impl NodeLimits {
    fn new(config: &LimitsConfig, connections: usize) -> Self {
        Self {
            connections: if config.connections == 0 { connections } else { config.connections },
            accept_rate: config.accept_rate,
            rooms: config.rooms_per_connection,
            message_bytes: config.message_bytes,
            inbound_bytes: config.inbound_bytes,
            stalled_bytes: config.stalled_bytes,
            handshake_bytes: config.handshake_bytes,
            lag_bytes: config.lag_bytes,
            log_bytes: config.log_bytes,
            control_bytes: config.control_bytes,
            send_buffer: config.send_buffer,
            notsent_lowat: config.notsent_lowat,
            message_deadline: config.message_deadline,
            requests: config.inflight_publishes,
            body_bytes: config.body_bytes,
            idle_timeout: Some(config.idle_timeout).filter(|timeout| !timeout.is_zero()),
            room_linger: config.room_linger,
            address_connections: config.address_connections,
            exempt_networks: config.exempt_networks.clone(),
            info_bytes: config.info_bytes,
            node_rooms: config.node_rooms,
            user_rooms: config.user_rooms,
            user_connections: config.user_connections,
            names: NameBounds { room: config.room_name_bytes, user: config.user_name_bytes },
            rates: RateSettings::new(config),
        }
    }

    /// As clients are told.
    pub(crate) fn told(&self) -> roomcast_protocol::Limits {
        roomcast_protocol::Limits {
            message_bytes: self.message_bytes as u64,
            rooms: self.rooms as u64,
        }
    }
}

/// What is known of a room's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PresenceSettings {
    pub(crate) mode: PresenceSetting,
    /// How long a user counts as there after its last connection ended.
    pub(crate) grace: Duration,
    /// Memberships above which numbers are told in place of events.
    pub(crate) events_max: u32,
}

/// The policy of rooms whose names begin alike.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// As configured.
    pub(crate) name: Arc<str>,
    /// The name of the namespace whose payload rules are its own.
    pub(crate) rules_name: Arc<str>,
    pub(crate) retention: Retention,
    pub(crate) message_bytes: usize,
    pub(crate) slow: SlowPolicy,
    /// What connections may do without a capability.
    pub(crate) policy: AccessPolicy,
    pub(crate) presence: PresenceSettings,
    pub(crate) publish_rates: PublishRates,
    /// How much state its rooms keep; `None`: none.
    pub(crate) state: Option<StateBounds>,
    pub(crate) conflates_signals: bool,
    /// How users' positions are kept; `None`: they are not.
    pub(crate) receipts: Option<ReceiptRules>,
    /// Whether messages carry what their authors show of themselves.
    pub(crate) author_info: bool,
    pub(crate) metrics: NamespaceMetrics,
}

impl Settings {
    /// Resolves a configuration; `connections` is what the descriptor limit allows.
    pub(crate) fn new(config: &Config, connections: usize, metrics: &Metrics) -> Self {
        let auth = AuthSettings::new(&config.auth, config.limits.info_bytes);
        let namespaces: HashMap<String, Arc<Namespace>> = (config.namespaces.iter())
            .map(|(name, config)| {
                let namespace =
                    Namespace::new(name, config, auth.authentication, metrics.namespace(name));
                (name.to_owned(), Arc::new(namespace))
            })
            .collect();
        let default = namespaces.get(DEFAULT).expect("the configuration has a default namespace");
        let (_, history) = config.namespaces.of_none();
        let own_rooms = OwnRooms::new(&config.users, history, metrics);
        Self {
            limits: NodeLimits::new(&config.limits, connections),
            http: config.http.clone(),
            auth,
            api_keys: config.api_keys.table(),
            demo: None,
            logs_access: config.log.access,
            tls: None,
            purpose: NodePurpose::default(),
            fault: None,
            rules: RuleBook::default(),
            heartbeat: HeartbeatSettings {
                interval: config.heartbeat.interval,
                timeout: config.heartbeat.timeout(),
            },
            users: config.users.clone(),
            own_rooms,
            default: default.clone(),
            namespaces,
        }
    }

    /// Whether connections may do the same in every room as under these settings, by policy.
    pub(crate) fn admits_as(&self, other: &Self) -> bool {
        let policy = |(name, namespace): (&String, &Arc<Namespace>)| {
            other.namespaces.get(name).unwrap_or(&other.default).policy == namespace.policy
        };
        self.default.policy == other.default.policy
            && self.namespaces.iter().all(policy)
            && self.namespaces.len() == other.namespaces.len()
    }

    /// The policy of a room.
    pub(crate) fn namespace_of(&self, room: &RoomName) -> &Arc<Namespace> {
        match room.kind() {
            RoomKind::Application => {}
            RoomKind::User | RoomKind::Me => return &self.own_rooms.user,
            RoomKind::All | RoomKind::Nodes => return &self.own_rooms.all,
        }
        room.namespace().and_then(|name| self.namespaces.get(name)).unwrap_or(&self.default)
    }
}

impl Namespace {
    fn new(
        name: &str,
        config: &NamespaceConfig,
        authentication: Authentication,
        metrics: NamespaceMetrics,
    ) -> Self {
        Self {
            name: name.into(),
            rules_name: name.into(),
            retention: config.retention(),
            message_bytes: config.message_bytes,
            slow: config.slow,
            policy: config.access_policy(authentication),
            presence: PresenceSettings {
                mode: config.presence,
                grace: config.presence_grace,
                events_max: config.presence_events_max,
            },
            publish_rates: PublishRates::new(config),
            state: config.state_bounds(),
            conflates_signals: config.conflate_signals,
            receipts: config
                .receipts
                .then_some(ReceiptRules { users: config.receipts_users, age: config.state_age }),
            author_info: config.author_info,
            metrics,
        }
    }
}

#[cfg(test)]
mod tests;
