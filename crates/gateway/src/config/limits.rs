//! The section `limits`: bounds on memory and work, per connection, per worker and per node.

use std::time::Duration;

use serde::Deserialize;

use super::key::{Change, Key, Section, ValueKind};
use super::networks::{self, Networks};
use super::value::{self, Bounds};

pub(super) const SECTION: Section = Section {
    name: "limits",
    about: "Bounds on memory and work. New values hold for what begins after the reload.",
    keys: &[
        Key {
            name: "connections",
            default: "0",
            kind: ValueKind::Count(Bounds::new(1, 10_000_000).or_zero("by the descriptor limit")),
            change: Change::Reload,
            about: "Connections of the node; more are refused with 503. By default as many as \
                    the raised descriptor limit leaves after the node's own needs.",
        },
        Key {
            name: "accept_rate",
            default: "2000",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("no bound")),
            change: Change::Reload,
            about: "New sockets taken in a second; more wait in the kernel's backlog. A crowd that \
                    returns is let in as fast as one core greets it and its rooms are read, and the \
                    members that are there keep theirs.",
        },
        Key {
            name: "rooms_per_connection",
            default: "128",
            kind: ValueKind::Count(Bounds::new(1, 65_536)),
            change: Change::Reload,
            about: "More are refused as `too_many_rooms`. A person follows dozens of rooms; each \
                    costs a slot in the room and one in the connection.",
        },
        Key {
            name: "message_bytes",
            default: "1MiB",
            kind: ValueKind::Bytes(Bounds::new(1 << 10, 16 << 20)),
            change: Change::Reload,
            about: "Largest WebSocket message a client may send, envelope included; a larger one \
                    ends the connection with 1009. The ceiling of every namespace's \
                    `message_bytes`.",
        },
        Key {
            name: "inbound_bytes",
            default: "64MiB",
            kind: ValueKind::Bytes(Bounds::new(64 << 10, 16 << 30)),
            change: Change::Reload,
            about: "What one worker holds of inbound messages that are unfinished, or whose turn \
                    has not come, buffers included: a frame counts as up to one and a half times \
                    what has come of it, a message in fragments as up to four times. Beyond it a \
                    connection that holds some of it ends with 1013. Holds 64 of the largest.",
        },
        Key {
            name: "stalled_bytes",
            default: "128MiB",
            kind: ValueKind::Bytes(Bounds::new(64 << 10, 16 << 30)),
            change: Change::Reload,
            about: "What one worker holds of frames whose members took a part and stalled; a frame \
                    in the other encoding may have seven times its `message_bytes`. Beyond it a \
                    member that has more than 64 KiB of a frame to take is cut off, and resumes.",
        },
        Key {
            name: "handshake_bytes",
            default: "128MiB",
            kind: ValueKind::Bytes(Bounds::new(1 << 20, 16 << 30)),
            change: Change::Reload,
            about: "What sockets of one worker that are not WebSockets yet may hold: each counts as \
                    `http.max_header_bytes` and 12 KiB. Beyond it the one that came first is \
                    ended. Holds 4,681 handshakes, two seconds of `accept_rate`.",
        },
        Key {
            name: "lag_bytes",
            default: "1MiB",
            kind: ValueKind::Bytes(Bounds::new(64 << 10, 1 << 30)),
            change: Change::Reload,
            about: "How much of a room's log is kept for its slowest member; one further behind \
                    is slow (`namespaces.*.slow`). Some seconds of a busy room.",
        },
        Key {
            name: "log_bytes",
            default: "256MiB",
            kind: ValueKind::Bytes(Bounds::new(1 << 20, 1 << 40)),
            change: Change::Reload,
            about: "Memory of all logs together, encodings and pages of history included. Beyond \
                    it come only the batch that was appended last (64 KiB, or one message), an \
                    eighth of it in all workers' queues together (or one batch in each), and \
                    encodings for 50 ms. The largest logs are halved first, and \
                    a log of one batch is dropped: members at its end miss nothing by that, those \
                    behind it read history. Holds 256 rooms at `lag_bytes`, thousands of ordinary \
                    ones.",
        },
        Key {
            name: "control_bytes",
            default: "64KiB",
            kind: ValueKind::Bytes(Bounds::new(4 << 10, 16 << 20)),
            change: Change::Reload,
            about: "Answers that may wait for one connection; above it the node stops reading \
                    from that connection until it has taken some.",
        },
        Key {
            name: "send_buffer",
            default: "0",
            kind: ValueKind::Bytes(Bounds::new(4 << 10, 64 << 20).or_zero("the kernel decides")),
            change: Change::Reload,
            about: "`SO_SNDBUF` of each connection. The kernel's own choice grows with the path's \
                    need; a fixed one bounds a stalled member more tightly and costs throughput \
                    on long paths.",
        },
        Key {
            name: "notsent_lowat",
            default: "128KiB",
            kind: ValueKind::Bytes(Bounds::new(4 << 10, 64 << 20).or_zero("no bound")),
            change: Change::Reload,
            about: "`TCP_NOTSENT_LOWAT` of each connection: bytes in the kernel that are not yet \
                    on the wire. Keeps a stalled member's backlog in the shared log instead of in \
                    its socket.",
        },
        Key {
            name: "message_deadline",
            default: "30s",
            kind: ValueKind::Time(Bounds::new(100, 3_600_000)),
            change: Change::Reload,
            about: "From an inbound message's first byte to its last; a slower one ends the \
                    connection with 1008. The largest message at 300 kbit/s.",
        },
        Key {
            name: "inflight_publishes",
            default: "64",
            kind: ValueKind::Count(Bounds::new(1, 65_536)),
            change: Change::Reload,
            about: "Publishes of one connection that wait for the bus; above it the connection is \
                    not read. At 1 ms per answer that still is 64,000 a second.",
        },
        Key {
            name: "idle_timeout",
            default: "0",
            kind: ValueKind::Time(Bounds::new(1_000, 7 * 86_400_000).or_zero("off")),
            change: Change::Reload,
            about: "Ends a connection from which no frame but `ping` came for so long (4002), at \
                    most a second later; after a reload, from its next heartbeat on. Off, as most \
                    members only listen.",
        },
        Key {
            name: "address_handshakes",
            default: "200",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("off")),
            change: Change::Reload,
            about: "Handshakes per second from one address (of IPv6 one /64), as many at once; \
                    more get 429. An office of 5,000 with two tabs each, whose link just failed, is \
                    back within a minute.",
        },
        Key {
            name: "address_connections",
            default: "30000",
            kind: ValueKind::Count(Bounds::new(1, 10_000_000).or_zero("off")),
            change: Change::Reload,
            about: "Connections from one address (of IPv6 one /64); more get 429. That office has \
                    10,000, and for a while those that its failed link left behind.",
        },
        Key {
            name: "exempt_networks",
            default: "127.0.0.0/8 ::1/128",
            kind: ValueKind::NetworksOrNone,
            change: Change::Reload,
            about: "Networks whose clients are free of the limits by address and of all rates, but \
                    of no other bound; `none`: no network. A request with a forwarding header is \
                    never exempt. By default this machine, so that what runs beside the node is not \
                    slowed.",
        },
        Key {
            name: "frames",
            default: "200",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("off")),
            change: Change::Reload,
            about: "WebSocket frames per second and connection, control frames and fragments too, \
                    as many at once. Requests above it are refused as `rate_limited`, pings get no \
                    pong; after 5 s above it without a pause of one second, or when ten times as \
                    many were refused within a second, the connection ends with 4003. A person's \
                    page sends a few a second.",
        },
        Key {
            name: "inbound_rate",
            default: "1MiB",
            kind: ValueKind::Bytes(Bounds::new(1 << 10, 1 << 30).or_zero("off")),
            change: Change::Reload,
            about: "Bytes of payload per second that a connection may send, at once as many or \
                    `limits.message_bytes`; above it as with `frames`.",
        },
        Key {
            name: "joins",
            default: "200",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("off")),
            change: Change::Reload,
            about: "Rooms that a connection may ask to join per second, as many at once; more are \
                    `rate_limited`. Of its joins with `since`, `rooms_per_connection` are free of \
                    this and of `frames`, so that a client that returns gets all of its rooms.",
        },
        Key {
            name: "reads",
            default: "50",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("off")),
            change: Change::Reload,
            about: "Reads (`history`) per second and connection, as many at once; more are \
                    `rate_limited`. Each is a question to Redis with an answer of up to 64 KiB.",
        },
        Key {
            name: "created_rooms",
            default: "100",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("off")),
            change: Change::Reload,
            about: "Rooms that a connection's publishes may begin (an ack with seq 1) per minute, \
                    as many at once; more are `rate_limited`. While the minute's number is used up, so \
                    are publishes in rooms of which neither the connection (by a publish before) \
                    nor its node (by a member) knows that they exist. A room costs some KiB in \
                    Redis until its messages are too old.",
        },
        Key {
            name: "node_rooms",
            default: "200000",
            kind: ValueKind::Count(Bounds::new(1, 100_000_000).or_zero("off")),
            change: Change::Reload,
            about: "Rooms that the node holds, those that linger included; a join of another is \
                    refused as `overloaded`. Twice the rooms that a node was measured with.",
        },
        Key {
            name: "user_connections",
            default: "100",
            kind: ValueKind::Count(Bounds::new(1, 10_000).or_zero("off")),
            change: Change::Reload,
            about: "Connections of one user on all nodes of a Redis together; a handshake above it \
                    is refused with 429, unless it names the `client` of one of them, which it \
                    then replaces (4503). A person with a dozen tabs on several devices. Holds for \
                    users that a token or a ticket names. While Redis is away, and for one node \
                    alone, each node counts its own.",
        },
        Key {
            name: "user_rooms",
            default: "1000",
            kind: ValueKind::Count(Bounds::new(1, 10_000_000).or_zero("off")),
            change: Change::Reload,
            about: "Rooms that the connections of one user on a node are in, each counted for each \
                    connection; a join of more is `too_many_rooms`. Holds for users that a token \
                    names, not for those of `?user=`.",
        },
        Key {
            name: "info_bytes",
            default: "1KiB",
            kind: ValueKind::Bytes(Bounds::new(1, 64 << 10)),
            change: Change::Reload,
            about: "Largest `info` of a member; more is refused as `too_large`, and a token with \
                    more as `bad_token`. A name and the address of a picture: every member of a \
                    room gets it.",
        },
        Key {
            name: "body_bytes",
            default: "1MiB",
            kind: ValueKind::Bytes(Bounds::new(1 << 10, 64 << 20)),
            change: Change::Reload,
            about: "Largest body of an HTTP request, on the paths that take one; a larger one gets \
                    413.",
        },
        Key {
            name: "room_name_bytes",
            default: "128B",
            kind: ValueKind::Bytes(Bounds::new(1, 128)),
            change: Change::Reload,
            about: "Longest name of a room; a longer one is `bad_room`. At most what the protocol \
                    allows.",
        },
        Key {
            name: "user_name_bytes",
            default: "128B",
            kind: ValueKind::Bytes(Bounds::new(1, 128)),
            change: Change::Reload,
            about: "Longest name of a user; a handshake with a longer one is refused. At most what \
                    the protocol allows.",
        },
        Key {
            name: "room_linger",
            default: "10s",
            kind: ValueKind::Time(Bounds::new(0, 3_600_000)),
            change: Change::Reload,
            about: "How long a room keeps its log and subscription after its last member left: a \
                    page that reloads comes back within seconds.",
        },
    ],
};

