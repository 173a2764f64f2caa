//! The tables of `stall`: delays with their ratios, then what the stalled members cost and what
//! became of them. Ratios and differences are taken within a round.

use super::run::Outcome;
use super::watch::rise;
use crate::stats::{digits, text};
use crate::table::Table;

/// The healthy members' delay in both kinds of runs, and what the stalled ones make of it.
pub(super) fn delays(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new([
        "run",
        "p50 ms",
        "p99 ms",
        "max ms",
        "sent late p99 ms",
        "node busy %",
        "kept waiting %",
        "missing",
        "astray",
    ]);
    for (name, with) in [("without stalled", false), ("with stalled", true)] {
        let runs = || outcomes.iter().filter(move |run| (run.stalled > 0) == with);
        let cell = |value: fn(&Outcome) -> f64| text(runs().map(value));
        table.row([
            name.to_owned(),
            cell(|run| run.p50_ms),
            cell(|run| run.p99_ms),
            cell(|run| run.max_ms),
            cell(|run| run.late_p99_ms),
            cell(|run| run.node_busy_percent),
            cell(|run| run.kept_waiting_percent),
            runs().map(|run| run.missing).sum::<usize>().to_string(),
            runs().map(|run| run.violations).sum::<usize>().to_string(),
        ]);
    }
    let ratio = |value: fn(&Outcome) -> f64| {
        text(pairs(outcomes).map(|(without, with)| value(with) / value(without)))
    };
    table.row([
        "ratio (goal: within 1.2)".to_owned(),
        ratio(|run| run.p50_ms),
        ratio(|run| run.p99_ms),
        ratio(|run| run.max_ms),
        String::new(),
        ratio(|run| run.node_busy_percent),
    ]);
    table
}

/// What a stalled member costs the node, and how the stalled members ended, one row for a round.
pub(super) fn stalled(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new([
        "round",
        "RSS KiB per stalled",
        "of it after joining",
        "bound: frame + ping",
        "kernel took KiB",
        "called slow",
        "at s",
        "lag KiB then",
        "log KiB at most",
        "conflated",
        "ended slow",
        "4000 read",
        "cut",
        "whole",
        "gap told",
        "wrong",
    ]);
    for (without, with) in pairs(outcomes) {
        let [all, stalled] = cost_kib(without, with);
        let last = with.samples.last();
        let count = |value: fn(&super::watch::Sample) -> f64| {
            last.map_or("–".to_owned(), |sample| value(sample).to_string())
        };
        let fell = rise(&with.samples, |sample| sample.slow_closed + sample.conflated);
        // On the clock of the measured messages; before them the stalled members had no lag.
        let fell = fell.map(|(from, to)| (from - with.fill_seconds, to - with.fill_seconds));
        let when = fell.map(|(from, to)| format!("{}–{}", digits(from), digits(to)));
        let lag = fell.map(|(from, _)| digits(from * with.bytes_per_second / 1024.0));
        let log = with.samples.iter().map(|sample| sample.log_bytes).fold(0.0, f64::max);
        let ends = with.ends;
        let mut row = vec![
            with.round.to_string(),
            digits(all),
            digits(stalled),
            digits((with.frame_bytes + PING_BYTES) as f64 / 1024.0),
            digits(with.filled_bytes as f64 / 1024.0),
            count(|sample| sample.slow_closed),
            when.unwrap_or_else(|| "–".to_owned()),
            lag.unwrap_or_else(|| "–".to_owned()),
            digits(log / 1024.0),
            count(|sample| sample.conflated),
            count(|sample| sample.ended_slow),
        ];
        let ends = [ends.closed_4000, ends.cut, ends.whole, ends.gapped, ends.wrong];
        row.extend(ends.map(|count| count.to_string()));
        table.row(row);
    }
    table
}

/// A ping frame with up to 8 bytes: what control bytes a stalled member has in practice. The bound
/// that a node keeps is `limits.control_bytes`.
const PING_BYTES: usize = 10;

