//! Scenario `idle`: the memory that a server needs for connections on which nothing happens.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::children::Children;
use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, WireEncoding};
use crate::door::DoorKind;
use crate::engine::{Engine, EngineBatch, Wait, What};
use crate::floor::Mode;
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::server::{NodeArgs, Server};
use crate::stats::{digits, slope};
use crate::table::Table;

/// How long the server may settle after a step, before its memory is read.
const SETTLE: Duration = Duration::from_millis(700);
/// A floor that never delivers has no use for frames of any particular size.
const ANY_FRAME: usize = 240;

/// Hold connections open and read the server's memory.
#[derive(Debug, Clone, Args)]
pub(crate) struct IdleArgs {
    /// Connections at which memory is read, ascending.
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,10000,15000")]
    steps: Vec<usize>,
    /// Rooms that each connection joins; 0 leaves it connected only. The floor knows one at most.
    #[arg(long, default_value_t = 1)]
    rooms_each: usize,
    /// Rooms in all, over which the connections are spread.
    #[arg(long, default_value_t = 1)]
    rooms: usize,
    /// The connections' encoding.
    #[arg(long, value_enum, default_value = "json")]
    encoding: WireEncoding,
    /// Measure the floor too.
    #[arg(long)]
    floor: bool,
    /// Measure the floor alone.
    #[arg(long, conflicts_with_all = ["floor", "url", "node_binary"])]
    only_floor: bool,
    /// Compare these doors of the node, in turns within each round.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DOORS", conflicts_with_all = ["url", "tls", "auth"])]
    doors: Vec<DoorKind>,
    /// Workers of a node started here.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// What one server needed.
#[derive(Debug, Clone, Serialize)]
struct Memory {
    server: &'static str,
    /// Resident KiB before the first connection.
    base_kib: u64,
    /// (connections, resident KiB) after each step.
    steps: Vec<(usize, u64)>,
    /// Growth over the steps: KiB for each connection (least squares).
    kib_per_connection: Option<f64>,
}

/// Runs the scenario.
pub(crate) fn main(args: &IdleArgs, children: &Children) -> Result<Report> {
    let most = args.steps.last().copied().unwrap_or(0);
    if most == 0 || !args.steps.is_sorted() || args.rooms == 0 || args.rooms_each > args.rooms {
        bail!("steps ascend and are above 0; --rooms-each is at most --rooms, which is at least 1");
    }
    machine::allow_links(most)?;
    let cores = Cores::here(args.workers);
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let mut found = Vec::new();
    if !args.only_floor {
        let workers = ["--set".to_owned(), format!("node.workers={}", args.workers)];
        for node in args.node.behind(&args.doors) {
            found.push(measure(args, &Server::node_with(&node, &workers, &cores, children)?)?);
        }
    }
    if args.floor || args.only_floor {
        found.push(measure(args, &Server::floor(Mode::Write, ANY_FRAME, &cores, children)?)?);
    }
    let heading = format!(
        "idle: connections joined to {} of {} rooms each, {}, {} workers; {}",
        args.rooms_each,
        args.rooms,
        args.encoding.name(),
        args.workers,
        cores.text()
    );
    print::out(format_args!("{heading}\n{}", table(&found)))?;
    Ok(serde_json::json!({ "scenario": "idle", "setup": heading, "servers": found }).into())
}

fn measure(args: &IdleArgs, server: &Server) -> Result<Memory> {
    let resident = || server.resident_kib()?.context("give the node's --pid to read its memory");
    let dialect = Dialect::of(server, args.encoding);
    let mut engine = Engine::new(&server.door)?;
    let (base_kib, mut steps, mut open) = (resident()?, Vec::new(), 0);
    for &step in &args.steps {
        print::note(format_args!("{}: {step} connections", server.title));
        let seats: Vec<Seat> = (open..step).map(|number| seat(args, &dialect, number)).collect();
        gather(&mut engine, &seats)?;
        open = step;
        hold(&mut engine, SETTLE)?;
        if engine.len() != open {
            bail!("{} of {open} connections are left", engine.len());
        }
        steps.push((step, resident()?));
    }
    let points: Vec<(f64, f64)> = steps.iter().map(|&(x, y)| (x as f64, y as f64)).collect();
    let kib_per_connection = slope(&points);
    Ok(Memory { server: server.title, base_kib, steps, kib_per_connection })
}

fn seat(args: &IdleArgs, dialect: &Dialect, number: usize) -> Seat {
    let rooms = (0..args.rooms_each).map(|room| (number + room) % args.rooms).collect();
    Seat { dialect: dialect.clone(), rooms }
}

/// Answers pings for so long; fails if a connection ends.
fn hold(engine: &mut Engine, time: Duration) -> Result<()> {
    let mut batch = EngineBatch::default();
    let until = std::time::Instant::now() + time;
    while std::time::Instant::now() < until {
        engine.turn(Wait::Sleep(Duration::from_millis(50)), &mut batch)?;
        for arrival in &batch.arrivals {
            if let What::Ended(why) = &arrival.what {
                bail!("an idle connection was lost: {why}");
            }
        }
    }
    Ok(())
}

fn table(found: &[Memory]) -> Table {
    let mut table =
        Table::new(["server", "connections", "RSS MiB", "KiB/connection since start", "slope KiB"]);
    for memory in found {
        for (index, &(connections, kib)) in memory.steps.iter().enumerate() {
            let since_start = kib.saturating_sub(memory.base_kib) as f64 / connections as f64;
            let last = index + 1 == memory.steps.len();
            let slope = memory.kib_per_connection.filter(|_| last).map(digits);
            table.row([
                memory.server.to_owned(),
                connections.to_string(),
                digits(kib as f64 / 1024.0),
                digits(since_start),
                slope.unwrap_or_default(),
            ]);
        }
    }
    table
}
