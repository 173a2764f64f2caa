//! `peers`: the same scenarios on Roomcast and on servers that others build for the job, on this
//! machine and in turns, and the document that says what came out.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::children::Children;
use crate::print;
use crate::report::Report;
use crate::run::outcome::Outcome;
use crate::run::peer::Peer;
use crate::run::scenario::Scenario;
use crate::run::{self, Props};

mod doc;
mod tables;
mod versions;

/// With equal means: every peer's node is one process with one working thread.
const ONE_WORKER: &str = "node.workers=1";
/// Saturation doubles its rate at most so often.
const DOUBLINGS: u32 = 6;
/// A server that delivers less than this share of what is offered is saturated.
const ENOUGH: f64 = 0.9;
/// A trial run has this part of the clients and of the rate.
const TRIAL: usize = 10;

/// The scenarios that all run, and what each is for.
const SCENARIOS: [(Part, &str); 4] = [
    (Part::Chat, include_str!("../scenarios/chat.toml")),
    (Part::HotRoom, include_str!("../scenarios/hot-room.toml")),
    (Part::Saturation, include_str!("../scenarios/saturation.toml")),
    (Part::Kill, include_str!("../scenarios/reconnect-storm.toml")),
];

/// What a scenario is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    Chat,
    HotRoom,
    Saturation,
    Kill,
}

/// Run the same scenarios on Roomcast and on its peers, in turns.
#[derive(Debug, Clone, Args)]
pub(crate) struct PeersArgs {
    /// Rounds: each scenario on each server once.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A tenth of the clients for a few seconds: to see that all works.
    #[arg(long)]
    quick: bool,
    /// Write the document to this file.
    #[arg(long, value_name = "PATH")]
    write: Option<PathBuf>,
    /// Measure nothing: write the document anew from what an earlier call kept with --json.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["quick", "only", "node_binary"])]
    from: Option<PathBuf>,
    /// Only these, comma-separated; all if left out.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Peer>,
    /// The node's binary; else `roomcast` beside this program.
    #[arg(long, value_name = "PATH")]
    node_binary: Option<PathBuf>,
}

impl PeersArgs {
    /// As it is typed again: where figures went besides is nobody's business.
    fn command(&self, kept: &Kept) -> String {
        let rounds = kept.runs.iter().map(|run| run.round).max().unwrap_or(self.rounds);
        let mut command = format!("peers --rounds {rounds}");
        if self.quick {
            command += " --quick";
        }
        if !self.only.is_empty() {
            let names = self.only.iter().filter_map(|peer| peer.to_possible_value());
            let names: Vec<String> = names.map(|it| it.get_name().to_owned()).collect();
            command += &format!(" --only {}", names.join(","));
        }
        if let Some(path) = &self.write {
            command += &format!(" --write {}", path.display());
        }
        command
    }
}

/// One scenario on one server.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    part: Part,
    round: usize,
    outcome: Outcome,
}

/// All that was measured, as `--json` keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    runs: Vec<Run>,
    /// Runs that failed, and why.
    failed: Vec<String>,
}

/// Runs all, or takes what an earlier call kept.
pub(crate) fn main(args: &PeersArgs, children: &Children) -> Result<Report> {
    if !(1..=50).contains(&args.rounds) {
        bail!("--rounds is at least 1 and at most 50");
    }
    let versions = versions::Versions::here();
    let write = |kept: &Kept| {
        let text = doc::document(&kept.runs, &kept.failed, (&args.command(kept), &versions));
        if let Some(path) = &args.write {
            let file = match std::fs::read_to_string(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
                read => read.with_context(|| format!("reading {}", path.display()))?,
            };
            std::fs::write(path, doc::replaced(&file, &text))
                .with_context(|| format!("writing {}", path.display()))?;
        }
        anyhow::Ok(text)
    };
    let mut kept = Kept::default();
    if let Some(path) = &args.from {
        let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        kept = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not what `peers --json` writes", path.display()))?;
    } else {
        for round in 1..=args.rounds {
            measure(args, round, &mut kept, children)?;
            // What is measured is not lost if the next round is interrupted.
            write(&kept)?;
        }
    }
    print::out(format_args!("{}", write(&kept)?))?;
    let failure = kept.runs.iter().filter(|run| run.part != Part::Saturation).find_map(|run| {
        run.outcome.failure().map(|why| format!("{}: {why}", run.outcome.scenario.name))
    });
    Ok(Report { figures: serde_json::to_value(&kept)?, failure })
}

