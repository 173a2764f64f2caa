//! A server under test: a node or a floor, started here or running already.

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_testkit::free_port;
use tempfile::TempDir;

use crate::children::{Children, Running};
use crate::door::Door;
use crate::floor::Mode;
use crate::get::get;
use crate::machine::{self, Cores};

mod args;
mod nginx;

pub(crate) use args::NodeArgs;

/// How long a node may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// How long a node that is said to run already may take.
const RUNNING_WITHIN: Duration = Duration::from_secs(2);
/// How long one HTTP answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of an answer that hold its status.
const STATUS_BYTES: u64 = 64;
/// How much of a failed node's log is shown.
const LOG_TAIL: usize = 2000;

/// What is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A Roomcast node.
    Node,
    /// The floor.
    Floor(Mode),
    /// Another project's server that does the same job.
    Peer,
}

impl Kind {
    /// As the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Floor(Mode::Write) => "floor-write",
            Self::Floor(Mode::Batch) => "floor-batch",
            Self::Peer => "peer",
        }
    }
}

/// A server, and the means to look at it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) addr: SocketAddr,
    /// As the tables call it.
    pub(crate) title: &'static str,
    /// How clients come in.
    pub(crate) door: Arc<Door>,
    /// Its process, if known, and the one in front of it.
    pids: Vec<u32>,
    running: Vec<Running>,
    /// Holds the log of a node started here.
    folder: Option<TempDir>,
}

impl Server {
    /// Starts a node, or finds the one at `--url`, and waits until it is ready.
    pub(crate) fn node(args: &NodeArgs, cores: &Cores, children: &Children) -> Result<Self> {
        Self::node_with(args, &[], cores, children)
    }

    /// As `node`, with more arguments for `roomcast serve`.
    pub(crate) fn node_with(
        args: &NodeArgs,
        more: &[String],
        cores: &Cores,
        children: &Children,
    ) -> Result<Self> {
        if let Some(url) = &args.url {
            let door = Arc::new(args.door.to_urls(std::slice::from_ref(url))?);
            let (kind, addr, title) = (Kind::Node, address(url)?, Kind::Node.name());
            let (pids, running) = (args.pid.into_iter().collect(), Vec::new());
            return Self { kind, addr, title, door, pids, running, folder: None }.when_ready();
        }
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let binary = beside_or(args.node_binary.as_deref())?;
        let mut command = machine::pinned(&binary, cores.server.as_deref());
        command.args(["serve", "--listen", &addr.to_string()]);
        // A load may be faster than any application, and every message of some has a key.
        for unlimited in ["publish_rate=0", "keys_per_user=10000000", "keys_per_room=10000000"] {
            command.args(["--set", &format!("namespaces.default.{unlimited}")]);
        }
        command.args(["--set", "limits.accept_rate=0"]);
        if let Some(url) = &args.redis_url {
            command.args(["--redis-url", url]);
        }
        for setting in args.settings()?.iter().chain(&args.set) {
            command.args(["--set", setting]);
        }
        command.args(more).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut running = vec![children.start(&mut command)?];
        let mut front = addr;
        if args.is_behind_nginx() {
            front = SocketAddr::from(([127, 0, 0, 1], free_port()));
            let pair = args.door.certificate()?;
            let config = nginx::config(folder.path(), (front.port(), addr.port()), &pair)?;
            let mut command = machine::pinned(nginx::PROGRAM.as_ref(), cores.server.as_deref());
            command.arg("-p").arg(folder.path()).arg("-c").arg(config).stdin(Stdio::null());
            running.push(children.start(&mut command).context(nginx::HELP)?);
        }
        Ok(Self {
            kind: Kind::Node,
            addr: front,
            title: args.title(),
            door: Arc::new(args.door.to_started(&args.set)?),
            pids: running.iter().map(Running::pid).collect(),
            running,
            folder: Some(folder),
        })
        .and_then(Self::when_ready)
    }

    /// Starts a floor whose deliveries have `frame_bytes` on the wire.
    pub(crate) fn floor(
        mode: Mode,
        frame_bytes: usize,
        cores: &Cores,
        children: &Children,
    ) -> Result<Self> {
        let me = std::env::current_exe().context("finding this program")?;
        let mut command = machine::pinned(me.as_os_str(), cores.server.as_deref());
        command.args(["floor", "--until-stdin-ends", "--mode", mode.name()]);
        command.args(["--frame-bytes", &frame_bytes.to_string()]).stdin(Stdio::piped());
        let (running, line) = children.start_and_listen(&mut command)?;
        let addr = line.rsplit(' ').next().unwrap_or_default().parse();
        let addr = addr.with_context(|| format!("the floor said {line:?}"))?;
        Ok(Self {
            kind: Kind::Floor(mode),
            addr,
            title: Kind::Floor(mode).name(),
            door: Arc::default(),
            pids: vec![running.pid()],
            running: vec![running],
            folder: None,
        })
    }

