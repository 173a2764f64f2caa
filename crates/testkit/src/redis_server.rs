//! A `redis-server` on a free port of 127.0.0.1, in a folder of its own; without persistence
//! unless its arguments ask for it.

mod launch;
mod tls;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::{FromRedisValue, RedisResult};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::wait::until;

pub use launch::{Launch, Login};

/// A server that is not ready within this did not start.
const START: Duration = Duration::from_secs(10);
/// A server that is up answers any command within this.
const ANSWER: Duration = Duration::from_secs(30);

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    launch: Launch,
    folder: TempDir,
    child: Child,
    /// Neither killed nor paused.
    is_up: AtomicBool,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        Self::launch(&Launch::default())
    }

    /// Starts a server with further arguments, such as `["--maxmemory", "10mb"]`.
    pub fn with(arguments: &[&str]) -> Self {
        Self::launch(&Launch::default().arguments(arguments))
    }

    /// Starts a server that speaks nothing but TLS on its port; `ca_file` says whom to trust.
    pub fn tls() -> Self {
        Self::launch(&Launch::default().tls())
    }

    /// Starts a replica of a server without TLS, and waits until it has all of its data.
    pub fn replica_of(primary: &Self) -> Self {
        assert!(!primary.launch.speaks_tls(), "replicas do not speak TLS");
        let port = primary.port.to_string();
        let launch = Launch::default().login(primary.launch.who().cloned());
        let replica = Self::launch(&launch.arguments(&["--replicaof", "127.0.0.1", &port]));
        until("a replica's first sync", || replica.is_linked());
        replica
    }

    /// Starts a server as described.
    pub fn launch(launch: &Launch) -> Self {
        // Between finding a free port and the server's bind somebody else may take it.
        let mut tries = (0..5).map(|_| Self::at(free_port(), launch));
        tries.find_map(|server| server).expect("redis-server starts")
    }

    /// A server on this port; `None` if it does not start, as where the port is taken.
    fn at(port: u16, launch: &Launch) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder for the server");
        launch.furnish(folder.path());
        let child = launch.spawn(port, folder.path());
        let is_up = AtomicBool::new(true);
        let mut server = Self { port, launch: launch.clone(), folder, child, is_up };
        server.is_ready().then_some(server)
    }

    /// Where it listens, and the login if it wants one.
    pub fn url(&self) -> String {
        let scheme = if self.launch.speaks_tls() { "rediss" } else { "redis" };
        let login = self.launch.who().map(Login::in_url).unwrap_or_default();
        format!("{scheme}://{login}127.0.0.1:{}", self.port)
    }

    /// The PEM file of the authority to trust if it speaks TLS.
    pub fn ca_file(&self) -> PathBuf {
        tls::ca_file(self.folder.path())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it was neither killed nor paused.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::SeqCst)
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.is_up.store(false, Ordering::SeqCst);
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it if it runs, and starts it on the same port with what it left on disk: everything
    /// it acknowledged if it is append-only, else what it saved last.
    pub fn restart(&mut self) {
        self.kill();
        let deadline = Instant::now() + START;
        loop {
            self.child = self.launch.spawn(self.port, self.folder.path());
            if self.is_ready() {
                return self.is_up.store(true, Ordering::SeqCst);
            }
            self.kill();
            assert!(Instant::now() < deadline, "redis-server does not start again");
        }
    }

    /// Kills it if it runs, and starts it empty on the same port.
    pub fn restart_empty(&mut self) {
        self.kill();
        let data = launch::data(self.folder.path());
        fs::remove_dir_all(&data).expect("the folder is the server's own");
        fs::create_dir(&data).expect("a folder for the data");
        self.restart();
    }

    /// Stops it without ending it (SIGSTOP): connections stay, nothing answers.
    pub fn pause(&self) {
        self.is_up.store(false, Ordering::SeqCst);
        self.signal("-STOP");
    }

    /// Lets it go on after `pause`.
    pub fn resume(&self) {
        self.signal("-CONT");
        self.is_up.store(true, Ordering::SeqCst);
    }

    /// Sends it one command and returns the answer; panics if that is an error.
    pub fn command(&self, words: &[&str]) -> redis::Value {
        self.ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Sends it one command, on a connection of its own, and returns the answer as what is wanted.
    ///
    /// # Errors
    /// What the server answered, or that it does not.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        ask(&self.own_url(), words, ANSWER)
    }

    /// What INFO says of a replica that follows its primary.
    pub(crate) fn is_linked(&self) -> bool {
        self.info("replication").contains("master_link_status:up")
    }

    /// A section of INFO; empty where there is no answer.
    pub(crate) fn info(&self, section: &str) -> String {
        self.ask(&["INFO", section]).unwrap_or_default()
    }

    /// The way of the testkit's own commands, which do not speak TLS.
    fn own_url(&self) -> String {
        if !self.launch.speaks_tls() {
            return self.url();
        }
        let socket = launch::socket(self.folder.path());
        let [user, password] = self.launch.who().map_or(["default", ""], Login::parts);
        format!("redis+unix://{}?user={user}&pass={password}", socket.display())
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.pid().to_string()).status();
        assert!(status.expect("the command kill").success());
    }

    /// Whether it says so itself before it ends or the time is up. An answer on its port would
    /// prove nothing: where two servers were given one port, both would be answered by the first.
    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + START;
        let log = launch::log(self.folder.path());
        let ready = self.launch.ready_line();
        while Instant::now() < deadline {
            if fs::read_to_string(&log).is_ok_and(|log| log.contains(ready)) {
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

/// Whether the server on this port is a replica just now; `None` if it does not answer in time.
pub fn is_replica(port: u16, in_time: Duration) -> Option<bool> {
    let url = format!("redis://127.0.0.1:{port}");
    let role: Vec<redis::Value> = ask(&url, &["ROLE"], in_time).ok()?;
    Some(role.first() == Some(&redis::Value::BulkString(b"slave".to_vec())))
}

fn ask<T: FromRedisValue>(url: &str, words: &[&str], in_time: Duration) -> RedisResult<T> {
    let client = redis::Client::open(url).expect("a valid URL");
    let mut connection = client.get_connection_with_timeout(in_time)?;
    connection.set_read_timeout(Some(in_time))?;
    redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_a_taken_port_is_not_mistaken_for_the_one_that_has_it() {
        let first = RedisServer::start();
        assert!(RedisServer::at(first.port(), &Launch::default()).is_none());
    }

    #[test]
    fn servers_started_side_by_side_are_each_ones_own() {
        let start = || std::thread::spawn(RedisServer::start);
        let servers: Vec<_> = (0..8).map(|_| start()).collect();
        for server in servers {
            let server = server.join().unwrap();
            let info = server.info("server");
            assert!(info.contains(&format!("process_id:{}\r", server.pid())), "{info}");
        }
    }

    fn value(server: &RedisServer) -> Option<String> {
        server.ask(&["GET", "key"]).unwrap()
    }

    #[test]
    fn a_replica_has_what_its_primary_has() {
        for login in [None, Some(Login::user("node", "secret"))] {
            let primary = RedisServer::launch(&Launch::default().login(login));
            primary.command(&["SET", "key", "value"]);
            assert_eq!(value(&RedisServer::replica_of(&primary)).unwrap(), "value");
        }
    }

    #[test]
    fn a_server_keeps_its_data_over_a_restart_if_it_is_to() {
        let mut server = RedisServer::with(&["--appendonly", "yes"]);
        server.command(&["SET", "key", "value"]);
        server.restart();
        assert_eq!(value(&server).unwrap(), "value");
        server.restart_empty();
        assert_eq!(value(&server), None);
    }

    #[test]
    fn a_server_with_a_login_lets_nobody_else_in() {
        for login in [Login::password("secret"), Login::user("node", "secret")] {
            let server = RedisServer::launch(&Launch::default().login(login));
            server.command(&["PING"]);
            let stranger = redis::Client::open(format!("redis://127.0.0.1:{}", server.port()));
            let mut stranger = stranger.unwrap().get_connection().unwrap();
            let answer: RedisResult<String> = redis::cmd("PING").query(&mut stranger);
            assert_eq!(answer.unwrap_err().code(), Some("NOAUTH"));
        }
    }

    #[test]
    fn a_tls_server_answers_those_who_trust_its_authority() {
        let server = RedisServer::launch(&Launch::default().tls().login(Login::password("secret")));
        server.command(&["SET", "key", "value"]);
        let port = server.port().to_string();
        let cli = |arguments: &[&str]| {
            let base = ["-p", &port, "-a", "secret", "--no-auth-warning"];
            let output = Command::new("redis-cli").args(base).args(arguments).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let ca = server.ca_file();
        let tls = ["--tls", "--cacert", ca.to_str().unwrap(), "GET", "key"];
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(cli(&[&["-h", host, "--sni", host][..], &tls].concat()), "value\n");
        }
        assert_eq!(cli(&["--tls", "GET", "key"]), "");
        assert_eq!(cli(&["GET", "key"]), "");
        assert!(server.url().starts_with("rediss://:secret@127.0.0.1:"));
    }
}
