//! A scenario as its TOML file says it: who connects, what is published, what goes wrong. Every
//! value is bounded, and an unknown key is an error.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Links of one process: descriptors are commonly limited to 20,000.
const MAX_LINKS: usize = 15_000;

/// Everything that a run does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// As tables call it.
    pub(crate) name: String,
    /// One sentence for people.
    pub(crate) about: String,
    /// Nodes that are started for it.
    #[serde(default = "three")]
    pub(crate) nodes: usize,
    /// Load processes; `None` takes as few as their descriptors allow.
    pub(crate) processes: Option<usize>,
    /// Connections that receive, each a member of one room.
    pub(crate) clients: usize,
    /// Rooms, each with members on every node if it has enough of them.
    pub(crate) rooms: usize,
    /// Connections that publish; they are no members.
    pub(crate) publishers: usize,
    /// Messages per second, of all publishers together, sent by the clock whatever happens.
    pub(crate) rate: f64,
    /// Bytes of each message's data.
    #[serde(default = "chat_line")]
    pub(crate) payload: usize,
    /// Seconds in which messages are published.
    pub(crate) seconds: f64,
    /// The first of them, which count for losses but not for delays and rates.
    #[serde(default = "two")]
    pub(crate) warmup: f64,
    /// Seconds that members may take for the rest once all is published; what came later is missing.
    #[serde(default = "a_minute")]
    pub(crate) settle: f64,
    /// Connections opened per second before anything is published.
    #[serde(default = "brisk")]
    pub(crate) connects: f64,
    /// Clients per second that drop their connection and come back.
    #[serde(default)]
    pub(crate) churn: f64,
    /// Some clients come late, all at once.
    pub(crate) storm: Option<Storm>,
    /// Some clients stop reading for a while.
    pub(crate) slow: Option<Slow>,
    /// A node is killed.
    pub(crate) kill: Option<Kill>,
}

/// A storm of connections.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storm {
    /// The clients that come, of all.
    pub(crate) clients: usize,
    /// When, in seconds after the first message.
    pub(crate) at: f64,
    /// Connections under way at once in each load process.
    #[serde(default = "at_once")]
    pub(crate) at_once: usize,
}

/// Readers that stop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slow {
    /// How many of the clients, 0 to 1.
    pub(crate) share: f64,
    /// When they stop, in seconds after the first message.
    pub(crate) at: f64,
    /// Seconds until they read on.
    pub(crate) pause: f64,
}

/// A node that dies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kill {
    /// When the last node gets SIGKILL, in seconds after the first message. Publishers are on the
    /// others: what is counted then is what receivers miss.
    pub(crate) at: f64,
}

fn three() -> usize {
    3
}

fn chat_line() -> usize {
    128
}

fn two() -> f64 {
    2.0
}

fn a_minute() -> f64 {
    60.0
}

fn brisk() -> f64 {
    1500.0
}

fn at_once() -> usize {
    500
}

impl Scenario {
    /// Reads and checks a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the scenario {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Reads a file's text, and checks it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Fails if a value is out of its bounds, naming the key.
    pub(crate) fn check(&self) -> Result<()> {
        let counts = [
            ("nodes", self.nodes, 1, 16),
            ("processes", self.processes.unwrap_or(1), 1, 16),
            ("clients", self.clients, 1, 200_000),
            ("rooms", self.rooms, 1, 200_000),
            ("publishers", self.publishers, 1, 5_000),
            ("payload", self.payload, 64, 512 << 10),
            ("storm.clients", self.storm.map_or(0, |it| it.clients), 0, self.clients),
            ("storm.at_once", self.storm.map_or(1, |it| it.at_once), 1, 10_000),
        ];
        for (key, value, low, high) in counts {
            if !(low..=high).contains(&value) {
                bail!("`{key}` is {value}: it is at least {low} and at most {high}");
            }
        }
        let (rest, none) = (self.seconds, 0.0);
        let amounts = [
            ("rate", self.rate, 0.1, 1e6),
            ("seconds", self.seconds, 0.5, 86_400.0),
            ("warmup", self.warmup, none, rest / 2.0),
            ("settle", self.settle, none, 600.0),
            ("connects", self.connects, 1.0, 1e6),
            ("churn", self.churn, none, 1e4),
            ("storm.at", self.storm.map_or(none, |it| it.at), none, rest),
            ("slow.share", self.slow.map_or(none, |it| it.share), none, 1.0),
            ("slow.at", self.slow.map_or(none, |it| it.at), none, rest),
            ("slow.pause", self.slow.map_or(1.0, |it| it.pause), 0.1, 86_400.0),
            ("kill.at", self.kill.map_or(none, |it| it.at), none, rest),
        ];
        for (key, value, low, high) in amounts {
            if !(low..=high).contains(&value) {
                bail!("`{key}` is {value}: it is at least {low} and at most {high}");
            }
        }
        if self.slow.is_some_and(|slow| slow.at + slow.pause > rest) {
            bail!("`slow.at` and `slow.pause` end after `seconds`: they are to read on before");
        }
        if self.kill.is_some() && self.nodes < 2 {
            bail!("`kill` needs at least 2 `nodes`: the clients go to the others");
        }
        Ok(())
    }

    /// Another number of clients: the storm's change with them.
    pub(crate) fn resize(&mut self, clients: usize) {
        if let Some(storm) = &mut self.storm {
            storm.clients = storm.clients * clients / self.clients;
        }
        self.clients = clients;
    }

    /// Another length: what happens within it keeps its place.
    pub(crate) fn stretch(&mut self, seconds: f64) {
        let factor = seconds / self.seconds;
        self.seconds = seconds;
        self.warmup = self.warmup.min(seconds / 4.0);
        if factor < 1.0 {
            if let Some(storm) = &mut self.storm {
                storm.at *= factor;
            }
            if let Some(slow) = &mut self.slow {
                (slow.at, slow.pause) = (slow.at * factor, slow.pause * factor);
            }
            if let Some(kill) = &mut self.kill {
                kill.at *= factor;
            }
        }
    }

    /// Load processes: what was asked for, else as few as hold their links.
    pub(crate) fn load_processes(&self, links: usize) -> usize {
        self.processes.unwrap_or_else(|| links.div_ceil(MAX_LINKS)).max(1)
    }

    /// The streams of numbered messages: each room has at least one, each publisher too.
    pub(crate) fn streams(&self) -> usize {
        self.rooms.max(self.publishers)
    }

    /// The streams of one room: how many of them there are.
    pub(crate) fn streams_of(&self, room: usize) -> usize {
        (self.streams() - room).div_ceil(self.rooms)
    }

    /// The node that a client begins at.
    pub(crate) fn node_of(&self, client: usize, nodes: usize) -> usize {
        // Not by `client` alone: every room shall have members everywhere.
        (client / self.rooms + client % self.rooms) % nodes
    }

    /// Whether a client stops reading for a while.
    pub(crate) fn is_slow(&self, client: usize) -> bool {
        let slow_of = |clients: usize, share: f64| (clients as f64 * share) as usize;
        let count = |share| slow_of(client + 1, share) > slow_of(client, share);
        self.slow.is_some_and(|slow| count(slow.share))
    }

    /// Whether a client comes with the storm.
    pub(crate) fn is_late(&self, client: usize) -> bool {
        self.storm.is_some_and(|storm| client >= self.clients - storm.clients)
    }
}

#[cfg(test)]
mod tests;
