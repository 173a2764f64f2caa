//! What all threads of a node share: how many sockets each worker has, whether the node lives, is
//! ready, and takes connections. It knows no HTTP, and no connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use roomcast_bus::Bus;
use roomcast_metrics::Metrics;
use roomcast_protocol::NodeId;

use crate::address_limits::AddressLimits;
use crate::orders::OrderDesk;
use crate::peers::PeerDesk;
use crate::receipts::ReceiptDesk;
use crate::user_limits::{UserCensus, UserConnections};

/// A worker that has not ticked for so long hangs: it ticks four times a second.
const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// A node that has not read the orders for so long is not ready: as long as a probe may be missing.
const ORDERS_WITHIN: Duration = Duration::from_secs(3);

/// The node's state, behind atomics.
pub(crate) struct NodeStatus {
    bus: Bus,
    metrics: Metrics,
    /// Bans and disconnects.
    pub(crate) orders: Arc<OrderDesk>,
    /// Sockets of each worker.
    loads: Vec<AtomicUsize>,
    started: Instant,
    /// When each worker last ticked, in ms since `started`: a monotonic clock.
    ticks: Vec<AtomicU64>,
    /// It says that it is not ready.
    draining: AtomicBool,
    /// It takes no connections any more.
    closed: AtomicBool,
    /// The first keys of `auth.jwks_url` have not come.
    keys_awaited: AtomicBool,
    /// What client addresses use of their limits.
    pub(crate) addresses: Arc<AddressLimits>,
    /// Connections of each user.
    pub(crate) users: Arc<UserConnections>,
    /// Which users these are, while the demo is on.
    pub(crate) census: Arc<UserCensus>,
    /// What users confirm of rooms.
    pub(crate) receipts: Arc<ReceiptDesk>,
    /// Questions between nodes.
    pub(crate) peers: Arc<PeerDesk>,
    /// `/metrics` has a listener of its own.
    pub(crate) metrics_apart: bool,
}

impl NodeStatus {
    pub(crate) fn new(bus: Bus, metrics: Metrics, workers: usize, metrics_apart: bool) -> Self {
        let orders = Arc::new(OrderDesk::new(bus.clone(), &metrics));
        Self {
            orders,
            users: Arc::new(UserConnections::new(bus.clone())),
            census: Arc::default(),
            receipts: Arc::new(ReceiptDesk::new(bus.clone())),
            peers: Arc::new(PeerDesk::new(unnamed())),
            bus,
            metrics,
            loads: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            started: Instant::now(),
            ticks: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            draining: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            keys_awaited: AtomicBool::new(false),
            addresses: Arc::new(AddressLimits::new()),
            metrics_apart,
        }
    }

    /// The same with the node's part in questions between nodes.
    pub(crate) fn with_peers(self, peers: Arc<PeerDesk>) -> Self {
        Self { peers, ..self }
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
    pub(crate) fn alive(&self, worker: usize, now: Instant) {
        self.ticks[worker].store(self.ms(now), Ordering::Relaxed);
    }

    /// Whether every worker ticks.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive_at(Instant::now())
    }

    fn is_alive_at(&self, now: Instant) -> bool {
        let oldest = self.ms(now).saturating_sub(ALIVE_WITHIN.as_millis() as u64);
        self.ticks.iter().all(|tick| tick.load(Ordering::Relaxed) >= oldest)
    }

    fn ms(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.started).as_millis() as u64
    }

    /// Whether Redis was reached since the node started, and the orders there were read: before, no
    /// client can join, and it is not known who is banned.
    pub(crate) fn is_reached(&self) -> bool {
        self.bus.is_reached() && self.orders.was_read()
    }

    /// Why the node is not ready; empty if it is (P8).
    pub(crate) fn not_ready(&self) -> Vec<&'static str> {
        let health = self.bus.health();
        let reasons = [
            (self.draining.load(Ordering::Relaxed), "draining"),
            (!self.is_alive(), "worker_stalled"),
            (self.keys_awaited.load(Ordering::Relaxed), "keys_missing"),
            (!health.reached, "bus_starting"),
            (health.reached && !health.probed, "bus_probe_missing"),
            (health.reached && !health.subscribed, "subscriptions_missing"),
            (health.reached && !self.orders.is_followed(ORDERS_WITHIN), "orders_unread"),
        ];
        reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).collect()
    }

    /// Whether the first keys of `auth.jwks_url` have not come yet.
    pub(crate) fn await_keys(&self, awaited: bool) {
        self.keys_awaited.store(awaited, Ordering::Relaxed);
    }

    /// The node is about to leave: it is not ready, but still takes connections.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The node takes no connections any more.
    pub(crate) fn close(&self) {
        self.drain();
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Whether it takes no connections any more.
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

/// The name of a node that nobody asks.
fn unnamed() -> NodeId {
    NodeId::parse("unnamed").expect("letters are a name")
}

/// A socket's slot among those of its worker, given back when it is dropped.
pub(crate) struct ConnectionSlot {
    status: Arc<NodeStatus>,
    worker: usize,
}

impl ConnectionSlot {
    /// Of a socket that was assigned to this worker.
    pub(crate) fn new(status: Arc<NodeStatus>, worker: usize) -> Self {
        Self { status, worker }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.status.release(self.worker);
    }
}

#[cfg(test)]
mod tests {
    use roomcast_bus::MemoryOptions;

    use super::*;

    /// Its moments are those of the monotonic clock: the machine's clock, which may be set, is not
    /// asked.
    #[test]
    fn a_worker_that_no_longer_ticks_is_found() {
        let bus = Bus::memory(MemoryOptions::default()).0;
        let status = NodeStatus::new(bus, Metrics::new(), 2, false);
        let after = |ms| status.started + Duration::from_millis(ms);
        for (ticks, now, is_alive) in [
            ([0, 0], 10_000, true),
            ([0, 0], 10_001, false),
            ([9_000, 0], 10_001, false),
            ([90_000, 90_000], 100_000, true),
            ([90_000, 89_999], 100_000, false),
            // A tick that is later than the question, as threads are not in step.
            ([90_000, 90_000], 80_000, true),
        ] {
            (0..2).for_each(|worker| status.alive(worker, after(ticks[worker])));
            assert_eq!(status.is_alive_at(after(now)), is_alive, "{ticks:?} at {now}");
        }
    }
}