/// Bounds on memory and work.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Connections of the node; 0: as many as the descriptor limit allows.
    pub connections: usize,
    /// New sockets in a second; 0: no bound.
    pub accept_rate: u32,
    /// Rooms one connection may be in.
    pub rooms_per_connection: usize,
    /// Largest inbound message.
    pub message_bytes: usize,
    /// Unfinished inbound messages of one worker.
    pub inbound_bytes: usize,
    /// Frames begun of one worker that their members have not taken.
    pub stalled_bytes: usize,
    /// Sockets of one worker that are not WebSockets yet.
    pub handshake_bytes: usize,
    /// How far a member may lag in one room.
    pub lag_bytes: usize,
    /// All logs of the node.
    pub log_bytes: usize,
    /// Answers waiting for one connection.
    pub control_bytes: usize,
    /// `SO_SNDBUF`; 0: the kernel decides.
    pub send_buffer: usize,
    /// `TCP_NOTSENT_LOWAT`; 0: not set.
    pub notsent_lowat: usize,
    /// From a message's first byte to its last.
    #[serde(deserialize_with = "value::from_millis")]
    pub message_deadline: Duration,
    /// Publishes of one connection that wait for the bus.
    pub inflight_publishes: usize,
    /// Without application frames for so long a connection ends; zero: never.
    #[serde(deserialize_with = "value::from_millis")]
    pub idle_timeout: Duration,
    /// Handshakes per second from one address; 0: no limit, here and below.
    pub address_handshakes: u32,
    /// Connections from one address.
    pub address_connections: usize,
    /// Networks without limits by address and without rates.
    #[serde(default, deserialize_with = "networks::or_none")]
    pub exempt_networks: Networks,
    /// Frames per second and connection.
    pub frames: u32,
    /// Bytes of payload per second and connection.
    pub inbound_rate: u32,
    /// Joins per second and connection.
    pub joins: u32,
    /// Reads per second and connection.
    pub reads: u32,
    /// Rooms per minute that a connection's publishes begin.
    pub created_rooms: u32,
    /// Rooms that the node holds.
    pub node_rooms: usize,
    /// Rooms that a user's connections on the node are in.
    pub user_rooms: usize,
    /// Connections of a user on all nodes; 0: no limit.
    pub user_connections: usize,
    /// Largest info of a member.
    pub info_bytes: usize,
    /// Largest body of a request.
    pub body_bytes: usize,
    /// Longest name of a room.
    pub room_name_bytes: usize,
    /// Longest name of a user.
    pub user_name_bytes: usize,
    /// How long a room without members is kept.
    #[serde(deserialize_with = "value::from_millis")]
    pub room_linger: Duration,
}
