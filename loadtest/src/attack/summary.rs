//! The table of `attack`, and which rows miss the limit.

use serde::Serialize;

use super::members::Delays;
use super::tally::Tally;
use crate::stats::{Spread, digits, text};
use crate::table::Table;

/// The members' p99 with an attack is at most this many times that without it …
const MOST_TIMES: f64 = 1.2;
/// … or this much more, in milliseconds.
const MOST_MORE_MS: f64 = 3.0;

/// One attack in one round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AttackRun {
    pub(super) attack: String,
    pub(super) round: usize,
    /// The members' delays before the attack.
    pub(super) calm: Delays,
    /// Their delays while it went on.
    pub(super) struck: Delays,
    /// What the attackers were answered.
    pub(super) tally: Tally,
    /// Deliveries that did not take place.
    pub(super) missing: usize,
    /// Members that lost their links, in words.
    pub(super) lost: Vec<String>,
    /// The node's share of its core during the attack.
    pub(super) node_busy_percent: f64,
    /// Share of that time in which it was ready to run and others had its core.
    pub(super) kept_waiting_percent: f64,
}

impl AttackRun {
    /// One line of progress.
    pub(super) fn text(&self) -> String {
        format!(
            "{}: p99 {} ms, then {} ms; {}",
            self.attack,
            digits(self.calm.p99_ms),
            digits(self.struck.p99_ms),
            self.tally.text()
        )
    }
}

/// All runs of one attack.
struct AttackRow<'a> {
    runs: Vec<&'a AttackRun>,
}

impl AttackRow<'_> {
    fn p99(&self, half: fn(&AttackRun) -> Delays) -> f64 {
        let median = Spread::of(self.runs.iter().map(|run| half(run).p99_ms));
        median.map_or(0.0, |spread| spread.median)
    }

    /// Whether the members' medians stay within the limit and nothing was lost.
    fn holds(&self) -> bool {
        let (calm, struck) = (self.p99(|run| run.calm), self.p99(|run| run.struck));
        let most = (calm * MOST_TIMES).max(calm + MOST_MORE_MS);
        struck <= most && self.runs.iter().all(|run| run.missing == 0 && run.lost.is_empty())
    }
}

fn rows(runs: &[AttackRun]) -> Vec<(&str, AttackRow<'_>)> {
    let mut rows: Vec<(&str, AttackRow<'_>)> = Vec::new();
    for run in runs {
        match rows.iter_mut().find(|(name, _)| *name == run.attack) {
            Some((_, row)) => row.runs.push(run),
            None => rows.push((&run.attack, AttackRow { runs: vec![run] })),
        }
    }
    rows
}

/// A row for each attack: medians, and the range where rounds differ.
pub(super) fn table(runs: &[AttackRun]) -> Table {
    let mut table = Table::new([
        "attack",
        "p99 ms without",
        "p99 ms with",
        "max ms with",
        "node busy %",
        "attackers' sockets",
        "MiB sent",
        "answers",
        "limit",
    ]);
    for (name, row) in rows(runs) {
        let cell = |value: fn(&AttackRun) -> f64| text(row.runs.iter().map(|run| value(run)));
        let mut tally = Tally::default();
        row.runs.iter().for_each(|run| tally.add(&run.tally));
        table.row([
            name.to_owned(),
            cell(|run| run.calm.p99_ms),
            cell(|run| run.struck.p99_ms),
            cell(|run| run.struck.max_ms),
            cell(|run| run.node_busy_percent),
            cell(|run| run.tally.sockets as f64),
            cell(|run| run.tally.bytes as f64 / f64::from(1 << 20)),
            tally.text(),
            if row.holds() { "held" } else { "MISSED" }.to_owned(),
        ]);
    }
    table
}

/// Which attacks the members noticed more than they may.
pub(super) fn failure(runs: &[AttackRun]) -> Option<String> {
    let missed: Vec<String> = rows(runs)
        .into_iter()
        .filter(|(_, row)| !row.holds())
        .map(|(name, row)| {
            let lost = row.runs.iter().flat_map(|run| run.lost.first()).next();
            let missing: usize = row.runs.iter().map(|run| run.missing).sum();
            format!("{name} ({missing} deliveries missing; {})", lost.map_or("no link lost", |l| l))
        })
        .collect();
    (!missed.is_empty()).then(|| {
        format!(
            "p99 with the attack above {MOST_TIMES} times that without and more than {MOST_MORE_MS} \
             ms above it, or members that lost something: {}",
            missed.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(calm: f64, struck: f64) -> AttackRun {
        let delays = |p99_ms| Delays { p50_ms: 0.0, p99_ms, max_ms: p99_ms, late_p99_ms: 0.0 };
        AttackRun {
            attack: "pings".to_owned(),
            round: 1,
            calm: delays(calm),
            struck: delays(struck),
            tally: Tally::default(),
            missing: 0,
            lost: Vec::new(),
            node_busy_percent: 1.0,
            kept_waiting_percent: 0.0,
        }
    }

    #[test]
    fn a_row_misses_above_both_limits_or_with_a_loss() {
        assert_eq!(failure(&[run(1.0, 4.0), run(1.0, 30.0), run(1.0, 2.0)]), None);
        assert_eq!(failure(&[run(100.0, 120.0)]), None);
        assert!(failure(&[run(1.0, 4.1)]).unwrap().contains("pings"));
        assert!(failure(&[AttackRun { missing: 1, ..run(1.0, 1.0) }]).is_some());
    }
}
