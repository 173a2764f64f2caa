//! The sections `namespaces.<name>`: policies of rooms, by the part of their name before the
//! first `:`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use roomcast_access::capability::Capability;
use roomcast_access::policy::{AccessPolicy, AccessRule, Authentication};
use roomcast_bus::{Retention, StateBounds};
use roomcast_protocol::{EventName, RoomName};
use serde::{Deserialize, Deserializer};

use super::value;

/// The words of `allow_*`.
pub(super) const RULES: [&str; 5] = ["public", "user", "member", "capability", "server"];

/// The namespace of every room that names none or an unknown one.
const DEFAULT: &str = "default";

/// The policy of one namespace.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceConfig {
    /// Messages that users may read back.
    pub history_size: u32,
    /// How long they may.
    #[serde(deserialize_with = "value::from_millis")]
    pub history_age: Duration,
    /// Messages kept for repair.
    pub repair_window: u32,
    /// Replicas that must have a message before its ack.
    pub wait_replicas: u32,
    /// Largest payload.
    pub message_bytes: usize,
    /// Publishes per second and connection; 0: no limit.
    pub publish_rate: u32,
    /// Publishes at once.
    pub publish_burst: u32,
    /// Publishes per second of a user on a node; 0: no limit.
    pub user_publish_rate: u32,
    /// Signals of a connection per second; 0: no limit.
    pub signal_rate: u32,
    /// Messages per second of a room; 0: no limit.
    pub room_publish_rate: u32,
    /// Events that may be published; none: all.
    #[serde(default, deserialize_with = "events")]
    pub events: Vec<EventName>,
    /// The folder with a schema for each event.
    pub schemas: Option<PathBuf>,
    /// Longest string in a payload; 0: no limit.
    pub max_text: usize,
    /// Keys of one user in a room and window.
    pub keys_per_user: u32,
    /// Keys of all users in a room and window.
    pub keys_per_room: u32,
    /// What happens to slow members.
    pub slow: SlowPolicy,
    /// What is known of members.
    pub presence: PresenceSetting,
    /// How long a user counts as there after its last connection ended.
    #[serde(deserialize_with = "value::from_millis")]
    pub presence_grace: Duration,
    /// Memberships above which numbers are told in place of events.
    pub presence_events_max: u32,
    /// Whether messages carry what their authors show of themselves.
    pub author_info: bool,
    /// Whether users' positions are kept.
    pub receipts: bool,
    /// Users whose positions a room keeps.
    pub receipts_users: u32,
    /// Whether rooms keep the newest value of each key.
    pub state: bool,
    /// Keys with a value that a room has.
    pub state_keys: u32,
    /// Bytes of keys and values.
    pub state_bytes: usize,
    /// Values that a key keeps as points.
    pub state_points: u32,
    /// How long a room with state or receipts is kept after its last publish.
    #[serde(deserialize_with = "value::from_millis")]
    pub state_age: Duration,
    /// Whether of signals of one key only the newest is sent every 50 ms.
    pub conflate_signals: bool,
    /// Which connections may join without a capability; `None`: the default.
    #[serde(default, deserialize_with = "access_rule")]
    pub allow_join: Option<AccessRule>,
    /// The same for publishing.
    #[serde(default, deserialize_with = "access_rule")]
    pub allow_publish: Option<AccessRule>,
    /// The same for signals and typing.
    #[serde(default, deserialize_with = "access_rule")]
    pub allow_signal: Option<AccessRule>,
    /// The same for reading the past.
    #[serde(default, deserialize_with = "access_rule")]
    pub allow_history: Option<AccessRule>,
    /// The same for seeing members.
    #[serde(default, deserialize_with = "access_rule")]
    pub allow_presence: Option<AccessRule>,
}

pub(super) fn access_rule<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<AccessRule>, D::Error> {
    Ok(AccessRule::parse(&String::deserialize(input)?))
}

impl NamespaceConfig {
    /// What connections may do without a capability.
    pub fn access_policy(&self, authentication: Authentication) -> AccessPolicy {
        AccessPolicy::new(authentication, |action| match action {
            Capability::Join => self.allow_join,
            Capability::Publish => self.allow_publish,
            Capability::Signal => self.allow_signal,
            Capability::History => self.allow_history,
            Capability::Presence => self.allow_presence,
        })
    }

    /// How much state its rooms keep; `None`: none.
    pub fn state_bounds(&self) -> Option<StateBounds> {
        self.state.then_some(StateBounds {
            keys: self.state_keys,
            bytes: self.state_bytes,
            points: self.state_points,
            age: self.state_age,
        })
    }

    /// How the bus keeps the messages of its rooms.
    pub fn retention(&self) -> Retention {
        Retention {
            history_size: self.history_size,
            history_age: self.history_age,
            repair_window: self.repair_window,
            replicas: self.wait_replicas,
            keys_per_user: self.keys_per_user,
            keys_per_room: self.keys_per_room,
        }
    }
}

/// What is known of a room's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresenceSetting {
    /// Nothing.
    Off,
    /// How many there are, and the list.
    Counts,
    /// Joins and leaves as well.
    Events,
}

/// What happens to a member that lags too far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlowPolicy {
    /// Its connection ends with the slow code.
    Close,
    /// It is told of the gap and moved to the newest message.
    Conflate,
}

/// Every configured namespace; `default` is always among them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Namespaces(BTreeMap<String, NamespaceConfig>);

impl Namespaces {
    /// The namespace that a room falls under, by its configured name, and its policy.
    pub fn of(&self, room: &RoomName) -> (&str, &NamespaceConfig) {
        let named = room.namespace().and_then(|name| self.0.get_key_value(name));
        let (name, policy) = named
            .or_else(|| self.0.get_key_value(DEFAULT))
            .expect("the built-in defaults configure the default namespace");
        (name, policy)
    }

    /// That of rooms without a namespace.
    pub fn of_none(&self) -> (&str, &NamespaceConfig) {
        let default = self.0.get_key_value(DEFAULT);
        let (name, policy) =
            default.expect("the built-in defaults configure the default namespace");
        (name, policy)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &NamespaceConfig)> {
        self.0.iter().map(|(name, policy)| (name.as_str(), policy))
    }
}

/// Lower case only, as names from the environment are: a variable cannot tell `chat` from `Chat`.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    !name.is_empty() && name.bytes().all(plain)
}

/// Reads names of events, separated by blanks.
pub(super) fn read_events(text: &str) -> Result<Vec<EventName>, String> {
    let read = |word| EventName::parse(word).map_err(|error| format!("{word:?}: {error}"));
    text.split_whitespace().map(read).collect()
}

fn events<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<EventName>, D::Error> {
    read_events(&String::deserialize(input)?).map_err(serde::de::Error::custom)
}
