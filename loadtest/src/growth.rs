//! Scenario `growth`: deliveries per CPU second as one room grows and as the same members are
//! spread over more rooms, with one worker and with more, beside the floor; as a plot too.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::children::Children;
use crate::dialect::WireEncoding;
use crate::fanout::{self, FanoutArgs};
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::server::NodeArgs;
use crate::stats::{Spread, digits};
use crate::table::Table;

mod plot;

use plot::{Panel, Point, Series};

/// Measure cost as work grows.
#[derive(Debug, Clone, Args)]
pub(crate) struct GrowthArgs {
    /// Members of one room.
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
    members: Vec<usize>,
    /// Rooms over which `--spread` members are spread.
    #[arg(long, value_delimiter = ',', default_value = "1,100,10000")]
    rooms: Vec<usize>,
    /// Members in all where rooms grow.
    #[arg(long, default_value_t = 10_000)]
    spread: usize,
    /// Workers of the node.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    workers: Vec<usize>,
    /// Messages on their way in each room.
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// Messages on their way in all rooms together, at most.
    #[arg(long, default_value_t = 1024)]
    in_flight: usize,
    /// Bytes of each message's data.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// Measured seconds for each point and round.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds for each point.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The members' encoding.
    #[arg(long, value_enum, default_value = "json")]
    encoding: WireEncoding,
    /// Measure the floor alone.
    #[arg(long, conflicts_with_all = ["node_binary", "url"])]
    only_floor: bool,
    /// Write the plot here.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

/// One server at one size.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    server: String,
    members: usize,
    rooms: usize,
    /// Deliveries for each second of the server's CPU time.
    per_cpu_second: Spread,
}

/// Runs the scenario.
pub(crate) fn main(args: &GrowthArgs, children: &Children) -> Result<Report> {
    if args.members.is_empty() || args.rooms.is_empty() || args.workers.is_empty() {
        bail!("give at least one size for --members, --rooms and --workers");
    }
    let sizes = args.members.iter().chain(&args.rooms).chain(&args.workers);
    if sizes.chain([&args.spread, &args.window, &args.rounds]).any(|&size| size == 0) {
        bail!("every size is at least 1");
    }
    machine::allow_links(args.members.iter().copied().max().unwrap_or(0).max(args.spread) + 1)?;
    let mut by_members = Vec::new();
    for &members in &args.members {
        by_members.extend(measure(args, members, 1, children)?);
    }
    let mut by_rooms = Vec::new();
    for &rooms in &args.rooms {
        by_rooms.extend(measure(args, args.spread, rooms, children)?);
    }
    let setup = format!(
        "growth: {} B data, {}, window {} per room and {} in all, {} s per point, {} rounds; one \
         worker: {}; more: {}",
        args.payload,
        args.encoding.name(),
        args.window,
        args.in_flight,
        args.seconds,
        args.rounds,
        Cores::here(1).text(),
        Cores::here(2).text()
    );
    print::out(format_args!("{setup}\n{}", table(by_members.iter().chain(&by_rooms))))?;
    if let Some(path) = &args.svg {
        let panels = [
            panel("Members of one room", &by_members, |point| point.members),
            panel(&format!("Rooms ({} members in all)", args.spread), &by_rooms, |point| {
                point.rooms
            }),
        ];
        let caption = format!(
            "{} B {} messages, {} in flight per room; median of {} rounds, whiskers: range",
            args.payload,
            args.encoding.name(),
            args.window,
            args.rounds
        );
        let text = plot::svg("Deliveries per second of server CPU", &caption, &panels);
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(json!({ "scenario": "growth", "setup": setup, "by_members": by_members, "by_rooms": by_rooms })
        .into())
}

/// All servers at one size: the node with each number of workers, and the floor.
fn measure(
    args: &GrowthArgs,
    members: usize,
    rooms: usize,
    children: &Children,
) -> Result<Vec<Measured>> {
    let mut found = Vec::new();
    for (index, &workers) in args.workers.iter().enumerate() {
        if args.only_floor && index > 0 {
            break;
        }
        print::note(format_args!("{members} members in {rooms} rooms, {workers} workers"));
        let cores = Cores::here(workers);
        machine::pin_self(&cores.load.clone().unwrap_or_else(machine::all_cores))?;
        let args = FanoutArgs {
            members,
            rooms,
            publishers: 1,
            payload: args.payload,
            chat: false,
            deflate: false,
            window: vec![args.window],
            in_flight: args.in_flight,
            seconds: args.seconds,
            encoding: args.encoding,
            latency_messages: 0,
            acks: false,
            check: false,
            // The floor has one thread whatever the node has: once is enough.
            floor: index == 0 && !args.only_floor,
            only_floor: args.only_floor,
            doors: Vec::new(),
            rounds: args.rounds,
            workers,
            node: args.node.clone(),
        };
        let outcomes = fanout::rounds(&args, &cores, children)?;
        for server in ["node", "floor-write", "floor-batch"] {
            let runs = outcomes.iter().filter(|run| run.server == server);
            let rates =
                runs.filter_map(|run| Some(1e6 / run.throughput.first()?.cpu_seconds_per_million?));
            let Some(per_cpu_second) = Spread::of(rates) else { continue };
            let server = match server {
                "node" if workers == 1 => "node, 1 worker".to_owned(),
                "node" => format!("node, {workers} workers"),
                floor => floor.to_owned(),
            };
            found.push(Measured { server, members, rooms, per_cpu_second });
        }
    }
    Ok(found)
}

fn table<'a>(points: impl Iterator<Item = &'a Measured>) -> Table {
    let mut table =
        Table::new(["members", "rooms", "server", "thousand deliveries per CPU s", "CPU s/M"]);
    for Measured { server, members, rooms, per_cpu_second: spread } in points {
        let thousands =
            Spread { median: spread.median / 1e3, min: spread.min / 1e3, max: spread.max / 1e3 };
        table.row([
            members.to_string(),
            rooms.to_string(),
            server.clone(),
            thousands.text(),
            digits(1e6 / spread.median),
        ]);
    }
    table
}

fn panel(title: &str, points: &[Measured], x: fn(&Measured) -> usize) -> Panel {
    let mut series: Vec<Series> = Vec::new();
    for point in points {
        let at = series.iter().position(|series| series.name == point.server);
        let at = at.unwrap_or_else(|| {
            series.push(Series { name: point.server.clone(), points: Vec::new() });
            series.len() - 1
        });
        series[at].points.push(Point { x: x(point) as f64, y: point.per_cpu_second });
    }
    // Nodes first, so that they share the first colours whatever the order of measuring.
    series.sort_by_key(|series| series.name.starts_with("floor"));
    Panel { title: title.to_owned(), series }
}