    /// Starts another project's server, which takes connections at `addr` when it is ready.
    pub(crate) fn peer(
        mut command: Command,
        addr: SocketAddr,
        children: &Children,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let running = children.start(&mut command)?;
        let server = Self {
            kind: Kind::Peer,
            addr,
            title: Kind::Peer.name(),
            door: Arc::default(),
            pids: vec![running.pid()],
            running: vec![running],
            folder: Some(folder),
        };
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect_timeout(&addr, ANSWER_WITHIN).is_err() {
            server.check()?;
            if Instant::now() > deadline {
                bail!("nothing listens at {addr} after {READY_WITHIN:?}{}", server.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn when_ready(self) -> Result<Self> {
        let within = if self.running.is_empty() { RUNNING_WITHIN } else { READY_WITHIN };
        let deadline = Instant::now() + within;
        loop {
            let answer = status(&self.door, self.addr, "/health/ready");
            if matches!(answer, Ok(200)) {
                return Ok(self);
            }
            self.check()?;
            if Instant::now() > deadline {
                let log = self.log_tail();
                bail!("the node at {} is not ready after {within:?} ({answer:?}){log}", self.addr);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Fails if a server started here has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        let failed = || format!("the server failed{}", self.log_tail());
        self.running.iter().try_for_each(|running| running.check().with_context(failed))
    }

    /// The last lines of the log of a node started here, for an error message.
    pub(crate) fn log_tail(&self) -> String {
        let path = self.folder.as_ref().map(|folder| folder.path().join("log"));
        let Some(text) = path.and_then(|path| std::fs::read(path).ok()) else {
            return String::new();
        };
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_TAIL)..]);
        format!("; the end of its log:\n{text}")
    }

    /// CPU time that the server has used; `None` if its pid is not known.
    pub(crate) fn cpu_time(&self) -> Result<Option<Duration>> {
        self.sum(machine::cpu_time)
    }

    /// Time in which it was kept from running by others; `None` if its pid is not known.
    pub(crate) fn cpu_wait(&self) -> Result<Option<Duration>> {
        self.sum(machine::cpu_wait)
    }

    /// Its process, if known.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pids.first().copied()
    }

    /// Its resident memory in KiB; `None` if its pid is not known.
    pub(crate) fn resident_kib(&self) -> Result<Option<u64>> {
        self.sum(machine::resident_kib)
    }

    /// Over all of its processes.
    fn sum<T: std::iter::Sum>(&self, of: impl Fn(u32) -> Result<T>) -> Result<Option<T>> {
        if self.pids.is_empty() {
            return Ok(None);
        }
        self.pids.iter().map(|&pid| of(pid)).sum::<Result<T>>().map(Some)
    }
}

/// The node's binary: this one, or `roomcast` beside this program.
pub(crate) fn beside_or(named: Option<&Path>) -> Result<OsString> {
    if let Some(path) = named {
        return Ok(path.as_os_str().to_owned());
    }
    let path = std::env::current_exe().context("finding this program")?.with_file_name("roomcast");
    if !path.exists() {
        bail!(
            "no node at {}: build it (cargo build --release) or name it with --node-binary",
            path.display()
        );
    }
    Ok(path.into_os_string())
}

/// The address in `ws://host:port`, with or without the scheme and a path.
pub(crate) fn address(url: &str) -> Result<SocketAddr> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let mut found =
        host.to_socket_addrs().with_context(|| format!("{url:?} names no host:port"))?;
    found.next().with_context(|| format!("{host:?} has no address"))
}

/// The status of a GET.
pub(crate) fn status(door: &Door, addr: SocketAddr, path: &str) -> Result<u16> {
    let answer = get(door, addr, path, (ANSWER_WITHIN, STATUS_BYTES))?;
    let status = answer.split(' ').nth(1).context("no HTTP answer")?;
    Ok(status.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let local: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(address("ws://127.0.0.1:8080").unwrap(), local);
        assert_eq!(address("ws://127.0.0.1:8080/ws").unwrap(), local);
        assert_eq!(address("127.0.0.1:8080").unwrap(), local);
        assert!(address("ws://nowhere").is_err());
    }
}
