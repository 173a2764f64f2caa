//! A server under test: a node or a floor, started here or running already.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use roomcast_testkit::free_port;
use tempfile::TempDir;

use crate::children::{Children, Running};
use crate::floor::Mode;
use crate::machine::{self, Cores};
use crate::secure::Secure;

/// How long a node may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// How long a node that is said to run already may take.
const RUNNING_WITHIN: Duration = Duration::from_secs(2);
/// How long one HTTP answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
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

/// Which node to test.
#[derive(Debug, Clone, Args)]
pub(crate) struct NodeArgs {
    /// The node's binary; else `roomcast` beside this program.
    #[arg(long, value_name = "PATH")]
    node_binary: Option<PathBuf>,
    /// Use a node that runs already, for example ws://127.0.0.1:8080 or wss://127.0.0.1:8443.
    #[arg(long, value_name = "URL", conflicts_with = "node_binary")]
    url: Option<String>,
    /// The pid of the node at --url, so that its CPU time and memory can be read.
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// Certificates (PEM) of the authorities to trust behind wss://, in place of the system's. Nodes
    /// started here with `--set tls.cert=…` and `tls.key=…` are spoken to by TLS.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Another setting of the nodes started here, as `roomcast serve --set` takes it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A Redis server for the nodes started here; without it their bus is in memory.
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    pub(crate) redis_url: Option<String>,
}

impl NodeArgs {
    /// Nodes that are started here, with these settings.
    pub(crate) fn to_start(node_binary: Option<PathBuf>, set: Vec<String>) -> Self {
        Self { node_binary, url: None, pid: None, ca: None, set, redis_url: None }
    }

    /// The same for a node that runs already.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: Some(url.to_owned()), ..self.clone() }
    }

    /// The same for nodes that show this certificate, signed by an authority with this file.
    pub(crate) fn behind_tls(&self, ca: &Path, (cert, key): (&Path, &Path)) -> Self {
        let mut args = Self { ca: Some(ca.to_owned()), ..self.clone() };
        args.set.push(format!("tls.cert={}", cert.display()));
        args.set.push(format!("tls.key={}", key.display()));
        args
    }

    /// How to speak TLS, where it is spoken.
    fn secure(&self) -> Result<Option<Secure>> {
        let ca = self.ca.as_deref();
        match &self.url {
            Some(url) if url.starts_with("wss://") => Secure::of_url(url, ca).map(Some),
            None if self.set.iter().any(|setting| setting.starts_with("tls.cert=")) => {
                Secure::new("127.0.0.1", ca).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether they name a node that runs already.
    pub(crate) fn runs_already(&self) -> bool {
        self.url.is_some()
    }

    /// The same for nodes on this Redis.
    pub(crate) fn on_redis(&self, url: &str) -> Self {
        Self { redis_url: Some(url.to_owned()), ..self.clone() }
    }
}

/// A server, and the means to look at it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) addr: SocketAddr,
    pid: Option<u32>,
    running: Option<Running>,
    /// Holds the log of a node started here.
    folder: Option<TempDir>,
    /// How to speak TLS with it, if it speaks TLS.
    pub(crate) secure: Option<Secure>,
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
            let addr = address(url)?;
            let server = Self {
                kind: Kind::Node,
                addr,
                pid: args.pid,
                running: None,
                folder: None,
                secure: args.secure()?,
            };
            return server.when_ready();
        }
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let binary = binary(args)?;
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
        for setting in &args.set {
            command.args(["--set", setting]);
        }
        command.args(more).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let running = children.start(&mut command)?;
        let pid = Some(running.pid());
        let (running, folder) = (Some(running), Some(folder));
        let secure = args.secure()?;
        Self { kind: Kind::Node, addr, pid, running, folder, secure }.when_ready()
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
        let pid = Some(running.pid());
        let running = Some(running);
        Ok(Self { kind: Kind::Floor(mode), addr, pid, running, folder: None, secure: None })
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
        let (pid, folder) = (Some(running.pid()), Some(folder));
        let running = Some(running);
        let server = Self { kind: Kind::Peer, addr, pid, running, folder, secure: None };
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
        let within = if self.running.is_some() { READY_WITHIN } else { RUNNING_WITHIN };
        let deadline = Instant::now() + within;
        loop {
            let answer = status_over(self.secure.as_ref(), self.addr, "/health/ready");
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
        let Some(running) = &self.running else { return Ok(()) };
        running.check().with_context(|| format!("the server failed{}", self.log_tail()))
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
        self.pid.map(machine::cpu_time).transpose()
    }

    /// Time in which it was kept from running by others; `None` if its pid is not known.
    pub(crate) fn cpu_wait(&self) -> Result<Option<Duration>> {
        self.pid.map(machine::cpu_wait).transpose()
    }

    /// Its process, if known.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Its resident memory in KiB; `None` if its pid is not known.
    pub(crate) fn resident_kib(&self) -> Result<Option<u64>> {
        self.pid.map(machine::resident_kib).transpose()
    }
}

fn binary(args: &NodeArgs) -> Result<OsString> {
    beside_or(args.node_binary.as_deref())
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
pub(crate) fn status(addr: SocketAddr, path: &str) -> Result<u16> {
    status_over(None, addr, path)
}

fn status_over(secure: Option<&Secure>, addr: SocketAddr, path: &str) -> Result<u16> {
    let stream = TcpStream::connect_timeout(&addr, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    match secure {
        Some(secure) => status_of(secure.over(stream)?, addr, path),
        None => status_of(stream, addr, path),
    }
}

fn status_of(mut stream: impl Read + Write, addr: SocketAddr, path: &str) -> Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(64).read_to_string(&mut answer)?;
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
