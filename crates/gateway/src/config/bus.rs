//! The section `bus`: what carries rooms between nodes.

use std::time::Duration;

use serde::Deserialize;

use super::SecretUrl;
use super::key::{Change, Key, Kind, Section};
use super::value::{self, Bounds};

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
            name: "subscribe_connections",
            default: "2",
            kind: Kind::Count(Bounds::new(1, 64)),
            change: Change::Restart,
            about: "Connections that receive; a room stays on one. Two: a large push delays only \
                    half of the rooms, and each costs a probe per interval.",
        },
        Key {
            name: "read_connections",
            default: "4",
            kind: Kind::Count(Bounds::new(1, 256)),
            change: Change::Restart,
            about: "Connections that read history and repair, at most. Reads are rare; four keep \
                    a long page from holding up the others.",
        },
        Key {
            name: "connect_timeout",
            default: "2s",
            kind: Kind::Time(Bounds::new(50, 60_000)),
            change: Change::Restart,
            about: "For one attempt to connect. Attempts repeat for ever.",
        },
        Key {
            name: "publish_timeout",
            default: "2s",
            kind: Kind::Time(Bounds::new(50, 60_000)),
            change: Change::Restart,
            about: "After this a publish without answer fails as `publish_unknown`. A thousand \
                    times a normal answer, and short enough for a person to wait.",
        },
        Key {
            name: "read_timeout",
            default: "2s",
            kind: Kind::Time(Bounds::new(50, 60_000)),
            change: Change::Restart,
            about: "After this a read fails as `bus_unavailable`.",
        },
        Key {
            name: "probe_interval",
            default: "1s",
            kind: Kind::Time(Bounds::new(50, 1_500)),
            change: Change::Restart,
            about: "Time between probes on each receiving connection. The node is ready while one \
                    came back in the last 3 s, so one may be late.",
        },
        Key {
            name: "group_messages",
            default: "128",
            kind: Kind::Count(Bounds::new(1, 1_024)),
            change: Change::Restart,
            about: "Messages of one room that travel in one call, at most. Redis runs the call \
                    without interruption: 128 take it about a millisecond.",
        },
        Key {
            name: "queue_messages",
            default: "1024",
            kind: Kind::Count(Bounds::new(1, 1 << 20)),
            change: Change::Restart,
            about: "Messages of one room that may wait for their group; more are refused as \
                    `overloaded`. Eight full groups: what waits longer is better told at once.",
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
    /// Connections that receive.
    pub subscribe_connections: usize,
    /// Connections that read.
    pub read_connections: usize,
    /// For one attempt to connect.
    #[serde(deserialize_with = "value::from_millis")]
    pub connect_timeout: Duration,
    /// After this a publish's outcome is unknown.
    #[serde(deserialize_with = "value::from_millis")]
    pub publish_timeout: Duration,
    /// After this a read has failed.
    #[serde(deserialize_with = "value::from_millis")]
    pub read_timeout: Duration,
    /// Time between probes.
    #[serde(deserialize_with = "value::from_millis")]
    pub probe_interval: Duration,
    /// Messages in one group commit, at most.
    pub group_messages: usize,
    /// Messages of one room that may wait.
    pub queue_messages: usize,
}
