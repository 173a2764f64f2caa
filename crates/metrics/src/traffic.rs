//! Families of what goes through the node: frames, messages, bytes, writes, errors.

use prometheus::{Histogram, IntCounter};

use crate::family::{ByLabel, Families};
use crate::{Label, buckets};

/// Frames, messages and bytes. On the fan-out path add once for each pass, not for each member:
/// `messages_out.inc_by(delivered)`.
#[derive(Debug, Clone)]
pub struct TrafficMetrics {
    /// Frames received, readable or not.
    pub frames_in: ByLabel<FrameType, IntCounter>,
    /// Time on the worker to handle one frame, in seconds; waiting for the bus is not in it.
    pub frame: ByLabel<FrameType, Histogram>,
    /// Messages accepted from clients, that is handed to the bus.
    pub messages_in: IntCounter,
    /// Deliveries: one message written to one member counts one.
    pub messages_out: IntCounter,
    /// Bytes read from sockets after the handshake.
    pub bytes_in: IntCounter,
    /// Bytes written to sockets after the handshake.
    pub bytes_out: IntCounter,
    /// System calls that wrote to a socket; `messages_out / writes` is what batching saves.
    pub writes: IntCounter,
    /// Rounds of writes over a room's members.
    pub passes: IntCounter,
    /// Error frames sent.
    pub errors: ByLabel<ErrorWord, IntCounter>,
}

impl TrafficMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        Self {
            frames_in: families.counters("frames_in_total", "Frames received from clients."),
            frame: families.histograms(
                "frame_seconds",
                "Time on the worker to handle one frame, without waiting for the bus.",
                buckets::WORK,
            ),
            messages_in: families
                .counter("messages_in_total", "Messages accepted from clients."),
            messages_out: families.counter(
                "messages_out_total",
                "Deliveries: one message written to one member counts one.",
            ),
            bytes_in: families
                .counter("bytes_in_total", "Bytes read from sockets after the handshake."),
            bytes_out: families
                .counter("bytes_out_total", "Bytes written to sockets after the handshake."),
            writes: families.counter(
                "writes_total",
                "System calls that wrote to a socket; messages_out_total over this is the batching.",
            ),
            passes: families.counter("passes_total", "Rounds of writes over a room's members."),
            errors: families.counters("errors_total", "Error frames sent, by their code."),
        }
    }
}

/// The type of a frame from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    /// Become a member.
    Join,
    /// Stop being one.
    Leave,
    /// Publish a message.
    Publish,
    /// An ephemeral event.
    Signal,
    /// The user is writing.
    Typing,
    /// Read history.
    History,
    /// List members.
    Members,
    /// Change one's presence.
    Presence,
    /// A new token.
    Refresh,
    /// Ask for a pong.
    Ping,
    /// A frame that could not be read or has a type nobody knows.
    Bad,
}

impl Label for FrameType {
    const NAME: &'static str = "type";
    const ALL: &'static [Self] = &[
        Self::Join,
        Self::Leave,
        Self::Publish,
        Self::Signal,
        Self::Typing,
        Self::History,
        Self::Members,
        Self::Presence,
        Self::Refresh,
        Self::Ping,
        Self::Bad,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Publish => "publish",
            Self::Signal => "signal",
            Self::Typing => "typing",
            Self::History => "history",
            Self::Members => "members",
            Self::Presence => "presence",
            Self::Refresh => "refresh",
            Self::Ping => "ping",
            Self::Bad => "bad",
        }
    }
}

/// The code of an error frame, word for word as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorWord {
    /// The frame could not be read.
    BadFrame,
    /// No such frame type.
    UnknownType,
    /// This node does not serve it.
    Unsupported,
    /// A room name out of bounds.
    BadRoom,
    /// Not a member of that room.
    NotJoined,
    /// A member already.
    AlreadyJoined,
    /// In as many rooms as it may be.
    TooManyRooms,
    /// A payload too large.
    TooLarge,
    /// Not allowed by the namespace.
    Forbidden,
    /// The key was used with another payload.
    KeyConflict,
    /// `if_seq` did not hold.
    SeqConflict,
    /// Too much to do.
    Overloaded,
    /// The bus is away.
    BusUnavailable,
    /// The outcome is unknown.
    PublishUnknown,
    /// A join that was left before it was answered.
    Cancelled,
    /// A fault of the node's own.
    Internal,
}

impl Label for ErrorWord {
    const NAME: &'static str = "code";
    const ALL: &'static [Self] = &[
        Self::BadFrame,
        Self::UnknownType,
        Self::Unsupported,
        Self::BadRoom,
        Self::NotJoined,
        Self::AlreadyJoined,
        Self::TooManyRooms,
        Self::TooLarge,
        Self::Forbidden,
        Self::KeyConflict,
        Self::SeqConflict,
        Self::Overloaded,
        Self::BusUnavailable,
        Self::PublishUnknown,
        Self::Cancelled,
        Self::Internal,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::UnknownType => "unknown_type",
            Self::Unsupported => "unsupported",
            Self::BadRoom => "bad_room",
            Self::NotJoined => "not_joined",
            Self::AlreadyJoined => "already_joined",
            Self::TooManyRooms => "too_many_rooms",
            Self::TooLarge => "too_large",
            Self::Forbidden => "forbidden",
            Self::KeyConflict => "key_conflict",
            Self::SeqConflict => "seq_conflict",
            Self::Overloaded => "overloaded",
            Self::BusUnavailable => "bus_unavailable",
            Self::PublishUnknown => "publish_unknown",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}
