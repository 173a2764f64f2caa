//! A node's gentle end (P9): it leads, `worker/drain.rs` moves the clients.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Node;
use crate::config::DrainConfig;
use crate::drain::{CLOSE_TIMEOUT, Schedule};

/// Time between two checks whether all connections have ended.
const CHECK_PERIOD: Duration = Duration::from_millis(50);
/// Time between two log lines with the number that has not.
const PROGRESS_LOG_PERIOD: Duration = Duration::from_secs(1);

impl Node {
    /// Ends the node gently (P9): it says that it is not ready, takes nobody any more after a pause,
    /// has every client move to another node within `drain.total`, and stops. Where there is no
    /// other node, or as soon as `at_once` is ready, it stops at once.
    pub async fn drain(self, at_once: impl Future<Output = ()>) {
        if self.config.bus.redis_url.is_none() {
            return self.stop().await;
        }
        let DrainConfig { total, pause } = self.config.drain;
        let schedule = Schedule::new(total, pause);
        let farewell = tokio::select! {
            () = self.empty(&schedule) => schedule.farewell,
            () = at_once => {
                tracing::warn!(connections = self.open(), "draining no longer: told to end at once");
                CLOSE_TIMEOUT
            }
        };
        self.stop_within(farewell).await;
    }

    /// Lets everybody move; returns when all have or when their time is up.
    async fn empty(&self, schedule: &Schedule) {
        let Schedule { pause, window, patience, .. } = *schedule;
        let phase = &self.metrics.node.drain_phase;
        phase.set(1);
        self.status.drain();
        tracing::info!(
            connections = self.open(),
            ?pause,
            "draining: not ready, still taking connections"
        );
        sleep(pause).await;
        phase.set(2);
        self.status.close();
        self.acceptor.close();
        tracing::info!(
            connections = self.open(),
            ?window,
            "draining: telling every client when to move"
        );
        self.drain.send_replace(Some(*schedule));
        let end = Instant::now() + window + patience;
        let mut told = Instant::now();
        while self.open() > 0 && Instant::now() < end {
            sleep(CHECK_PERIOD).await;
            if told.elapsed() >= PROGRESS_LOG_PERIOD {
                told = Instant::now();
                let left = end.saturating_duration_since(told).as_secs();
                tracing::info!(connections = self.open(), seconds = left, "draining: still here");
            }
        }
        phase.set(3);
    }

    fn open(&self) -> i64 {
        self.metrics.connections.all_open()
    }
}
