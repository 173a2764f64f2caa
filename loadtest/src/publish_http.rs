//! Scenario `publish-http`: publishes per second over HTTP, one in each request and many, beside the
//! same over WebSocket, and what one costs the node.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use roomcast_access::api_key::NewApiKey;
use serde::Serialize;

use crate::children::Children;
use crate::machine::{self, Cores};
use crate::print;
use crate::random::Random;
use crate::report::Report;
use crate::server::{NodeArgs, Server};
use crate::stats::text;
use crate::table::Table;

mod callers;
mod carrier;

use callers::Callers;
use carrier::Carrier;

/// The name of the load's API key.
const KEY: &str = "load";

/// Publish over HTTP, and over WebSocket beside it.
#[derive(Debug, Clone, Args)]
pub(crate) struct PublishHttpArgs {
    /// Connections, kept open; each has one request on its way.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Messages of a batch.
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Rooms, over which the connections are spread.
    #[arg(long, default_value_t = 16)]
    rooms: usize,
    /// Bytes of each message's data.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// Measured seconds on each way; a third of it goes before as warm-up.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds: all ways in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// What one way did in one round.
#[derive(Debug, Clone, Serialize)]
struct PublishPace {
    round: usize,
    way: String,
    publishes_per_second: f64,
    /// The node's CPU for one.
    node_micros: Option<f64>,
}

/// Runs the scenario.
pub(crate) fn main(args: &PublishHttpArgs, children: &Children) -> Result<Report> {
    let sizes = [args.connections, args.batch, args.rooms, args.rounds];
    if sizes.contains(&0) || args.batch > 1_000 || !(0.05..=600.0).contains(&args.seconds) {
        bail!("every size is at least 1, --batch at most 1000, --seconds between 0.05 and 600");
    }
    if args.node.runs_already() {
        bail!("publish-http gives the node a key and starts it itself: leave --url out");
    }
    machine::allow_links(args.connections)?;
    let cores = Cores::here(1);
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let mut random =
        Random::new(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64);
    let key = NewApiKey::generate(KEY, std::array::from_fn(|_| random.next() as u8))?;
    let node = args.node.with(format!("api_keys.{KEY}.sha256={}", key.sha256));
    let node = node.with(format!("api_keys.{KEY}.scopes=publish"));
    let one_worker = ["--set".to_owned(), "node.workers=1".to_owned()];
    let mut found = Vec::new();
    for round in 1..=args.rounds {
        let node = Server::node_with(&node, &one_worker, &cores, children)?;
        for carrier in carriers(args, &key.presented) {
            print::note(format_args!("round {round} of {}: {}", args.rounds, carrier.name()));
            let mut callers = Callers::open(args, &node, &carrier, &cores)?;
            found.push(measure(args, &node, (round, carrier.name()), &mut callers)?);
        }
    }
    let setup = format!(
        "publish-http: {} connections with one request on its way each, {} rooms, {} B data, no \
         members; {} s, {} rounds; {}",
        args.connections,
        args.rooms,
        args.payload,
        args.seconds,
        args.rounds,
        cores.text()
    );
    print::out(format_args!("{setup}\n{}", table(&found)))?;
    Ok(serde_json::json!({ "scenario": "publish-http", "setup": setup, "runs": found }).into())
}

fn carriers(args: &PublishHttpArgs, key: &str) -> [Carrier; 4] {
    let (key, batch) = (key.to_owned(), args.batch);
    [
        Carrier::WebSocket { at_once: 1 },
        Carrier::Http { key: key.clone() },
        Carrier::WebSocket { at_once: batch },
        Carrier::HttpBatch { key, items: batch },
    ]
}

fn measure(
    args: &PublishHttpArgs,
    node: &Server,
    (round, way): (usize, String),
    callers: &mut Callers<'_>,
) -> Result<PublishPace> {
    let measured = Duration::from_secs_f64(args.seconds);
    callers.run(measured / 3)?;
    let (before, began) = (node.cpu_time()?, Instant::now());
    let count = callers.run(measured)? as f64;
    let took = began.elapsed();
    let cpu = node.cpu_time()?.zip(before).map(|(after, before)| (after - before).as_secs_f64());
    Ok(PublishPace {
        round,
        way,
        publishes_per_second: count / took.as_secs_f64(),
        node_micros: cpu.map(|cpu| cpu * 1e6 / count),
    })
}

fn table(found: &[PublishPace]) -> Table {
    let mut table = Table::new(["way", "publishes/s", "node's CPU µs each", "CPU × first"]);
    let in_first_round = |run: &&PublishPace| found.first().is_some_and(|it| it.round == run.round);
    for way in found.iter().filter(in_first_round).map(|run| &run.way) {
        let runs: Vec<&PublishPace> = found.iter().filter(|run| run.way == *way).collect();
        let against = |run: &&PublishPace| {
            let first = found.iter().find(|other| other.round == run.round)?;
            Some(run.node_micros? / first.node_micros?)
        };
        table.row([
            way.clone(),
            text(runs.iter().map(|run| run.publishes_per_second)),
            text(runs.iter().filter_map(|run| run.node_micros)),
            text(runs.iter().filter_map(against)),
        ]);
    }
    table
}
