//! The pause before the next try. Random numbers come from a seed, so tests know them.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::Backoff;

/// Counts failures and chooses pauses.
#[derive(Debug)]
pub(crate) struct Pauses {
    limits: Backoff,
    /// Failures since a connection last lived long enough.
    failures: u32,
    random: SmallRng,
}

impl Pauses {
    pub(crate) fn new(limits: Backoff, seed: u64) -> Self {
        Self { limits, failures: 0, random: SmallRng::seed_from_u64(seed) }
    }

    /// A connection ended after this life: was it long enough to begin anew?
    pub(crate) fn lived(&mut self, life: Duration) {
        if life >= self.limits.reset_after {
            self.failures = 0;
        }
    }

    /// The pause after one more failure: `min` plus anything up to a ceiling that doubles, and
    /// never more than `max`.
    pub(crate) fn after_failure(&mut self) -> Duration {
        let ceiling = self.ceiling(self.failures);
        self.failures = self.failures.saturating_add(1);
        (self.limits.min + self.below(ceiling)).min(self.limits.max)
    }

    /// A pause for a request that was turned away for the `failures`th time, in the same way.
    pub(crate) fn before_repeat(&mut self, failures: u32) -> Duration {
        let ceiling = self.ceiling(failures);
        self.limits.min + self.below(ceiling)
    }

    fn ceiling(&self, failures: u32) -> Duration {
        let factor = 2u32.saturating_pow(failures.min(31));
        self.limits.min.saturating_mul(factor).min(self.limits.max)
    }

    fn below(&mut self, ceiling: Duration) -> Duration {
        ceiling.mul_f64(self.random.random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_maximum_and_begin_anew_after_a_long_life() {
        let limits = Backoff::default();
        let mut pauses = Pauses::new(limits, 7);
        for failures in 0..40 {
            let pause = pauses.after_failure();
            let ceiling = limits.min * 2u32.saturating_pow(failures.min(20));
            assert!(pause >= limits.min && pause <= limits.max, "{pause:?}");
            assert!(pause <= limits.min + ceiling, "{pause:?} after {failures}");
        }
        pauses.lived(limits.reset_after - Duration::from_millis(1));
        assert_eq!(pauses.failures, 40);
        pauses.lived(limits.reset_after);
        assert!(pauses.after_failure() <= limits.min * 2);
    }

    #[test]
    fn pauses_of_many_clients_are_spread() {
        let longest: Vec<Duration> = (0..64)
            .map(|seed| {
                let mut pauses = Pauses::new(Backoff::default(), seed);
                (0..12).map(|_| pauses.after_failure()).last().expect("twelve pauses")
            })
            .collect();
        let early = longest.iter().filter(|pause| pause.as_secs() < 10).count();
        assert!((16..48).contains(&early), "{early} of 64 pauses in the first half");
    }
}
