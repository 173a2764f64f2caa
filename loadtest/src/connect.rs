//! Scenario `connect`: handshakes per second, and what one costs the server: connect, upgrade,
//! 101 (or the node's first frame), reset.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use crate::children::Children;
use crate::dialect::{Dialect, WireEncoding};
use crate::door::DoorKind;
use crate::engine::{Engine, EngineBatch, Wait, What};
use crate::floor::Mode;
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::server::{Kind, NodeArgs, Server};
use crate::stats::text;
use crate::table::Table;

/// Without a single handshake for so long the server is stuck.
const STALL: Duration = Duration::from_secs(10);
/// A floor that never delivers has no use for frames of any particular size.
const ANY_FRAME: usize = 240;

/// Open and drop connections as fast as they go.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectArgs {
    /// Measured seconds; a fifth of it goes before as warm-up.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Handshakes under way at once.
    #[arg(long, default_value_t = 64)]
    inflight: usize,
    /// Wait for the node's first frame, not only for 101. The floor sends none.
    #[arg(long)]
    first_frame: bool,
    /// The subprotocol that is offered.
    #[arg(long, value_enum, default_value = "json")]
    encoding: WireEncoding,
    /// Run the floor beside the node, in the same rounds.
    #[arg(long)]
    floor: bool,
    /// Run the floor alone.
    #[arg(long, conflicts_with_all = ["floor", "url", "node_binary"])]
    only_floor: bool,
    /// Compare these doors of the node, in turns within each round.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DOORS", conflicts_with_all = ["url", "tls", "auth"])]
    doors: Vec<DoorKind>,
    /// Rounds: node, floor, and again.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// What one server did in one round.
#[derive(Debug, Clone, Serialize)]
struct Handshakes {
    server: &'static str,
    round: usize,
    per_second: f64,
    /// Server CPU for one; `None` without its pid.
    cpu_micros: Option<f64>,
}

/// Runs the scenario.
pub(crate) fn main(args: &ConnectArgs, children: &Children) -> Result<Report> {
    if args.inflight == 0 || args.rounds == 0 || !(0.05..=600.0).contains(&args.seconds) {
        bail!("--inflight and --rounds are at least 1, --seconds between 0.05 and 600");
    }
    machine::allow_links(args.inflight)?;
    let cores = Cores::here(1);
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let mut found = Vec::new();
    for round in 1..=args.rounds {
        print::note(format_args!("round {round} of {}", args.rounds));
        if !args.only_floor {
            let one = ["--set".to_owned(), "node.workers=1".to_owned()];
            for node in args.node.behind(&args.doors) {
                let node = Server::node_with(&node, &one, &cores, children)?;
                found.push(measure(args, &node, &cores, round)?);
            }
        }
        if args.floor || args.only_floor {
            let floor = Server::floor(Mode::Write, ANY_FRAME, &cores, children)?;
            found.push(measure(args, &floor, &cores, round)?);
        }
    }
    let until = if args.first_frame { "the first frame" } else { "101" };
    let heading = format!(
        "connect: {} handshakes at once, each until {until}, then reset; {} s, {} rounds; {}",
        args.inflight,
        args.seconds,
        args.rounds,
        cores.text()
    );
    print::out(format_args!("{heading}\n{}", table(&found)))?;
    Ok(serde_json::json!({ "scenario": "connect", "setup": heading, "runs": found }).into())
}

fn measure(args: &ConnectArgs, server: &Server, cores: &Cores, round: usize) -> Result<Handshakes> {
    let mut churn = Churn {
        request: Dialect::of(server, args.encoding).request(&[]),
        server,
        engine: Engine::new(&server.door)?,
        batch: EngineBatch::default(),
        wait: if cores.spin { Wait::Spin } else { Wait::Sleep(Duration::from_millis(10)) },
        to_first_frame: args.first_frame && server.kind == Kind::Node,
        inflight: args.inflight,
        done: 0,
    };
    let measured = Duration::from_secs_f64(args.seconds);
    churn.run(measured / 5)?;
    let (done, cpu, began) = (churn.done, server.cpu_time()?, Instant::now());
    churn.run(measured)?;
    let (took, cpu_after) = (began.elapsed(), server.cpu_time()?);
    let count = (churn.done - done) as f64;
    let cpu = cpu_after.zip(cpu).map(|(after, before)| (after - before).as_secs_f64());
    Ok(Handshakes {
        server: server.title,
        round,
        per_second: count / took.as_secs_f64(),
        cpu_micros: cpu.map(|cpu| cpu * 1e6 / count),
    })
}

/// Links that come and go.
struct Churn<'a> {
    server: &'a Server,
    request: Rc<[u8]>,
    engine: Engine,
    batch: EngineBatch,
    wait: Wait,
    to_first_frame: bool,
    inflight: usize,
    done: u64,
}

impl Churn<'_> {
    fn run(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        let mut last = Instant::now();
        while Instant::now() < until {
            while self.engine.len() < self.inflight {
                self.engine.open(self.server.addr, &self.request)?;
            }
            self.engine.turn(self.wait, &mut self.batch)?;
            for arrival in &self.batch.arrivals {
                match &arrival.what {
                    What::Ended(why) => bail!("a handshake failed: {why}"),
                    What::Upgraded if self.to_first_frame => continue,
                    _ => {}
                }
                // The answer and the first frame may come in one read: one handshake all the same.
                if self.engine.reset(arrival.link) {
                    self.done += 1;
                    last = arrival.at;
                }
            }
            if last.elapsed() > STALL {
                self.server.check()?;
                bail!("no handshake was answered for 10 s{}", self.server.log_tail());
            }
        }
        Ok(())
    }
}

fn table(found: &[Handshakes]) -> Table {
    let mut table =
        Table::new(["server", "handshakes/s", "CPU µs each", "CPU × first", "CPU × floor"]);
    let round = |run: &&Handshakes| found.first().is_some_and(|first| first.round == run.round);
    for server in found.iter().filter(round).map(|run| run.server) {
        let runs: Vec<&Handshakes> = found.iter().filter(|run| run.server == server).collect();
        let against = |base: &str, run: &Handshakes| {
            let is_base = |other: &&Handshakes| other.round == run.round && other.server == base;
            Some(run.cpu_micros? / found.iter().find(is_base)?.cpu_micros?)
        };
        let first = found.first().map_or("", |first| first.server);
        table.row([
            server.to_owned(),
            text(runs.iter().map(|run| run.per_second)),
            text(runs.iter().filter_map(|run| run.cpu_micros)),
            text(runs.iter().filter_map(|run| against(first, run))),
            text(runs.iter().filter_map(|run| against("floor-write", run))),
        ]);
    }
    table
}
