//! A deterministic simulation of whole clusters: the real order of feeds, hub, workers, gates and
//! client sessions in one world, driven by one schedule of steps that a seed draws, against a Redis
//! and a network that lose, delay, repeat, fork and forget. No socket, task or clock. After every
//! step the promises hold; at the end everybody has what there is.
//!
//! A failing seed prints its shortest schedule. `ROOMCAST_SIMULATE=<seed>` runs one seed alone,
//! `ROOMCAST_SIMULATE=<first>..<last>` a range of them.

mod cases;
mod client;
mod heal;
mod lane;
mod linking;
mod node;
mod pipe;
mod publisher;
mod publishing;
mod reader;
mod redis;
mod run;
mod state;
mod state_reader;
mod step;
mod stream;
mod truth;
mod wire;
mod world;

use rand::Rng;
use rand::rngs::SmallRng;
use roomcast_protocol::RoomName;

pub(crate) use pipe::Pipe;

/// Rooms of a world.
const ROOMS: usize = 2;
/// The one that keeps state, in some climates.
const STATE_ROOM: usize = 1;

fn room_name(room: usize) -> RoomName {
    RoomName::parse(["a", "kept:b"][room]).expect("a name")
}

fn room_index(name: &RoomName) -> usize {
    usize::from(name.as_str() != "a")
}

/// What does not change in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Climate {
    nodes: usize,
    workers: usize,
    clients: usize,
    /// Events that a worker's queue holds, and commands that the hub's does.
    queue: usize,
    /// Bytes that a socket takes.
    capacity: usize,
    /// Entries that a stream keeps, those that users may read, and those on one page.
    window: usize,
    history: u64,
    page: usize,
    /// Bytes of a room's log, and of all logs of a node.
    lag: usize,
    budget: usize,
    /// Whether slow members are moved to the end rather than closed.
    conflate: bool,
    /// Bytes of a value in the room that keeps state; 0: no room does.
    state: usize,
}

/// Bytes of a value of which three are more than one part of a snapshot holds.
const LARGE_VALUE: usize = 22_000;
/// How much more space there is for such values.
const LARGE_SCALE: usize = 50;

impl Climate {
    fn draw(dice: &mut SmallRng) -> Self {
        let mut one_of = |choice: &[usize]| choice[dice.random_range(0..choice.len())];
        let history = one_of(&[0, 4, 8, 40]);
        Self {
            nodes: one_of(&[1, 2, 2, 3]),
            workers: one_of(&[1, 1, 2]),
            clients: one_of(&[1, 2, 3, 4]),
            queue: one_of(&[2, 4, 64]),
            capacity: one_of(&[60, 400, 3_000]),
            window: one_of(&[4, 12, 40]).max(history),
            history: history as u64,
            page: one_of(&[1, 3, 100]),
            lag: one_of(&[500, 2_000, 100_000]),
            budget: one_of(&[1_500, 6_000, 1_000_000]),
            conflate: one_of(&[0, 1, 1, 1]) == 0,
            state: one_of(&[0, 0, 0, 1, 1, 1, LARGE_VALUE]),
        }
        .with_space()
    }

    /// Where values are large, so are the sockets and the logs.
    fn with_space(mut self) -> Self {
        if self.state == LARGE_VALUE {
            self.capacity *= LARGE_SCALE;
            self.lag *= LARGE_SCALE;
            self.budget *= LARGE_SCALE;
        }
        self
    }

    fn keeps_state(&self) -> bool {
        self.state > 0
    }

    /// How many times as many bytes as usual move in a step.
    fn scale(&self) -> usize {
        if self.state == LARGE_VALUE { LARGE_SCALE } else { 1 }
    }

    /// Bytes of a payload in this room, at least.
    fn width(&self, room: usize) -> usize {
        if room == STATE_ROOM { self.state } else { 0 }
    }
}
