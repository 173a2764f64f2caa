//! One worker's queue as the hub sees it. It never waits: an event that finds the queue full marks
//! its room, of which nothing more is sent until the worker has attached again to the hub's log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roomcast_protocol::RoomName;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::WorkerEvent;

/// Events a worker may have waiting: a burst of a thousand rooms. What their batches hold is bounded
/// too: all queues together hold one part in so many of `limits.log_bytes`, and each one event.
const QUEUE: usize = 1024;
const LOG_PARTS: usize = 8;

/// A worker's queue: the hub's end and the worker's.
pub(crate) fn worker_queue() -> (mpsc::Sender<WorkerEvent>, mpsc::Receiver<WorkerEvent>) {
    mpsc::channel(QUEUE)
}

/// How many bytes of logs one of so many queues may hold.
pub(super) fn queue_bytes(log_bytes: usize, queues: usize) -> usize {
    log_bytes / LOG_PARTS / queues.max(1)
}

/// Bytes of logs that an event holds in a worker's queue, until the worker has taken it in.
#[derive(Debug, Default)]
pub(crate) struct QueuedBytes {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Drop for QueuedBytes {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The sending end of a worker's queue, and the rooms that lost an event to it.
#[derive(Debug)]
pub(super) struct WorkerQueue {
    events: mpsc::Sender<WorkerEvent>,
    marked: BTreeSet<RoomName>,
    /// Bytes of logs that wait in the queue.
    bytes: Arc<AtomicUsize>,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It stands in the queue, or its room waits to attach again anyway.
    Fine,
    /// The queue is full: its room is marked now.
    Marked,
}

impl WorkerQueue {
    pub(super) fn new(events: mpsc::Sender<WorkerEvent>) -> Self {
        Self { events, marked: BTreeSet::new(), bytes: Arc::default() }
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

    /// Sends what concerns `room` and holds `bytes` of its log, if the queue holds no more than `max`
    /// with it, or nothing else.
    pub(super) fn send_log(
        &mut self,
        room: &RoomName,
        (bytes, max): (usize, usize),
        event: impl FnOnce(QueuedBytes) -> WorkerEvent,
    ) -> Sent {
        if self.marked.contains(room) {
            return Sent::Fine;
        }
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = QueuedBytes { bytes, all: self.bytes.clone() };
        if waiting > 0 && waiting + bytes > max {
            self.marked.insert(room.clone());
            return Sent::Marked;
        }
        self.send(room, event(held))
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
