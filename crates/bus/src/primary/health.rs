//! The last results of the lanes' probes and subscriptions, for readiness: written by the lanes,
//! read by any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::Health;

/// A probe that came back longer ago than this proves nothing (P8).
const MAX_PROBE_AGE: Duration = Duration::from_secs(3);
/// A subscription may stay unconfirmed this long (P8).
const MAX_UNCONFIRMED_AGE: Duration = Duration::from_secs(2);
/// No probe came back yet, or no subscription waits.
const NEVER: u64 = u64::MAX;

/// The reports of all lanes of one primary.
#[derive(Debug, Clone)]
pub(crate) struct Vitals {
    started: Instant,
    lanes: Arc<[LaneVitals]>,
}

#[derive(Debug)]
struct LaneVitals {
    /// When a probe last came back, in ms since `started`.
    probed: AtomicU64,
    /// Since when a subscription waits for its confirmation, in ms since `started`.
    waiting: AtomicU64,
}

impl Vitals {
    /// Reports without any result.
    pub(crate) fn new(lanes: usize) -> Self {
        let lane = || LaneVitals { probed: AtomicU64::new(NEVER), waiting: AtomicU64::new(NEVER) };
        Self { started: Instant::now(), lanes: (0..lanes).map(|_| lane()).collect() }
    }

    /// A probe came back on this lane.
    pub(crate) fn probed(&self, lane: usize) {
        self.lanes[lane].probed.store(self.ms(Instant::now()), Ordering::Relaxed);
    }

    /// Since when a subscription of this lane waits for its confirmation; `None` if none waits.
    pub(crate) fn waiting(&self, lane: usize, since: Option<Instant>) {
        let since = since.map_or(NEVER, |since| self.ms(since));
        self.lanes[lane].waiting.store(since, Ordering::Relaxed);
    }

    /// Health by the reports of all lanes.
    pub(crate) fn health(&self) -> Health {
        let now = self.ms(Instant::now());
        let within = |at: &AtomicU64, age: Duration| {
            let at = at.load(Ordering::Relaxed);
            at != NEVER && now.saturating_sub(at) <= age.as_millis() as u64
        };
        let settled = |lane: &LaneVitals| {
            lane.waiting.load(Ordering::Relaxed) == NEVER
                || within(&lane.waiting, MAX_UNCONFIRMED_AGE)
        };
        Health {
            reached: true,
            probed: self.lanes.iter().all(|lane| within(&lane.probed, MAX_PROBE_AGE)),
            subscribed: self.lanes.iter().all(settled),
        }
    }

    /// The age of the oldest of the lanes' last probes, and how long the longest waiting
    /// subscription has waited.
    pub(crate) fn ages(&self) -> (Duration, Duration) {
        let now = self.ms(Instant::now());
        let age = |at: &AtomicU64, or: u64| match at.load(Ordering::Relaxed) {
            NEVER => or,
            at => now.saturating_sub(at),
        };
        let probed = self.lanes.iter().map(|lane| age(&lane.probed, now)).max();
        let waiting = self.lanes.iter().map(|lane| age(&lane.waiting, 0)).max();
        let ms = |age: Option<u64>| Duration::from_millis(age.unwrap_or(0));
        (ms(probed), ms(waiting))
    }

    fn ms(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.started).as_millis() as u64
    }
}
