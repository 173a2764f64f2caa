//! When a node that drains does what (P9). Pure.

use std::time::Duration;

/// The longest time between a client's moment to move and its close.
const MOVE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest time for the last words to the last connections.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The parts of a drain, one after the other; together they are no longer than what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Not ready, still taking connections: the balancer notices.
    pub(crate) pause: Duration,
    /// The time over which clients are told to move, and do.
    pub(crate) window: Duration,
    /// Who is still there so long after its moment is closed.
    pub(crate) patience: Duration,
    /// What is left for connections to end and threads to stop.
    pub(crate) farewell: Duration,
}

impl Schedule {
    /// Of a drain that may take so long, and pauses first.
    pub(crate) fn new(total: Duration, pause: Duration) -> Self {
        let rest = total.saturating_sub(pause);
        let (patience, farewell) = (MOVE_TIMEOUT.min(rest / 10), CLOSE_TIMEOUT.min(rest / 5));
        Self { pause, window: rest - patience - farewell, patience, farewell }
    }

    /// The moments of so many clients within the window, ascending: each has an equal share of it
    /// and a random place therein, so that they move evenly and not in step with another node's.
    pub(crate) fn moments(
        &self,
        count: usize,
        mut random: impl FnMut() -> f64,
    ) -> impl Iterator<Item = Duration> {
        let window = self.window;
        (0..count).map(move |number| window.mul_f64((number as f64 + random()) / count as f64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_defaults() {
        let second = Duration::from_secs;
        let schedule = Schedule::new(second(25), second(5));
        let expected = Schedule {
            pause: second(5),
            window: second(14),
            patience: second(2),
            farewell: second(4),
        };
        assert_eq!(schedule, expected);
    }

    proptest! {
        #[test]
        fn it_keeps_to_its_time(total in 1_000_u64..300_000, half in 0.0..0.5) {
            let total = Duration::from_millis(total);
            let Schedule { pause, window, patience, farewell } =
                Schedule::new(total, total.mul_f64(half));
            prop_assert_eq!(pause + window + patience + farewell, total);
            prop_assert!(window >= (total - pause) / 2);
        }

        #[test]
        fn clients_move_evenly(count in 1_usize..2_000, seed in any::<u64>()) {
            use rand::{Rng, SeedableRng};
            let mut random = rand::rngs::SmallRng::seed_from_u64(seed);
            let schedule = Schedule::new(Duration::from_secs(25), Duration::from_secs(5));
            let moments: Vec<_> = schedule.moments(count, || random.random()).collect();
            prop_assert_eq!(moments.len(), count);
            for (number, moment) in moments.iter().enumerate() {
                let share = schedule.window.as_secs_f64() / count as f64;
                let place = moment.as_secs_f64() / share;
                prop_assert!((number as f64 - 0.001..number as f64 + 1.001).contains(&place));
            }
        }
    }
}
