//! Unix time in ms that never goes back: the wall clock at the start, then tokio's clock, which
//! tests may pause.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until};

/// The clock of one bus.
pub(crate) struct MemoryClock {
    started: Instant,
    /// Unix ms at `started`.
    base: u64,
}

impl MemoryClock {
    #[expect(clippy::disallowed_methods, reason = "only once, as the base of all times")]
    pub(crate) fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), base: unix.as_millis() as u64 }
    }

    /// Unix ms.
    pub(crate) fn now(&self) -> u64 {
        self.base + self.started.elapsed().as_millis() as u64
    }

    /// Waits until `due` (Unix ms); never returns without one.
    pub(crate) async fn reached(&self, due: Option<u64>) {
        match due {
            Some(due) => {
                let after = Duration::from_millis(due.saturating_sub(self.base));
                sleep_until(self.started + after).await;
            }
            None => std::future::pending().await,
        }
    }
}