/// KiB at the node for each stalled member at its peak: all that it costs, and the part that came
/// after all had joined. Both runs are looked at for as long as stalled members were there.
fn cost_kib(without: &Outcome, with: &Outcome) -> [f64; 2] {
    let gone = rise(&with.samples, |sample| sample.ended_slow);
    let until = gone.map_or(f64::INFINITY, |(_, all)| all);
    let peak = |run: &Outcome| {
        let then = run.samples.iter().filter(|sample| sample.seconds <= until);
        then.map(|sample| sample.kib).max().unwrap_or(run.joined_kib) as f64
    };
    let (all, joined) =
        (peak(with) - peak(without), with.joined_kib as f64 - without.joined_kib as f64);
    [all, all - joined].map(|kib| kib / with.stalled as f64)
}

/// The two runs of each round: without stalled members, and with them.
fn pairs(outcomes: &[Outcome]) -> impl Iterator<Item = (&Outcome, &Outcome)> {
    outcomes.iter().filter(|run| run.stalled > 0).filter_map(|with| {
        let same = |run: &&Outcome| run.round == with.round && run.stalled == 0;
        Some((outcomes.iter().find(same)?, with))
    })
}

#[cfg(test)]
mod tests {
    use super::super::watch::Sample;
    use super::*;

    fn outcome(round: usize, stalled: usize, p50_ms: f64, kib: [u64; 2]) -> Outcome {
        let sample = |seconds, slow_closed| {
            let (kib, log_bytes, conflated) = (kib[1], 2048.0, 0.0);
            let (answer_ms, cpu_seconds, ended_slow) = (1.0, [0.0; 2], slow_closed);
            Sample {
                seconds,
                answer_ms,
                cpu_seconds,
                kib,
                log_bytes,
                slow_closed,
                conflated,
                ended_slow,
            }
        };
        // What the memory does when the stalled members are gone is not theirs.
        let late = Sample { kib: 9 * kib[1], ..sample(9.0, stalled as f64) };
        Outcome {
            round,
            stalled,
            p50_ms,
            p99_ms: 2.0 * p50_ms,
            max_ms: 8.0,
            max_ms_by_second: vec![8.0],
            late_p99_ms: 0.1,
            node_busy_percent: 50.0,
            kept_waiting_percent: 1.0,
            joined_kib: kib[0],
            filled_bytes: 4096,
            fill_seconds: 0.5,
            frame_bytes: 1014,
            bytes_per_second: 51_200.0,
            missing: 0,
            violations: 0,
            told: Vec::new(),
            ends: super::super::woken::Ends { cut: stalled, ..Default::default() },
            samples: vec![sample(0.5, 0.0), sample(2.5, stalled as f64), late],
        }
    }

    fn cells(table: &Table, row: usize) -> Vec<String> {
        let text = table.to_string();
        let line = text.lines().nth(row + 2).unwrap();
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    }

    #[test]
    fn ratios_and_costs_are_taken_within_a_round() {
        let runs = [
            outcome(1, 0, 4.0, [10_000, 12_000]),
            outcome(1, 100, 4.4, [10_400, 12_600]),
            outcome(2, 100, 13.0, [10_400, 12_500]),
            outcome(2, 0, 10.0, [10_000, 12_000]),
        ];
        let table = delays(&runs);
        assert_eq!(cells(&table, 0)[1], "7.00 (4.00–10.0)");
        assert_eq!(cells(&table, 2)[1..4], ["1.20 (1.10–1.30)", "1.20 (1.10–1.30)", "1.00"]);
        let table = stalled(&runs);
        assert_eq!(cells(&table, 0)[..5], ["1", "6.00", "2.00", "1.00", "4.00"]);
        assert_eq!(cells(&table, 0)[5..8], ["100", "2.00–2.00", "100"]);
        assert_eq!(cells(&table, 1)[..3], ["2", "5.00", "1.00"]);
        assert_eq!(cells(&table, 0)[10..], ["100", "0", "100", "0", "0", "0"]);
    }
}