/// One round: each scenario on each peer.
fn measure(args: &PeersArgs, round: usize, kept: &mut Kept, children: &Children) -> Result<()> {
    let peers = if args.only.is_empty() { Peer::ALL.to_vec() } else { args.only.clone() };
    let props = Props {
        node_binary: args.node_binary.clone(),
        set: vec![ONE_WORKER.to_owned()],
        ..Props::default()
    };
    for (part, text) in SCENARIOS {
        let scenario = scenario(text, args.quick)?;
        for peer in turn(&peers, round) {
            let (name, title) = (&scenario.name, peer.title());
            print::note(format_args!("round {round} of {}: {name} on {title}", args.rounds));
            let outcome = match part {
                Part::Saturation => saturate(&scenario, peer, &props, children),
                _ => run::fresh(&scenario, peer, &props, children),
            };
            match outcome {
                Ok(outcome) => kept.runs.push(Run { part, round, outcome }),
                // A peer that fails under load is no reason to lose what the others did.
                Err(error) if peer != Peer::Roomcast && !children.is_over() => {
                    let note = format!("{name} on {title}: {error:#}");
                    print::note(format_args!("  failed: {note}"));
                    kept.failed.push(note);
                }
                Err(error) => return Err(error.context(scenario.name)),
            }
        }
    }
    Ok(())
}

/// Doubles the rate until less than enough of what is offered arrives; returns the run in which
/// most did.
fn saturate(
    scenario: &Scenario,
    peer: Peer,
    props: &Props,
    children: &Children,
) -> Result<Outcome> {
    let mut best: Option<Outcome> = None;
    for doubling in 0..=DOUBLINGS {
        let mut step = scenario.clone();
        step.rate *= f64::from(1 << doubling);
        let run = match (run::fresh(&step, peer, props, children), best.is_some()) {
            (Ok(run), _) => run,
            (Err(error), true) => {
                print::note(format_args!(
                    "  at {} messages/s {} gives up: {error:#}",
                    step.rate,
                    peer.title()
                ));
                break;
            }
            (Err(error), false) => return Err(error),
        };
        let rate = |run: &Outcome| run.deliveries_per_second;
        let is_enough = rate(&run) >= ENOUGH * run.offered_per_second;
        print::note(format_args!("  at {} messages/s: {:.0} deliveries/s", step.rate, rate(&run)));
        if best.as_ref().is_none_or(|best| rate(&run) > rate(best)) {
            best = Some(run);
        }
        if !is_enough {
            break;
        }
    }
    best.context("no step ran")
}

fn scenario(text: &str, quick: bool) -> Result<Scenario> {
    let mut scenario = Scenario::parse(text)?;
    if quick {
        scenario.resize((scenario.clients / TRIAL).max(30));
        scenario.stretch(4.0);
        scenario.rate = (scenario.rate / TRIAL as f64).max(20.0);
        scenario.check()?;
    }
    Ok(scenario)
}

/// The peers in this round's order: each is the first in turn.
fn turn(peers: &[Peer], round: usize) -> Vec<Peer> {
    let mut peers = peers.to_vec();
    let by = (round - 1) % peers.len();
    peers.rotate_left(by);
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_is_the_first_in_turn() {
        let firsts = [1, 2, 3, 4, 5].map(|round| turn(&Peer::ALL, round)[0]);
        let expected = [Peer::Roomcast, Peer::Ws, Peer::Socketio, Peer::Nchan, Peer::Roomcast];
        assert_eq!(firsts, expected);
    }

    #[test]
    fn the_command_is_said_as_it_is_typed() {
        let args = PeersArgs {
            rounds: 2,
            quick: true,
            from: None,
            write: Some("docs/benchmarks.md".into()),
            only: vec![Peer::Roomcast, Peer::Ws],
            node_binary: None,
        };
        let typed = "peers --rounds 2 --quick --only roomcast,ws --write docs/benchmarks.md";
        assert_eq!(args.command(&Kept::default()), typed);
    }

    #[test]
    fn a_trial_is_small_and_valid() {
        for (_, text) in SCENARIOS {
            let (whole, trial) = (scenario(text, false).unwrap(), scenario(text, true).unwrap());
            assert!(trial.clients < whole.clients && trial.seconds < whole.seconds);
            assert!(trial.rate < whole.rate || trial.rate <= 20.0);
        }
    }
}
