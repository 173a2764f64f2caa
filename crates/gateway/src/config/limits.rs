//! The section `limits`: bounds on memory and work, per connection, per worker and per node.

use std::time::Duration;

use serde::Deserialize;

use super::key::{Change, Key, Section, ValueKind};
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
            name: "body_bytes",
            default: "1MiB",
            kind: ValueKind::Bytes(Bounds::new(1 << 10, 64 << 20)),
            change: Change::Reload,
            about: "Largest body of an HTTP request; more is refused with 413, before it is read \
                    where its length is told. Room for a thousand messages of a kilobyte.",
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
    /// Largest body of an HTTP request.
    pub body_bytes: usize,
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
    /// How long a room without members is kept.
    #[serde(deserialize_with = "value::from_millis")]
    pub room_linger: Duration,
}
