//! Scenario `cluster`: several nodes on one Redis, publishers and members spread over them and
//! over both encodings; every member must see every message once, in one order.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use crate::children::Children;
use crate::dialect::{Dialect, WireEncoding};
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::resp::Redis;
use crate::server::{NodeArgs, Server};
use crate::stats::digits;
use crate::table::Table;

mod checker;
mod drive;
mod latency;
mod mark;

use drive::{Findings, Plan};

/// How long nothing at all may happen before the run is taken for broken.
const STALL: Duration = Duration::from_secs(15);

/// Where all nodes share one core, each is one thread.
const ONE_WORKER: [&str; 2] = ["--set", "node.workers=1"];

/// Publish across nodes and check what every member saw; fails on any violation.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArgs {
    /// Nodes to start.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Use nodes that run already instead, comma-separated.
    #[arg(long, value_delimiter = ',', value_name = "URL", conflicts_with_all = ["url", "node_binary"])]
    urls: Vec<String>,
    /// Rooms.
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Publishers of each room.
    #[arg(long, default_value_t = 10)]
    publishers: usize,
    /// Members of each room.
    #[arg(long, default_value_t = 50)]
    members: usize,
    /// Messages in all rooms together.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Bytes of each message's data.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// Messages of one publisher without ack, at most.
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// Messages that a room may be ahead of its members' mean, at most.
    #[arg(long, default_value_t = 256)]
    lag: u64,
    /// Measure the unloaded delay from node to node instead, beside a bare PUBLISH → SUBSCRIBE.
    #[arg(long)]
    latency: bool,
    /// Lone messages for --latency, on each way.
    #[arg(long, default_value_t = 1000)]
    latency_messages: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// The nodes, and the Redis below them if it is known.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
    pub(crate) redis: Option<Redis>,
}

impl Cluster {
    fn start(args: &ClusterArgs, place: &Place, children: &Children) -> Result<Self> {
        let url = args.node.redis_url.as_deref();
        if !args.urls.is_empty() {
            let redis = url.map(|url| Redis::at(Some(url), None, children)).transpose()?;
            let node = |url: &String| Server::node(&args.node.at(url), &place.nodes, children);
            let nodes = args.urls.iter().map(node).collect::<Result<_>>()?;
            return Ok(Self { nodes, redis });
        }
        let redis = Redis::at(url, place.redis.as_deref(), children)?;
        let node = args.node.on_redis(&redis.url);
        let nodes = (1..=args.nodes).map(|number| {
            print::note(format_args!("starting node {number} of {}", args.nodes));
            let mut more = vec!["--node-id".to_owned(), format!("load-{number}")];
            if args.latency {
                more.extend(ONE_WORKER.map(str::to_owned));
            }
            Server::node_with(&node, &more, &place.of_node(number), children)
        });
        Ok(Self { nodes: nodes.collect::<Result<_>>()?, redis: Some(redis) })
    }
}

/// Where the processes started here run.
#[derive(Debug)]
struct Place {
    redis: Option<String>,
    /// The nodes, and the load beside them.
    nodes: Cores,
}

impl Place {
    /// Anywhere: for as much work as the machine does.
    fn anywhere() -> Self {
        Self { redis: None, nodes: Cores { server: None, load: None, spin: false } }
    }

    /// Redis and the publishing node on one core, all the rest on another: both ways of a delay
    /// cross from core to core equally often, and what the publishing node does after the message
    /// has left it (reading its own answer) does not hold up the receiving one, as it would not
    /// where nodes are machines.
    fn apart() -> Self {
        let Cores { server, load, .. } = Cores::here(1);
        Self { redis: server, nodes: Cores { server: load.clone(), load, spin: false } }
    }
}

impl Place {
    /// Where a node runs; the first is the one that publishes.
    fn of_node(&self, number: usize) -> Cores {
        match &self.redis {
            Some(core) if number == 1 => Cores { server: Some(core.clone()), ..self.nodes.clone() },
            _ => self.nodes.clone(),
        }
    }
}

