//! A worker's commands to the hub, and those for which the hub's queue has no space: for each room
//! only the one that says what the worker wants now. An attach and a detach that both wait cancel
//! out, so that there is at most one entry for each room of the worker, or that it just left.

use std::cell::RefCell;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use roomcast_protocol::{RoomName, Seq};
use tokio::sync::Notify;

use crate::hub::{HubCommand, HubHandle};

/// The commands that wait for space in the hub's queue. Pure.
#[derive(Debug, Default)]
pub(crate) struct HubRequests {
    rooms: HashMap<RoomName, HubRequest>,
    /// The rooms in the order of their first waiting command.
    turns: BTreeMap<u64, RoomName>,
    turn: u64,
}

/// The command that waits for one room.
#[derive(Debug)]
struct HubRequest {
    turn: u64,
    /// The last command that the hub got left this worker attached.
    is_known: bool,
    want: Want,
}

#[derive(Debug)]
enum Want {
    Attach { number: u64 },
    Detach,
    Backfill { after: Seq },
    State { least: Seq },
}

impl HubRequests {
    /// Whether no command waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Keeps a command until the hub has space.
    pub(crate) fn keep(&mut self, command: HubCommand) {
        let (room, want) = match command {
            HubCommand::Attach { room, number, .. } => (room, Want::Attach { number }),
            HubCommand::Detach { room, .. } => (room, Want::Detach),
            HubCommand::Backfill { room, after, .. } => (room, Want::Backfill { after }),
            HubCommand::State { room, least, .. } => (room, Want::State { least }),
        };
        if let Some(ask) = self.rooms.get_mut(&room) {
            let cancels = matches!(want, Want::Detach) && !ask.is_known;
            ask.want = want;
            if cancels && let Some(ask) = self.rooms.remove(&room) {
                self.turns.remove(&ask.turn);
            }
            return;
        }
        self.turn += 1;
        self.turns.insert(self.turn, room.clone());
        let is_known = !matches!(want, Want::Attach { .. });
        self.rooms.insert(room, HubRequest { turn: self.turn, is_known, want });
    }

    /// Takes out the next command for the hub.
    pub(crate) fn next(&mut self, worker: usize) -> Option<HubCommand> {
        let (_, room) = self.turns.pop_first()?;
        let HubRequest { want, .. } = self.rooms.remove(&room)?;
        if self.rooms.is_empty() {
            // Give the memory of a crowd back.
            self.rooms = HashMap::new();
        }
        Some(match want {
            Want::Attach { number } => HubCommand::Attach { worker, room, number },
            Want::State { least } => HubCommand::State { worker, room, least },
            Want::Detach => HubCommand::Detach { worker, room },
            Want::Backfill { after } => HubCommand::Backfill { worker, room, after },
        })
    }
}

/// One worker's way to the hub.
pub(super) struct HubClient {
    worker: usize,
    hub: HubHandle,
    waiting: RefCell<HubRequests>,
    wake: Notify,
}

impl HubClient {
    pub(super) fn new(worker: usize, hub: HubHandle) -> Self {
        Self { worker, hub, waiting: RefCell::default(), wake: Notify::new() }
    }

    /// Asks the hub for the log of a room, by a command of this number.
    pub(super) fn attach(&self, room: RoomName, number: u64) {
        self.ask(HubCommand::Attach { worker: self.worker, room, number });
    }

    /// Says that the worker needs no more of a room.
    pub(super) fn detach(&self, room: RoomName) {
        self.ask(HubCommand::Detach { worker: self.worker, room });
    }

    /// Asks for the messages of a room that follow `after`.
    pub(super) fn backfill(&self, room: RoomName, after: Seq) {
        self.ask(HubCommand::Backfill { worker: self.worker, room, after });
    }

    /// Asks for the state of a room at `least` or later.
    pub(super) fn state(&self, room: RoomName, least: Seq) {
        self.ask(HubCommand::State { worker: self.worker, room, least });
    }

    /// Sends a command at once, unless the hub's queue is full or other commands wait already.
    fn ask(&self, command: HubCommand) {
        let mut waiting = self.waiting.borrow_mut();
        let refused = if waiting.is_empty() { self.hub.ask(command).err() } else { Some(command) };
        if let Some(command) = refused {
            waiting.keep(command);
            self.wake.notify_one();
        }
    }

    /// Sends the commands that wait whenever the hub has space, as long as the node runs.
    pub(crate) async fn run(&self) {
        loop {
            self.wake.notified().await;
            while !self.waiting.borrow().is_empty() {
                let Some(space) = self.hub.space().await else { return };
                let next = self.waiting.borrow_mut().next(self.worker);
                if let Some(command) = next {
                    space.send(command);
                }
            }
        }
    }

    /// Sends as many of the commands that wait as the hub has space for.
    #[cfg(test)]
    pub(super) fn flush(&self) {
        while self.hub.has_space() {
            let Some(command) = self.waiting.borrow_mut().next(self.worker) else { return };
            self.hub.ask(command).expect("there is space");
        }
    }
}

#[cfg(test)]
mod tests;
