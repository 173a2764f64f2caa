//! Scenario `presence`: what it costs to know who is in a room. Idle members, members that come and
//! go, one very large room, and a crowd that comes at once, on a node with a Redis of its own.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use roomcast_protocol::{JoinRoom, RoomName};
use serde_json::{Map, Value, json};

use crate::children::Children;
use crate::dialect::{Dialect, WireEncoding};
use crate::machine::{self, Cores};
use crate::people::Guest;
use crate::print;
use crate::report::Report;
use crate::resp::Redis;
use crate::server::{NodeArgs, Server};

mod bystander;
mod calls;
mod churn;
mod crowd;
mod idle;
mod large;

/// Measure presence: idle members, changes, a large room, a crowd.
#[derive(Debug, Clone, Args)]
pub(crate) struct PresenceArgs {
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "idle,churn,large,crowd")]
    parts: Vec<PresencePart>,
    /// Members of `idle` (also measured with a tenth of them) and of `churn`.
    #[arg(long, default_value_t = 10_000)]
    members: usize,
    /// Rooms over which they are spread.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Measured seconds of `idle`, `churn` and `large`.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Joins and leaves per second of `churn` and `large`, together.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Members of the room of `large`.
    #[arg(long, default_value_t = 15_000)]
    large: usize,
    /// Users of `crowd`, each in a room of its own and in ten others.
    #[arg(long, default_value_t = 5_000)]
    crowd: usize,
    /// Rooms in which the crowd meets.
    #[arg(long, default_value_t = 500)]
    crowd_rooms: usize,
    /// Seconds between a node's start and the first client: a new node looks through all rooms once
    /// for members of nodes that have died.
    #[arg(long, default_value_t = 8.0)]
    settle: f64,
    #[command(flatten)]
    node: NodeArgs,
}

/// A part of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PresencePart {
    /// Redis's commands per second for members that do nothing.
    Idle,
    /// CPU and Redis's commands of joins and leaves.
    Churn,
    /// Joins, leaves, the list and the node's stalls in one large room.
    Large,
    /// Many users at once, with and without presence.
    Crowd,
}

/// A node and its Redis, fresh for each measurement.
struct PresenceBench {
    redis: Redis,
    node: Server,
    dialect: Dialect,
}

impl PresenceBench {
    fn start(
        args: &PresenceArgs,
        cores: &Cores,
        presence: &str,
        children: &Children,
    ) -> Result<Self> {
        let redis = Redis::at(args.node.redis_url.as_deref(), cores.load.as_deref(), children)?;
        let settings = [
            "node.workers=1".to_owned(),
            format!("namespaces.default.presence={presence}"),
            "limits.joins=0".to_owned(),
        ];
        let settings: Vec<String> =
            settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect();
        let node = Server::node_with(&args.node.on_redis(&redis.url), &settings, cores, children)?;
        let dialect = Dialect::of(&node, WireEncoding::Json);
        std::thread::sleep(Duration::from_secs_f64(args.settle));
        Ok(Self { redis, node, dialect })
    }

    fn cpu(&self) -> Result<[Duration; 2]> {
        let node = self.node.cpu_time()?.unwrap_or_default();
        Ok([node, machine::cpu_time(self.redis.pid()?)?])
    }
}

/// Runs the scenario.
pub(crate) fn main(args: &PresenceArgs, children: &Children) -> Result<Report> {
    check(args)?;
    // Node on one core, Redis and the load on the other; neither is to wait for a spinning load.
    let cores = Cores { spin: false, ..Cores::here(1) };
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let mut figures = Map::new();
    for part in &args.parts {
        let (name, heading, table, found) = match part {
            PresencePart::Idle => idle::measure(args, &cores, children)?,
            PresencePart::Churn => churn::measure(args, &cores, children)?,
            PresencePart::Large => large::measure(args, &cores, children)?,
            PresencePart::Crowd => crowd::measure(args, &cores, children)?,
        };
        print::out(format_args!("{heading}; {}\n{table}", cores.text()))?;
        figures.insert(name.to_owned(), found);
    }
    Ok(json!({ "scenario": "presence", "parts": figures }).into())
}

/// What one part found: its name, a heading, a table and the figures.
type Part = (&'static str, String, crate::table::Table, Value);

fn check(args: &PresenceArgs) -> Result<()> {
    if [args.members, args.rooms, args.large, args.crowd, args.crowd_rooms].contains(&0) {
        bail!("every number of members and rooms is at least 1");
    }
    if !(0.2..=600.0).contains(&args.seconds) || !(1.0..=10_000.0).contains(&args.rate) {
        bail!("--seconds is between 0.2 and 600, --rate between 1 and 10,000");
    }
    if !(0.0..=60.0).contains(&args.settle) {
        bail!("--settle is between 0 and 60");
    }
    if args.node.runs_already() {
        bail!("presence compares fresh nodes and starts them itself: leave --url out");
    }
    machine::allow_links(args.members.max(args.large).max(args.crowd) + churn::GUESTS + 1)
}

fn named(room: &str) -> Result<JoinRoom> {
    Ok(JoinRoom { presence: true, ..JoinRoom::new(RoomName::parse(room)?) })
}

/// So many users, spread over so many rooms.
fn spread(members: usize, rooms: usize) -> Result<Vec<Guest>> {
    let guest = |member| {
        let joins = vec![named(&format!("load-{}", member % rooms))?];
        Ok(Guest { user: format!("user-{member}"), joins })
    };
    (0..members).map(guest).collect()
}
