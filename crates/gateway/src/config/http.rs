//! The section `http`: where the node listens and how long a handshake may take.

use std::net::SocketAddr;
use std::time::Duration;

use roomcast_access::origin::OriginList;
use serde::{Deserialize, Deserializer};

use super::demo::{self, DemoKey, DemoSetting};
use super::key::{Change, Key, Section, ValueKind};
use super::networks::Networks;
use super::value::{self, Bounds};

pub(super) const SECTION: Section = Section {
    name: "http",
    about: "Where the node listens, and bounds on a request before it is a connection.",
    keys: &[
        Key {
            name: "listen",
            default: "127.0.0.1:8080",
            kind: ValueKind::Address,
            change: Change::Restart,
            about: "Where clients connect; port 0 takes a free one. Only this machine unless \
                    authentication is configured (`auth`) or `insecure` is set.",
        },
        Key {
            name: "metrics_listen",
            default: "",
            kind: ValueKind::AddressOrEmpty,
            change: Change::Restart,
            about: "An address of its own for `/metrics`, which then is not served on \
                    `http.listen`. Empty: served there. It shows counts only, so it may be any \
                    address.",
        },
        Key {
            name: "admin_listen",
            default: "",
            kind: ValueKind::AddressOrEmpty,
            change: Change::Restart,
            about: "An address of its own for the routes of backends below `/v1`, which then are not \
                    served on `http.listen`. Empty: served there. An address that only backends \
                    reach keeps others from trying keys.",
        },
        Key {
            name: "trusted_proxies",
            default: "",
            kind: ValueKind::Networks,
            change: Change::Restart,
            about: "Networks of the load balancers in front of the node, such as `10.0.0.0/8`. \
                    Only what comes from there is believed about a client's address \
                    (`X-Forwarded-For`, with ports or without, and the PROXY protocol).",
        },
        Key {
            name: "proxy_protocol",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Restart,
            about: "Every connection to `http.listen` begins with a head of the PROXY protocol, \
                    version 1 or 2, as balancers of layer 4 send it; others are refused. Needs \
                    `http.trusted_proxies`.",
        },
        Key {
            name: "header_timeout",
            default: "10s",
            kind: ValueKind::Time(Bounds::new(100, 300_000)),
            change: Change::Restart,
            about: "From the accepted socket, and for further requests from the first byte, to \
                    the end of the request's head. A client that sends it byte by byte holds a \
                    descriptor no longer than this.",
        },
        Key {
            name: "idle_timeout",
            default: "75s",
            kind: ValueKind::Time(Bounds::new(100, 3_600_000)),
            change: Change::Restart,
            about: "From an answer to the next request on the same socket, which then has \
                    `http.header_timeout`. Longer than proxies keep idle sockets (60 s is \
                    common), so that it is the proxy that ends them.",
        },
        Key {
            name: "body_timeout",
            default: "10s",
            kind: ValueKind::Time(Bounds::new(100, 300_000)),
            change: Change::Reload,
            about: "How long the body of a request may take to arrive; a slower one gets 408.",
        },
        Key {
            name: "origins",
            default: "",
            kind: ValueKind::Origins,
            change: Change::Reload,
            about: "Pages that may reach the node from a browser: `https://app.example.com`, \
                    `https://*.example.com` (every name below, not the name itself), or `*` for \
                    all. Scheme and port count. Empty: the page's host must be the host that the \
                    request names, and without authentication it must be this machine or an IP \
                    address. Others get 403 `bad_origin`.",
        },
        Key {
            name: "deflate",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Whether clients that offer permessage-deflate (RFC 7692) get it, from their next \
                    handshake on. A message to a room is compressed once and shared by all its \
                    members that have it. Off: it costs the node CPU and memory (each message is \
                    kept once more, compressed), and the length of what is compressed tells \
                    something of its content (`docs/security.md`).",
        },
        Key {
            name: "deflate_min",
            default: "256B",
            kind: ValueKind::Bytes(Bounds::new(0, 1 << 30)),
            change: Change::Reload,
            about: "Smallest payload of a frame to a room's members, in bytes, that is compressed. \
                    Smaller ones gain little: a message of 255 bytes becomes 196.",
        },
        Key {
            name: "demo",
            default: "auto",
            kind: ValueKind::Word(&demo::WORDS),
            change: Change::Reload,
            about: "Whether `/` is the demo, a chat with live figures of the nodes; else it is 404. \
                    With it rooms `demo:…` have `presence = \"events\"` and receipts and no state, \
                    rooms `board:…` `presence = \"counts\"`, state and `state_points = 60`, and the \
                    rest as in `namespaces.default`, unless `namespaces.demo` or `namespaces.board` \
                    is configured; and the node \
                    publishes its figures to `board:nodes` while that room has members. `auto`: on \
                    where `http.listen` is this machine alone and authentication is not configured. \
                    `/client.js` is served in any case.",
        },
        Key {
            name: "demo_key",
            default: "",
            kind: ValueKind::DemoKey,
            change: Change::Reload,
            about: "The API key that the demo's page shows in its `curl` line, to everybody who \
                    opens it: one of `api_keys`, with the scope `publish` alone, the same on all \
                    nodes. It is shown where the page is opened by an IP address, as `localhost`, or \
                    by a host that `http.origins` names. Empty: where neither API keys nor \
                    authentication are configured the node makes one for as long as it runs, with \
                    the scope `publish`; else the page shows none.",
        },
        Key {
            name: "max_header_bytes",
            default: "16KiB",
            kind: ValueKind::Bytes(Bounds::new(8 << 10, 1 << 20)),
            change: Change::Restart,
            about: "Largest request head. Holds several cookies and a token; the memory is \
                    taken only while a handshake lasts.",
        },
    ],
};

/// Where the node listens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where `/metrics` is served, if not there.
    pub metrics_listen: Option<SocketAddr>,
    /// Where the routes of backends are served, if not there.
    pub admin_listen: Option<SocketAddr>,
    /// Whose word about a client's address is taken.
    #[serde(default)]
    pub trusted_proxies: Networks,
    /// Whether every connection begins with a head of the PROXY protocol.
    pub proxy_protocol: bool,
    /// How long a request's head may take.
    #[serde(deserialize_with = "value::from_millis")]
    pub header_timeout: Duration,
    /// How long a socket may be silent between two requests.
    #[serde(deserialize_with = "value::from_millis")]
    pub idle_timeout: Duration,
    /// How long a request's body may take.
    #[serde(deserialize_with = "value::from_millis")]
    pub body_timeout: Duration,
    /// Which pages may reach the node.
    #[serde(default, deserialize_with = "read_origins")]
    pub origins: OriginList,
    /// Whether clients get permessage-deflate.
    pub deflate: bool,
    /// Smallest payload that is compressed, in bytes.
    pub deflate_min: usize,
    /// Whether `/` is the demo; with the rest of the configuration it is `Config::has_demo`.
    pub demo: DemoSetting,
    /// The key that its page shows.
    pub demo_key: Option<DemoKey>,
    /// How large a request's head may be.
    pub max_header_bytes: usize,
}

fn read_origins<'de, D: Deserializer<'de>>(input: D) -> Result<OriginList, D::Error> {
    OriginList::parse(&String::deserialize(input)?).map_err(serde::de::Error::custom)
}
