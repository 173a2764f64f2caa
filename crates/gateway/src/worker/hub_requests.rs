//! What a worker asks of the hub and the hub's queue has no space for: per room only what the hub
//! must hear to know what the worker wants now. A join and a leave that cancel out are forgotten,
//! so that this holds one entry for each room of the worker, or that it just left.

use std::collections::BTreeMap;
use std::rc::Rc;

use hashbrown::HashMap;
use roomcast_protocol::{RoomName, Seq};

use super::Worker;
use crate::hub::HubCommand;

/// What the hub was not told yet. Pure.
#[derive(Debug, Default)]
pub(crate) struct HubRequests {
    rooms: HashMap<RoomName, HubRequest>,
    /// The rooms in the order in which they came.
    turns: BTreeMap<u64, RoomName>,
    turn: u64,
}

/// What the hub is to hear of one room.
#[derive(Debug)]
struct HubRequest {
    turn: u64,
    /// The hub believes that this worker is attached.
    is_known: bool,
    want: Want,
}

#[derive(Debug)]
enum Want {
    Attach { number: u64 },
    Detach,
    Backfill { after: Seq },
}

impl HubRequests {
    /// Whether the hub was told everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Keeps a command until the hub has space.
    pub(crate) fn keep(&mut self, command: HubCommand) {
        let (room, want) = match command {
            HubCommand::Attach { room, number, .. } => (room, Want::Attach { number }),
            HubCommand::Detach { room, .. } => (room, Want::Detach),
            HubCommand::Backfill { room, after, .. } => (room, Want::Backfill { after }),
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

    /// The next command for the hub.
    pub(crate) fn next(&mut self, worker: usize) -> Option<HubCommand> {
        let (_, room) = self.turns.pop_first()?;
        let HubRequest { want, .. } = self.rooms.remove(&room)?;
        if self.rooms.is_empty() {
            // A crowd that came and went leaves nothing behind.
            self.rooms = HashMap::new();
        }
        Some(match want {
            Want::Attach { number } => HubCommand::Attach { worker, room, number },
            Want::Detach => HubCommand::Detach { worker, room },
            Want::Backfill { after } => HubCommand::Backfill { worker, room, after },
        })
    }
}

impl Worker {
    /// HubRequests the hub, at once if nothing waits before it.
    pub(super) fn ask_hub(&self, command: HubCommand) {
        let mut hub_requests = self.hub_requests.borrow_mut();
        let refused =
            if hub_requests.is_empty() { self.hub.ask(command).err() } else { Some(command) };
        if let Some(command) = refused {
            hub_requests.keep(command);
            self.hub_wake.notify_one();
        }
    }

    /// Tells the hub what it has space for now.
    #[cfg(test)]
    pub(crate) fn tell_hub(&self) {
        while self.hub.has_space() {
            let Some(command) = self.hub_requests.borrow_mut().next(self.index) else { return };
            self.hub.ask(command).expect("there is space");
        }
    }

    /// Tells the hub what it had no space for, as long as the node runs.
    pub(crate) async fn run_hub_requests(self: Rc<Self>) {
        loop {
            self.hub_wake.notified().await;
            while !self.hub_requests.borrow().is_empty() {
                let Some(space) = self.hub.space().await else { return };
                if let Some(command) = self.hub_requests.borrow_mut().next(self.index) {
                    space.send(command);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
