//! What workers ask of the hub and what it tells them.

use std::sync::Arc;

use roomcast_protocol::{Lineage, RoomName, Seq};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::{InQueue, Page};
use crate::log::{Batch, Floor, RoomLog};

/// From a worker to the hub.
#[derive(Debug)]
pub(crate) enum HubCommand {
    /// Its first member joins: send the log, then everything after. `number` comes back with it.
    Attach { worker: usize, room: RoomName, number: u64 },
    /// Its last member left.
    Detach { worker: usize, room: RoomName },
    /// A member needs what follows `after`, which lies before the log.
    Page { worker: usize, room: RoomName, after: Seq },
}

/// From the hub to a worker.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    /// The room's log: as asked for, or again because the worker's queue was full.
    Attached {
        room: RoomName,
        number: u64,
        log: RoomLog,
        lineage: Arc<Lineage>,
        slow: u64,
        held: InQueue,
    },
    /// The bus is away and the room is not known here.
    Refused { room: RoomName, number: u64 },
    /// The next batch of a room, and what its log dropped for it.
    Append {
        room: RoomName,
        number: u64,
        batch: Arc<Batch>,
        floor: Floor,
        lineage: Option<Arc<Lineage>>,
        appended: Instant,
        held: InQueue,
    },
    /// A room's log dropped batches.
    Trim { room: RoomName, floor: Floor },
    /// What a member asked for.
    Page { room: RoomName, answer: PageAnswer },
}

/// Answer to a request for a page.
#[derive(Debug, Clone)]
pub(crate) enum PageAnswer {
    /// The page.
    Page(Page),
    /// The log reaches back far enough by now: look again.
    InLog,
    /// The bus is away.
    Failed,
}

/// Commands that wait for the hub, of all workers together. A worker whose command finds no space
/// keeps it, one for each room (`worker/asks.rs`), until there is.
pub(super) const MAX_COMMANDS: usize = 1024;

/// A worker's way to the hub.
#[derive(Debug, Clone)]
pub(crate) struct HubHandle {
    commands: mpsc::Sender<HubCommand>,
}

impl HubHandle {
    /// A handle and the hub's end of it.
    pub(crate) fn new() -> (Self, mpsc::Receiver<HubCommand>) {
        Self::holding(MAX_COMMANDS)
    }

    /// The same with space for so many commands.
    pub(crate) fn holding(count: usize) -> (Self, mpsc::Receiver<HubCommand>) {
        let (commands, receiver) = mpsc::channel(count);
        (Self { commands }, receiver)
    }

    /// Asks; gives the command back if there is no space for it. The hub outlives the workers, so
    /// that an answer comes unless the node is ending.
    pub(crate) fn ask(&self, command: HubCommand) -> Result<(), HubCommand> {
        match self.commands.try_send(command) {
            Err(TrySendError::Full(command)) => Err(command),
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Whether there is space for a command.
    #[cfg(test)]
    pub(crate) fn has_space(&self) -> bool {
        self.commands.capacity() > 0
    }

    /// Space for one command, in turn with other workers; `None` if the node is ending.
    pub(crate) async fn space(&self) -> Option<mpsc::Permit<'_, HubCommand>> {
        self.commands.reserve().await.ok()
    }
}
