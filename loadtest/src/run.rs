//! `run`: a scenario from a TOML file, on Roomcast or on one of its peers: several load processes,
//! messages by the clock, delays from the moment at which each was due, and a report.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::children::Children;
use crate::door::DoorArgs;
use crate::print;
use crate::report::Report;

mod account;
mod agenda;
mod clock;
mod conduct;
mod crew;
pub(crate) mod delays;
mod line;
mod load;
mod member;
pub(crate) mod outcome;
pub(crate) mod peer;
mod peers_folder;
mod probe;
mod publisher;
mod sample;
#[cfg(test)]
mod sample_outcome;
pub(crate) mod scenario;
mod stage;
mod stamp;
mod talk;
pub(crate) mod text;
pub(crate) mod worker;

use outcome::Outcome;
use peer::Peer;
pub(crate) use sample::Use;
#[cfg(test)]
pub(crate) use sample_outcome::sample_outcome;
use scenario::Scenario;
pub(crate) use stage::Props;
use stage::Stage;
pub(crate) use talk::Second;

/// Run a scenario from a file.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// The scenario, such as loadtest/scenarios/chat.toml.
    scenario: PathBuf,
    /// The server under test.
    #[arg(long, value_enum, default_value = "roomcast")]
    peer: Peer,
    /// Use what runs there instead of starting nodes; repeatable.
    #[arg(long, value_name = "URL")]
    at: Vec<String>,
    /// The pids of the nodes behind --at, so that their CPU and memory can be read; repeatable.
    #[arg(long, value_name = "PID", requires = "at")]
    pid: Vec<u32>,
    /// The node's binary; else `roomcast` beside this program.
    #[arg(long, value_name = "PATH")]
    node_binary: Option<PathBuf>,
    /// Another setting of the Roomcast nodes started here.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    door: DoorArgs,
    /// Instead of the file's: nodes to start.
    #[arg(long)]
    nodes: Option<usize>,
    /// Instead of the file's: seconds in which messages are published.
    #[arg(long)]
    seconds: Option<f64>,
    /// Instead of the file's: clients that receive.
    #[arg(long)]
    clients: Option<usize>,
    /// Instead of the file's: messages per second.
    #[arg(long)]
    rate: Option<f64>,
    /// Instead of the file's: load processes.
    #[arg(long)]
    processes: Option<usize>,
    /// Write a report with plots to this file.
    #[arg(long, value_name = "PATH")]
    html: Option<PathBuf>,
}

impl RunArgs {
    fn scenario(&self) -> Result<Scenario> {
        let mut scenario = Scenario::read(&self.scenario)?;
        scenario.nodes = self.nodes.unwrap_or(scenario.nodes);
        scenario.rate = self.rate.unwrap_or(scenario.rate);
        scenario.processes = self.processes.or(scenario.processes);
        if let Some(clients) = self.clients {
            scenario.resize(clients);
        }
        if let Some(seconds) = self.seconds {
            scenario.stretch(seconds);
        }
        scenario.check().context("with these options")?;
        if !self.at.is_empty() && scenario.kill.is_some() {
            bail!("a scenario that kills a node starts its nodes itself: leave --at out");
        }
        Ok(scenario)
    }
}

/// Runs the scenario.
pub(crate) fn main(args: &RunArgs, children: &Children) -> Result<Report> {
    let scenario = args.scenario()?;
    let props = Props {
        node_binary: args.node_binary.clone(),
        set: args.set.clone(),
        door: args.door.clone(),
    };
    let stage = match &args.at[..] {
        [] => Stage::start(args.peer, scenario.nodes, &props, children)?,
        urls => Stage::at(urls, &args.pid, args.peer, &args.door)?,
    };
    let run = on_stage(&scenario, args.peer, stage, children)?;
    print::out(format_args!("{}\n{}", text::heading(&run), text::table(&run)))?;
    for warning in text::warnings(&run) {
        print::out(format_args!("WARNING {warning}"))?;
    }
    if let Some(path) = &args.html {
        let page = crate::page::html(&run);
        std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))?;
    }
    let failure = run.failure();
    Ok(Report { figures: serde_json::to_value(&run)?, failure })
}

/// Runs a scenario on a peer's nodes, which are started for it.
pub(crate) fn fresh(
    scenario: &Scenario,
    peer: Peer,
    props: &Props,
    children: &Children,
) -> Result<Outcome> {
    let stage = Stage::start(peer, scenario.nodes, props, children)?;
    on_stage(scenario, peer, stage, children)
}

fn on_stage(
    scenario: &Scenario,
    peer: Peer,
    mut stage: Stage,
    children: &Children,
) -> Result<Outcome> {
    conduct::conduct(scenario, (peer, &mut stage), children)
}
