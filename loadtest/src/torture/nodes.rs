//! The nodes of a run: processes on fixed ports that are killed, stopped, drained and started again.
//! Each writes one log over all of its lives.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_testkit::free_port;

use crate::children::{Children, Running};
use crate::door::Door;
use crate::server::status;

/// What a node says last that finds no Redis at its start.
const NOT_STARTED: &str = "roomcast: the node did not start: Redis";
/// How long a node may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(30);

/// One node.
pub(super) struct TortureNode {
    pub(super) addr: SocketAddr,
    binary: std::ffi::OsString,
    arguments: Vec<String>,
    log: PathBuf,
    door: Arc<Door>,
    children: Children,
    running: Option<Running>,
}

impl TortureNode {
    /// Starts a node; it may take a while to be ready.
    pub(super) fn start(
        binary: &std::ffi::OsStr,
        arguments: Vec<String>,
        (log, door): (&Path, &Arc<Door>),
        children: &Children,
    ) -> Result<Self> {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut node = Self {
            addr,
            binary: binary.to_owned(),
            arguments,
            log: log.to_owned(),
            door: Arc::clone(door),
            children: children.clone(),
            running: None,
        };
        node.run()?;
        Ok(node)
    }

    /// Starts it if it does not run.
    pub(super) fn run(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--listen", &self.addr.to_string()]).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.running = Some(self.children.start(&mut command)?);
        Ok(())
    }

    /// Ends it at once (SIGKILL).
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    /// Stops it (SIGSTOP) or lets it go on (SIGCONT), if it runs.
    pub(super) fn signal(&self, name: &str) -> Result<()> {
        self.running.as_ref().map_or(Ok(()), |running| running.signal(name))
    }

    /// Ends it with SIGTERM, if it runs, and waits for that; fails if it does not end well.
    pub(super) fn drain(&mut self) -> Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let deadline = Instant::now() + DRAIN;
        // A process that began a moment ago does not handle signals yet.
        while running.ended()?.is_none() && !heeds_sigterm(running.pid())? {
            if Instant::now() > deadline {
                bail!("it does not handle SIGTERM {DRAIN:?} after its start");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        running.signal("TERM")?;
        loop {
            match running.ended()? {
                Some(status) if status.success() => return Ok(()),
                // It was about to give up starting.
                Some(_) if self.last_words().starts_with(NOT_STARTED) => return Ok(()),
                Some(status) => bail!("after SIGTERM it ended with {status}"),
                None if Instant::now() > deadline => bail!("it still runs {DRAIN:?} after SIGTERM"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Starts it again if it could not start because Redis was away, as whoever runs nodes would;
    /// fails if it ended for any other reason.
    pub(super) fn look_after(&mut self) -> Result<()> {
        let Some(running) = &self.running else { return Ok(()) };
        let Some(status) = running.ended()? else { return Ok(()) };
        self.running = None;
        let last = self.last_words();
        let done = self.run();
        if !last.starts_with(NOT_STARTED) {
            bail!("it ended by itself with {status}: {last}");
        }
        done
    }

    /// The last line of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().next_back().unwrap_or_default().to_owned()
    }

    /// Fails if it should run and does not.
    pub(super) fn check(&self) -> Result<()> {
        self.running.as_ref().map_or(Ok(()), Running::check)
    }

    /// Whether it calls itself ready.
    pub(super) fn is_ready(&self) -> bool {
        matches!(status(&self.door, self.addr, "/health/ready"), Ok(200))
    }

    /// Lines of its log that tell of a panic.
    pub(super) fn panics(&self) -> Vec<String> {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
    }
}

/// Whether a process has a handler for SIGTERM (proc(5), `SigCgt`).
fn heeds_sigterm(pid: u32) -> Result<bool> {
    const SIGTERM: u64 = 1 << (15 - 1);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    Ok(u64::from_str_radix(caught.context("no SigCgt")?.trim(), 16)? & SIGTERM != 0)
}
