//! Which workers are attached to a room: they get its log first, and then everything that is
//! appended to it.

use std::time::Duration;

use roomcast_metrics::{LimitAction, LimitName};
use roomcast_protocol::{ErrorCode, RoomName};
use tokio::time::Instant;

use super::WorkerEvent;
use super::driver::Hub;
use super::ledger::{FeedPhase, RoomLedger};
use super::worker_queue::{Sent, queue_bytes};

/// How long the feed of a room may take to open. After it, the hub refuses the workers that wait for
/// the room.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

impl Hub {
    /// A worker wants the log of a room. A room that the hub does not have yet is opened, unless the
    /// node holds as many as it may.
    pub(super) fn attach(&mut self, worker: usize, room: RoomName, number: u64) {
        let most = self.settings.borrow().limits.node_rooms;
        if most > 0 && self.rooms.len() >= most && !self.rooms.contains_key(&room) {
            self.metrics.limits.above[LimitName::NodeRooms][LimitAction::Refused].inc();
            let code = ErrorCode::Overloaded;
            let event = WorkerEvent::Refused { room: room.clone(), number, code };
            // If the queue is full, the joins that wait are refused when their time is over.
            let _told = self.queues[worker].send(&room, event);
            return;
        }
        let feeds = &mut self.feeds;
        let ledger = self.rooms.entry(room.clone()).or_insert_with(|| {
            feeds.open(room.clone());
            self.round.push_back(room.clone());
            RoomLedger::opening(Instant::now() + OPEN_TIMEOUT)
        });
        ledger.attach(worker, number);
        match &mut ledger.phase {
            FeedPhase::Open => self.send_log(worker, &room),
            FeedPhase::Opening { until } => {
                *until = (*until).max(Instant::now() + OPEN_TIMEOUT);
                if !std::mem::replace(&mut ledger.is_watched, true) {
                    self.opening.watch(*until, room);
                }
            }
        }
    }

    /// A worker has no member in a room any more. The room itself is closed after
    /// `limits.room_linger` without workers (`upkeep.rs`).
    pub(super) fn detach(&mut self, worker: usize, room: &RoomName) {
        self.queues[worker].forget(room);
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        ledger.detach(worker);
        if ledger.workers.is_empty() {
            ledger.idle_since = Some(Instant::now());
        }
    }

    /// The feed of a room is open: every worker that waits for it gets the log.
    pub(super) fn send_log_to_all(&mut self, room: &RoomName) {
        let Some(ledger) = self.rooms.get(room) else { return };
        let workers = ledger.workers.clone();
        for (worker, _) in workers {
            self.send_log(worker, room);
        }
    }

    /// Sends the log of a room, as it is now, to a worker that is attached. Does nothing if the
    /// worker is not attached or the feed is not open.
    pub(super) fn send_log(&mut self, worker: usize, room: &RoomName) {
        let Some(ledger) = self.rooms.get(room) else { return };
        if ledger.phase != FeedPhase::Open {
            return;
        }
        let Some(&(_, number)) = ledger.workers.iter().find(|(known, _)| *known == worker) else {
            return;
        };
        let max = queue_bytes(self.log_limits().1, self.queues.len());
        let sent = self.queues[worker].send_log(room, (ledger.log.bytes(), max), |held| {
            WorkerEvent::Attached {
                room: room.clone(),
                number,
                log: ledger.log.clone(),
                lineage: ledger.lineage.clone(),
                slow: ledger.floor().slow,
                held,
            }
        });
        if sent == Sent::Marked {
            self.metrics.rooms.hub_queue_full.inc();
        }
    }
}
