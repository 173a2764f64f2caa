//! `roomcast serve` as a process of its own, and what it writes to its log.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::sync::watch;

use super::{eventually, get, soon};

/// A free port, a log that can be read, and no limit on publishing or on what is missed.
const USUAL: [&str; 10] = [
    "serve",
    "--listen=127.0.0.1:0",
    "--set=log.format=json",
    "--set=log.level=info",
    "--set=drain.total=1s",
    "--set=drain.pause=0",
    "--set=node.workers=2",
    "--set=namespaces.default.publish_rate=0",
    "--set=namespaces.default.history_size=20000",
    "--set=namespaces.default.repair_window=20000",
];

/// A node's process; it is killed with the test.
pub struct Process {
    child: Child,
    log: watch::Receiver<Vec<Value>>,
}

impl Process {
    /// Starts a node with these arguments besides the usual ones.
    pub fn serve(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_roomcast"))
            .args(USUAL)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (told, log) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // What the program says last, as it gives up.
                if line.starts_with("roomcast: ") {
                    continue;
                }
                let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
                told.send_modify(|log| log.push(line));
            }
        });
        Self { child, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub async fn address(&self) -> SocketAddr {
        let listening = self.until("listening", 1).await;
        listening["address"].as_str().unwrap().parse().unwrap()
    }

    /// Waits for so many lines with this message; returns the last of them.
    pub async fn until(&self, message: &str, count: usize) -> Value {
        let with = |log: &Vec<Value>| {
            let mut lines = log.iter().filter(|line| line["message"] == message);
            lines.nth(count - 1).cloned()
        };
        let mut log = self.log.clone();
        let log = soon(message, log.wait_for(|log| with(log).is_some())).await;
        with(&log.expect("it runs")).unwrap()
    }

    /// Waits until `/health/ready` answers this.
    pub async fn ready(&self, wanted: u16) {
        let address = self.address().await;
        let is = async || get(address, "/health/ready").await.status == wanted;
        eventually(&format!("ready is {wanted}"), is).await;
    }

    /// What it has written so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.borrow().clone()
    }

    /// Sends it a signal by its name for `kill`, such as `-TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Asks it to end and waits until it has; all that it has written.
    pub async fn stop(self) -> Vec<Value> {
        self.signal("-TERM");
        self.end().await
    }

    /// Waits until it has ended by itself; its exit code.
    pub async fn fails(mut self) -> Option<i32> {
        let mut status = None;
        eventually("its end", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.and_then(|status| status.code())
    }

    /// Waits until it has ended well; all that it has written.
    pub async fn end(mut self) -> Vec<Value> {
        let mut status = None;
        eventually("its end", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
        // Its reader lets go of the log at the end of the stream.
        let mut log = self.log.clone();
        while soon("the end of the log", log.changed()).await.is_ok() {}
        log.borrow().clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
