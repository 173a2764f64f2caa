//! What a Redis server was asked, by its own account: its slow log with a threshold of nothing.

use std::collections::BTreeMap;

use roomcast_testkit::RedisServer;

/// What a script was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Where a room stands, as at its opening.
    Standing,
    /// A page of what users may see.
    Page,
    /// What the stream holds, for a node that missed pushes.
    Repair,
    /// A group of publications.
    Publish,
}

/// A line of the slow log: number, time, duration, words, client's address and name.
type Line = (u64, u64, u64, Vec<Vec<u8>>, String, String);

/// Lets the server note every command from now on.
pub fn note_calls(redis: &RedisServer) {
    redis.command(&["CONFIG", "SET", "slowlog-max-len", "1000000"]);
    redis.command(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    redis.command(&["SLOWLOG", "RESET"]);
}

/// How often each script was called on each room since `note_calls`.
pub fn noted_calls(redis: &RedisServer) -> BTreeMap<(String, Call), usize> {
    let lines: Vec<Line> = redis.ask(&["SLOWLOG", "GET", "-1"]).unwrap();
    let mut counts = BTreeMap::new();
    for (.., words, _, _) in &lines {
        let word =
            |at: usize| words.get(at).map_or("", |word| std::str::from_utf8(word).unwrap_or(""));
        if word(0) != "EVALSHA" || word(2) != "5" {
            continue;
        }
        let call = match (words.len(), word(13), word(15)) {
            (20, "stand", _) => Call::Standing,
            // A repair reads whatever users may see.
            (20, "after" | "before", "-1") => Call::Repair,
            (20, "after" | "before", _) => Call::Page,
            _ => Call::Publish,
        };
        let key = word(3).split_once("}:").and_then(|(_, key)| key.strip_suffix(":m"));
        let room = key.unwrap_or_else(|| panic!("{:?} names no room", word(3))).to_owned();
        *counts.entry((room, call)).or_default() += 1;
    }
    counts
}
