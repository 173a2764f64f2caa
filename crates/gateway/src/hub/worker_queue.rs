//! The hub's end of one worker's queue. Sending never waits: if the queue is full, the event's room
//! is marked, and no more of it is sent until the worker gets the whole log again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roomcast_protocol::RoomName;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::WorkerEvent;
use super::owed::OwedNews;
use crate::peers::PeerQuestion;

/// Events that may wait for a worker: a burst of a thousand rooms.
const QUEUE_EVENTS: usize = 1024;
/// The batches in all queues together hold at most one part in so many of `limits.log_bytes`; a queue
/// may hold one event in any case.
const LOG_PARTS: usize = 8;

/// A worker's queue: the hub's end and the worker's.
pub(crate) fn worker_queue() -> (mpsc::Sender<WorkerEvent>, mpsc::Receiver<WorkerEvent>) {
    mpsc::channel(QUEUE_EVENTS)
}

/// The way of this node's own questions to its workers. It keeps no queue open; a worker whose queue
/// is full gives no answer.
pub(crate) fn question_way(
    queues: &[mpsc::Sender<WorkerEvent>],
) -> impl Fn(PeerQuestion) + Send + Sync + use<> {
    let queues: Vec<_> = queues.iter().map(mpsc::Sender::downgrade).collect();
    move |question| {
        let question = Arc::new(question);
        for queue in queues.iter().filter_map(mpsc::WeakSender::upgrade) {
            let _is_asked = queue.try_send(WorkerEvent::Question(question.clone()));
        }
    }
}

/// Bytes of logs that one of so many queues may hold.
pub(super) fn queue_bytes(log_bytes: usize, queues: usize) -> usize {
    log_bytes / LOG_PARTS / queues.max(1)
}

/// Bytes of logs that an event holds in a worker's queue, counted until the worker has handled it.
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

/// The sending end of a worker's queue, and the rooms of which an event found it full.
#[derive(Debug)]
pub(super) struct WorkerQueue {
    events: mpsc::Sender<WorkerEvent>,
    /// With what is to follow their logs.
    marked: BTreeMap<RoomName, OwedNews>,
    /// Bytes of logs in the queue.
    bytes: Arc<AtomicUsize>,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is in the queue, or its room was marked before.
    Fine,
    /// The queue is full. The room is marked now.
    Marked,
}

impl WorkerQueue {
    pub(super) fn new(events: mpsc::Sender<WorkerEvent>) -> Self {
        Self { events, marked: BTreeMap::new(), bytes: Arc::default() }
    }

    /// Whether events of a room are sent: the room is not marked.
    pub(super) fn takes(&self, room: &RoomName) -> bool {
        !self.marked.contains_key(room)
    }

    /// Sends an event that concerns `room`.
    pub(super) fn send(&mut self, room: &RoomName, event: WorkerEvent) -> Sent {
        if self.marked.contains_key(room) {
            return Sent::Fine;
        }
        match self.events.try_send(event) {
            Err(TrySendError::Full(_)) => {
                self.marked.insert(room.clone(), OwedNews::default());
                Sent::Marked
            }
            Ok(()) | Err(TrySendError::Closed(_)) => Sent::Fine,
        }
    }

    /// Sends an event that may be lost; false if it is: the queue is full or its room is marked.
    pub(super) fn try_send(&self, room: &RoomName, event: WorkerEvent) -> bool {
        !self.marked.contains_key(room)
            && !matches!(self.events.try_send(event), Err(TrySendError::Full(_)))
    }

    /// Sends an event that concerns `room` and holds `bytes` of its log, if the queue holds at most
    /// `max` bytes with it, or is empty.
    pub(super) fn send_log(
        &mut self,
        room: &RoomName,
        (bytes, max): (usize, usize),
        event: impl FnOnce(QueuedBytes) -> WorkerEvent,
    ) -> Sent {
        if self.marked.contains_key(room) {
            return Sent::Fine;
        }
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = QueuedBytes { bytes, all: self.bytes.clone() };
        if waiting > 0 && waiting + bytes > max {
            self.marked.insert(room.clone(), OwedNews::default());
            return Sent::Marked;
        }
        self.send(room, event(held))
    }

    /// What a marked room is owed; `None` where the room is not marked.
    pub(super) fn owed(&mut self, room: &RoomName) -> Option<&mut OwedNews> {
        self.marked.get_mut(room)
    }

    /// Unmarks rooms for which the queue has space again, half of it at most; with what is to follow
    /// their logs.
    pub(super) fn unmark(&mut self) -> Vec<(RoomName, OwedNews)> {
        let space = self.events.capacity().saturating_sub(self.events.max_capacity() / 2);
        std::iter::from_fn(|| self.marked.pop_first()).take(space).collect()
    }

    /// Whether any room is marked.
    pub(super) fn is_marked(&self) -> bool {
        !self.marked.is_empty()
    }

    /// The worker has detached from a room.
    pub(super) fn forget(&mut self, room: &RoomName) {
        self.marked.remove(room);
    }
}

#[cfg(test)]
mod tests;
