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
    /// Reads of a room's state by this node.
    pub state_reads: ByLabel<StateReadOutcome, IntCounter>,
    /// Members that were given a room's state, or a part of it.
    pub state_served: ByLabel<StateForm, IntCounter>,
    /// Values that this node removed, or tried to, because they had expired.
    pub state_ends: IntCounter,
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
            state_reads: families.counters(
                "state_reads_total",
                "Reads of the whole state of a room that is open on this node, by their outcome.",
            ),
            state_served: families.counters(
                "state_served_total",
                "Members of state rooms that were given what the log does not have: the whole state, \
                 or a page of the keys that changed.",
            ),
            state_ends: families.counter(
                "state_expired_total",
                "Removals of expired values that this node gave the bus; another node may have been \
                 first.",
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

/// How a read of a room's state ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateReadOutcome {
    /// It was read.
    Ok,
    /// The bus did not answer, or the room moved on too fast; it is tried again.
    Failed,
}

impl Label for StateReadOutcome {
    const NAME: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Ok, Self::Failed];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

/// In which form a member got what the log of a state room does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateForm {
    /// The whole state.
    Snapshot,
    /// The newest message of each key that changed.
    Conflated,
}

impl Label for StateForm {
    const NAME: &'static str = "form";
    const ALL: &'static [Self] = &[Self::Snapshot, Self::Conflated];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Conflated => "conflated",
        }
    }
}
