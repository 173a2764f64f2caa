//! What users confirm of rooms, on its way to the bus: the node's one queue of it, and the task that
//! writes. It knows no connection; each request has its own way of being answered.

mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use roomcast_bus::{Bus, ReceiptError, ReceiptRules};
use roomcast_protocol::RoomName;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

pub(crate) use queue::ReceiptRequest;
use queue::{ReceiptQueue, ReceiptWrite};

/// The queue, shared by the node's threads.
pub(crate) struct ReceiptDesk {
    bus: Bus,
    queue: Mutex<ReceiptQueue>,
    /// Wakes the task that writes.
    asked: Notify,
}

impl ReceiptDesk {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus, queue: Mutex::default(), asked: Notify::new() }
    }

    fn queue(&self) -> MutexGuard<'_, ReceiptQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A user confirms a room; the answer comes after it was written.
    pub(crate) fn confirm(&self, room: &RoomName, rules: ReceiptRules, request: ReceiptRequest) {
        let refused = self.queue().ask((room, rules), request, Instant::now());
        match refused {
            Some(reply) => reply(Err(ReceiptError::Unavailable)),
            None => self.asked.notify_one(),
        }
    }

    /// Writes what is due, for as long as the node runs.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut writes = FuturesUnordered::new();
        loop {
            let due = self.queue().take_due(Instant::now());
            writes.extend(due.into_iter().map(|write| self.write(write)));
            let due = self.queue().due();
            let next = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(()) = writes.next(), if !writes.is_empty() => {}
                () = self.asked.notified() => {}
                () = next => {}
            }
        }
    }

    async fn write(&self, write: ReceiptWrite) {
        let ReceiptWrite { room, rules, moves, replies } = write;
        let results = self.bus.advance_receipts(&room, &moves, rules).await;
        let unavailable = || vec![Err(ReceiptError::Unavailable); moves.len()];
        let results = results.unwrap_or_else(|_| unavailable());
        self.queue().wrote(&room, &moves);
        for (replies, result) in replies.into_iter().zip(results) {
            replies.into_iter().for_each(|reply| reply(result));
        }
    }
}
