//! What workers ask of the hub and what it tells them.

use std::sync::Arc;

use roomcast_protocol::{Lineage, RoomName, Seq};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Page;
use crate::log::{Batch, RoomLog};

/// Which batches a log has dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    /// Batches before this one went because the room's log is full: who reads them is slow.
    pub(crate) slow: u64,
    /// Batches before this one are gone, some of them perhaps only for the node's memory budget.
    pub(crate) all: u64,
}

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
    Attached { room: RoomName, number: u64, log: RoomLog, lineage: Arc<Lineage>, slow: u64 },
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

/// A worker's way to the hub. What stands in the channel is bounded by what workers ask at a time:
/// one attachment and one page for each room.
#[derive(Debug, Clone)]
pub(crate) struct HubHandle {
    commands: mpsc::UnboundedSender<HubCommand>,
}

impl HubHandle {
    /// A handle and the hub's end of it.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<HubCommand>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        (Self { commands }, receiver)
    }

    /// Asks; the hub outlives the workers, so that an answer comes unless the node is ending.
    pub(crate) fn ask(&self, command: HubCommand) {
        let _ending = self.commands.send(command);
    }
}
