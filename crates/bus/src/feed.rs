//! The feeds over Redis: which rooms the node listens to, and what they have to tell. Rooms are
//! spread over lanes; each lane is a task with a subscribe connection of its own.

mod connection;
pub(crate) mod exit;
mod inbox;
pub(crate) mod lane;
pub(crate) mod order;
mod probe;
mod reading;
mod subscriptions;
mod tails;
mod turns;

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use roomcast_protocol::RoomName;
use tokio::sync::mpsc;

use crate::api::RoomEvent;
use exit::Exit;
use lane::Command;

/// The listening half of the bus over Redis.
pub(crate) struct RedisFeeds {
    exit: Arc<Exit>,
    /// One for each lane; what waits there is bounded by the rooms of the node.
    lanes: Vec<mpsc::UnboundedSender<Command>>,
}

impl RedisFeeds {
    /// Feeds served by these lanes.
    pub(crate) fn new(exit: Arc<Exit>, lanes: Vec<mpsc::UnboundedSender<Command>>) -> Self {
        Self { exit, lanes }
    }

    pub(crate) fn open(&mut self, room: RoomName) {
        if let Some(session) = self.exit.open(&room) {
            self.tell(&room.clone(), Command::Open(room, session));
        }
    }

    pub(crate) fn close(&mut self, room: &RoomName) {
        if self.exit.close(room) {
            self.tell(room, Command::Close(room.clone()));
        }
    }

    pub(crate) async fn next(&mut self) -> Vec<RoomEvent> {
        self.exit.next().await
    }

    fn tell(&self, room: &RoomName, command: Command) {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(room);
        // A lane ends only with its runtime; there is nobody left to listen then.
        let _ = self.lanes[hash as usize % self.lanes.len()].send(command);
    }
}
