//! Families of delay: how long a publisher waits for its ack and a message for its reader, and
//! what happens to readers that are too slow.

use prometheus::{Histogram, IntCounter};

use crate::family::{ByLabel, Families};
use crate::{Label, buckets};

/// Delays of messages and slow readers.
#[derive(Debug, Clone)]
pub struct DeliveryMetrics {
    /// From the publish frame read to its ack handed to the connection, in seconds.
    pub publish_ack: Histogram,
    /// Parts of the delay, in seconds.
    pub stage: ByLabel<DeliveryStage, Histogram>,
    /// Readers that fell off a room's log.
    pub slow: ByLabel<SlowAction, IntCounter>,
    end_to_end: Histogram,
    clock_ahead: IntCounter,
}

impl DeliveryMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        Self {
            publish_ack: families.histogram(
                "publish_ack_seconds",
                "From the publish frame read to its ack handed to the connection.",
                buckets::WAIT,
            ),
            stage: families.histograms(
                "delivery_stage_seconds",
                "Parts of the delay from publish to socket write.",
                buckets::WAIT,
            ),
            slow: families.counters("slow_total", "Members that fell off a room's log."),
            end_to_end: families.histogram(
                "delivery_seconds",
                "From a message's time by the bus's clock to the end of the pass that wrote it, by the node's.",
                buckets::CLOCKS,
            ),
            clock_ahead: families.counter(
                "delivery_clock_ahead_total",
                "Messages whose time lay ahead of the node's clock, observed as a delay of 0.",
            ),
        }
    }

    /// Records one message's way from its publish (Unix ms, the bus's clock) to a socket (Unix
    /// ms, the node's clock). Skew between the two is part of the result; a message from the
    /// future counts as no delay and is counted apart. Once for each message and pass.
    pub fn observe(&self, published_ms: u64, written_ms: u64) {
        if published_ms > written_ms {
            self.clock_ahead.inc();
        }
        self.end_to_end.observe(seconds_between(published_ms, written_ms));
    }

    /// Records the stage `bus`, by the same two clocks as [`Self::observe`].
    pub fn observe_bus(&self, published_ms: u64, received_ms: u64) {
        self.stage[DeliveryStage::Bus].observe(seconds_between(published_ms, received_ms));
    }
}

fn seconds_between(from_ms: u64, to_ms: u64) -> f64 {
    to_ms.saturating_sub(from_ms) as f64 / 1_000.0
}

/// A part of a message's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStage {
    /// From its time by the bus's clock to its arrival in the node's log.
    Bus,
    /// From the log to a worker.
    Hub,
    /// From a worker to the end of the pass over its members.
    Pass,
}

impl Label for DeliveryStage {
    const NAME: &'static str = "stage";
    const ALL: &'static [Self] = &[Self::Bus, Self::Hub, Self::Pass];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::Hub => "hub",
            Self::Pass => "pass",
        }
    }
}

/// What was done with a slow reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowAction {
    /// Its connection was closed with the slow code.
    Closed,
    /// It was told of the gap and moved to the newest message.
    Conflated,
}

impl Label for SlowAction {
    const NAME: &'static str = "action";
    const ALL: &'static [Self] = &[Self::Closed, Self::Conflated];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Conflated => "conflated",
        }
    }
}
