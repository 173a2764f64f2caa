//! The program `roomcast` as people run it, with its pipes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::SOON;

/// A process that runs; it is ended with the test.
pub struct Program {
    pub child: Child,
    pub out: Receiver<String>,
    pub err: Receiver<String>,
}

impl Program {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// Starts it with these variables.
    pub fn start_with(arguments: &[&str], variables: &[(&str, &OsStr)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
        command.args(arguments).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
        command.envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// Starts a node; returns where it listens.
    pub fn serve(arguments: &[&str]) -> (Self, SocketAddr) {
        let usual = ["serve", "--set", "log.format=json", "--set", "node.workers=1"];
        let program = Self::start(&[&usual[..], arguments].concat());
        let line = program.log("\"listening\"");
        let address = line["address"].as_str().unwrap().parse().unwrap();
        (program, address)
    }

    /// The next line of stdout, which is one JSON value.
    pub fn line(&self) -> Value {
        let line = self.out.recv_timeout(SOON).expect("a line in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// The next line of stderr with this in it.
    pub fn note(&self, part: &str) -> String {
        loop {
            let line = self.err.recv_timeout(SOON).unwrap_or_else(|_| panic!("no {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The next line of a node's log with this in it.
    pub fn log(&self, part: &str) -> Value {
        serde_json::from_str(&self.note(part)).unwrap()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Waits for the end.
    pub fn end(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end; what it wrote to stdout and to stderr.
    pub fn finish(mut self) -> (ExitStatus, String, String) {
        let status = self.end();
        let all = |lines: &Receiver<String>| lines.iter().collect::<Vec<_>>().join("\n");
        (status, all(&self.out), all(&self.err))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
