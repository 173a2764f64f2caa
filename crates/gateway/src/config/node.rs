//! The sections `node`, `heartbeat` and `log`, and the keys before any section.

use std::time::Duration;

use roomcast_protocol::NodeId;
use serde::{Deserialize, Deserializer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::key::{Change, Key, Section, ValueKind};
use super::log_filter;
use super::value::{self, Bounds};

pub(super) const TOP: Section = Section {
    name: "",
    about: "Keys that stand before the first table of the file.",
    keys: &[Key {
        name: "insecure",
        default: "false",
        kind: ValueKind::Flag,
        change: Change::Restart,
        about: "Allows `http.listen` beyond this machine although there is no authentication: \
                whoever reaches the port reads and writes every room. Off, so that nobody does \
                this unknowingly.",
    }],
};

pub(super) const NODE: Section = Section {
    name: "node",
    about: "The node itself.",
    keys: &[
        Key {
            name: "id",
            default: "",
            kind: ValueKind::NodeName,
            change: Change::Restart,
            about: "The node's name, unique among its nodes; it stands in log lines and in \
                    `connected`. Without it the node takes `node-` and eight random digits, which \
                    cannot clash when containers share a host name.",
        },
        Key {
            name: "workers",
            default: "0",
            kind: ValueKind::Count(Bounds::new(1, 1_024).or_zero("one per core")),
            change: Change::Restart,
            about: "Threads that own connections. A worker is never idle while it has work, so \
                    more than one per core only adds switches.",
        },
    ],
};

pub(super) const HEARTBEAT: Section = Section {
    name: "heartbeat",
    about: "When a silent connection is taken for dead (close code 4001).",
    keys: &[
        Key {
            name: "interval",
            default: "25s",
            kind: ValueKind::Time(Bounds::new(1_000, 3_600_000)),
            change: Change::Restart,
            about: "Time between the WebSocket pings of a connection. Proxies commonly cut what \
                    is silent for 30 or 60 s.",
        },
        Key {
            name: "missed",
            default: "2",
            kind: ValueKind::Count(Bounds::new(1, 100)),
            change: Change::Restart,
            about: "Unanswered pings after which the connection ends, each with an interval to be \
                    answered in: a connection from which nothing came for `missed` + 1 intervals \
                    ends (4001), at most a second later. Two: one may be lost in a change of \
                    network.",
        },
    ],
};

pub(super) const LOG: Section = Section {
    name: "log",
    about: "The node's log, on standard error.",
    keys: &[
        Key {
            name: "level",
            default: "info",
            kind: ValueKind::LogFilter,
            change: Change::Reload,
            about: "What is logged: a level for all, or one for each part \
                    (`info,roomcast_bus=debug`). `info` is a line per event of the node, none per \
                    message. `trace` is for the node's own parts, and the same as `debug` in a \
                    release build: libraries write out what they carry at that level.",
        },
        Key {
            name: "format",
            default: "text",
            kind: ValueKind::Word(&["text", "json"]),
            change: Change::Restart,
            about: "`text` for people, `json` (an object per line) for collectors.",
        },
        Key {
            name: "access",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Two lines for each connection, with the target `access` at the level `info`: when \
                    it opens (user, client, address, name of the token's key) and when it ends (why, \
                    after how many seconds). No room, no payload, no token.",
        },
    ],
};

/// The node itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Its name, unique among the nodes.
    #[serde(deserialize_with = "node_id")]
    pub id: NodeId,
    /// How many workers to run: at least one.
    #[serde(deserialize_with = "workers")]
    pub workers: usize,
}

/// When a silent connection is dead.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatConfig {
    /// Time between pings.
    #[serde(deserialize_with = "value::from_millis")]
    pub interval: Duration,
    /// Unanswered pings that end a connection, an interval after the last of them.
    pub missed: u32,
}

impl HeartbeatConfig {
    /// How long a connection may be silent: within it so many pings, each with an interval to be
    /// answered in.
    pub fn timeout(&self) -> Duration {
        self.interval * (self.missed + 1)
    }
}

/// The log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Which lines are written, as typed.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
    /// Whether each connection has its two lines.
    pub access: bool,
}

impl LogConfig {
    /// The filter of lines by their level and target.
    pub fn filter(&self) -> Result<EnvFilter, ParseError> {
        log_filter::filter(&self.level)
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object per line.
    Json,
}

fn node_id<'de, D: Deserializer<'de>>(input: D) -> Result<NodeId, D::Error> {
    NodeId::parse(&String::deserialize(input)?).map_err(serde::de::Error::custom)
}

fn workers<'de, D: Deserializer<'de>>(input: D) -> Result<usize, D::Error> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    usize::deserialize(input).map(|workers| if workers == 0 { cores() } else { workers })
}
