//! A backend that publishes for users over `/v1`, at any node: each message has a key and is sent again
//! until it is acknowledged. It runs on a thread of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use roomcast_protocol::{Epoch, Position};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::client::Told;
use super::journal::Content;
use crate::door::Door;

/// Publishers of ordinary rooms have smaller numbers.
const FIRST: u32 = 1_000_000;
/// Between two messages.
const PACE: Duration = Duration::from_millis(40);
/// Until a message is sent again, and how long an answer may take.
const PAUSE: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_secs(3);
/// How long a message may take at all.
const GIVES_UP: Duration = Duration::from_secs(60);
/// The longest answer, in bytes.
const LONGEST: u64 = 64 * 1024;

/// One backend.
pub(super) struct Backend {
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) door: Arc<Door>,
    /// The API key, as it is presented.
    pub(super) key: String,
    /// Users, and the checker's room of each.
    pub(super) users: Vec<(String, usize)>,
}

impl Backend {
    /// Publishes until it is stopped.
    pub(super) fn run(self, stop: &watch::Receiver<bool>, told: &Sender<Told>) {
        let mut number = 0;
        let publisher = |user: usize| FIRST + user as u32;
        while !*stop.borrow() {
            let due = Instant::now() + PACE;
            for user in 0..self.users.len() {
                let content = Content { publisher: publisher(user), number };
                // Nobody listens any more when the run is over.
                let _ = told.send(Told::Begun { publisher: content.publisher, next: number + 1 });
                self.insist(user, content, told);
            }
            number += 1;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        for user in 0..self.users.len() {
            let _ = told.send(Told::Finished { publisher: publisher(user) });
        }
    }

    fn insist(&self, user: usize, content: Content, told: &Sender<Told>) {
        let (name, room) = &self.users[user];
        let deadline = Instant::now() + GIVES_UP;
        for turn in content.number as usize + user.. {
            let addr = self.addrs[turn % self.addrs.len()];
            let what = match self.post(addr, name, content) {
                Ok(Outcome::Acked(at)) => {
                    let _ = told.send(Told::Acked { room: *room, content, at });
                    return;
                }
                Ok(Outcome::Refused(what)) => what,
                // A node that is away, or says that it is: another may not be.
                Ok(Outcome::Passing) | Err(_) if Instant::now() < deadline => {
                    let _ = told.send(Told::Again);
                    std::thread::sleep(PAUSE);
                    continue;
                }
                Ok(Outcome::Passing) | Err(_) => "it is never acknowledged".to_owned(),
            };
            let who = format!("the backend's message {content:?} for {name}");
            let _ = told.send(Told::Wrong { room: *room, who, what });
            return;
        }
    }

    fn post(&self, addr: SocketAddr, user: &str, content: Content) -> Result<Outcome> {
        let body = json!({ "data": content.text(), "key": content.number.to_string() }).to_string();
        let (key, length) = (&self.key, body.len());
        let request = format!(
            "POST /v1/users/{user}/messages HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {key}\
             \r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        let stream = TcpStream::connect_timeout(&addr, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let answer = match self.door.tls()? {
            Some(tls) => ask(tls.over(addr, stream)?, &request)?,
            None => ask(stream, &request)?,
        };
        read(&answer)
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Acked(Position),
    Passing,
    Refused(String),
}

fn ask(mut stream: impl Read + Write, request: &str) -> Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    match stream.take(LONGEST).read_to_end(&mut answer) {
        // A server may end a connection without TLS's goodbye: the answer's length says enough.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        done => drop(done?),
    }
    Ok(String::from_utf8(answer)?)
}

fn read(answer: &str) -> Result<Outcome> {
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    match head.split(' ').nth(1).context("no status")? {
        "200" => {
            let ack: Value = serde_json::from_str(body)?;
            let epoch = ack["epoch"].as_str().and_then(Epoch::parse).context("no epoch")?;
            let seq = ack["seq"].as_u64().context("no seq")?;
            Ok(Outcome::Acked(Position { epoch, seq }))
        }
        "500" | "502" | "503" | "504" => Ok(Outcome::Passing),
        status => Ok(Outcome::Refused(format!("answered {status}: {body}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
        let ack = r#"{"epoch":"000000000000000a","seq":7,"time":1}"#;
        let at = Position { epoch: Epoch(10), seq: 7 };
        assert_eq!(read(&format!("{head}{ack}")).unwrap(), Outcome::Acked(at));
        assert_eq!(read("HTTP/1.1 503 No\r\n\r\n").unwrap(), Outcome::Passing);
        assert!(matches!(read("HTTP/1.1 401 No\r\n\r\n{}").unwrap(), Outcome::Refused(_)));
        assert!(read("HTTP/1.1 200 OK").is_err() && read(&format!("{head}{{")).is_err());
    }
}
