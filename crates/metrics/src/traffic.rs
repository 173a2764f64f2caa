//! Families of what goes through the node: frames, messages, bytes, writes, errors.

use prometheus::{Histogram, IntCounter};
use roomcast_protocol::{ErrorCode, FrameType};

use crate::family::{ByLabel, Families};
use crate::{Label, buckets};

/// Frames, messages and bytes. On the fan-out path add once for each pass, not for each member:
/// `messages_out.inc_by(delivered)`.
#[derive(Debug, Clone)]
pub struct TrafficMetrics {
    /// Frames received; `None` counts those that could not be read or have no known type.
    pub frames_in: ByLabel<Option<FrameType>, IntCounter>,
    /// Time on the worker to handle one frame, in seconds; waiting for the bus is not in it.
    pub frame: ByLabel<Option<FrameType>, Histogram>,
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
    /// Payload of messages that were compressed, each counted once, however many members share it.
    pub deflated: ByLabel<DeflateSize, IntCounter>,
    /// Payload of compressed frames from clients.
    pub inflated: ByLabel<DeflateSize, IntCounter>,
    /// Error frames sent.
    pub errors: ByLabel<ErrorCode, IntCounter>,
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
            deflated: families.counters(
                "deflated_bytes_total",
                "Payload of messages that were compressed, each once for all members that share it.",
            ),
            inflated: families.counters(
                "inflated_bytes_total",
                "Payload of compressed frames from clients.",
            ),
            errors: families.counters("errors_total", "Error frames sent, by their code."),
        }
    }
}

/// In which size payload is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeflateSize {
    /// As it is without compression.
    Plain,
    /// As it is on the wire.
    Compressed,
}

impl Label for DeflateSize {
    const NAME: &'static str = "size";
    const ALL: &'static [Self] = &[Self::Plain, Self::Compressed];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Compressed => "compressed",
        }
    }
}
