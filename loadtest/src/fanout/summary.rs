//! The table of `fanout`: medians over the rounds, and ratios taken within each round.

use super::{FanoutArgs, Outcome, Throughput};
use crate::stats::text;
use crate::table::Table;

/// One row for each server and window.
pub(super) fn table(args: &FanoutArgs, outcomes: &[Outcome]) -> Table {
    let mut table = Table::new([
        "server",
        "window",
        "deliveries/s",
        "CPU s/M",
        "CPU ×1st",
        "CPU ×F1",
        "CPU ×Fb",
        "rate ×Fb",
        "frames/read",
        "first ms",
        "p50 ms",
        "p99 ms",
        "last ms",
        "last ×F",
        "RSS MiB",
        "kept waiting %",
        "load idle %",
    ]);
    let first = outcomes.first();
    let in_first_round = |run: &&Outcome| first.is_some_and(|first| first.round == run.round);
    for server in outcomes.iter().filter(in_first_round).map(|run| run.server) {
        let runs: Vec<&Outcome> = outcomes.iter().filter(|run| run.server == server).collect();
        for (index, window) in args.window.iter().enumerate() {
            let each = |value: fn(&Throughput) -> Option<f64>| {
                text(runs.iter().filter_map(|run| value(run.throughput.get(index)?)))
            };
            let against = |base: &str, at: usize, value: fn(&Throughput) -> Option<f64>| {
                text(runs.iter().filter_map(|run| {
                    let base = same_round(outcomes, run, base)?.throughput.get(at)?;
                    Some(value(run.throughput.get(index)?)? / value(base)?)
                }))
            };
            let single = args.window.iter().position(|&window| window == 1);
            let delay = |value: fn(&Outcome) -> Option<f64>| match index {
                0 => text(runs.iter().filter_map(|run| value(run))),
                _ => String::new(),
            };
            table.row([
                server.to_owned(),
                window.to_string(),
                each(|run| Some(run.deliveries_per_second)),
                each(|run| run.cpu_seconds_per_million),
                against(first.map_or("", |first| first.server), index, |run| {
                    run.cpu_seconds_per_million
                }),
                single.map_or("–".to_owned(), |single| {
                    against("floor-write", single, |run| run.cpu_seconds_per_million)
                }),
                against("floor-batch", index, |run| run.cpu_seconds_per_million),
                against("floor-batch", index, |run| Some(run.deliveries_per_second)),
                each(|run| Some(run.frames_per_read)),
                delay(|run| Some(run.latency.as_ref()?.first_ms)),
                delay(|run| Some(run.latency.as_ref()?.p50_ms)),
                delay(|run| Some(run.latency.as_ref()?.p99_ms)),
                delay(|run| Some(run.latency.as_ref()?.last_ms)),
                match index {
                    0 => text(runs.iter().filter_map(|run| {
                        let base = same_round(outcomes, run, "floor-write")?;
                        Some(run.latency.as_ref()?.last_ms / base.latency.as_ref()?.last_ms)
                    })),
                    _ => String::new(),
                },
                delay(|run| run.resident_mib),
                each(|run| run.server_kept_waiting_percent),
                each(|run| Some(run.load_idle_percent)),
            ]);
        }
    }
    table
}

fn same_round<'a>(outcomes: &'a [Outcome], run: &Outcome, server: &str) -> Option<&'a Outcome> {
    outcomes.iter().find(|other| other.round == run.round && other.server == server)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: FanoutArgs,
    }

    fn outcome(server: &'static str, round: usize, cpu: [f64; 2]) -> Outcome {
        let throughput = [1, 16].into_iter().zip(cpu).map(|(window, cpu)| Throughput {
            window,
            deliveries_per_second: 1e6 / cpu,
            cpu_seconds_per_million: Some(cpu),
            frames_per_read: 1.0,
            server_kept_waiting_percent: None,
            load_idle_percent: 50.0,
        });
        Outcome {
            server,
            round,
            latency: None,
            throughput: throughput.collect(),
            frame_bytes: 240.0,
            resident_mib: None,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let line = Line::parse_from(["loadtest", "--window", "1,16"]);
        let runs = [
            outcome("node", 1, [4.4, 0.4]),
            outcome("floor-write", 1, [4.0, 4.0]),
            outcome("floor-batch", 1, [4.0, 0.2]),
            outcome("node", 2, [12.0, 0.9]),
            outcome("floor-write", 2, [10.0, 9.0]),
            outcome("floor-batch", 2, [9.0, 0.6]),
        ];
        let text = table(&line.args, &runs).to_string();
        let cells = |row: usize| -> Vec<String> {
            let line = text.lines().nth(row + 2).unwrap();
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        assert_eq!(cells(0)[6], "1.15 (1.10–1.20)");
        assert_eq!(cells(1)[7], "1.75 (1.50–2.00)");
        assert_eq!(text.lines().count(), 8, "{text}");
    }
}
