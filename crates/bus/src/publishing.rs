//! The task that publishes: one group in flight per room, while the room's further publications
//! wait for the next one. Rooms do not wait for each other.

mod answer;
pub(crate) mod group;
mod pending;
mod queue;

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hashbrown::HashMap;
use roomcast_metrics::BusMetrics;
use roomcast_protocol::RoomName;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::api::{Publication, PublishError, PublishReply};
use group::GroupSender;
use pending::{PendingLoad, PendingPublication};
use queue::Queue;

/// Submissions taken over in one turn.
const SUBMISSIONS_PER_TURN: usize = 512;

/// The handle that publications are submitted through.
#[derive(Clone)]
pub(crate) struct Submitter {
    /// Bounded by `load`, so that submitting never waits.
    queue: mpsc::UnboundedSender<(RoomName, PendingPublication)>,
    load: Arc<PendingLoad>,
    metrics: BusMetrics,
}

impl Submitter {
    /// A submitter and the task that serves it until the last handle is gone.
    pub(crate) fn new(
        sender: GroupSender,
        metrics: BusMetrics,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, submitted) = mpsc::unbounded_channel();
        let publisher = Publisher {
            submitted,
            rooms: HashMap::new(),
            running: FuturesUnordered::new(),
            sender: Arc::new(sender),
            metrics: metrics.clone(),
        };
        (Self { queue, load: Arc::default(), metrics }, publisher.run())
    }

    /// Hands a publication over.
    pub(crate) fn submit(&self, room: RoomName, publication: &Publication, reply: PublishReply) {
        match PendingPublication::new(publication, reply, &self.load) {
            // If the task has ended, the returned item answers when it is dropped.
            Ok(pending) => drop(self.queue.send((room, pending))),
            Err(reply) => {
                self.metrics.overloaded.inc();
                reply(Err(PublishError::Overloaded));
            }
        }
    }
}

struct Publisher {
    submitted: mpsc::UnboundedReceiver<(RoomName, PendingPublication)>,
    /// Rooms with a group in flight, and what waits for their next one.
    rooms: HashMap<RoomName, Queue>,
    /// The groups in flight; each ends with its room's name when its items are answered.
    running: FuturesUnordered<BoxFuture<'static, RoomName>>,
    sender: Arc<GroupSender>,
    metrics: BusMetrics,
}

impl Publisher {
    async fn run(mut self) {
        let mut turn = Vec::with_capacity(SUBMISSIONS_PER_TURN);
        let mut fresh = Vec::new();
        loop {
            tokio::select! {
                count = self.submitted.recv_many(&mut turn, SUBMISSIONS_PER_TURN) => {
                    if count == 0 {
                        break;
                    }
                    for (room, pending) in turn.drain(..) {
                        self.enqueue(room, pending, &mut fresh);
                    }
                    fresh.drain(..).for_each(|room| self.next_group(room));
                }
                Some(room) = self.running.next() => self.next_group(room),
            }
        }
        while let Some(room) = self.running.next().await {
            self.next_group(room);
        }
    }

    /// Queues an item; a room that had nothing in flight is put on `fresh`.
    fn enqueue(&mut self, room: RoomName, pending: PendingPublication, fresh: &mut Vec<RoomName>) {
        let queue = self.rooms.entry_ref(&room).or_insert_with(|| {
            fresh.push(room.clone());
            Queue::default()
        });
        if let Some(pending) = queue.push(pending) {
            self.metrics.overloaded.inc();
            pending.answer(Err(PublishError::Overloaded));
        }
    }

    fn next_group(&mut self, room: RoomName) {
        let Some(queue) = self.rooms.get_mut(&room) else { return };
        let mut late = Vec::new();
        let group = queue.next_group(Instant::now(), &mut late);
        for pending in late {
            pending.answer(Err(PublishError::Unavailable));
        }
        if group.is_empty() {
            self.rooms.remove(&room);
            return;
        }
        let sender = self.sender.clone();
        self.running.push(Box::pin(async move {
            sender.send(&room, group).await;
            room
        }));
    }
}
