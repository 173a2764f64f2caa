//! The node's own script call without the node: seen once through MONITOR, then repeated from one
//! pipelined connection with other rooms and group numbers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Way;
use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, room_name};
use crate::engine::Engine;
use crate::resp::{Redis, Reply, RespConnection, push_command};

/// How long the call may take to show.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// Index of the script's `ARGV[5]` in the call: EVALSHA, hash, number of keys, five keys, four
/// arguments of all scripts. It is the node's incarnation; after it comes the group's number, which
/// must grow.
const INCARNATION: usize = 12;
const GROUP: usize = INCARNATION + 1;

/// The call as the node made it for one message.
#[derive(Debug)]
pub(super) struct Call {
    words: Vec<Vec<u8>>,
    /// The room it was made for.
    room: String,
}

impl Call {
    /// Publishes one message through the node and watches what it sends to Redis.
    pub(super) fn capture(
        redis: &Redis,
        dialect: &Dialect,
        room: usize,
        payload: usize,
    ) -> Result<Self> {
        let mut engine = Engine::new(&dialect.door)?;
        let links = gather(&mut engine, &[Seat { dialect: dialect.clone(), rooms: Vec::new() }])?;
        let mut monitor = RespConnection::open(redis.addr)?;
        monitor.call(&[b"MONITOR"])?;
        let data = dialect.encoding.payload("", payload);
        engine.send(links[0], &dialect.publish(room, data, None)?)?;
        let room = room_name(room)?.as_str().to_owned();
        let until = Instant::now() + SEEN_WITHIN;
        while Instant::now() < until {
            let Reply::Simple(line) = monitor.read()? else { continue };
            let words = words_of(&line);
            let about = |word: &Vec<u8>| find(word, room.as_bytes()).is_some();
            if words.first().is_some_and(|word| word == b"EVALSHA") && words.iter().any(about) {
                if words.len() <= GROUP || words[2] != b"5" {
                    bail!("the node's script call is not of the known form: {line}");
                }
                return Ok(Self { words, room });
            }
        }
        bail!("the node made no script call within 10 s")
    }

    /// The call's words for another room, by another node.
    fn for_room(&self, room: &str) -> Vec<Vec<u8>> {
        let mut words = self.words.clone();
        for word in &mut words {
            while let Some(at) = find(word, self.room.as_bytes()) {
                word.splice(at..at + self.room.len(), room.bytes());
            }
        }
        words[INCARNATION] = b"bare".to_vec();
        words
    }
}

/// The arguments in a line of MONITOR: quoted, with the escapes of `sdscatrepr`.
fn words_of(line: &str) -> Vec<Vec<u8>> {
    let (mut words, mut bytes) = (Vec::new(), line.bytes());
    while bytes.by_ref().any(|byte| byte == b'"') {
        let mut word = Vec::new();
        while let Some(byte) = bytes.next().filter(|&byte| byte != b'"') {
            word.push(match (byte, (byte == b'\\').then(|| bytes.next()).flatten()) {
                (_, Some(b'n')) => b'\n',
                (_, Some(b'r')) => b'\r',
                (_, Some(b't')) => b'\t',
                (_, Some(b'a')) => 7,
                (_, Some(b'b')) => 8,
                (_, Some(b'x')) => {
                    let digits = [bytes.next(), bytes.next()].map(Option::unwrap_or_default);
                    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
                    value(digits[0]) << 4 | value(digits[1])
                }
                (_, Some(other)) => other,
                (plain, None) => plain,
            });
        }
        words.push(word);
    }
    words
}

fn find(word: &[u8], what: &[u8]) -> Option<usize> {
    word.windows(what.len()).position(|window| window == what)
}

/// One connection that repeats the call.
pub(super) struct Bare {
    connection: RespConnection,
    /// The call for each room.
    rooms: Vec<Vec<Vec<u8>>>,
    calls: u64,
    half: usize,
}

impl Bare {
    /// Prepares calls for `count` rooms from `first` on.
    pub(super) fn open(
        redis: &Redis,
        call: &Call,
        (first, count): (usize, usize),
        depth: usize,
    ) -> Result<Self> {
        let rooms = (first..first + count).map(|room| {
            // A name of the same length, so that Redis moves the same number of bytes.
            Ok(call.for_room(&room_name(room)?.as_str().replace("load", "bare")))
        });
        // Group numbers only grow, also over several runs on the same rooms.
        let calls = std::time::UNIX_EPOCH.elapsed()?.as_micros() as u64;
        let rooms = rooms.collect::<Result<_>>()?;
        Ok(Self { connection: RespConnection::open(redis.addr)?, rooms, calls, half: depth / 2 })
    }

    fn send_half(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        let rooms = self.rooms.len() as u64;
        for _ in 0..self.half {
            self.calls += 1;
            let words = &mut self.rooms[(self.calls % rooms) as usize];
            words[GROUP] = self.calls.to_string().into_bytes();
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            push_command(&words, &mut bytes);
        }
        self.connection.write(&bytes)
    }

    fn read_half(&mut self) -> Result<u64> {
        for _ in 0..self.half {
            let Reply::Bulk(answer) = self.connection.read()? else {
                bail!("the script answered something else than text")
            };
            // `a` and how many in a row: they are stored.
            let last = answer.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
            if !matches!(last, [b'a', rest @ ..] if rest.iter().all(u8::is_ascii_digit)) {
                bail!("the script answered {}", answer.escape_ascii());
            }
        }
        Ok(self.half as u64)
    }
}

impl Way for Bare {
    fn run(&mut self, time: Duration) -> Result<u64> {
        let until = Instant::now() + time;
        let mut done = 0;
        self.send_half()?;
        while Instant::now() < until {
            self.send_half()?;
            done += self.read_half()?;
        }
        done += self.read_half().context("the last answers")?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_monitor_are_taken_apart() {
        let line = r#"1700.5 [0 127.0.0.1:9] "EVALSHA" "" "a \"b\" \\ c" "\x00\xffz\n""#;
        let expected: [&[u8]; 4] = [b"EVALSHA", b"", b"a \"b\" \\ c", b"\x00\xffz\n"];
        assert_eq!(words_of(line), expected);
        assert!(words_of("OK").is_empty());
    }

    #[test]
    fn a_call_is_made_for_another_room_and_node() {
        let head = ["EVALSHA", "f00", "4", "{rc:load-1}:m", "s", "a", "b"];
        let arguments = ["1", "rc:version", "life", "epoch", "node", "7", "load-1"];
        let words = head.iter().chain(&arguments);
        let words = words.map(|word| word.as_bytes().to_vec()).collect();
        let call = Call { words, room: "load-1".to_owned() };
        let other = call.for_room("bare-22");
        assert_eq!(other[3], b"{rc:bare-22}:m");
        assert_eq!((&other[INCARNATION][..], &other[13][..]), (&b"bare"[..], &b"bare-22"[..]));
    }
}
