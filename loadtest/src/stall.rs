//! Scenario `stall`: a busy room in which many members stop reading. What does it cost the node,
//! and do the others notice? In rounds, each without and with the stalled members on fresh nodes.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::children::Children;
use crate::dialect::{Dialect, WireEncoding};
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::server::{NodeArgs, Server};
use crate::stats::kept_waiting;

mod ledger;
mod load;
mod run;
mod summary;
mod watch;
mod woken;

use load::Plan;
use run::Outcome;

/// How long members may lack messages without receiving any.
const PATIENCE: Duration = Duration::from_secs(10);

/// Let many members of a busy room stop reading and measure the others' delay.
#[derive(Debug, Clone, Args)]
pub(crate) struct StallArgs {
    /// Members that read.
    #[arg(long, default_value_t = 1000)]
    members: usize,
    /// Members that join and read nothing from then on.
    #[arg(long, default_value_t = 1000)]
    stalled: usize,
    /// Connections that publish; they are no members.
    #[arg(long, default_value_t = 4)]
    publishers: usize,
    /// Messages per second, sent by the clock whatever happens. The default keeps a node's core
    /// some half busy with 1,000 members: above that the delay is only queueing.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Bytes of each message's data, as encoded. By default a stalled member falls off a log of
    /// 1 MiB within the time.
    #[arg(long, default_value_t = 1024)]
    payload: usize,
    /// Measured seconds of each run. A node's pings go unanswered by the stalled members too:
    /// above 40 raise its heartbeat.
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
    /// The members' and publishers' encoding.
    #[arg(long, value_enum, default_value = "json")]
    encoding: WireEncoding,
    /// Move slow members to the newest message instead of closing them.
    #[arg(long)]
    conflate: bool,
    /// Rounds: without and with stalled members, in turn which of them comes first.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Workers of the nodes.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the scenario.
pub(crate) fn main(args: &StallArgs, children: &Children) -> Result<Report> {
    check(args)?;
    // The load is far from busy: it sleeps, and leaves its core to whoever shares it.
    let cores = Cores { spin: false, ..Cores::here(args.workers) };
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let mut outcomes = Vec::new();
    for round in 1..=args.rounds {
        let mut stalled = [0, args.stalled];
        if round % 2 == 0 {
            stalled.reverse();
        }
        for stalled in stalled {
            print::note(format_args!(
                "round {round} of {}: {stalled} stalled members",
                args.rounds
            ));
            let outcome = one(args, (stalled, round), &cores, children)?;
            print::note(format_args!(
                "  p50 {:.2} ms, p99 {:.2} ms",
                outcome.p50_ms, outcome.p99_ms
            ));
            outcomes.push(outcome);
        }
    }
    let setup = heading(args, &cores);
    print::out(format_args!(
        "{setup}\n{}\n{}",
        summary::delays(&outcomes),
        summary::stalled(&outcomes)
    ))?;
    if let Some(warning) = kept_waiting(outcomes.iter().map(|run| run.kept_waiting_percent)) {
        print::out(format_args!("WARNING {warning}"))?;
    }
    let failure = failure(&outcomes);
    let figures = serde_json::json!({ "scenario": "stall", "setup": setup, "runs": outcomes });
    Ok(Report { figures, failure })
}

fn check(args: &StallArgs) -> Result<()> {
    if [args.members, args.stalled, args.publishers, args.rounds, args.workers].contains(&0) {
        bail!("members, stalled, publishers, rounds and workers are at least 1");
    }
    if !(0.1..=600.0).contains(&args.seconds) || !(1.0..=100_000.0).contains(&args.rate) {
        bail!("--seconds is between 0.1 and 600, --rate between 1 and 100,000");
    }
    if args.node.runs_already() {
        bail!("stall compares fresh nodes and starts them itself: leave --url out");
    }
    machine::allow_links(args.members + args.stalled + args.publishers)
}

fn one(
    args: &StallArgs,
    (stalled, round): (usize, usize),
    cores: &Cores,
    children: &Children,
) -> Result<Outcome> {
    let slow = if args.conflate { "conflate" } else { "close" };
    let settings =
        [format!("node.workers={}", args.workers), format!("namespaces.default.slow={slow}")];
    let settings: Vec<String> =
        settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect();
    let server = Server::node_with(&args.node, &settings, cores, children)?;
    let plan = Plan {
        members: args.members,
        stalled,
        publishers: args.publishers,
        payload: args.payload,
        rate: args.rate,
        patience: PATIENCE,
    };
    let dialect = Dialect::of(&server, args.encoding);
    run::measure(&plan, (&server, dialect), Duration::from_secs_f64(args.seconds), round)
}

/// Why the program should end with 1: somebody missed something without being told.
fn failure(outcomes: &[Outcome]) -> Option<String> {
    let sum = |value: fn(&Outcome) -> usize| outcomes.iter().map(value).sum::<usize>();
    let (missing, astray) = (sum(|run| run.missing), sum(|run| run.violations));
    let wrong = sum(|run| run.ends.wrong);
    if (missing, astray, wrong) == (0, 0, 0) {
        return None;
    }
    let told: Vec<&str> =
        outcomes.iter().flat_map(|run| &run.told).map(String::as_str).take(10).collect();
    Some(format!(
        "healthy members missed {missing} deliveries and {astray} of them went astray; {wrong} \
         stalled members lack messages without a gap or ended in another way than as slow\n{}",
        told.join("\n")
    ))
}

fn heading(args: &StallArgs, cores: &Cores) -> String {
    let slow = if args.conflate { "conflated" } else { "closed" };
    format!(
        "stall: {} members that read and {} that do not, {} messages/s of {} B data, {}, {} s, {} \
         rounds, {} workers, slow members are {slow}; {}",
        args.members,
        args.stalled,
        args.rate,
        args.payload,
        args.encoding.name(),
        args.seconds,
        args.rounds,
        args.workers,
        cores.text()
    )
}
