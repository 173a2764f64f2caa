//! What the run and its load processes tell each other: one JSON value on each line of stdin and
//! stdout.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::account::Tally;
use super::delays::Packed;
use super::peer::Peer;
use super::scenario::Scenario;
use crate::door::Door;

/// What one load process is to do: the first line that it reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) scenario: Scenario,
    pub(crate) peer: Peer,
    /// Where the nodes are.
    pub(crate) addrs: Vec<SocketAddr>,
    /// How clients come in.
    pub(crate) door: Door,
    /// The first of the run's rooms.
    pub(crate) first_room: usize,
    /// Which of the load processes this is, from 0 on.
    pub(crate) number: usize,
    /// How many there are: it takes every so manieth client and publisher.
    pub(crate) of: usize,
}

/// What it is told later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Tell {
    /// Publish from this moment on, in ns of the run's clock.
    Begin(u64),
    /// All have published: so many messages of each stream.
    Sent(Vec<u32>),
}

/// What it says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Say {
    /// So many clients have come so far.
    Coming(usize),
    /// Everybody is there.
    Ready,
    /// What one second brought.
    Second(Second),
    /// So many messages of each stream went from here.
    Sent(Vec<u32>),
    /// The end.
    Done(Box<Found>),
    /// It cannot go on.
    Failed(String),
}

/// One second of a load process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Second {
    /// Counted from the first message.
    pub(crate) second: usize,
    /// Members that were connected and joined, at the moment in it when they were fewest.
    pub(crate) connected: u64,
    /// Messages published in it.
    pub(crate) sent: u64,
    /// Messages received in it.
    pub(crate) received: u64,
}

/// A member's connection that ended, and its way back. Moments are in ns of the run's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outage {
    /// The node that it was at.
    pub(crate) node: usize,
    pub(crate) lost: u64,
    /// A member again.
    pub(crate) joined: Option<u64>,
    /// The first message after that.
    pub(crate) received: Option<u64>,
}

/// All that one load process found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) tally: Tally,
    /// From intended to received, of members that always read.
    pub(crate) delays: Packed,
    /// From wanted to joined, of the clients that count: the storm's if there is one.
    pub(crate) connects: Packed,
    /// From intended to sent.
    pub(crate) lateness: Packed,
    /// Received between the end of the warm-up and the last message's moment.
    pub(crate) counted: u64,
    pub(crate) outages: Vec<Outage>,
    /// Publishes that were repeated.
    pub(crate) repeats: u64,
    /// Messages that were never acknowledged by a server that acknowledges.
    pub(crate) unacknowledged: u64,
    /// Why connections ended, and how often; not those that the load ended.
    pub(crate) ends: Vec<(String, u64)>,
    /// What the nodes that greeted its clients called themselves.
    pub(crate) nodes: BTreeSet<String>,
    /// This process's CPU seconds while messages were published.
    pub(crate) cpu_seconds: f64,
}

/// One line.
pub(crate) fn line(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

/// What a line says.
pub(crate) fn parse<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("a line that says {line:?}"))
}
