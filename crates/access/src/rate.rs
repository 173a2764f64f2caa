//! Rates: how much may be done per second or minute, exactly (GCRA), and when a connection that
//! keeps going above its rate is ended. Time comes in as a duration since any fixed moment.

mod excess;

use std::time::Duration;

pub use excess::{ExcessVerdict, ExcessWatch};

/// A rate with its burst. One unit of work is added every `period / count`, up to `burst` units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    count: u64,
    period_ns: u64,
    burst: u64,
}

const SECOND_NS: u64 = 1_000_000_000;

impl RateLimit {
    /// `count` a second with a burst of at least 1; `None`, which is no limit, for 0.
    pub fn per_second(count: u64, burst: u64) -> Option<Self> {
        Self::new(count, SECOND_NS, burst)
    }

    /// `count` at once, and `count` again within each minute; `None`, which is no limit, for 0.
    pub fn per_minute(count: u64) -> Option<Self> {
        Self::new(count, 60 * SECOND_NS, count)
    }

    fn new(count: u64, period_ns: u64, burst: u64) -> Option<Self> {
        (count > 0).then_some(Self { count, period_ns, burst: burst.max(1) })
    }

    /// Units per period.
    pub fn count(self) -> u64 {
        self.count
    }
}

/// Why a unit of work is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateExcess {
    /// Try again after this time.
    Wait(Duration),
    /// It is more than the burst: it never fits.
    AboveBurst,
}

/// How much of a rate has been used: the arrival time at which all of it would be free again.
/// Counted in nanoseconds times `count`, so that no division rounds and nothing drifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateState {
    free_at: u128,
}

impl RateState {
    /// Takes `units` at `now`, or refuses them and takes nothing. One state goes with one limit;
    /// after a change of the limit begin a new state.
    pub fn take(&mut self, limit: RateLimit, units: u64, now: Duration) -> Result<(), RateExcess> {
        let count = u128::from(limit.count);
        let cost = |units: u64| u128::from(units) * u128::from(limit.period_ns);
        if units > limit.burst {
            return Err(RateExcess::AboveBurst);
        }
        let now = now.as_nanos().saturating_mul(count);
        let free_at = self.free_at.max(now).saturating_add(cost(units));
        let allowed = now.saturating_add(cost(limit.burst));
        if free_at <= allowed {
            self.free_at = free_at;
            return Ok(());
        }
        let wait_ns = (free_at - allowed).div_ceil(count);
        Err(RateExcess::Wait(Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(u64::MAX))))
    }

    /// Whether all of the rate is free: a state that is idle may be dropped.
    pub fn is_idle(&self, limit: RateLimit, now: Duration) -> bool {
        self.free_at <= now.as_nanos().saturating_mul(u128::from(limit.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let limit = RateLimit::per_second(10, 3).unwrap();
        let mut state = RateState::default();
        for _ in 0..3 {
            assert_eq!(state.take(limit, 1, ms(5_000)), Ok(()));
        }
        assert_eq!(state.take(limit, 1, ms(5_000)), Err(RateExcess::Wait(ms(100))));
        assert_eq!(state.take(limit, 2, ms(5_100)), Err(RateExcess::Wait(ms(100))));
        assert_eq!(state.take(limit, 1, ms(5_100)), Ok(()));
        assert_eq!(state.take(limit, 4, ms(60_000)), Err(RateExcess::AboveBurst));
        assert!(!state.is_idle(limit, ms(5_399)));
        assert!(state.is_idle(limit, ms(5_400)));
    }

    #[test]
    fn a_third_of_a_second_does_not_drift() {
        let limit = RateLimit::per_second(3, 2).unwrap();
        let mut state = RateState::default();
        let mut now = Duration::ZERO;
        for _ in 0..3_000_000 {
            match state.take(limit, 1, now) {
                Ok(()) => {}
                Err(RateExcess::Wait(wait)) => now += wait,
                Err(RateExcess::AboveBurst) => unreachable!("one unit is within the burst"),
            }
        }
        // 1,500,001 units were taken, two of them at the start: the last within the last second.
        assert!(now <= Duration::from_secs(500_000) && now > Duration::from_secs(499_999));
    }

    #[test]
    fn a_rate_by_the_minute_gives_all_at_once() {
        let limit = RateLimit::per_minute(100).unwrap();
        let mut state = RateState::default();
        assert_eq!(state.take(limit, 100, ms(0)), Ok(()));
        assert_eq!(state.take(limit, 1, ms(0)), Err(RateExcess::Wait(ms(600))));
        assert_eq!(state.take(limit, 100, ms(60_000)), Ok(()));
    }

    #[test]
    fn zero_is_no_limit_and_extremes_do_not_overflow() {
        assert_eq!(RateLimit::per_second(0, 5), None);
        assert_eq!(RateLimit::per_minute(0), None);
        let limit = RateLimit::per_second(u64::MAX, u64::MAX).unwrap();
        let mut state = RateState::default();
        assert_eq!(state.take(limit, u64::MAX, Duration::MAX), Ok(()));
        assert!(state.take(limit, u64::MAX, Duration::ZERO).is_err());
    }

    /// The model: a bucket of `burst` units that is refilled by fractions, in exact arithmetic:
    /// its level is counted in units of 1/period.
    struct Bucket {
        level: u128,
        at_ns: u128,
    }

    impl Bucket {
        fn take(&mut self, limit: RateLimit, units: u64, now_ns: u128) -> bool {
            let full = u128::from(limit.burst) * u128::from(limit.period_ns);
            let refill = (now_ns - self.at_ns) * u128::from(limit.count);
            self.level = full.min(self.level + refill);
            self.at_ns = now_ns;
            let cost = u128::from(units) * u128::from(limit.period_ns);
            let enough = self.level >= cost;
            if enough {
                self.level -= cost;
            }
            enough
        }
    }

    proptest! {
        #[test]
        fn it_is_a_bucket_that_is_refilled_exactly(
            count in 1_u64..3_000_000, burst in 1_u64..2_000,
            steps in prop::collection::vec((0_u64..400_000_000, 0_u64..2_100), 0..100),
        ) {
            let limit = RateLimit::per_second(count, burst).unwrap();
            let mut state = RateState::default();
            let mut now = 0;
            let mut bucket = Bucket {
                level: u128::from(burst) * u128::from(SECOND_NS), at_ns: 0,
            };
            for (pass, units) in steps {
                now += pass;
                let taken = state.take(limit, units, Duration::from_nanos(now));
                prop_assert_eq!(taken.is_ok(), bucket.take(limit, units, u128::from(now)));
                if let Err(RateExcess::Wait(wait)) = taken {
                    // Not a nanosecond earlier, and then surely.
                    let at = Duration::from_nanos(now) + wait;
                    let early = at - Duration::from_nanos(1);
                    prop_assert!(state.clone().take(limit, units, early).is_err());
                    prop_assert!(state.clone().take(limit, units, at).is_ok());
                }
            }
        }
    }
}
