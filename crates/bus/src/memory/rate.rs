//! How much of its rate of messages a room in memory has used: a bucket that drains by the rate, and
//! the same rule as in `scripts/publish.lua`. Pure.

use std::time::Duration;

/// The level of one message: the bucket drains by `rate` of these units each millisecond, so that
/// whole numbers are exact.
const MESSAGE: u64 = 1_000;

/// The bucket of one room; it holds one second's worth.
#[derive(Debug, Default)]
pub(crate) struct RoomRate {
    /// The rate that the level goes with, in messages per second.
    rate: u32,
    /// When the level was as it says, in Unix ms.
    at: u64,
    level: u64,
}

impl RoomRate {
    /// Counts one message, or says how long to wait. A rate of 0 is no limit.
    pub(crate) fn take(&mut self, rate: u32, now: u64) -> Result<(), Duration> {
        if rate == 0 {
            return Ok(());
        }
        if self.rate != rate {
            *self = Self { rate, at: now, level: 0 };
        }
        let drained = now.saturating_sub(self.at).min(1_000) * u64::from(rate);
        *self = Self { rate, at: now, level: self.level.saturating_sub(drained) };
        let (after, most) = (self.level + MESSAGE, MESSAGE * u64::from(rate));
        if after > most {
            return Err(Duration::from_millis((after - most).div_ceil(rate.into())));
        }
        self.level = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_and_then_the_rate() {
        let mut room = RoomRate::default();
        let wait = |ms| Err(Duration::from_millis(ms));
        for _ in 0..4 {
            assert_eq!(room.take(4, 1_000), Ok(()));
        }
        assert_eq!(room.take(4, 1_000), wait(250));
        assert_eq!(room.take(4, 1_249), wait(1));
        assert_eq!(room.take(4, 1_250), Ok(()));
        assert_eq!(room.take(4, 900), wait(250), "a clock that was set back");
        assert_eq!(room.take(4, 1_150), Ok(()));
        assert_eq!(room.take(0, 1_150), Ok(()), "no limit");
        assert_eq!(room.take(3, 1_150), Ok(()), "another rate begins again");
    }

    #[test]
    fn thirds_of_a_second_do_not_drift() {
        let mut room = RoomRate::default();
        let (mut now, mut count) = (0, 0);
        while now < 1_000_000 {
            match room.take(3, now) {
                Ok(()) => count += 1,
                Err(wait) => now += wait.as_millis() as u64,
            }
        }
        // Each wait is rounded up to a whole millisecond, and what that leaves is not lost.
        assert_eq!(count, 3 * 1_000 + 2);
    }
}
