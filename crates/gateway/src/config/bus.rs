//! The section `bus`: what carries rooms between nodes.

use serde::Deserialize;

use super::SecretUrl;
use super::key::{Change, Key, Kind, Section};
use super::value::Bounds;

pub(super) const SECTION: Section = Section {
    name: "bus",
    about: "What carries rooms between nodes.",
    keys: &[
        Key {
            name: "redis_url",
            default: "",
            kind: Kind::RedisUrl,
            change: Change::Restart,
            about: "The Redis that all nodes share. Empty: this node stands alone, with its rooms \
                    in memory. The password is masked wherever the configuration is shown.",
        },
        Key {
            name: "prefix",
            default: "roomcast",
            kind: Kind::Prefix,
            change: Change::Restart,
            about: "Stands before every key and channel, so that several clusters can share a \
                    Redis.",
        },
        Key {
            name: "publish_connections",
            default: "1",
            kind: Kind::Count(Bounds::new(1, 64)),
            change: Change::Restart,
            about: "Connections that publish; a room stays on one. Calls are pipelined: one \
                    connection fills Redis before a core of the node is full.",
        },
        Key {
            name: "subscribe_connections",
            default: "2",
            kind: Kind::Count(Bounds::new(1, 64)),
            change: Change::Restart,
            about: "Connections that receive; a room stays on one. Two: a large push delays only \
                    half of the rooms, and each costs a probe per second.",
        },
    ],
};

/// What carries rooms between nodes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusConfig {
    /// The Redis that all nodes share; `None`: the bus in memory.
    pub redis_url: Option<SecretUrl>,
    /// Stands before every key and channel.
    pub prefix: String,
    /// Connections that publish.
    pub publish_connections: usize,
    /// Connections that receive.
    pub subscribe_connections: usize,
}
