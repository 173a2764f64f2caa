//! Scenario `redis`: publishes per second and Redis's CPU for each through a whole node, beside
//! the very script call that the node makes, driven bare and pipelined on the same server.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::children::Children;
use crate::cluster::fresh_room;
use crate::dialect::{Dialect, WireEncoding};
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::resp::Redis;
use crate::server::{NodeArgs, Server};
use crate::stats::text;
use crate::table::Table;

mod bare;
mod path;

/// Measure the bus: publishes through a node, and the same script without one.
#[derive(Debug, Clone, Args)]
pub(crate) struct RedisArgs {
    /// Rooms of the "many rooms" figure; the hot one is a single room.
    #[arg(long, default_value_t = 1000)]
    rooms: usize,
    /// Connections that publish.
    #[arg(long, default_value_t = 8)]
    publishers: usize,
    /// Messages of one publisher without ack, at most.
    #[arg(long, default_value_t = 128)]
    window: usize,
    /// Script calls on their way on the bare side, in two halves.
    #[arg(long, default_value_t = 256)]
    depth: usize,
    /// Bytes of each message's data.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// Measured seconds on each way; a third of it goes before as warm-up.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds: node and bare in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// What one way did in one round.
#[derive(Debug, Clone, Serialize)]
struct Pace {
    round: usize,
    /// `many rooms` or `one hot room`.
    rooms: &'static str,
    /// `node` or `bare script`.
    way: &'static str,
    publishes_per_second: f64,
    /// CPU of Redis for one publish.
    redis_micros: f64,
    /// CPU of the node for one publish.
    node_micros: Option<f64>,
}

/// Something that publishes for a while and says how often it did.
trait Way {
    fn run(&mut self, time: Duration) -> Result<u64>;
}

/// The processes whose CPU counts.
struct Bench<'a> {
    redis_pid: u32,
    node: &'a Server,
}

/// Runs the scenario.
pub(crate) fn main(args: &RedisArgs, children: &Children) -> Result<Report> {
    let sizes = [args.rooms, args.publishers, args.window, args.rounds];
    if sizes.contains(&0) || args.depth < 2 || !(0.05..=600.0).contains(&args.seconds) {
        bail!("every size is at least 1, --depth 2, and --seconds between 0.05 and 600");
    }
    let plan = Cores::here(1);
    // Redis has a core to itself; node and load share the other, and so neither may spin.
    let cores = Cores { server: plan.load.clone(), load: plan.load, spin: false };
    let redis = Redis::at(args.node.redis_url.as_deref(), plan.server.as_deref(), children)?;
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let node = Server::node(&args.node.on_redis(&redis.url), &cores, children)?;
    let bench = Bench { redis_pid: redis.pid()?, node: &node };
    let dialect = Dialect::of(&node, WireEncoding::Json);
    let first = fresh_room();
    let call = bare::Call::capture(&redis, &dialect, first, args.payload)?;
    let mut found = Vec::new();
    for round in 1..=args.rounds {
        for (rooms, count) in [("many rooms", args.rooms), ("one hot room", 1)] {
            print::note(format_args!("round {round} of {}: {rooms}", args.rounds));
            let mut path = path::Path::open(args, &dialect, first + 1, count)?;
            found.push(bench.measure(args, (round, rooms, "node"), &mut path)?);
            drop(path);
            let mut bare = bare::Bare::open(&redis, &call, (first + 500, count), args.depth)?;
            found.push(bench.measure(args, (round, rooms, "bare script"), &mut bare)?);
        }
    }
    let setup = format!(
        "redis: {} B data, {} publishers with {} without ack each, no members; bare: {} calls on \
         their way; {} s, {} rounds; Redis on core {}, node and load on core {}",
        args.payload,
        args.publishers,
        args.window,
        args.depth,
        args.seconds,
        args.rounds,
        plan.server.as_deref().unwrap_or("any"),
        cores.load.as_deref().unwrap_or("any")
    );
    print::out(format_args!("{setup}\n{}", table(&found)))?;
    Ok(json!({ "scenario": "redis", "setup": setup, "runs": found }).into())
}

impl Bench<'_> {
    fn measure(
        &self,
        args: &RedisArgs,
        (round, rooms, way): (usize, &'static str, &'static str),
        publishing: &mut impl Way,
    ) -> Result<Pace> {
        let measured = Duration::from_secs_f64(args.seconds);
        publishing.run(measured / 3)?;
        let redis_before = machine::cpu_time(self.redis_pid)?;
        let (node_before, began) = (self.node.cpu_time()?, Instant::now());
        let count = publishing.run(measured)? as f64;
        let took = began.elapsed();
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / count;
        let node = self.node.cpu_time()?.zip(node_before).filter(|_| way == "node");
        Ok(Pace {
            round,
            rooms,
            way,
            publishes_per_second: count / took.as_secs_f64(),
            redis_micros: micros(machine::cpu_time(self.redis_pid)? - redis_before),
            node_micros: node.map(|(after, before)| micros(after - before)),
        })
    }
}

fn table(found: &[Pace]) -> Table {
    let mut table = Table::new([
        "rooms",
        "way",
        "publishes/s",
        "Redis µs each",
        "node µs each",
        "rate × bare",
        "Redis efficiency × bare",
    ]);
    for rooms in ["many rooms", "one hot room"] {
        for way in ["node", "bare script"] {
            let runs: Vec<&Pace> =
                found.iter().filter(|run| run.rooms == rooms && run.way == way).collect();
            let beside = |ratio: fn(&Pace, &Pace) -> f64| {
                text(runs.iter().filter_map(|run| {
                    let bare = found.iter().find(|other| {
                        (other.round, other.rooms, other.way) == (run.round, rooms, "bare script")
                    });
                    bare.map(|bare| ratio(run, bare))
                }))
            };
            table.row([
                rooms.to_owned(),
                way.to_owned(),
                text(runs.iter().map(|run| run.publishes_per_second)),
                text(runs.iter().map(|run| run.redis_micros)),
                text(runs.iter().filter_map(|run| run.node_micros)),
                beside(|run, bare| run.publishes_per_second / bare.publishes_per_second),
                beside(|run, bare| bare.redis_micros / run.redis_micros),
            ]);
        }
    }
    table
}
