//! When a connection that goes above a rate is ended: after 5 s without a pause, or at once when
//! ten times the rate was refused within a second.

use std::time::Duration;

/// For how long a connection may keep going above its rate.
const EXCESS_LIMIT: Duration = Duration::from_secs(5);
/// A time without a refusal after which the excess counts from the start.
const EXCESS_PAUSE: Duration = Duration::from_secs(1);
/// How many times the rate may be refused within a second.
const FLOOD_FACTOR: u64 = 10;
/// The second is looked at in so many parts.
const FLOOD_PARTS: usize = 10;
/// Length of one part in milliseconds.
const FLOOD_PART_MS: u128 = 100;

/// What a refusal means for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExcessVerdict {
    /// It goes on.
    Keep,
    /// End it with 4003.
    Close,
}

/// The refusals of one rate on one connection. Make it at the first refusal: it is large, and
/// most connections never need one.
#[derive(Debug, Clone)]
pub struct ExcessWatch {
    began: Duration,
    last: Duration,
    /// Refused units in the parts of the last second; that of `part` is the newest.
    refused: [u64; FLOOD_PARTS],
    part: u128,
}

impl ExcessWatch {
    /// Nothing has been refused yet.
    pub fn new(now: Duration) -> Self {
        Self { began: now, last: now, refused: [0; FLOOD_PARTS], part: part_of(now) }
    }

    /// `units` were refused at `now`; `rate` is the limit in units per second.
    ///
    /// What was refused longer ago than a second never counts for a flood; of the last second the
    /// first tenth may not count.
    pub fn refused(&mut self, units: u64, rate: u64, now: Duration) -> ExcessVerdict {
        if now.saturating_sub(self.last) >= EXCESS_PAUSE {
            self.began = now;
        }
        self.last = self.last.max(now);
        self.turn_to(part_of(now));
        let newest = &mut self.refused[slot(self.part)];
        *newest = newest.saturating_add(units);
        let within_second = self.refused.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
        let is_flood = within_second >= rate.saturating_mul(FLOOD_FACTOR);
        let is_steady = now.saturating_sub(self.began) >= EXCESS_LIMIT;
        if is_flood || is_steady { ExcessVerdict::Close } else { ExcessVerdict::Keep }
    }

    fn turn_to(&mut self, part: u128) {
        let passed = part.saturating_sub(self.part).min(FLOOD_PARTS as u128);
        for back in 0..passed {
            self.refused[slot(part - back)] = 0;
        }
        self.part = self.part.max(part);
    }
}

fn part_of(now: Duration) -> u128 {
    now.as_millis() / FLOOD_PART_MS
}

fn slot(part: u128) -> usize {
    (part % FLOOD_PARTS as u128) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn five_seconds_without_a_pause_end_it() {
        let mut watch = ExcessWatch::new(ms(0));
        for at in (0..5_000).step_by(500) {
            assert_eq!(watch.refused(1, 100, ms(at)), ExcessVerdict::Keep, "{at}");
        }
        assert_eq!(watch.refused(1, 100, ms(5_000)), ExcessVerdict::Close);
    }

    #[test]
    fn a_pause_of_a_second_starts_the_count_again() {
        let mut watch = ExcessWatch::new(ms(0));
        for at in [0, 999, 1_998, 2_900, 3_899, 4_899, 5_800, 6_700, 7_600, 8_500, 9_400, 9_898] {
            assert_eq!(watch.refused(1, 100, ms(at)), ExcessVerdict::Keep, "{at}");
        }
        assert_eq!(watch.refused(1, 100, ms(9_899)), ExcessVerdict::Close);
    }

    #[test]
    fn ten_times_the_rate_within_a_second_ends_it() {
        let mut watch = ExcessWatch::new(ms(7_000));
        assert_eq!(watch.refused(999, 100, ms(7_000)), ExcessVerdict::Keep);
        assert_eq!(watch.refused(1, 100, ms(7_850)), ExcessVerdict::Close);
        let mut watch = ExcessWatch::new(ms(7_000));
        assert_eq!(watch.refused(999, 100, ms(7_000)), ExcessVerdict::Keep);
        assert_eq!(watch.refused(1, 100, ms(8_000)), ExcessVerdict::Keep);
        assert_eq!(watch.refused(u64::MAX, 100, ms(8_000)), ExcessVerdict::Close);
    }

    proptest! {
        /// Against the rule as it is written, up to the tenth of a second that is stated.
        #[test]
        fn it_follows_the_rule(
            steps in prop::collection::vec((0_u64..1_300, 0_u64..60), 1..80), rate in 1_u64..12,
        ) {
            let mut watch: Option<ExcessWatch> = None;
            let (mut now, mut began, mut last) = (0, 0, None);
            let mut all: Vec<(u64, u64)> = Vec::new();
            for (pass, units) in steps {
                now += pass;
                if last.is_none_or(|last| now - last >= 1_000) {
                    began = now;
                }
                last = Some(now);
                all.push((now, units));
                let within = |ms: u64| -> u64 {
                    all.iter().filter(|(at, _)| now - at < ms).map(|(_, units)| units).sum()
                };
                let watch = watch.get_or_insert_with(|| ExcessWatch::new(ms(now)));
                let closed = watch.refused(units, rate, ms(now)) == ExcessVerdict::Close;
                let steady = now - began >= 5_000;
                if steady || within(900) >= rate * 10 {
                    prop_assert!(closed);
                }
                if closed {
                    prop_assert!(steady || within(1_000) >= rate * 10);
                }
            }
        }
    }
}
