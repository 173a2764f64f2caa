//! How fast sockets are taken in: a bucket that holds a tenth of a second's worth. Pure.

use std::time::{Duration, Instant};

/// What may come at once, as a part of a second's worth.
const BURST: f64 = 0.1;

/// The bucket.
#[derive(Debug)]
pub(super) struct AcceptPace {
    /// Sockets that may be taken now.
    credit: f64,
    at: Instant,
}

impl AcceptPace {
    /// An empty bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self { credit: 0.0, at: now }
    }

    /// Takes one socket's worth at a rate in a second; or how long to wait before asking again. At
    /// rate 0 there is always enough.
    pub(super) fn take(&mut self, rate: u32, now: Instant) -> Option<Duration> {
        if rate == 0 {
            return None;
        }
        let rate = f64::from(rate);
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.credit = (self.credit + passed * rate).min((rate * BURST).max(1.0));
        if self.credit >= 1.0 {
            self.credit -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64((1.0 - self.credit) / rate))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_rate_nobody_waits() {
        let mut pace = AcceptPace::new(Instant::now());
        assert!((0..10_000).all(|_| pace.take(0, pace.at).is_none()));
    }

    proptest! {
        /// Over any span no more are taken than its worth and one burst, and whoever keeps asking
        /// gets nearly that many.
        #[test]
        fn it_keeps_to_the_rate(rate in 1_u32..10_000, calls in 1_u64..20_000, idle in 0_u64..10_000) {
            let begun = Instant::now();
            let mut pace = AcceptPace::new(begun);
            let mut now = begun + Duration::from_millis(idle);
            let from = now;
            for _ in 0..calls {
                while let Some(wait) = pace.take(rate, now) {
                    prop_assert!(!wait.is_zero());
                    now += wait + Duration::from_nanos(100);
                }
            }
            let worth = f64::from(rate) * (now - from).as_secs_f64();
            let burst = (f64::from(rate) * BURST).max(1.0);
            prop_assert!(calls as f64 <= worth + burst + 0.01);
            prop_assert!(calls as f64 + 1.0 >= worth * 0.99);
        }
    }
}