/// Runs the scenario.
pub(crate) fn main(args: &ClusterArgs, children: &Children) -> Result<Report> {
    let sizes = [args.nodes, args.rooms, args.publishers, args.members, args.window];
    if sizes.contains(&0) || args.messages == 0 || args.lag == 0 || args.latency_messages == 0 {
        bail!("every size is at least 1");
    }
    machine::allow_links(args.rooms * (args.publishers + args.members))?;
    if args.latency {
        let place = Place::apart();
        let cluster = Cluster::start(args, &place, children)?;
        if let Some(load) = &place.nodes.load {
            machine::pin_self(load)?;
        }
        let one_worker = ONE_WORKER.map(str::to_owned);
        let alone = match &args.urls[..] {
            [] => Some(Server::node_with(&args.node, &one_worker, &place.nodes, children)?),
            _ => None,
        };
        return latency::main(args.latency_messages, &cluster, alone.as_ref(), &place);
    }
    let cluster = Cluster::start(args, &Place::anywhere(), children)?;
    let plan = Plan {
        first_room: fresh_room(),
        rooms: args.rooms,
        publishers: args.publishers,
        members: args.members,
        messages: args.messages,
        payload: args.payload,
        window: args.window,
        lag: args.lag,
        stall: STALL,
    };
    let dialects: Vec<Dialect> = [WireEncoding::Json, WireEncoding::Msgpack]
        .iter()
        .flat_map(|&encoding| cluster.nodes.iter().map(move |node| Dialect::of(node, encoding)))
        .collect();
    let cpu_before = cluster.cpu_seconds()?;
    let findings = drive::run(&plan, &dialects)?;
    let cpu = cluster.cpu_seconds()?.zip(cpu_before).map(|(after, before)| after - before);
    report(args, &cluster, &findings, cpu)
}

/// The first of a range of rooms that no other run on the same Redis uses, so that each begins at
/// seq 1.
pub(crate) fn fresh_room() -> usize {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_micros() as usize * 1000
}

impl Cluster {
    /// CPU seconds of all nodes; `None` where a pid is not known.
    fn cpu_seconds(&self) -> Result<Option<f64>> {
        let mut sum = 0.0;
        for node in &self.nodes {
            let Some(time) = node.cpu_time()? else { return Ok(None) };
            sum += time.as_secs_f64();
        }
        Ok(Some(sum))
    }
}

fn report(
    args: &ClusterArgs,
    cluster: &Cluster,
    findings: &Findings,
    cpu: Option<f64>,
) -> Result<Report> {
    let heading = format!(
        "cluster: {} nodes, {} rooms of {} publishers and {} members each, both encodings, \
         {} messages of {} B, {} without ack per publisher; nothing pinned",
        cluster.nodes.len(),
        args.rooms,
        args.publishers,
        args.members,
        args.messages,
        args.payload,
        args.window
    );
    let mut table = Table::new([
        "acknowledged",
        "deliveries",
        "seconds",
        "messages/s",
        "deliveries/s",
        "ack p50 ms",
        "ack p99 ms",
        "delivery p50 ms",
        "delivery p99 ms",
        "nodes' CPU s",
        "retries",
        "violations",
    ]);
    table.row([
        findings.acknowledged.to_string(),
        findings.deliveries.to_string(),
        digits(findings.seconds),
        digits(findings.acknowledged as f64 / findings.seconds),
        digits(findings.deliveries as f64 / findings.seconds),
        digits(findings.ack_ms[0]),
        digits(findings.ack_ms[1]),
        digits(findings.delivery_ms[0]),
        digits(findings.delivery_ms[1]),
        cpu.map_or("–".to_owned(), digits),
        findings.retries.to_string(),
        findings.violation_count.to_string(),
    ]);
    print::out(format_args!("{heading}\n{table}"))?;
    for violation in &findings.violations {
        print::out(format_args!("VIOLATION {violation}"))?;
    }
    for node in &cluster.nodes {
        node.check()?;
    }
    let whole = findings.acknowledged == args.messages;
    let expected = args.messages.checked_mul(args.members as u64).context("too many deliveries")?;
    let failure = match findings.violation_count {
        0 if whole && findings.deliveries == expected => None,
        0 => Some(format!("{} of {} acknowledged", findings.acknowledged, args.messages)),
        count => Some(format!("{count} violations of the order promise")),
    };
    if failure.is_none() {
        print::out(format_args!("every member saw every message of its room once, in one order"))?;
    }
    let figures = json!({
        "scenario": "cluster", "setup": heading, "findings": findings, "nodes_cpu_seconds": cpu,
        "violations": findings.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    Ok(Report { figures, failure })
}
