//! Scenario `cursors`: pointers that move 60 times a second in one room, with and without
//! `conflate_signals`, and whether messages of other rooms notice.

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
use crate::stats::{digits, kept_waiting, text};
use crate::table::Table;

mod others;
mod run;

use run::CursorOutcome;

/// Move cursors in one room and measure the messages of others.
#[derive(Debug, Clone, Args)]
pub(crate) struct CursorsArgs {
    /// Members of the room with cursors.
    #[arg(long, default_value_t = 200)]
    members: usize,
    /// Members whose cursor moves.
    #[arg(long, default_value_t = 50)]
    cursors: usize,
    /// Signals of each per second.
    #[arg(long, default_value_t = 60.0)]
    rate: f64,
    /// Other rooms, each of as many members as the first has cursors.
    #[arg(long, default_value_t = 4)]
    rooms: usize,
    /// Messages per second in all other rooms together.
    #[arg(long, default_value_t = 100.0)]
    messages: f64,
    /// Measured seconds of each run.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Rounds: without cursors, with them, and with conflation.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// What moves in the first room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CursorMode {
    Still,
    Every,
    Conflated,
}

impl CursorMode {
    const ALL: [Self; 3] = [Self::Still, Self::Every, Self::Conflated];

    fn name(self) -> &'static str {
        match self {
            Self::Still => "no cursors",
            Self::Every => "every signal",
            Self::Conflated => "conflated",
        }
    }
}

/// Runs the scenario.
pub(crate) fn main(args: &CursorsArgs, children: &Children) -> Result<Report> {
    check(args)?;
    let cores = Cores { spin: false, ..Cores::here(1) };
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let mut outcomes = Vec::new();
    for round in 1..=args.rounds {
        for mode in CursorMode::ALL {
            print::note(format_args!("round {round} of {}: {}", args.rounds, mode.name()));
            let settings = [
                "node.workers=1".to_owned(),
                format!("namespaces.default.conflate_signals={}", mode == CursorMode::Conflated),
            ];
            let settings: Vec<String> =
                settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect();
            let server = Server::node_with(&args.node, &settings, &cores, children)?;
            let dialect = Dialect::of(&server, WireEncoding::Json);
            outcomes.push(run::measure(args, (mode, round), &server, &dialect)?);
        }
    }
    let heading = format!(
        "cursors: {} of {} members signal {} times a second; {} other rooms with {} messages/s; {} \
         s, {} rounds; {}",
        args.cursors,
        args.members,
        args.rate,
        args.rooms,
        args.messages,
        args.seconds,
        args.rounds,
        cores.text()
    );
    print::out(format_args!("{heading}\n{}", table(&outcomes)))?;
    if let Some(warning) = kept_waiting(outcomes.iter().map(|run| run.kept_waiting_percent)) {
        print::out(format_args!("WARNING {warning}"))?;
    }
    Ok(json!({ "scenario": "cursors", "setup": heading, "runs": outcomes }).into())
}

fn check(args: &CursorsArgs) -> Result<()> {
    if [args.cursors, args.rooms, args.rounds].contains(&0) || args.members < args.cursors {
        bail!("cursors, rooms and rounds are at least 1, and --members no fewer than --cursors");
    }
    if !(0.2..=600.0).contains(&args.seconds)
        || !(1.0..=1000.0).contains(&args.rate)
        || !(1.0..=10_000.0).contains(&args.messages)
    {
        bail!("--seconds is 0.2 to 600, --rate 1 to 1,000, --messages 1 to 10,000");
    }
    if args.node.runs_already() {
        bail!("cursors compares fresh nodes and starts them itself: leave --url out");
    }
    machine::allow_links(args.members + args.rooms * args.cursors + 1)
}

fn table(outcomes: &[CursorOutcome]) -> Table {
    let mut table = Table::new([
        "signals",
        "node busy %",
        "sent/s",
        "received/s",
        "CPU µs a signal",
        "other rooms p50 ms",
        "p99 ms",
        "p99 ×",
    ]);
    for mode in CursorMode::ALL {
        let runs: Vec<&CursorOutcome> =
            outcomes.iter().filter(|run| run.signals == mode.name()).collect();
        let still = |run: &CursorOutcome| {
            outcomes
                .iter()
                .find(|other| other.round == run.round && other.signals == CursorMode::Still.name())
        };
        let per_signal = |run: &&CursorOutcome| {
            let more = run.cpu_seconds - still(run)?.cpu_seconds;
            (run.sent > 0).then(|| more * 1e6 / run.sent as f64)
        };
        let ratio = |run: &&CursorOutcome| Some(run.p99_ms / still(run)?.p99_ms);
        let of = |value: fn(&CursorOutcome) -> f64| text(runs.iter().map(|run| value(run)));
        table.row([
            mode.name().to_owned(),
            of(|run| run.cpu_seconds * 100.0 / run.seconds),
            of(|run| run.sent as f64 / run.seconds),
            of(|run| run.received as f64 / run.seconds),
            text(runs.iter().filter_map(per_signal)),
            of(|run| run.p50_ms),
            of(|run| run.p99_ms),
            text(runs.iter().filter_map(ratio)),
        ]);
    }
    table
}

/// Measured time of one run.
fn time(args: &CursorsArgs) -> Duration {
    Duration::from_secs_f64(args.seconds)
}

/// For progress.
fn note(outcome: &CursorOutcome) {
    print::note(format_args!(
        "  p99 {} ms, {} signals received",
        digits(outcome.p99_ms),
        outcome.received
    ));
}
