//! What happened when, for the report and the plot: deliveries and acks by the tenth of a second,
//! and when each fault really began and ended. Pure.

use std::time::Duration;

use super::plan::Fault;
use super::repair::Repaired;

/// What one bin counts.
pub(super) const BIN: Duration = Duration::from_millis(100);

/// One fault as it was carried out.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub(super) fault: Fault,
    pub(super) began: Option<Duration>,
    pub(super) ended: Option<Duration>,
}

/// The whole run.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    pub(super) faults: Vec<Carried>,
    pub(super) deliveries: Vec<u32>,
    pub(super) acks: Vec<u32>,
}

impl Timeline {
    /// A run with this schedule.
    pub(super) fn new(faults: &[Fault]) -> Self {
        let carried = |fault: &Fault| Carried { fault: fault.clone(), began: None, ended: None };
        Self { faults: faults.iter().map(carried).collect(), ..Self::default() }
    }

    /// Counts deliveries.
    pub(super) fn delivered(&mut self, now: Duration) {
        count(&mut self.deliveries, now);
    }

    /// Counts acks.
    pub(super) fn acked(&mut self, now: Duration) {
        count(&mut self.acks, now);
    }

    /// For how long, between a fault's end and its repair, other faults were at work.
    pub(super) fn disturbed(&self, repaired: &Repaired) -> Duration {
        let (from, to) = (repaired.at.saturating_sub(repaired.took), repaired.at);
        let others = self.faults.iter().enumerate().filter(|(number, _)| *number != repaired.fault);
        let within = others.filter_map(|(_, carried)| {
            let ended = carried.ended.unwrap_or(Duration::MAX);
            carried.began.map(|began| (began.max(from), ended.min(to)))
        });
        let mut spans: Vec<_> = within.filter(|(began, ended)| began < ended).collect();
        spans.sort_unstable();
        let (mut sum, mut reached) = (Duration::ZERO, from);
        for (began, ended) in spans {
            sum += ended.saturating_sub(began.max(reached));
            reached = reached.max(ended);
        }
        sum
    }

    /// The faults at work around a moment, in words, one a line.
    pub(super) fn around(&self, moment: Duration) -> String {
        const BEFORE: Duration = Duration::from_secs(8);
        const AFTER: Duration = Duration::from_secs(1);
        let mut lines = String::new();
        for carried in &self.faults {
            let Some(began) = carried.began else { continue };
            let is_over = carried.ended.is_some_and(|ended| ended + BEFORE < moment);
            if began < moment + AFTER && !is_over {
                let ended = carried.ended.map_or("…".to_owned(), seconds);
                lines += &format!("    {}–{ended} s {}\n", seconds(began), carried.fault.text());
            }
        }
        lines
    }
}

/// A moment as it is printed.
pub(super) fn seconds(moment: Duration) -> String {
    format!("{:.3}", moment.as_secs_f64())
}

fn count(bins: &mut Vec<u32>, now: Duration) {
    let bin = (now.as_millis() / BIN.as_millis()) as usize;
    if bins.len() <= bin {
        bins.resize(bin + 1, 0);
    }
    bins[bin] += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::fault::Kind;

    #[test]
    fn only_the_time_of_other_faults_is_taken_off_a_repair() {
        let second = Duration::from_secs;
        let fault = Fault { kind: Kind::NodeKill, target: 0, server: 0, at: 0, lasts: 0, aim: 0 };
        let mut timeline = Timeline::new(&vec![fault; 4]);
        let spans = [(0, Some(2)), (1, Some(4)), (3, Some(5)), (9, None)];
        for (carried, (began, ended)) in timeline.faults.iter_mut().zip(spans) {
            (carried.began, carried.ended) = (Some(second(began)), ended.map(second));
        }
        let repaired = Repaired { fault: 0, at: second(10), took: second(8), last: 0 };
        assert_eq!(timeline.disturbed(&repaired), second(4));
    }
}
