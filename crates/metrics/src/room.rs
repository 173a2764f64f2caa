//! Families of rooms: how many, what their logs hold, what was missed and what was resumed.

use prometheus::{IntCounter, IntGauge, IntGaugeVec};

use crate::Label;
use crate::family::{ByLabel, Families};

/// Rooms of the node and their logs.
#[derive(Debug, Clone)]
pub struct RoomMetrics {
    rooms: IntGaugeVec,
    members: IntGaugeVec,
    /// Gaps told to members.
    pub gaps: ByLabel<GapCause, IntCounter>,
    /// Joins that brought a position.
    pub resumes: ByLabel<ResumeOutcome, IntCounter>,
    /// Bytes that all logs hold, encodings included.
    pub log_bytes: IntGauge,
    /// Batches that all logs hold.
    pub log_batches: IntGauge,
    /// Events that found a worker's queue full; the room attached again.
    pub hub_queue_full: IntCounter,
    /// Reads from the bus for members that lie behind the log.
    pub catchup_reads: IntCounter,
}

/// The gauges of one namespace.
#[derive(Debug, Clone)]
pub struct NamespaceMetrics {
    /// Rooms with a member on this node.
    pub rooms: IntGauge,
    /// Memberships on this node: a connection in three rooms counts three.
    pub members: IntGauge,
}

impl RoomMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        Self {
            rooms: families.gauges_by_name(
                "rooms",
                "Rooms with a member on this node, by configured namespace.",
                &["namespace"],
            ),
            members: families.gauges_by_name(
                "members",
                "Memberships on this node, by configured namespace.",
                &["namespace"],
            ),
            gaps: families.counters("gaps_total", "Gaps told to members, by what caused them."),
            resumes: families
                .counters("resumes_total", "Joins that brought a position, by their outcome."),
            log_bytes: families
                .gauge("log_bytes", "Bytes that the logs of all rooms hold, encodings included."),
            log_batches: families.gauge("log_batches", "Batches that the logs of all rooms hold."),
            hub_queue_full: families.counter(
                "hub_queue_full_total",
                "Events that found a worker's queue full; that worker attached to the room again.",
            ),
            catchup_reads: families.counter(
                "catchup_reads_total",
                "Pages read from the bus for members whose position lies behind the log.",
            ),
        }
    }

    pub(crate) fn namespace(&self, name: &str) -> NamespaceMetrics {
        NamespaceMetrics {
            rooms: self.rooms.with_label_values(&[name]),
            members: self.members.with_label_values(&[name]),
        }
    }
}

/// Why a member was told of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// It came back with a position that history does not reach.
    History,
    /// The bus lost the messages.
    Bus,
    /// It read too slowly and was moved to the newest message.
    Slow,
    /// The memory budget evicted them, and history no longer had them.
    Budget,
}

impl Label for GapCause {
    const NAME: &'static str = "cause";
    const ALL: &'static [Self] = &[Self::History, Self::Bus, Self::Slow, Self::Budget];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Bus => "bus",
            Self::Slow => "slow",
            Self::Budget => "budget",
        }
    }
}

/// How a resume ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeOutcome {
    /// Everything missed followed.
    Recovered,
    /// History did not reach back; the member was told.
    Gap,
    /// The room had begun anew.
    Reset,
    /// The bus was away; the join was refused.
    Failed,
}

impl Label for ResumeOutcome {
    const NAME: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Recovered, Self::Gap, Self::Reset, Self::Failed];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Gap => "gap",
            Self::Reset => "reset",
            Self::Failed => "failed",
        }
    }
}
