//! A rate in use, which begins again when a reload changes the rate. Pure.

use std::time::Duration;

use roomcast_access::rate::{RateExcess, RateLimit, RateState};

/// When to try again what is more than the whole burst: it never fits, so any time will do.
const ABOVE_BURST_WAIT: Duration = Duration::from_secs(1);

/// How much of one rate has been used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    state: RateState,
    /// The rate that the state goes with, in units per period.
    count: u64,
}

impl Meter {
    /// Takes units, or takes nothing and returns how long to wait. Without a limit all is allowed.
    pub(crate) fn take(
        &mut self,
        limit: Option<RateLimit>,
        units: u64,
        now: Duration,
    ) -> Result<(), Duration> {
        let Some(limit) = limit else { return Ok(()) };
        if self.count != limit.count() {
            *self = Self { state: RateState::default(), count: limit.count() };
        }
        self.state.take(limit, units, now).map_err(|excess| match excess {
            RateExcess::Wait(wait) => wait,
            RateExcess::AboveBurst => ABOVE_BURST_WAIT,
        })
    }

    /// Whether units could be taken now; if not, how long to wait.
    pub(crate) fn look(
        self,
        limit: Option<RateLimit>,
        units: u64,
        now: Duration,
    ) -> Result<(), Duration> {
        let mut copy = self;
        copy.take(limit, units, now)
    }

    /// Whether nothing was ever taken.
    pub(crate) fn is_unused(self) -> bool {
        self.count == 0
    }

    /// Whether it may be forgotten: nothing of the rate is in use.
    pub(crate) fn is_idle(self, limit: Option<RateLimit>, now: Duration) -> bool {
        limit.is_none_or(|limit| self.count != limit.count() || self.state.is_idle(limit, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_rate_begins_again() {
        let (two, three) = (RateLimit::per_second(2, 2), RateLimit::per_second(3, 3));
        let now = Duration::from_secs(7);
        let mut meter = Meter::default();
        assert_eq!(meter.take(two, 2, now), Ok(()));
        assert_eq!(meter.look(two, 1, now), Err(Duration::from_millis(500)));
        assert!(!meter.is_idle(two, now) && meter.is_idle(three, now) && meter.is_idle(None, now));
        assert_eq!(meter.take(three, 3, now), Ok(()));
        assert_eq!(meter.take(three, 4, now), Err(ABOVE_BURST_WAIT));
        assert_eq!(meter.take(None, u64::MAX, now), Ok(()));
    }
}
