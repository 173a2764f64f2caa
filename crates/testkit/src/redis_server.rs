//! A `redis-server` without persistence, on a free port of 127.0.0.1, in a folder of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_port;

/// A server that is not ready within this did not start.
const START: Duration = Duration::from_secs(10);
/// What a server writes into its log when it takes connections.
const READY: &str = "Ready to accept connections";

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
    child: Child,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with further arguments, such as `["--maxmemory", "10mb"]`.
    pub fn with(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        // Between finding a free port and the server's bind somebody else may take it.
        let mut tries = (0..5).map(|_| Self::at(free_port(), &arguments));
        tries.find_map(|server| server).expect("redis-server starts")
    }

    /// A server on this port; `None` if it does not start, as where the port is taken.
    fn at(port: u16, arguments: &[String]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder for the server");
        let child = spawn(port, arguments, &folder);
        let mut server = Self { port, arguments: arguments.to_vec(), folder, child };
        server.is_ready().then_some(server)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once (SIGKILL); its data is lost.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it if it runs, and starts it empty on the same port.
    pub fn restart_empty(&mut self) {
        self.kill();
        let deadline = Instant::now() + START;
        loop {
            self.child = spawn(self.port, &self.arguments, &self.folder);
            if self.is_ready() {
                return;
            }
            self.kill();
            assert!(Instant::now() < deadline, "redis-server does not start again");
        }
    }

    /// Stops it without ending it (SIGSTOP): connections stay, nothing answers.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after `pause`.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// Sends it one command and returns the answer.
    pub fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).expect("a valid URL");
        let mut connection = client.get_connection().expect("the server answers");
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut connection).expect("the server takes the command")
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.pid().to_string()).status();
        assert!(status.expect("the command kill").success());
    }

    /// Whether it says so itself before it ends or the time is up. An answer on its port would
    /// prove nothing: where two servers were given one port, both would be answered by the first.
    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if std::fs::read_to_string(log(self.folder.path())).is_ok_and(|log| log.contains(READY))
            {
                return true;
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn log(folder: &Path) -> std::path::PathBuf {
    folder.join("log")
}

fn spawn(port: u16, arguments: &[String], folder: &TempDir) -> Child {
    let log = log(folder.path());
    // What an earlier run on this folder wrote says nothing of this one.
    let _ = std::fs::remove_file(&log);
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(folder.path())
        .arg("--logfile")
        .arg(log)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_a_taken_port_is_not_mistaken_for_the_one_that_has_it() {
        let first = RedisServer::start();
        assert!(RedisServer::at(first.port(), &[]).is_none());
    }

    #[test]
    fn servers_started_side_by_side_are_each_ones_own() {
        let start = || std::thread::spawn(RedisServer::start);
        let servers: Vec<_> = (0..8).map(|_| start()).collect();
        for server in servers {
            let server = server.join().unwrap();
            let info = format!("{:?}", server.command(&["INFO", "server"]));
            assert!(info.contains(&format!("process_id:{}\\r", server.pid())), "{info}");
        }
    }
}
