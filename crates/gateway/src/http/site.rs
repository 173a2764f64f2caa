//! What all workers' HTTP shares: how many sockets there are, whether the node lives and is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use roomcast_bus::Bus;
use roomcast_metrics::Metrics;

use crate::hub::now_ms;

/// A worker that has not ticked for so long (ms) hangs: it ticks four times a second.
const ALIVE_WITHIN: u64 = 10_000;

/// The node as its HTTP side sees it.
pub(crate) struct Site {
    bus: Bus,
    metrics: Metrics,
    /// Sockets of each worker.
    loads: Vec<AtomicUsize>,
    /// When each worker last ticked, Unix ms; 0 before it began, `u64::MAX` never.
    ticks: Vec<AtomicU64>,
    /// It says that it is not ready.
    draining: AtomicBool,
    /// It takes nobody any more.
    closed: AtomicBool,
    /// `/metrics` has a listener of its own.
    pub(crate) metrics_apart: bool,
}

impl Site {
    pub(crate) fn new(bus: Bus, metrics: Metrics, workers: usize, metrics_apart: bool) -> Self {
        Self {
            bus,
            metrics,
            loads: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            ticks: (0..workers).map(|_| AtomicU64::new(now_ms())).collect(),
            draining: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            metrics_apart,
        }
    }

    /// The worker with the fewest sockets, which gets one more.
    pub(crate) fn assign(&self) -> usize {
        let loads = self.loads.iter().enumerate();
        let least = loads.min_by_key(|(_, load)| load.load(Ordering::Relaxed));
        let (worker, load) = least.expect("a node has at least one worker");
        load.fetch_add(1, Ordering::Relaxed);
        worker
    }

    /// One socket of a worker has ended.
    pub(crate) fn release(&self, worker: usize) {
        self.loads[worker].fetch_sub(1, Ordering::Relaxed);
    }

    /// Sockets of all workers.
    pub(crate) fn sockets(&self) -> usize {
        self.loads.iter().map(|load| load.load(Ordering::Relaxed)).sum()
    }

    /// A worker ticked.
    pub(crate) fn alive(&self, worker: usize, now: u64) {
        self.ticks[worker].store(now, Ordering::Relaxed);
    }

    /// Whether every worker ticks.
    pub(crate) fn is_alive(&self) -> bool {
        let oldest = now_ms().saturating_sub(ALIVE_WITHIN);
        self.ticks.iter().all(|tick| tick.load(Ordering::Relaxed) >= oldest)
    }

    /// Why the node is not ready; empty if it is (P8).
    pub(crate) fn not_ready(&self) -> Vec<&'static str> {
        let health = self.bus.health();
        let reasons = [
            (self.draining.load(Ordering::Relaxed), "draining"),
            (!self.is_alive(), "worker_stalled"),
            (!health.probed, "bus_probe_missing"),
            (!health.subscribed, "subscriptions_missing"),
        ];
        reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).collect()
    }

    /// The node is about to leave: it is not ready, but still takes whoever comes.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The node takes nobody any more.
    pub(crate) fn close(&self) {
        self.drain();
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Whether it takes nobody any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The metrics in their text form; away from the workers, as it reads `/proc`.
    pub(crate) async fn render(&self) -> String {
        let metrics = self.metrics.clone();
        metrics.node.ready.set(self.not_ready().is_empty().into());
        tokio::task::spawn_blocking(move || metrics.render()).await.unwrap_or_default()
    }
}

/// A socket's place among those of its worker, given back when it is dropped.
pub(crate) struct Place {
    site: Arc<Site>,
    worker: usize,
}

impl Place {
    /// Of a socket that was assigned to this worker.
    pub(crate) fn new(site: Arc<Site>, worker: usize) -> Self {
        Self { site, worker }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.site.release(self.worker);
    }
}
