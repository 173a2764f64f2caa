//! The section `bus`: what carries rooms between nodes.

use std::path::PathBuf;

use serde::Deserialize;

use super::SecretUrl;
use super::key::{Change, Key, Section, ValueKind};
use super::value::Bounds;

pub(super) const SECTION: Section = Section {
    name: "bus",
    about: "What carries rooms between nodes.",
    keys: &[
        Key {
            name: "redis_url",
            default: "",
            kind: ValueKind::RedisUrl,
            change: Change::Reload,
            about: "The Redis that all nodes share. Empty: this node stands alone, with its rooms \
                    in memory. One server is `redis://[user:password@]host[:port][/db]`; one \
                    watched over by sentinels `redis+sentinel://[user:password@]host,host/NAME` \
                    (with `?sentinel_password=…` if they want one); a Redis Cluster \
                    `redis+cluster://[user:password@]host,host`; each with `rediss` for TLS. \
                    Several servers, separated by blanks, share the rooms among them; \
                    `?name=NAME` is what a room is placed by, so that nodes which reach a server \
                    by different addresses agree. At a reload only such a list can change. \
                    A blank, `/`, `?`, `#` or `%` in a user or password is written `%20`, `%2F`, \
                    `%3F`, `%23`, `%25`. Passwords are masked wherever the configuration is \
                    shown.",
        },
        Key {
            name: "servers_version",
            default: "1",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000_000)),
            change: Change::Reload,
            about: "Version of the list of servers in `redis_url`. Raise it by one with every \
                    change of the list, in every node's configuration: a node with an older list \
                    is refused by the servers (its publishes fail, it is not ready) until it has \
                    the new one, so that no room is written in two places.",
        },
        Key {
            name: "redis_ca",
            default: "",
            kind: ValueKind::FileOrEmpty,
            change: Change::Restart,
            about: "Certificate (PEM) of the authority that signed Redis's certificate, for \
                    `rediss`. Empty: those that the system trusts.",
        },
        Key {
            name: "redis_tls_name",
            default: "",
            kind: ValueKind::HostOrEmpty,
            change: Change::Restart,
            about: "The name that Redis's certificates are verified for, in place of the host that \
                    the node connects to, for `rediss`. For a cluster that announces its servers \
                    by addresses while their certificates name none. Empty: the host.",
        },
        Key {
            name: "prefix",
            default: "roomcast",
            kind: ValueKind::Prefix,
            change: Change::Restart,
            about: "Stands before every key and channel, so that several clusters can share a \
                    Redis.",
        },
        Key {
            name: "publish_connections",
            default: "1",
            kind: ValueKind::Count(Bounds::new(1, 64)),
            change: Change::Restart,
            about: "Connections that publish; a room stays on one. Calls are pipelined: one \
                    connection fills Redis before a core of the node is full.",
        },
        Key {
            name: "subscribe_connections",
            default: "2",
            kind: ValueKind::Count(Bounds::new(1, 64)),
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
    /// Version of the list of servers.
    pub servers_version: u64,
    /// The authority to trust for TLS; `None`: the system's.
    pub redis_ca: Option<PathBuf>,
    /// The name to verify for TLS; `None`: the host that the node connects to.
    pub redis_tls_name: Option<String>,
    /// Stands before every key and channel.
    pub prefix: String,
    /// Connections that publish.
    pub publish_connections: usize,
    /// Connections that receive.
    pub subscribe_connections: usize,
}
