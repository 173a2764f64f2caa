//! Scenario `fanout`: what one delivery costs the server, how many it makes, and when the first
//! and the last member have a message; beside the floor in the same run.

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use crate::children::Children;
use crate::dialect::WireEncoding;
use crate::door::DoorKind;
use crate::floor::Mode;
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::server::{NodeArgs, Server};
use crate::stats::kept_waiting;

mod chat;
mod load;
mod run;
mod summary;

use run::{Latency, Throughput};

/// Publish to rooms and count what their members receive.
#[derive(Debug, Clone, Args)]
pub(crate) struct FanoutArgs {
    /// Members in all, spread evenly over the rooms.
    #[arg(long, default_value_t = 1000)]
    pub(crate) members: usize,
    /// Rooms.
    #[arg(long, default_value_t = 1)]
    pub(crate) rooms: usize,
    /// Connections that publish; they are no members.
    #[arg(long, default_value_t = 1)]
    pub(crate) publishers: usize,
    /// Bytes of each message's data, as encoded.
    #[arg(long, default_value_t = 128)]
    pub(crate) payload: usize,
    /// Messages on their way in each room, one figure for each: 1 shows the cost of a lone
    /// message, more lets the server coalesce.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    pub(crate) window: Vec<usize>,
    /// Messages on their way in all rooms together, at most.
    #[arg(long, default_value_t = 1024)]
    pub(crate) in_flight: usize,
    /// Measured seconds for each window; a third of it goes before as warm-up.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Data like a chat's, of different texts, in place of one letter again and again.
    #[arg(long)]
    pub(crate) chat: bool,
    /// Members offer permessage-deflate. Nodes started here need `--set http.deflate=true`.
    #[arg(long, requires = "chat")]
    pub(crate) deflate: bool,
    /// The members' and publishers' encoding.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) encoding: WireEncoding,
    /// Lone messages for the delay, one every 100 ms; 0 leaves the delay out.
    #[arg(long, default_value_t = 12)]
    pub(crate) latency_messages: usize,
    /// Ask for an ack of every message.
    #[arg(long)]
    pub(crate) acks: bool,
    /// Read every frame of every member and check its seq, not only those of a sample.
    #[arg(long)]
    pub(crate) check: bool,
    /// Run the floor beside the node, in the same rounds.
    #[arg(long)]
    pub(crate) floor: bool,
    /// Run the floor alone, without a node.
    #[arg(long, conflicts_with_all = ["floor", "url", "node_binary"])]
    pub(crate) only_floor: bool,
    /// Compare these doors of the node, in turns within each round.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DOORS", conflicts_with_all = ["url", "tls", "auth"])]
    pub(crate) doors: Vec<DoorKind>,
    /// Rounds: node, floor-write, floor-batch, and again.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Workers of a node started here.
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: usize,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// What one server showed in one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    /// `node`, `floor-write` or `floor-batch`.
    pub(crate) server: &'static str,
    /// Which round, from 1.
    pub(crate) round: usize,
    /// The delay of lone messages, if measured.
    pub(crate) latency: Option<Latency>,
    /// One for each window.
    pub(crate) throughput: Vec<Throughput>,
    /// Mean bytes of a delivered frame on the wire.
    pub(crate) frame_bytes: f64,
    /// Resident memory after the load, in MiB.
    pub(crate) resident_mib: Option<f64>,
}

/// Runs the scenario.
pub(crate) fn main(args: &FanoutArgs, children: &Children) -> Result<Report> {
    check(args)?;
    let cores = Cores::here(args.workers);
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let outcomes = rounds(args, &cores, children)?;
    print::out(format_args!("{}", heading(args, &cores)))?;
    print::out(format_args!("{}", summary::table(args, &outcomes)))?;
    let runs = outcomes.iter().flat_map(|outcome| &outcome.throughput);
    if let Some(warning) = kept_waiting(runs.filter_map(|run| run.server_kept_waiting_percent)) {
        print::out(format_args!("WARNING {warning}"))?;
    }
    let setup = heading(args, &cores);
    let figures = serde_json::json!({ "scenario": "fanout", "setup": setup, "runs": outcomes });
    Ok(figures.into())
}

fn check(args: &FanoutArgs) -> Result<()> {
    let positive = [args.members, args.rooms, args.publishers, args.rounds, args.workers];
    if positive.contains(&0) || args.window.contains(&0) || args.window.is_empty() {
        bail!("members, rooms, publishers, rounds, workers and windows are at least 1");
    }
    if !(0.05..=600.0).contains(&args.seconds) {
        bail!("--seconds is between 0.05 and 600");
    }
    machine::allow_links(args.members + args.publishers)
}

/// All rounds, servers in turn within each.
pub(crate) fn rounds(
    args: &FanoutArgs,
    cores: &Cores,
    children: &Children,
) -> Result<Vec<Outcome>> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for round in 1..=args.rounds {
        let mut frame_bytes = guessed_frame_bytes(args);
        let (nodes, floors) = competitors(args);
        for node in &nodes {
            print::note(format_args!("round {round} of {}: {}", args.rounds, node.title()));
            let workers = ["--set".to_owned(), format!("node.workers={}", args.workers)];
            let server = Server::node_with(node, &workers, cores, children)?;
            let outcome = run::measure(args, &server, cores, round)?;
            frame_bytes = outcome.frame_bytes.round() as usize;
            outcomes.push(outcome);
        }
        for &mode in floors {
            let server = Server::floor(mode, frame_bytes, cores, children)?;
            print::note(format_args!("round {round} of {}: {}", args.rounds, server.title));
            outcomes.push(run::measure(args, &server, cores, round)?);
        }
    }
    Ok(outcomes)
}

/// The nodes and the floors of one round.
fn competitors(args: &FanoutArgs) -> (Vec<NodeArgs>, &'static [Mode]) {
    let nodes = if args.only_floor { Vec::new() } else { args.node.behind(&args.doors) };
    let with_floor = args.floor || args.only_floor;
    (nodes, if with_floor { &[Mode::Write, Mode::Batch] } else { &[] })
}

/// What a node's frame would take, for floors that run without one: the envelope of a message
/// without user and event is some 110 bytes.
fn guessed_frame_bytes(args: &FanoutArgs) -> usize {
    args.payload + 110
}

fn heading(args: &FanoutArgs, cores: &Cores) -> String {
    format!(
        "fanout: {} members in {} rooms, {} publishers, {} B data, {}, {} s per window, {} rounds, \
         {} workers; {}",
        args.members,
        args.rooms,
        args.publishers,
        args.payload,
        args.encoding.name(),
        args.seconds,
        args.rounds,
        args.workers,
        cores.text()
    )
}
