//! `roomcast drain`: has a node of this machine drain, and waits for its end.

use std::fs;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

/// How often it looks whether the node has ended.
const LOOK: Duration = Duration::from_millis(100);

/// What `roomcast drain` is asked.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// The node's process; else the only `roomcast serve` that runs here
    #[arg(long)]
    pid: Option<i32>,
    /// Give up waiting after so many seconds; the node drains on
    #[arg(long, default_value_t = 330, value_name = "SECONDS")]
    wait: u64,
}

/// Sends SIGTERM and waits; fails if the node still runs after that.
pub(crate) fn run(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    let number = match args.pid {
        Some(pid) => pid,
        None => only_node()?,
    };
    let pid = Pid::from_raw(number).context("a process id is above 0")?;
    let born = born(number);
    kill_process(pid, Signal::TERM).with_context(|| format!("ending process {number}"))?;
    println!("process {number} drains");
    let begun = Instant::now();
    while born.is_some() && self::born(number) == born {
        if begun.elapsed() > Duration::from_secs(args.wait) {
            bail!("process {number} still runs after {} s", args.wait);
        }
        sleep(LOOK);
    }
    println!("it ended after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// When a process began (proc(5), `starttime`), which tells it from a later one of its number; none
/// if it has ended, be it that its parent has not looked yet.
fn born(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, blanks and brackets too.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The process of this machine that runs `roomcast serve`.
fn only_node() -> anyhow::Result<i32> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has just ended is none.
        let Ok(command) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        if is_node(&command) {
            nodes.push(pid);
        }
    }
    match nodes[..] {
        [only] => Ok(only),
        [] => bail!("no `roomcast serve` runs here"),
        _ => bail!("several nodes run here, choose one with --pid: {nodes:?}"),
    }
}

/// Whether a command line (proc(5), words with a NUL after each) is that of a node.
fn is_node(command: &[u8]) -> bool {
    let mut words = command.split(|&byte| byte == 0);
    let program = words.next().unwrap_or_default();
    let name = program.rsplit(|&byte| byte == b'/').next();
    name == Some(b"roomcast") && words.next() == Some(b"serve")
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_node_is_known_by_its_command() {
        assert!(is_node(b"/usr/bin/roomcast\0serve\0--listen\0x\0"));
        assert!(is_node(b"roomcast\0serve\0"));
        for other in [&b"roomcast\0tail\0serve\0"[..], b"vi\0serve\0", b"roomcast-x\0serve\0", b""]
        {
            assert!(!is_node(other));
        }
    }
}
