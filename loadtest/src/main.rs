//! Load tests of a Roomcast node, beside the floor: the least a server can do for the same work.
//! Each scenario prints a table and, with `--json`, what it measured. See README.md.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use crate::children::Children;
use crate::report::Report;

mod attack;
mod children;
mod cluster;
mod compare;
mod connect;
mod crowd;
mod cursors;
mod dialect;
mod door;
mod engine;
#[cfg(test)]
mod fake;
mod fanout;
mod floor;
mod get;
mod growth;
mod idle;
mod machine;
mod pace;
mod page;
mod patterns;
mod peers;
mod people;
mod presence;
mod print;
mod publish_http;
mod random;
mod reader;
mod redis;
mod report;
mod resp;
mod rotate;
mod run;
mod scrape;
mod server;
mod stall;
mod stats;
mod svg;
mod table;
mod torture;
mod window;
mod wire;

/// Load tests of a Roomcast node, beside the floor.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    /// Write what was measured to this file too.
    #[arg(long, global = true, value_name = "PATH")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    Fanout(fanout::FanoutArgs),
    Idle(idle::IdleArgs),
    Connect(connect::ConnectArgs),
    Cluster(cluster::ClusterArgs),
    Redis(redis::RedisArgs),
    Growth(growth::GrowthArgs),
    Stall(stall::StallArgs),
    Presence(presence::PresenceArgs),
    Cursors(cursors::CursorsArgs),
    Patterns(patterns::PatternsArgs),
    PublishHttp(publish_http::PublishHttpArgs),
    Rotate(rotate::RotateArgs),
    Torture(torture::TortureArgs),
    Attack(attack::AttackArgs),
    Run(run::RunArgs),
    Compare(compare::CompareArgs),
    Peers(peers::PeersArgs),
    /// One load process of `run`.
    #[command(hide = true)]
    Worker,
    Floor(floor::FloorArgs),
}

fn main() -> ExitCode {
    match perform(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::note(format_args!("loadtest: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(cli: &Cli) -> Result<()> {
    if let Scenario::Floor(args) = &cli.scenario {
        return floor::run(args);
    }
    if let Scenario::Worker = &cli.scenario {
        return run::worker::main();
    }
    let children = Children::watched()?;
    let report = match measure(&cli.scenario, &children) {
        // The interrupt ended the processes, and the test failed without them.
        Err(_) if children.were_interrupted() => std::process::exit(children::INTERRUPTED),
        report => report?,
    };
    if let Some(path) = &cli.json {
        let text = serde_json::to_string_pretty(&report.figures)?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    if let Some(failure) = report.failure {
        bail!(failure);
    }
    Ok(())
}

fn measure(scenario: &Scenario, children: &Children) -> Result<Report> {
    match scenario {
        Scenario::Fanout(args) => fanout::main(args, children),
        Scenario::Idle(args) => idle::main(args, children),
        Scenario::Connect(args) => connect::main(args, children),
        Scenario::Cluster(args) => cluster::main(args, children),
        Scenario::Redis(args) => redis::main(args, children),
        Scenario::Growth(args) => growth::main(args, children),
        Scenario::Stall(args) => stall::main(args, children),
        Scenario::Patterns(args) => patterns::main(args, children),
        Scenario::Cursors(args) => cursors::main(args, children),
        Scenario::Presence(args) => presence::main(args, children),
        Scenario::PublishHttp(args) => publish_http::main(args, children),
        Scenario::Rotate(args) => rotate::main(args, children),
        Scenario::Torture(args) => torture::main(args, children),
        Scenario::Attack(args) => attack::main(args, children),
        Scenario::Run(args) => run::main(args, children),
        Scenario::Peers(args) => peers::main(args, children),
        Scenario::Compare(args) => compare::main(args),
        Scenario::Floor(_) | Scenario::Worker => bail!("a process of a test measures nothing"),
    }
}
