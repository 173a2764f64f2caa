//! The commands that workers send to the hub, and the events that it sends to them.

use std::sync::Arc;

use roomcast_bus::ReceiptNews;
use roomcast_protocol::{ErrorCode, Lineage, RoomName, Seq};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::{BackfillPage, QueuedBytes};
use crate::ephemeral::EphemeralItem;
use crate::peers::PeerQuestion;
use crate::room_log::{Batch, Floor, RoomLog, StateView};

/// From a worker to the hub.
#[derive(Debug)]
pub(crate) enum HubCommand {
    /// The worker's first member joins: send it the log, with this number, and then every batch that
    /// is appended.
    Attach { worker: usize, room: RoomName, number: u64 },
    /// The worker's last member left.
    Detach { worker: usize, room: RoomName },
    /// Readers need the state of a room, at `least` or later.
    State { worker: usize, room: RoomName, least: Seq },
    /// A reader needs the messages that follow `after`, which lie before the log.
    Backfill { worker: usize, room: RoomName, after: Seq },
}

/// From the hub to a worker.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    /// The room's log: the answer to `Attach`, or again because the worker's queue was full.
    Attached {
        room: RoomName,
        number: u64,
        log: RoomLog,
        lineage: Arc<Lineage>,
        slow: u64,
        held: QueuedBytes,
    },
    /// This node does not have the room's log: the bus does not answer, or the node holds as many
    /// rooms as it may.
    Refused { room: RoomName, number: u64, code: ErrorCode },
    /// The next batch of a room, and which batches its log has dropped.
    Append {
        room: RoomName,
        number: u64,
        batch: Arc<Batch>,
        floor: Floor,
        lineage: Option<Arc<Lineage>>,
        appended: Instant,
        held: QueuedBytes,
    },
    /// A room's log dropped batches.
    Trim { room: RoomName, floor: Floor },
    /// Users' positions in a room moved.
    Receipts { room: RoomName, news: Arc<[ReceiptNews]> },
    /// A node asks about connections: each worker gives its part of the answer.
    Question(Arc<PeerQuestion>),
    /// What members of a room get beside its log.
    Ephemeral { room: RoomName, items: Arc<[Arc<EphemeralItem>]> },
    /// The answer to `HubCommand::State`.
    State { room: RoomName, view: Arc<StateView> },
    /// The answer to `HubCommand::Backfill`.
    Backfill { room: RoomName, answer: BackfillAnswer },
}

/// The answer to a request for backfill.
#[derive(Debug, Clone)]
pub(crate) enum BackfillAnswer {
    /// The page that serves the oldest waiting reader, and perhaps others.
    Page(BackfillPage),
    /// The log reaches back far enough by now.
    InLog,
    /// The bus does not answer.
    Failed,
}

/// Commands of all workers together that may wait for the hub. While there is no space, a worker
/// keeps its commands, at most one for each room (`worker/hub_requests.rs`).
pub(super) const MAX_COMMANDS: usize = 1024;

/// The sending end of the hub's queue of commands.
#[derive(Debug, Clone)]
pub(crate) struct HubHandle {
    commands: mpsc::Sender<HubCommand>,
}

impl HubHandle {
    /// A handle and the receiving end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<HubCommand>) {
        Self::holding(MAX_COMMANDS)
    }

    /// The same, with space for so many commands.
    pub(crate) fn holding(count: usize) -> (Self, mpsc::Receiver<HubCommand>) {
        let (commands, receiver) = mpsc::channel(count);
        (Self { commands }, receiver)
    }

    /// Sends a command; returns it if there is no space. The hub outlives the workers, so that an
    /// answer comes unless the node is ending.
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

    /// Waits for space for one command, in turn with other workers; `None` if the node is ending.
    pub(crate) async fn space(&self) -> Option<mpsc::Permit<'_, HubCommand>> {
        self.commands.reserve().await.ok()
    }
}
