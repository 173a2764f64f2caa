//! One room as the hub keeps it: its log, the workers that are attached, and which batches are
//! dropped. Pure.

use std::sync::Arc;

use roomcast_bus::FeedEvent;
use roomcast_protocol::{Lineage, Position, RoomName};
use tokio::time::Instant;

use super::backfill::Backfill;
use super::people::RoomPeople;
use super::room_state::KeptState;
use super::shares::SharePlace;
use crate::ephemeral::EphemeralItem;
use crate::room_log::{Batch, Budget, Floor, LogEntry, RoomLog};

/// Largest batch, in bytes: some hundred chat messages, and small enough to be kept for one reader.
const BATCH_BYTES: usize = 64 * 1024;

/// One room on this node.
#[derive(Debug)]
pub(super) struct RoomLedger {
    pub(super) phase: FeedPhase,
    pub(super) log: RoomLog,
    pub(super) lineage: Arc<Lineage>,
    /// Workers that are attached, with the number of their command.
    pub(super) workers: Vec<(usize, u64)>,
    /// Since when no worker is attached.
    pub(super) idle_since: Option<Instant>,
    pub(super) backfill: Backfill,
    /// The room's state, if it keeps one.
    pub(super) state: Option<Box<KeptState>>,
    /// Its place among the rooms of which a value is to be removed.
    pub(super) state_end: Option<Instant>,
    /// Its place in the order in which rooms give up their states.
    pub(super) state_place: Option<SharePlace>,
    /// Its place in the order in which rooms give up memory.
    pub(super) place: Option<SharePlace>,
    /// It is in the hub's list of rooms that wait to be opened.
    pub(super) is_watched: bool,
    /// What its members hear of who is in it; only where somebody is known to be.
    pub(super) people: Option<Box<RoomPeople>>,
    /// When that is due next: its place in the hub's order.
    pub(super) people_at: Option<Instant>,
    /// What this turn has brought for its members.
    pub(super) told: Vec<Arc<EphemeralItem>>,
    /// Batches before this one were dropped because the log was full.
    slow: u64,
}

/// Whether the room's feed is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedPhase {
    /// The bus was asked to open it. Workers that wait are refused at this time.
    Opening { until: Instant },
    /// The log follows the feed.
    Open,
}

impl RoomLedger {
    pub(super) fn opening(until: Instant) -> Self {
        let nowhere = Position { epoch: roomcast_protocol::Epoch(0), seq: 0 };
        Self {
            phase: FeedPhase::Opening { until },
            log: RoomLog::new(nowhere),
            lineage: Arc::new(Lineage::new(nowhere.epoch)),
            workers: Vec::new(),
            idle_since: None,
            backfill: Backfill::default(),
            state: None,
            state_end: None,
            state_place: None,
            place: None,
            is_watched: false,
            people: None,
            people_at: None,
            told: Vec::new(),
            slow: 0,
        }
    }

    /// The feed is open: the log begins at its end.
    pub(super) fn open(&mut self, lineage: Lineage, last: u64) {
        self.phase = FeedPhase::Open;
        self.drop_before(u64::MAX);
        self.log = RoomLog::new(Position { epoch: lineage.epoch, seq: last });
        self.lineage = Arc::new(lineage);
        self.slow = 0;
    }

    /// The batches that an event of the feed adds to the log.
    pub(super) fn batches(
        &mut self,
        room: &RoomName,
        event: FeedEvent,
        budget: &Budget,
    ) -> Vec<Arc<Batch>> {
        let entries: Vec<LogEntry> = match event {
            FeedEvent::Messages(messages) => messages.into_iter().map(LogEntry::Message).collect(),
            FeedEvent::Gap { from, to } => vec![LogEntry::Gap { from, to }],
            FeedEvent::Reset { lineage, last, lost } => {
                self.lineage = Arc::new(lineage);
                vec![LogEntry::Reset { lineage: self.lineage.clone(), seq: last, lost }]
            }
            FeedEvent::Opened { .. }
            | FeedEvent::Presence(_)
            | FeedEvent::Receipts(_)
            | FeedEvent::Ephemeral(_) => Vec::new(),
        };
        let batches = Batch::split(room, self.log.end(), entries, BATCH_BYTES, budget);
        batches.into_iter().map(Arc::new).collect()
    }

    /// Appends a batch and keeps the log within `max` bytes. Returns which batches are dropped.
    pub(super) fn append(&mut self, batch: Arc<Batch>, max: usize) -> Floor {
        self.log.append(batch);
        let floor = self.log.floor_for(max);
        if floor > self.log.base() {
            // Batches that the memory budget dropped before do not count: only its own lag makes
            // a member slow.
            self.slow = floor;
        }
        self.drop_before(floor);
        self.floor()
    }

    /// Drops half of the log for the node's memory budget, or all of it if it is one batch.
    pub(super) fn shed(&mut self) -> Floor {
        let floor = match self.log.len() {
            0 | 1 => self.log.end_cursor().batch,
            _ => self.log.floor_for(self.log.bytes() / 2),
        };
        self.drop_before(floor);
        self.floor()
    }

    /// Drops the whole log: no reader can go on over what was appended last.
    pub(super) fn cut(&mut self) -> Floor {
        self.drop_before(self.log.end_cursor().batch);
        self.floor()
    }

    fn drop_before(&mut self, floor: u64) {
        self.log.before(floor).for_each(|batch| batch.leave());
        self.log.trim(floor);
    }

    /// Drops batches whose messages are older than `oldest` (Unix ms, the bus's clock); `None` if
    /// there are none. A gap or reset has no time: it is dropped with the messages after it.
    pub(super) fn expire(&mut self, oldest: u64) -> Option<Floor> {
        let (base, mut floor) = (self.log.base(), self.log.base());
        for number in base..self.log.end_cursor().batch {
            let newest = self.log.batch(number).and_then(|batch| batch.newest());
            match newest {
                Some(time) if time >= oldest => break,
                Some(_) => floor = number + 1,
                None => {}
            }
        }
        if floor == base {
            return None;
        }
        // This makes no member slow: the bus's clock and the node's may differ by more than the age.
        self.drop_before(floor);
        Some(self.floor())
    }

    pub(super) fn floor(&self) -> Floor {
        Floor { slow: self.slow, all: self.log.base() }
    }

    /// A worker attaches. The number of its command replaces an older one.
    pub(super) fn attach(&mut self, worker: usize, number: u64) {
        self.detach(worker);
        self.workers.push((worker, number));
        self.idle_since = None;
    }

    /// A worker detaches.
    pub(super) fn detach(&mut self, worker: usize) {
        self.workers.retain(|&(known, _)| known != worker);
    }
}

#[cfg(test)]
mod tests;
