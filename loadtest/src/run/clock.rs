//! One clock for all processes of a run: CLOCK_MONOTONIC in ns, which the kernel keeps for the
//! whole machine, so that a delay may begin in one process and end in another.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The clock, and where this process's `Instant`s lie on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    instant: Instant,
    nanos: u64,
}

impl Clock {
    /// Reads it. An `Instant` is a reading of the same clock, so nothing drifts afterwards.
    pub(crate) fn new() -> Self {
        let (instant, now) = (Instant::now(), clock_gettime(ClockId::Monotonic));
        // It counts from the machine's start and is never negative.
        Self { instant, nanos: now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64 }
    }

    /// The moment in ns.
    pub(crate) fn nanos(&self, at: Instant) -> u64 {
        let before = || self.nanos - self.instant.duration_since(at).as_nanos() as u64;
        at.checked_duration_since(self.instant)
            .map_or_else(before, |later| self.nanos + later.as_nanos() as u64)
    }

    /// The moment that another process named.
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        match nanos.checked_sub(self.nanos) {
            Some(later) => self.instant + Duration::from_nanos(later),
            None => self.instant - Duration::from_nanos(self.nanos - nanos),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_readings_agree_on_moments_before_and_after() {
        let first = Clock::new();
        let second = Clock::new();
        let at = Instant::now();
        assert!(first.nanos(at).abs_diff(second.nanos(at)) < 1_000_000);
        assert_eq!(first.instant(first.nanos(at)), at);
        let before = first.instant - Duration::from_millis(5);
        assert_eq!(first.instant(first.nanos(before)), before);
    }
}
