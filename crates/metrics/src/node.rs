//! Families of the process itself, beside those of the process collector (`process_…`).

use prometheus::{Gauge, GaugeVec, IntCounter, IntGauge};

use crate::family::Families;

/// Build, panics and workers.
#[derive(Debug, Clone)]
pub struct NodeMetrics {
    /// Panics caught; each ended one task, never the process.
    pub panics: IntCounter,
    /// Descriptors the node may have open, after it raised its limit.
    pub descriptor_limit: IntGauge,
    /// Whether the node is ready; set when it is asked.
    pub ready: IntGauge,
    /// How far a drain has come.
    pub drain_phase: IntGauge,
    ticks: GaugeVec,
}

impl NodeMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        let build = families.gauges_by_name(
            "build_info",
            "Always 1; the label tells the version that runs.",
            &["version"],
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            panics: families.counter(
                "panics_total",
                "Panics caught. Each ended one connection's task and is a bug of the node.",
            ),
            descriptor_limit: families.gauge(
                "descriptor_limit",
                "File descriptors the node may have open, after it raised its limit at start.",
            ),
            ready: families.gauge(
                "ready",
                "1 if the node is ready: what /health/ready says.",
            ),
            drain_phase: families.gauge(
                "drain_phase",
                "0: serving; 1: draining, still taking connections; 2: clients are moving; \
                 3: closing what is left.",
            ),
            ticks: families.real_gauges_by_name(
                "worker_last_tick_timestamp_seconds",
                "When each worker's timer last ran, as Unix time. A worker that stays behind hangs.",
                "worker",
            ),
        }
    }

    /// The last tick of one worker, as Unix time in seconds. Call it once for each worker, at
    /// start, and keep the handle.
    pub fn last_tick(&self, worker: usize) -> Gauge {
        self.ticks.with_label_values(&[worker.to_string()])
    }
}
