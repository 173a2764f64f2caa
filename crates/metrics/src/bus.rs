//! Families of the bus: its health, its commands, what it pushed, lost and repaired.

mod labels;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

pub use labels::{
    BusCommand, BusConnection, CircuitState, EpochResetCause, LeaseState, PresenceChangeKind,
    RepairCause,
};

use crate::buckets;
use crate::family::{ByLabel, Families};

/// The node's link to the bus. With the bus in memory `up` is 1 and the rest mostly still.
#[derive(Debug, Clone)]
pub struct BusMetrics {
    /// 1 while a probe came back in time on each subscribe connection, else 0.
    pub up: IntGauge,
    /// 1 while every subscription wanted for long enough is confirmed, else 0.
    pub subscribed: IntGauge,
    /// 0 while a primary answers that it refuses writes, else 1.
    pub writable: IntGauge,
    /// Commands sent.
    pub commands: ByLabel<BusCommand, IntCounter>,
    /// From a command's start to its answer, waiting for a connection included, in seconds.
    pub command: ByLabel<BusCommand, Histogram>,
    /// Commands that failed or got no answer.
    pub command_errors: ByLabel<BusCommand, IntCounter>,
    /// Connections made anew after the first.
    pub reconnects: ByLabel<BusConnection, IntCounter>,
    /// Pushes received on subscribe connections.
    pub pushes: IntCounter,
    /// Pushes of an ephemeral kind that this version does not know.
    pub pushes_ignored: IntCounter,
    /// Their payload bytes.
    pub push_bytes: IntCounter,
    /// Messages received that the feed had already.
    pub duplicates: IntCounter,
    /// Times a push was not the next one expected.
    pub holes: IntCounter,
    /// Repairs begun.
    pub repairs: ByLabel<RepairCause, IntCounter>,
    /// From a repair's begin to its end, in seconds.
    pub repair: Histogram,
    /// Gaps that feeds told because the stream lacks the messages.
    pub gaps: IntCounter,
    /// Epochs begun or adopted anew.
    pub epoch_resets: ByLabel<EpochResetCause, IntCounter>,
    /// Group commits sent.
    pub groups: IntCounter,
    /// Messages in each of them.
    pub group_messages: Histogram,
    /// Publications whose outcome is unknown.
    pub publish_unknown: IntCounter,
    /// Signals and typing that were taken and then dropped.
    pub ephemeral_dropped: IntCounter,
    /// Publications refused because too many were waiting.
    pub overloaded: IntCounter,
    /// Feeds open.
    pub feeds: IntGauge,
    /// Subscriptions wanted.
    pub subscriptions_wanted: IntGauge,
    /// Subscriptions confirmed.
    pub subscriptions_confirmed: IntGauge,
    /// From a probe's publish to its return, in seconds.
    pub probe: Histogram,
    /// Since the last probe came back, on the connection where that is longest, in seconds.
    pub probe_age: Gauge,
    /// Since the longest waiting subscription is wanted without being confirmed, in seconds.
    pub unconfirmed_age: Gauge,
    /// Primaries whose command connections are in each state.
    pub circuit: ByLabel<CircuitState, IntGauge>,
    /// Incarnations of nodes that have a lease or are marked dead, as this node last saw them.
    pub leases: ByLabel<LeaseState, IntGauge>,
    /// Changes of rooms' lists of users.
    pub presence_changes: ByLabel<PresenceChangeKind, IntCounter>,
}

impl BusMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        Self {
            up: families.gauge("bus_up", "1 while the probe comes back in time, else 0."),
            subscribed: families
                .gauge("bus_subscribed", "1 while every subscription wanted is confirmed, else 0."),
            writable: families.gauge(
                "bus_writable",
                "0 while a Redis primary refuses writes (memory, disk or replicas), else 1.",
            ),
            commands: families.counters("bus_commands_total", "Commands sent to the bus."),
            command: families.histograms(
                "bus_command_seconds",
                "From a command's start to its answer, waiting for a connection included.",
                buckets::WAIT,
            ),
            command_errors: families
                .counters("bus_command_errors_total", "Commands that failed or got no answer."),
            reconnects: families
                .counters("bus_reconnects_total", "Connections to the bus made anew."),
            pushes: families.counter("bus_pushes_total", "Pushes received from the bus."),
            pushes_ignored: families.counter(
                "bus_pushes_ignored_total",
                "Pushes of a kind that this version does not know.",
            ),
            push_bytes: families.counter("bus_push_bytes_total", "Payload bytes of those pushes."),
            duplicates: families
                .counter("bus_duplicates_total", "Messages that a feed had already, and dropped."),
            holes: families
                .counter("bus_holes_total", "Pushes that were not the next one a feed expected."),
            repairs: families.counters("bus_repairs_total", "Repairs begun, by their cause."),
            repair: families.histogram(
                "bus_repair_seconds",
                "From the begin of a repair to its end, retries included.",
                buckets::WAIT,
            ),
            gaps: families.counter(
                "bus_gaps_total",
                "Gaps that feeds told because the bus no longer has the messages.",
            ),
            epoch_resets: families
                .counters("bus_epoch_resets_total", "Rooms that went on in another epoch."),
            groups: families.counter("bus_groups_total", "Group commits sent."),
            group_messages: families.histogram(
                "bus_group_messages",
                "Messages that travelled in one group commit.",
                buckets::GROUP,
            ),
            publish_unknown: families.counter(
                "bus_publish_unknown_total",
                "Publications whose outcome is unknown; told to their publishers.",
            ),
            ephemeral_dropped: families.counter(
                "bus_ephemeral_dropped_total",
                "Signals and typing that the bus took and then dropped: their primary is away, does \
                 not answer, or too much waits for it.",
            ),
            overloaded: families.counter(
                "bus_overloaded_total",
                "Publications refused because too many were waiting for their room.",
            ),
            feeds: families.gauge("bus_feeds", "Rooms whose feed is open."),
            subscriptions_wanted: families
                .gauge("bus_subscriptions_wanted", "Subscriptions the node wants."),
            subscriptions_confirmed: families
                .gauge("bus_subscriptions_confirmed", "Subscriptions the bus has confirmed."),
            probe: families.histogram(
                "bus_probe_seconds",
                "From a probe's publish to its return on a subscribe connection.",
                buckets::WAIT,
            ),
            probe_age: families.real_gauge(
                "bus_probe_age_seconds",
                "Since the last probe came back, on the connection where that is longest.",
            ),
            unconfirmed_age: families.real_gauge(
                "bus_unconfirmed_age_seconds",
                "Since the longest waiting subscription is wanted without being confirmed.",
            ),
            circuit: families
                .gauges("bus_circuit", "Primaries whose command connections are in each state."),
            leases: families
                .gauges("leases", "Incarnations of nodes with a lease, and those marked dead."),
            presence_changes: families.counters(
                "presence_changes_total",
                "Changes of users in rooms that this node wrote, and lists it had read again.",
            ),
        }
    }
}
