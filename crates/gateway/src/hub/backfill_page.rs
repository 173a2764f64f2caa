//! Pages of backfill: parts of a room's history that lie before its log, built from what the bus
//! returned. Pure.

use std::sync::Arc;

use roomcast_bus::{History, HistoryRange, HistoryRequest, Retention};
use roomcast_protocol::{Epoch, Message, Position, RoomName, Seq};

use crate::room_log::{Batch, Budget, LogEntry, RoomLog};

/// Largest page, in bytes of data: as large as a batch may be.
const PAGE_BYTES: usize = 64 * 1024;
/// Most messages in one page.
pub(super) const PAGE_MESSAGES: u32 = 1000;

/// The part of a room's history that is read for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackfillRange {
    /// The messages that follow this seq.
    After(Seq),
    /// So many messages up to this seq, where the log begins.
    UpTo(Seq, u32),
}

impl BackfillRange {
    /// The request to the bus.
    pub(super) fn request(self, retention: Retention) -> HistoryRequest {
        let (range, limit) = match self {
            Self::After(seq) => (HistoryRange::After(seq), PAGE_MESSAGES),
            Self::UpTo(seq, limit) => (HistoryRange::Before(seq + 1), limit),
        };
        HistoryRequest { range, limit, max_bytes: PAGE_BYTES, retention }
    }
}

/// A part of a room's history that lies before its log.
#[derive(Debug, Clone)]
pub(crate) struct BackfillPage {
    /// The epoch its seqs count in.
    pub(crate) epoch: Epoch,
    /// The first seq whose readers it serves.
    pub(crate) from: Seq,
    /// The seq at which it ends: it serves readers before this one.
    pub(crate) to: Seq,
    /// The seq before its first message. Messages between `from` and here are lost.
    pub(crate) start: Seq,
    /// The messages; `None` if all of them are lost.
    pub(crate) batch: Option<Arc<Batch>>,
}

impl BackfillPage {
    /// Whether a reader that has all messages up to `after` finds the next ones here.
    pub(crate) fn serves(&self, after: Seq) -> bool {
        self.from <= after && after < self.to
    }

    /// The hub drops it: it no longer counts in the budget. Readers may still hold it.
    pub(super) fn leave(&self) {
        if let Some(batch) = &self.batch {
            batch.leave();
        }
    }

    /// The seqs that a reader at `after` misses before the first message, both ends included.
    pub(crate) fn missing(&self, after: Seq) -> Option<(Seq, Seq)> {
        (after < self.start).then_some((after + 1, self.start))
    }

    /// Builds a page from what the bus returned for a range; `None` if the room is in another epoch
    /// than the log, or ends before it.
    pub(crate) fn of(
        room: &RoomName,
        part: BackfillRange,
        history: History,
        log: &RoomLog,
        budget: &Budget,
    ) -> Option<Self> {
        let end = log.end();
        // Messages that the bus has and the log lacks come through the log.
        let last = history.last.min(end.seq);
        let (after, to) = match part {
            BackfillRange::After(after) => (after, last),
            BackfillRange::UpTo(to, _) => (0, to),
        };
        // If the room ends before what this node has seen, the feed will deliver a reset.
        if history.lineage.epoch != end.epoch || last < to || to <= after {
            return None;
        }
        // Messages in the log are not lost, even if users may not read so far back in history.
        let until = to.min(log.reach().seq).max(after + 1);
        let mut messages = history.messages;
        messages.retain(|message| message.seq > after && message.seq <= to);
        let first = messages.first().map_or(until, |message| message.seq - 1);
        let start = first.min(until);
        let from = match part {
            BackfillRange::After(after) => after,
            // Earlier messages, which the bus has, belong to another page.
            BackfillRange::UpTo(..) if history.more => start,
            BackfillRange::UpTo(..) => 0,
        };
        let epoch = end.epoch;
        if start == until {
            return Some(Self { epoch, from, to: until, start, batch: None });
        }
        // A range that was read from its end is complete up to that end.
        let is_whole = !history.more || matches!(part, BackfillRange::UpTo(..));
        let (mut entries, mut to) = entries(messages, start, until);
        if is_whole && to < until {
            entries.push(LogEntry::Gap { from: to + 1, to: until });
            to = until;
        }
        let begin = Position { epoch, seq: start };
        let batch = Some(Arc::new(Batch::new(room.clone(), begin, entries, budget)));
        Some(Self { epoch, from, to, start, batch })
    }
}

/// The entries for readers at `start`, and the seq at which they end. A message that is missing
/// before `until` is lost. Where one is missing after it, the log has it and the page ends.
fn entries(messages: Vec<Arc<Message>>, start: Seq, until: Seq) -> (Vec<LogEntry>, Seq) {
    let (mut entries, mut at) = (Vec::with_capacity(messages.len()), start);
    for message in messages {
        let before = until.min(message.seq - 1);
        if at < before {
            entries.push(LogEntry::Gap { from: at + 1, to: before });
            at = before;
        }
        if message.seq != at + 1 {
            break;
        }
        at = message.seq;
        entries.push(LogEntry::Message(message));
    }
    (entries, at)
}

#[cfg(test)]
pub(super) mod tests;
