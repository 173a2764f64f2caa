//! Delays in a histogram of high dynamic range: 1 µs to an hour, three digits. It travels between
//! processes, and into files, as pairs of value and count.

use std::time::Duration;

use anyhow::{Result, anyhow};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest delay that is told apart, in µs.
const HOUR: u64 = 3_600_000_000;
/// Digits that count.
const DIGITS: u8 = 3;

/// Delays in µs.
#[derive(Debug, Clone)]
pub(crate) struct Delays(Histogram<u64>);

/// A histogram on its way: (µs, how many), by ascending µs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packed(pub(crate) Vec<(u64, u64)>);

/// What tables show of delays, in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Delays {
    /// None yet.
    pub(crate) fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, HOUR, DIGITS);
        Ok(Self(histogram.map_err(|error| anyhow!("a histogram: {error}"))?))
    }

    /// One more delay, in ns.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos.div_ceil(1000).clamp(1, HOUR));
    }

    /// Adds those of another process.
    pub(crate) fn add(&mut self, packed: &Packed) {
        for &(micros, count) in &packed.0 {
            self.0.saturating_record_n(micros.clamp(1, HOUR), count);
        }
    }

    /// All together, as read back from a file or a process.
    pub(crate) fn unpack<'a>(parts: impl IntoIterator<Item = &'a Packed>) -> Result<Self> {
        let mut all = Self::new()?;
        parts.into_iter().for_each(|packed| all.add(packed));
        Ok(all)
    }

    /// For the way.
    pub(crate) fn pack(&self) -> Packed {
        let steps = self.0.iter_recorded();
        Packed(steps.map(|it| (it.value_iterated_to(), it.count_at_value())).collect())
    }

    /// The delay, in ms, within which this share (0 to 1) of them lie.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let micros = self.0.value_at_quantile(share);
        Duration::from_micros(micros).as_secs_f64() * 1e3
    }

    /// What tables show.
    pub(crate) fn percentiles(&self) -> Percentiles {
        let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|share| self.at(share));
        let max = if self.0.is_empty() { 0.0 } else { self.0.max() as f64 / 1e3 };
        Percentiles { count: self.0.len(), p50, p90, p99, p999, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_on_the_way() {
        let mut delays = Delays::new().unwrap();
        for micros in (1..2_000).chain((10_000..9_000_000).step_by(7_919)) {
            delays.record(micros * 1_000);
        }
        let json = serde_json::to_string(&delays.pack()).unwrap();
        let packed: Packed = serde_json::from_str(&json).unwrap();
        let back = Delays::unpack([&packed]).unwrap();
        assert_eq!(back.pack(), delays.pack());
        let (before, after) = (delays.percentiles(), back.percentiles());
        assert_eq!((before.count, before.p50, before.p999), (after.count, after.p50, after.p999));
        let twice = Delays::unpack([&packed, &packed]).unwrap().percentiles();
        assert_eq!((twice.count, twice.p50), (2 * before.count, before.p50));
    }

    #[test]
    fn percentiles_keep_three_digits() {
        let mut delays = Delays::new().unwrap();
        (1..=1_000u64).for_each(|ms| delays.record(ms * 1_000_000));
        let shown = delays.percentiles();
        for (value, expected) in [(shown.p50, 500.0), (shown.p99, 990.0), (shown.max, 1_000.0)] {
            assert!((value / expected - 1.0).abs() < 0.002, "{value} for {expected}");
        }
        assert_eq!(Delays::new().unwrap().percentiles(), Percentiles::default());
    }
}
