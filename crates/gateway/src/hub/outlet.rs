//! One worker's queue as the hub sees it. It never waits: an event that finds the queue full marks
//! its room, of which nothing more is sent until the worker has attached again to the hub's log.

use std::collections::BTreeSet;

use roomcast_protocol::RoomName;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::WorkerEvent;

/// Events a worker may have waiting: a burst of a thousand rooms. Each holds at most one batch of
/// 64 KiB, so a stalled worker holds at most 64 MiB.
const QUEUE: usize = 1024;

/// A worker's queue: the hub's end and the worker's.
pub(crate) fn outlet_queue() -> (mpsc::Sender<WorkerEvent>, mpsc::Receiver<WorkerEvent>) {
    mpsc::channel(QUEUE)
}

/// The sending end of a worker's queue, and the rooms that lost an event to it.
#[derive(Debug)]
pub(super) struct Outlet {
    events: mpsc::Sender<WorkerEvent>,
    marked: BTreeSet<RoomName>,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It stands in the queue, or its room waits to attach again anyway.
    Fine,
    /// The queue is full: its room is marked now.
    Marked,
}

impl Outlet {
    pub(super) fn new(events: mpsc::Sender<WorkerEvent>) -> Self {
        Self { events, marked: BTreeSet::new() }
    }

    /// Whether events of a room are sent now: none is lost before the worker attaches again.
    pub(super) fn takes(&self, room: &RoomName) -> bool {
        !self.marked.contains(room)
    }

    /// Sends what concerns `room`.
    pub(super) fn send(&mut self, room: &RoomName, event: WorkerEvent) -> Sent {
        if self.marked.contains(room) {
            return Sent::Fine;
        }
        match self.events.try_send(event) {
            Err(TrySendError::Full(_)) => {
                self.marked.insert(room.clone());
                Sent::Marked
            }
            Ok(()) | Err(TrySendError::Closed(_)) => Sent::Fine,
        }
    }

    /// Marked rooms for which the queue has space again, half of it at most.
    pub(super) fn unmark(&mut self) -> Vec<RoomName> {
        let space = self.events.capacity().saturating_sub(self.events.max_capacity() / 2);
        let rooms: Vec<RoomName> = self.marked.iter().take(space).cloned().collect();
        for room in &rooms {
            self.marked.remove(room);
        }
        rooms
    }

    /// Whether a room waits to attach again.
    pub(super) fn is_marked(&self) -> bool {
        !self.marked.is_empty()
    }

    /// The worker let go of a room.
    pub(super) fn forget(&mut self, room: &RoomName) {
        self.marked.remove(room);
    }
}

#[cfg(test)]
mod tests;
