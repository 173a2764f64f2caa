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

use super::key::{Change, Key, Section, ValueKind};
use super::value::{self, Bounds};

/// The words of `allow_*`.
pub(super) const RULES: [&str; 5] = ["public", "user", "member", "capability", "server"];

/// The namespace of every room that names none or an unknown one.
const DEFAULT: &str = "default";

pub(super) const SECTION: Section = Section {
    name: "namespaces.default",
    about: "Policies of rooms. A room's namespace is the part of its name before the first `:`; \
            rooms without one, or with one that is not configured, take `default`. Another \
            namespace is a table `[namespaces.NAME]` (a–z, 0–9, `_`, `-`); a key that it lacks \
            is taken from `namespaces.default`, one by one.",
    keys: &[
        Key {
            name: "history_size",
            default: "100",
            kind: ValueKind::Count(Bounds::new(0, 1_000_000)),
            change: Change::Reload,
            about: "Messages that users may read back; 0: none. A screen or two of a \
                    conversation.",
        },
        Key {
            name: "history_age",
            default: "10m",
            kind: ValueKind::Time(Bounds::new(1_000, 30 * 86_400_000)),
            change: Change::Reload,
            about: "How long a message may be read back. Bounds what Redis holds for rooms that \
                    fell silent.",
        },
        Key {
            name: "repair_window",
            default: "256",
            kind: ValueKind::Count(Bounds::new(16, 1_000_000)),
            change: Change::Reload,
            about: "Messages kept for nodes that missed them, whatever users may read. Seconds \
                    of a busy room: as long as a lost connection to Redis takes to come back.",
        },
        Key {
            name: "wait_replicas",
            default: "0",
            kind: ValueKind::Count(Bounds::new(0, 100)),
            change: Change::Reload,
            about: "Redis replicas that must have a message before its author gets the ack (Redis \
                    `WAIT`); if they do not have it in time, the answer is `publish_unknown`. None: \
                    a message that Redis acknowledged is lost only if its primary is, and that is \
                    told by `reset`.",
        },
        Key {
            name: "message_bytes",
            default: "64KiB",
            kind: ValueKind::Bytes(Bounds::new(1, 16 << 20)),
            change: Change::Reload,
            about: "Largest `data`; more is refused as `too_large`. What is larger belongs in a \
                    store, and its address in the message.",
        },
        Key {
            name: "publish_rate",
            default: "10",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("no limit")),
            change: Change::Reload,
            about: "Publishes per second and connection. More are `rate_limited`. Faster than \
                    anybody types.",
        },
        Key {
            name: "publish_burst",
            default: "50",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000)),
            change: Change::Reload,
            about: "Publishes that a connection which was quiet may send at once.",
        },
        Key {
            name: "signal_rate",
            default: "100",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("no limit")),
            change: Change::Reload,
            about: "`signal`, `typing` and `presence` frames of a connection per second, as many at \
                    once; more are `rate_limited`. Room for a pointer that moves at 60 frames a \
                    second.",
        },
        Key {
            name: "user_publish_rate",
            default: "0",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("no limit")),
            change: Change::Reload,
            about: "Publishes per second of all connections of a user on a node, as many at once; \
                    more are `rate_limited`. Holds for users that a token names, not for those of \
                    `?user=`.",
        },
        Key {
            name: "room_publish_rate",
            default: "0",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("no limit")),
            change: Change::Reload,
            about: "Messages per second of one room, whoever publishes them on whichever node, as \
                    many at once; more are `rate_limited` and not stored. Holds for backends too. \
                    Bounds what every member of a room is sent.",
        },
        Key {
            name: "events",
            default: "",
            kind: ValueKind::Events,
            change: Change::Reload,
            about: "The events that may be published; another one, or none, is refused as \
                    `bad_data`. Empty: any, and none.",
        },
        Key {
            name: "schemas",
            default: "",
            kind: ValueKind::FileOrEmpty,
            change: Change::Reload,
            about: "A folder with a JSON Schema for each event, `EVENT.json`; `data` that does not \
                    fit is refused as `bad_data` with the path of what is wrong. An event without a \
                    file is not judged. The files are read at start and at SIGHUP; one that cannot \
                    be used, or has a `$ref` to elsewhere, fails the start, and a reload then changes \
                    nothing.",
        },
        Key {
            name: "max_text",
            default: "0",
            kind: ValueKind::Bytes(Bounds::new(1, 16 << 20).or_zero("no limit")),
            change: Change::Reload,
            about: "The longest string in `data`, keys of objects included, in bytes of UTF-8 after \
                    unescaping; a longer one is refused as `bad_data`.",
        },
        Key {
            name: "keys_per_user",
            default: "10000",
            kind: ValueKind::Count(Bounds::new(1, 10_000_000)),
            change: Change::Reload,
            about: "Publishes with a `key` that one user may make in one room within two minutes, \
                    the time for which a key is remembered; more are refused as `overloaded`. \
                    Without a user a connection's `client` has that many, and all connections with \
                    neither have them together. Raise it with `publish_rate`: 120 for each publish \
                    per second, and once more for each connection that the user has.",
        },
        Key {
            name: "keys_per_room",
            default: "250000",
            kind: ValueKind::Count(Bounds::new(1, 10_000_000)),
            change: Change::Reload,
            about: "The same for all users of a room together: a backend's 1,000 a second, \
                    twice over. Bounds the memory of a room's keys: 200 bytes each in Redis, which \
                    holds a key for two to four minutes.",
        },
        Key {
            name: "slow",
            default: "close",
            kind: ValueKind::Word(&["close", "conflate"]),
            change: Change::Reload,
            about: "What happens to a member more than `limits.lag_bytes` behind. `close`: its \
                    connection ends with 4000 and its client resumes, without loss. `conflate`: \
                    it is told of the gap and goes on with the newest message.",
        },
        Key {
            name: "presence",
            default: "off",
            kind: ValueKind::Word(&["off", "counts", "events"]),
            change: Change::Reload,
            about: "What is known of a room's members. `events`: members that ask for it are told \
                    when a user joins and leaves; `counts`: only how many there are. Both keep a \
                    list that can be read. Each join and leave then costs a part of a call to \
                    Redis; members that stay cost nothing.",
        },
        Key {
            name: "presence_grace",
            default: "5s",
            kind: ValueKind::Time(Bounds::new(0, 300_000)),
            change: Change::Reload,
            about: "How long after its last connection ended a user counts as there: a page that \
                    is loaded again, or a planned move, is no leave. A `leave` counts at once.",
        },
        Key {
            name: "presence_events_max",
            default: "1000",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000)),
            change: Change::Reload,
            about: "Memberships of a room above which its members are told numbers in place of \
                    joins and leaves, at most once a second; events return below 80 % of it. All \
                    of them would be told of every change of any of them.",
        },
        Key {
            name: "author_info",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Adds to each message the `info` that its author has in the room, or else in \
                    its token: a name and a picture, kept with the message.",
        },
        Key {
            name: "receipts",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Keeps for each user how far it has received and read a room, and tells \
                    authors that ask for it how many have.",
        },
        Key {
            name: "receipts_users",
            default: "10000",
            kind: ValueKind::Count(Bounds::new(1, 10_000_000)),
            change: Change::Reload,
            about: "Users whose positions a room keeps; those of more are refused as \
                    `overloaded`. About 100 bytes each in Redis.",
        },
        Key {
            name: "state",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Keeps the newest value of each `state_key` of a room. Members that join get all \
                    of them as a snapshot, and slow ones the newest value of each key. Turn it on \
                    when all nodes run a version that knows it.",
        },
        Key {
            name: "state_keys",
            default: "1000",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000)),
            change: Change::Reload,
            about: "Keys with a value that a room has; a publish with another one is refused as \
                    `too_many_keys`. Each node that has the room open keeps them in memory.",
        },
        Key {
            name: "state_bytes",
            default: "1MiB",
            kind: ValueKind::Bytes(Bounds::new(1 << 10, 64 << 20)),
            change: Change::Reload,
            about: "Bytes of these keys and values, points included; a publish that would exceed \
                    them is refused as `too_many_keys`. Each member that joins is sent all of them.",
        },
        Key {
            name: "state_points",
            default: "0",
            kind: ValueKind::Count(Bounds::new(0, 1_000)),
            change: Change::Reload,
            about: "Values that a key keeps for charts: snapshots have the last so many of each key \
                    as `points`, the newest included; 0: none. Redis writes all of them at each \
                    publish.",
        },
        Key {
            name: "state_age",
            default: "7d",
            kind: ValueKind::Time(Bounds::new(1_000, 365 * 86_400_000)),
            change: Change::Reload,
            about: "How long Redis keeps a room with state or receipts after its last publish; while \
                    a node has it open, it is kept in any case.",
        },
        Key {
            name: "conflate_signals",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Of the signals of one connection with one event in a room, sends at most one \
                    every 50 ms, the newest always: pointers that move at 60 frames a second are \
                    smooth at 20.",
        },
        Key {
            name: "allow_join",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "Which connections may join without the capability `join` in their token: all \
                    (`public`), those with a user (`user`), none (`capability`); `server` refuses \
                    even those with the capability, and leaves the action to API keys. Empty: \
                    `capability` where authentication is configured, else `public`. (`member` \
                    admits none here.)",
        },
        Key {
            name: "allow_publish",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "The same for publishing; `member`: connections that are in the room.",
        },
        Key {
            name: "allow_signal",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "The same for signals and typing.",
        },
        Key {
            name: "allow_history",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "The same for reading the past: `history`, and `history` in a `join`. Without \
                    it a `since` reaches back two minutes.",
        },
        Key {
            name: "allow_presence",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "The same for seeing who is in the room.",
        },
    ],
};

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
