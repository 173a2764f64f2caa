//! Keeps the log readable: an event that may happen with every message is logged once per interval
//! only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Least time between two lines of one kind.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug)]
pub(crate) struct LogThrottle {
    started: Instant,
    /// In ms since `started`, when the next line may come.
    next: AtomicU64,
}

impl LogThrottle {
    /// The first line may come at once.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), next: AtomicU64::new(0) }
    }

    /// Whether a line may be written now; if so, the next one may follow after the interval.
    pub(crate) fn is_time(&self) -> bool {
        let now = self.started.elapsed().as_millis() as u64;
        let next = self.next.load(Ordering::Relaxed);
        let later = now + LINE_INTERVAL.as_millis() as u64;
        // Of several threads at the same moment one succeeds.
        now >= next
            && self.next.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_within_the_pause() {
        let throttle = LogThrottle::new();
        assert!(throttle.is_time() && !throttle.is_time());
        tokio::time::advance(LINE_INTERVAL - Duration::from_millis(1)).await;
        assert!(!throttle.is_time());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(throttle.is_time() && !throttle.is_time());
    }
}
