//! All rooms in memory, their events for the feeds, and when each room is next checked for expiry.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;
use roomcast_protocol::{Epoch, Lineage, Position, RoomName, Seq, UserName};

use super::presence::MemoryPresence;
use super::receipts::MemoryReceipts;
use super::room::MemoryRoom;
use crate::api::{
    Ephemeral, EphemeralFate, FeedEvent, History, HistoryRequest, PresenceCounts, PresenceNews,
    Publication, PublishAck, PublishError, ReceiptCounts, ReceiptError, ReceiptMarks, ReceiptMove,
    ReceiptNews, ReceiptRules, Retention, RoomOutline, RoomStateRead,
};
use crate::event_queue::pending_events::PendingEvents;

/// Least interval between two expiry checks of a room.
const MIN_EXPIRY_INTERVAL_MS: u64 = 1_000;
/// Rooms checked per call, so that no call holds the lock for long.
const ROOMS_PER_EXPIRY: usize = 32;

/// Every room of this process.
pub(crate) struct MemoryRooms {
    /// Events for the feeds.
    pub(crate) pending: PendingEvents,
    /// Bytes that may wait in `pending`.
    max_pending_bytes: usize,
    rooms: HashMap<RoomName, MemoryRoom>,
    /// Who is in which of them.
    pub(super) presence: MemoryPresence,
    /// One entry per room that has something to expire: when to check it.
    expiries: BinaryHeap<Reverse<(u64, RoomName)>>,
}

impl MemoryRooms {
    pub(crate) fn new(max_pending_bytes: usize) -> Self {
        Self {
            pending: PendingEvents::default(),
            max_pending_bytes,
            rooms: HashMap::new(),
            presence: MemoryPresence::default(),
            expiries: BinaryHeap::new(),
        }
    }

    pub(crate) fn publish(
        &mut self,
        name: RoomName,
        publication: Publication,
        now: u64,
    ) -> Result<PublishAck, PublishError> {
        self.expire(now);
        if self.pending.bytes() > self.max_pending_bytes {
            return Err(PublishError::Overloaded);
        }
        let room = self.rooms.entry_ref(&name).or_insert_with(|| MemoryRoom::new(now));
        let result = room.publish(publication, now);
        let (stored, open) = (room.take_stored(), room.open);
        self.queue_expiry(&name, now);
        for message in stored.into_iter().filter(|_| open) {
            self.pending.message(&name, message);
        }
        result
    }

    pub(crate) fn open(&mut self, name: RoomName, now: u64) {
        let room = self.rooms.entry_ref(&name).or_insert_with(|| MemoryRoom::new(now));
        if room.open {
            return;
        }
        room.open = true;
        let (lineage, last) = (room.lineage.clone(), room.last);
        self.pending.push(name.clone(), FeedEvent::Opened { lineage, last });
        let counts = self.presence.counts(&name);
        if counts != PresenceCounts::default() {
            // Who entered before may have missed changes.
            self.presence.count_reset();
            self.pending.push(name, FeedEvent::Presence(PresenceNews::Reset(counts)));
        }
    }

    /// Whether the feeds listen to a room.
    pub(super) fn is_open(&self, name: &RoomName) -> bool {
        self.rooms.get(name).is_some_and(|room| room.open)
    }

    /// Hands something ephemeral to the feeds' owner, if it listens to the room.
    pub(crate) fn send_ephemeral(
        &mut self,
        name: &RoomName,
        ephemeral: Ephemeral,
    ) -> EphemeralFate {
        if self.pending.bytes() > self.max_pending_bytes {
            return EphemeralFate::Dropped;
        }
        if self.rooms.get(name).is_some_and(|room| room.open) {
            self.pending.ephemeral(name, ephemeral);
        }
        EphemeralFate::Taken
    }

