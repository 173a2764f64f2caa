//! Scenario `patterns`: three ways to keep readers at the state of an application, on one workload.
//! Poke and pull: a message says that something changed, and each reader asks the application.
//! Push state: each message has the whole state. Push operations: each message has what changed.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use crate::children::Children;
use crate::dialect::{Dialect, WireEncoding};
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::server::{NodeArgs, Server};
use crate::stats::{kept_waiting, text};
use crate::table::Table;

mod app;
mod pulls;
mod run;

use run::PatternOutcome;

/// Compare poke and pull, push state and push operations.
#[derive(Debug, Clone, Args)]
pub(crate) struct PatternsArgs {
    /// Readers of the state.
    #[arg(long, default_value_t = 100)]
    readers: usize,
    /// Values in the state.
    #[arg(long, default_value_t = 100)]
    values: usize,
    /// Bytes of each value.
    #[arg(long, default_value_t = 64)]
    value_bytes: usize,
    /// Changes of one value per second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Measured seconds of each run.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Rounds: each pattern in turn, on fresh nodes.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// How readers are kept at the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Poke,
    State,
    Operations,
}

impl Pattern {
    const ALL: [Self; 3] = [Self::Poke, Self::State, Self::Operations];

    fn name(self) -> &'static str {
        match self {
            Self::Poke => "poke, then pull",
            Self::State => "push state",
            Self::Operations => "push operations",
        }
    }
}

/// Runs the scenario.
pub(crate) fn main(args: &PatternsArgs, children: &Children) -> Result<Report> {
    check(args)?;
    let cores = Cores { spin: false, ..Cores::here(1) };
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let mut outcomes = Vec::new();
    for round in 1..=args.rounds {
        for pattern in Pattern::ALL {
            print::note(format_args!("round {round} of {}: {}", args.rounds, pattern.name()));
            let settings = [
                "node.workers=1".to_owned(),
                format!("namespaces.default.state={}", pattern == Pattern::Operations),
            ];
            let settings: Vec<String> =
                settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect();
            let server = Server::node_with(&args.node, &settings, &cores, children)?;
            let dialect = Dialect::of(&server, WireEncoding::Json);
            outcomes.push(run::measure(args, (pattern, round), &server, &dialect)?);
        }
    }
    let heading = format!(
        "patterns: {} readers of {} values of {} B, {} changes/s, {} s, {} rounds; {}",
        args.readers,
        args.values,
        args.value_bytes,
        args.rate,
        args.seconds,
        args.rounds,
        cores.text()
    );
    print::out(format_args!("{heading}\n{}", table(&outcomes)))?;
    if let Some(warning) = kept_waiting(outcomes.iter().map(|run| run.kept_waiting_percent)) {
        print::out(format_args!("WARNING {warning}"))?;
    }
    Ok(json!({ "scenario": "patterns", "setup": heading, "runs": outcomes }).into())
}

fn check(args: &PatternsArgs) -> Result<()> {
    if [args.readers, args.values, args.rounds].contains(&0) {
        bail!("readers, values and rounds are at least 1");
    }
    if !(0.2..=600.0).contains(&args.seconds) || !(1.0..=10_000.0).contains(&args.rate) {
        bail!("--seconds is between 0.2 and 600, --rate between 1 and 10,000");
    }
    if args.values * (args.value_bytes + 16) > 60_000 {
        bail!("a message has at most 64 KiB: fewer or smaller values");
    }
    if args.node.runs_already() {
        bail!("patterns compares fresh nodes and starts them itself: leave --url out");
    }
    machine::allow_links(2 * args.readers + 1)
}

fn table(outcomes: &[PatternOutcome]) -> Table {
    let mut table = Table::new([
        "pattern",
        "delay p50 ms",
        "p99 ms",
        "bytes a change and reader",
        "node CPU µs a change",
        "application CPU µs a change",
        "pulls a change and reader",
    ]);
    for pattern in Pattern::ALL {
        let runs: Vec<&PatternOutcome> =
            outcomes.iter().filter(|run| run.pattern == pattern.name()).collect();
        let of = |value: fn(&PatternOutcome) -> f64| text(runs.iter().map(|run| value(run)));
        table.row([
            pattern.name().to_owned(),
            of(|run| run.p50_ms),
            of(|run| run.p99_ms),
            of(|run| run.bytes_each),
            of(|run| run.node_micros_each),
            of(|run| run.application_micros_each),
            of(|run| run.pulls_each),
        ]);
    }
    table
}

/// Measured time of one run.
fn time(args: &PatternsArgs) -> Duration {
    Duration::from_secs_f64(args.seconds)
}

/// The values as an application would write them: `changed` is the one with the newest version.
fn document(args: &PatternsArgs, version: usize) -> String {
    let value = |number: usize| {
        format!(
            "\"v{number}\":{}",
            value(args, version - (version % args.values + args.values - number) % args.values)
        )
    };
    let values: Vec<String> = (0..args.values).map(value).collect();
    format!("{{\"version\":{version},\"values\":{{{}}}}}", values.join(","))
}

/// One value as it was set with this version.
fn value(args: &PatternsArgs, version: usize) -> String {
    let text = format!("{version}|");
    format!("\"{text:x<width$}\"", width = args.value_bytes.saturating_sub(2))
}
