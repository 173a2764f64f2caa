//! `roomcast drain`: has a node of this machine drain, and waits for its end.

mod nodes;

use std::fmt::Write;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use nodes::NodeProcess;

/// How often the command looks whether the node has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What `roomcast drain` is asked.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// The node's process; else the only node of this user that runs here
    #[arg(long)]
    pid: Option<i32>,
    /// Give up waiting after so many seconds; the node drains on
    #[arg(long, default_value_t = 330, value_name = "SECONDS")]
    wait: u64,
}

/// Sends SIGTERM and waits; fails if the node still runs after that. Only a node of the user that
/// asks is ended.
pub(crate) fn run(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    let node = choose(args.pid, NodeProcess::all()?)?;
    let pid = Pid::from_raw(node.pid).context("a process id is above 0")?;
    if !node.runs() {
        bail!("{node} has just ended");
    }
    kill_process(pid, Signal::TERM).with_context(|| format!("ending {node}"))?;
    println!("{node} drains");
    let begun = Instant::now();
    while node.runs() {
        if begun.elapsed() > Duration::from_secs(args.wait) {
            bail!("{node} still runs after {} s", args.wait);
        }
        sleep(POLL_INTERVAL);
    }
    println!("it ended after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// The node that is meant: the process named, or the only one of this user. If that is not one node,
/// the error lists every node.
fn choose(pid: Option<i32>, nodes: Vec<NodeProcess>) -> anyhow::Result<NodeProcess> {
    let meant = |node: &&NodeProcess| match pid {
        Some(pid) => node.pid == pid,
        None => node.is_own(),
    };
    let mut found = nodes.iter().filter(meant);
    let why = match (found.next(), found.next(), pid) {
        (Some(node), None, _) if node.is_own() => return Ok(node.clone()),
        (Some(node), None, _) => format!("{node}: only its own user may have it drain"),
        (Some(_), Some(_), _) => "several nodes run here, choose one with --pid".to_owned(),
        (None, _, Some(pid)) => format!("process {pid} is no node (no `roomcast serve`)"),
        (None, _, None) => "no node of this user (no `roomcast serve`) runs here".to_owned(),
    };
    let mut message = why;
    for node in &nodes {
        write!(message, "\n  {node}")?;
    }
    bail!(message)
}

#[cfg(test)]
mod tests {
    use super::nodes::born;
    use super::*;

    #[test]
    fn a_process_is_known_until_it_ends() {
        let own = std::process::id() as i32;
        assert!(born(own).is_some());
        assert_eq!(born(own), born(own));
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let pid = child.id() as i32;
        let end = Instant::now() + Duration::from_secs(10);
        while born(pid).is_some() {
            assert!(Instant::now() < end, "it ends, though nobody has waited for it");
            sleep(Duration::from_millis(1));
        }
        child.wait().expect("it ended");
        assert_eq!(born(pid), None);
    }

    fn node(pid: i32, user: u32) -> NodeProcess {
        let addresses = vec![([127, 0, 0, 1], pid as u16).into()];
        NodeProcess { pid, born: 1, user, binary: "/opt/roomcast".into(), addresses }
    }

    #[test]
    fn only_the_users_own_node_is_chosen() {
        let own = rustix::process::geteuid().as_raw();
        let (mine, also_mine, others) = (node(7, own), node(8, own), node(9, own + 1));
        let chosen = |pid, nodes: &[&NodeProcess]| {
            choose(pid, nodes.iter().copied().cloned().collect())
                .map(|node| node.pid)
                .map_err(|error| error.to_string())
        };
        assert_eq!(chosen(None, &[&mine]), Ok(7));
        assert_eq!(chosen(None, &[&mine, &others]), Ok(7));
        assert_eq!(chosen(Some(8), &[&mine, &also_mine, &others]), Ok(8));
        let listed = [
            "\n  process 7 (/opt/roomcast on 127.0.0.1:7)",
            "\n  process 8 (/opt/roomcast on 127.0.0.1:8)",
            &format!("\n  process 9 (/opt/roomcast on 127.0.0.1:9) of user {}", own + 1),
        ];
        for (pid, why) in [
            (None, "several nodes run here, choose one with --pid"),
            (Some(1), "process 1 is no node"),
            (Some(9), "only its own user may have it drain"),
            (Some(-7), "process -7 is no node"),
        ] {
            let error = chosen(pid, &[&mine, &also_mine, &others]).expect_err(why);
            for part in [&[why], &listed[..]].concat() {
                assert!(error.contains(part), "{part} in {error}");
            }
        }
        let error = chosen(None, &[&others]).expect_err("another user's");
        assert!(error.starts_with("no node of this user"), "{error}");
        assert!(error.contains(listed[2]), "{error}");
        assert!(chosen(None, &[]).is_err());
    }
}