    pub(crate) fn close(&mut self, name: &RoomName, now: u64) {
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.open) else { return };
        room.open = false;
        room.touch(now);
        self.pending.forget(name);
        self.queue_expiry(name, now);
    }

    pub(crate) fn close_all(&mut self, now: u64) {
        self.pending.take();
        let open = |(name, room): (&RoomName, &MemoryRoom)| room.open.then(|| name.clone());
        let names: Vec<_> = self.rooms.iter().filter_map(open).collect();
        for name in names {
            self.close(&name, now);
        }
    }

    pub(crate) fn history(
        &mut self,
        name: &RoomName,
        request: HistoryRequest,
        now: u64,
    ) -> History {
        self.expire(now);
        let nothing = || History {
            lineage: Lineage::new(Epoch::NONE),
            last: 0,
            messages: Vec::new(),
            more: false,
        };
        self.rooms.get(name).map_or_else(nothing, |room| room.history(request, now))
    }

    pub(crate) fn state(&mut self, name: &RoomName, points: u32, now: u64) -> RoomStateRead {
        self.expire(now);
        let nothing = || RoomStateRead {
            lineage: Lineage::new(Epoch::NONE),
            last: 0,
            forgotten: 0,
            entries: Vec::new(),
        };
        self.rooms.get(name).map_or_else(nothing, |room| room.state(points, now))
    }

    pub(crate) fn standing(&mut self, name: &RoomName, now: u64) -> (Lineage, Seq) {
        self.expire(now);
        let room = self.rooms.entry_ref(name).or_insert_with(|| MemoryRoom::new(now));
        let standing = (room.lineage.clone(), room.last);
        self.queue_expiry(name, now);
        standing
    }

    pub(crate) fn advance_receipts(
        &mut self,
        name: &RoomName,
        moves: &[ReceiptMove],
        rules: ReceiptRules,
    ) -> Vec<Result<ReceiptMarks, ReceiptError>> {
        let Some(room) = self.rooms.get_mut(name) else {
            let nowhere = (&Lineage::new(Epoch::NONE), 0);
            let answer = |step| {
                let (marks, _) = MemoryReceipts::default().advance(nowhere, step, rules)?;
                Ok(marks)
            };
            return moves.iter().map(answer).collect();
        };
        let mut news = Vec::new();
        let mut advance = |step: &ReceiptMove| {
            let (marks, is_moved) =
                room.receipts.advance((&room.lineage, room.last), step, rules)?;
            if is_moved {
                news.push(ReceiptNews { user: step.user.clone(), marks, by: step.by.clone() });
            }
            Ok(marks)
        };
        let results = moves.iter().map(&mut advance).collect();
        if room.open && !news.is_empty() {
            self.pending.push(name.clone(), FeedEvent::Receipts(news.into()));
        }
        results
    }

    pub(crate) fn outline(
        &mut self,
        name: &RoomName,
        user: Option<&UserName>,
        kept: Retention,
        now: u64,
    ) -> RoomOutline {
        self.expire(now);
        let nothing =
            RoomOutline { epoch: Epoch::NONE, last: 0, time: 0, received: 0, read: 0, unread: 0 };
        self.rooms.get(name).map_or(nothing, |room| room.outline(user, kept, now))
    }

    pub(crate) fn position_at(&self, name: &RoomName, time: u64) -> Position {
        self.rooms.get(name).map_or(Position::START, |room| room.position_at(time))
    }

    pub(crate) fn count_receipts(&self, name: &RoomName, seqs: &[Seq]) -> ReceiptCounts {
        let room = self.rooms.get(name);
        let count = |seq: &Seq| room.map(|room| room.receipts.count(*seq)).unwrap_or_default();
        ReceiptCounts {
            epoch: room.map_or(Epoch::NONE, |room| room.lineage.epoch),
            last: room.map_or(0, |room| room.last),
            counts: seqs.iter().map(count).collect(),
        }
    }

    /// Checks the rooms that are due, a bounded number; returns when to check again (Unix ms).
    pub(crate) fn expire(&mut self, now: u64) -> Option<u64> {
        for _ in 0..ROOMS_PER_EXPIRY {
            let due = self.expiries.peek().map(|Reverse((due, _))| *due)?;
            if due > now {
                return Some(due);
            }
            let Some(Reverse((_, name))) = self.expiries.pop() else { break };
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            room.queued = false;
            room.trim(now);
            if room.is_spent(now) {
                self.rooms.remove(&name);
            } else {
                self.queue_expiry(&name, now);
            }
        }
        self.expiries.peek().map(|Reverse((due, _))| *due)
    }

    /// Queues the room's next expiry check, unless one is queued.
    fn queue_expiry(&mut self, name: &RoomName, now: u64) {
        let Some(room) = self.rooms.get_mut(name).filter(|room| !room.queued) else { return };
        if let Some(due) = room.due() {
            room.queued = true;
            self.expiries.push(Reverse((due.max(now + MIN_EXPIRY_INTERVAL_MS), name.clone())));
        }
    }
}

#[cfg(test)]
mod tests;
