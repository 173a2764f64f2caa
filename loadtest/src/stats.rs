//! The little statistics that the tables need: medians with their range, percentiles, slopes.

use std::time::Duration;

use serde::Serialize;

/// The median of several measurements, and how far they lay apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle one; of an even number the mean of the middle two.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Sums up what was measured; `None` if nothing was.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }

    /// `median (min–max)`, each with as many digits as it needs; the median alone if all agree.
    pub(crate) fn text(&self) -> String {
        self.text_with(digits)
    }

    /// The same with numbers as `show` writes them.
    pub(crate) fn text_with(&self, show: fn(f64) -> String) -> String {
        let [median, min, max] = [self.median, self.min, self.max].map(show);
        if min == max { median } else { format!("{median} ({min}–{max})") }
    }
}

/// `Spread::text`, or a dash where nothing was measured.
pub(crate) fn text(values: impl IntoIterator<Item = f64>) -> String {
    Spread::of(values).map_or_else(|| "–".to_owned(), |spread| spread.text())
}

/// Three digits that count, and no exponent.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The value below which `share` (0 to 1) of the sorted values lie (nearest rank); zero if there
/// are none.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// Above this share, in percent, a server had less than half of the time that it needed.
const WAITED_MOST: f64 = 50.0;

/// A warning, if the server that waited longest for a core waited for more than half of its time.
pub(crate) fn kept_waiting(percents: impl IntoIterator<Item = f64>) -> Option<String> {
    let most = percents.into_iter().max_by(f64::total_cmp).filter(|most| *most > WAITED_MOST)?;
    Some(format!(
        "kept waiting {} %: others used the server's cores for that share of its time. Delays and \
         rates are those of a busy machine; repeat the run on a quieter one.",
        digits(most)
    ))
}

/// How much `y` grows for each `x`: the least-squares line through the points. `None` with fewer
/// than two different `x`.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let over: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let under: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (under > 0.0).then(|| over / under)
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A duration in microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        assert_eq!(Spread::of([]), None);
        let odd = Spread::of([3.0, 1.0, 20.0]).unwrap();
        assert_eq!(odd, Spread { median: 3.0, min: 1.0, max: 20.0 });
        assert_eq!(odd.text(), "3.00 (1.00–20.0)");
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(text([0.25]), "0.250");
        assert_eq!(text([]), "–");
    }

    #[test]
    fn percentiles_are_measured_values() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 0.5), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 0.99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted, 1.0), Duration::from_millis(200));
        assert_eq!(percentile(&sorted, 0.0), Duration::from_millis(1));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn a_server_that_was_kept_waiting_is_named_above_half() {
        assert_eq!(kept_waiting([]), None);
        assert_eq!(kept_waiting([3.0, 50.0]), None);
        let warning = kept_waiting([50.1, 62.0, 1.0]).unwrap();
        assert!(warning.starts_with("kept waiting 62.0 %"), "{warning}");
    }

    #[test]
    fn slopes() {
        assert_eq!(slope(&[(1.0, 5.0), (2.0, 7.0), (3.0, 9.0)]), Some(2.0));
        assert_eq!(slope(&[(1.0, 5.0)]), None);
        assert_eq!(slope(&[]), None);
    }
}
