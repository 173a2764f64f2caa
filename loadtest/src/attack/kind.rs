//! The attacks by name, and how each is carried out: which bytes, over how many sockets.

use std::time::Duration;

use clap::ValueEnum;

use super::bytes;
use crate::wire;

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// Requests of 20 bytes without a pause.
    TinyFrames,
    /// WebSocket pings without a pause.
    Pings,
    /// A message in fragments of one byte that never ends.
    Fragments,
    /// Messages of 512 KiB whose last byte is no UTF-8.
    LateUtf8,
    /// Messages of 1 MiB of which the last byte never comes.
    UnfinishedMessages,
    /// Publishes to one room without a pause.
    Publishes,
    /// Publishes that each begin a room.
    Rooms,
    /// Joins of a new room each, and leaves.
    Joins,
    /// Questions for a room's past.
    Reads,
    /// Publishes and questions whose answers are never read.
    Deaf,
    /// Handshakes, dropped when they are answered.
    Reconnects,
    /// Handshakes with forged tokens.
    BadTokens,
    /// Handshakes with tickets that no node gave.
    BadTickets,
    /// Heads of 64 KiB.
    HugeHeaders,
    /// Heads that come byte by byte.
    SlowHeads,
    /// Bodies that come byte by byte.
    SlowBodies,
    /// Sockets that say nothing.
    SilentSockets,
    /// WebSockets whose sending side is closed.
    HalfClosed,
    /// Bytes that are no TLS.
    TlsGarbage,
    /// The beginnings of TLS handshakes that do not go on.
    TlsStalled,
    /// TLS handshakes, dropped when they are done.
    TlsHandshakes,
}

/// How an attack is carried out by one of its sockets, again and again until the time is over.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// Upgrade, then as many of these bytes as the node takes; what comes is read, or not.
    Flood { first: Vec<u8>, chunk: FloodBytes, reading: FloodReading },
    /// Upgrade, send this, and wait for the end.
    Say(Vec<u8>),
    /// Send one of these, read one HTTP answer, drop the socket.
    Ask(Vec<Vec<u8>>),
    /// Send a byte of this in each step, until the node ends it.
    Drip { bytes: Vec<u8>, step: Duration },
    /// Upgrade, close the sending side, and wait for the end.
    HalfClose,
    /// Shake hands by TLS, then drop the socket.
    ShakeHands,
}

/// The bytes of a flood.
#[derive(Debug, Clone)]
pub(super) enum FloodBytes {
    /// Always the same.
    Same(Vec<u8>),
    /// A text frame for each number, made of these pieces with the number between them.
    Numbered(Vec<&'static [&'static str]>),
}

/// Whether a flood takes the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FloodReading {
    All,
    Nothing,
}

/// Sockets of floods: each is refused by itself.
const FLOODS: usize = 16;
/// Sockets that ask at once.
const ASKERS: usize = 64;
/// Sockets that are slow, or silent.
const HELD: usize = 500;
/// Frames in one write of a flood.
const FRAMES: usize = 500;
/// A step of what is slow.
const STEP: Duration = Duration::from_millis(50);

impl Attack {
    /// As it is typed and printed.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it is one on TLS: then the node must speak it, and else it must not.
    pub(super) fn needs_tls(self) -> bool {
        matches!(self, Self::TlsGarbage | Self::TlsStalled | Self::TlsHandshakes)
    }

    /// Sockets at once.
    pub(super) fn sockets(self) -> usize {
        match self {
            Self::SlowHeads | Self::SlowBodies | Self::SilentSockets => HELD,
            Self::HalfClosed | Self::UnfinishedMessages | Self::TlsStalled => HELD,
            Self::Reconnects | Self::BadTokens | Self::BadTickets | Self::HugeHeaders => ASKERS,
            Self::TlsGarbage | Self::TlsHandshakes => ASKERS,
            _ => FLOODS,
        }
    }

    /// What each of them does, coming from this address.
    pub(super) fn way(self, from: &str) -> Way {
        let flood = |chunk| Way::Flood { first: Vec::new(), chunk, reading: FloodReading::All };
        let numbered = |frames: &[&'static [&'static str]]| FloodBytes::Numbered(frames.to_vec());
        match self {
            Self::TinyFrames => flood(FloodBytes::Same(
                bytes::frame(wire::TEXT, b"{\"type\":\"ping\"}").repeat(FRAMES),
            )),
            Self::Pings => flood(FloodBytes::Same(bytes::frame(wire::PING, b"").repeat(FRAMES))),
            Self::Fragments => Way::Flood {
                first: bytes::fragment(wire::TEXT, b"\""),
                chunk: FloodBytes::Same(bytes::fragment(0, b"a").repeat(FRAMES)),
                reading: FloodReading::All,
            },
            Self::LateUtf8 => Way::Say(bytes::late_utf8()),
            Self::UnfinishedMessages => Way::Say(bytes::unfinished()),
            Self::Publishes => flood(numbered(&[bytes::PUBLISH])),
            Self::Rooms => flood(numbered(&[bytes::PUBLISH_ROOM])),
            Self::Joins => flood(numbered(&[bytes::JOIN, bytes::LEAVE])),
            Self::Reads => flood(numbered(&[bytes::HISTORY])),
            Self::Deaf => Way::Flood {
                first: Vec::new(),
                chunk: numbered(&[bytes::PUBLISH, bytes::HISTORY]),
                reading: FloodReading::Nothing,
            },
            Self::Reconnects => Way::Ask(vec![bytes::upgrade(from, "")]),
            Self::BadTokens => Way::Ask(bytes::forged(from)),
            Self::BadTickets => Way::Ask(vec![bytes::ticket(from)]),
            Self::HugeHeaders => Way::Ask(vec![bytes::huge_head(from)]),
            Self::SlowHeads => Way::Drip { bytes: bytes::upgrade(from, ""), step: STEP },
            Self::SlowBodies => Way::Drip { bytes: bytes::slow_body(from), step: STEP },
            Self::SilentSockets => Way::Drip { bytes: Vec::new(), step: STEP },
            Self::HalfClosed => Way::HalfClose,
            Self::TlsGarbage => Way::Ask(vec![vec![0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]]),
            Self::TlsHandshakes => Way::ShakeHands,
            Self::TlsStalled => {
                Way::Drip { bytes: vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], step: STEP }
            }
        }
    }
}

impl FloodBytes {
    /// The next bytes of the flood; `number` counts its frames.
    pub(super) fn next(&self, number: &mut u64) -> Vec<u8> {
        let frames = match self {
            Self::Same(bytes) => return bytes.clone(),
            Self::Numbered(frames) => frames,
        };
        let mut out = Vec::new();
        for _ in 0..FRAMES {
            *number += 1;
            for pieces in frames {
                let text = pieces.join(&number.to_string());
                wire::push_client_frame(wire::TEXT, text.as_bytes(), &mut out);
            }
        }
        out
    }
}
