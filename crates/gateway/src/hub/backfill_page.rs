//! Pages: parts of a room's history that stand before its log, made of what the bus gave. Pure.

use std::sync::Arc;

use roomcast_bus::{History, HistoryRequest, Range, Retention};
use roomcast_protocol::{Epoch, Message, Position, RoomName, Seq};

use crate::log::{Batch, Budget, Entry, RoomLog};

/// A page's messages, in bytes of data: what a batch may hold.
const PAGE_BYTES: usize = 64 * 1024;
/// Messages in one page.
pub(super) const PAGE_MESSAGES: u32 = 1000;

/// A part of a room's history to be read for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackfillRange {
    /// What follows this seq.
    After(Seq),
    /// The last so many messages up to this seq, where the log begins.
    UpTo(Seq, u32),
}

impl BackfillRange {
    /// What to ask of the bus.
    pub(super) fn request(self, retention: Retention) -> HistoryRequest {
        let (range, limit) = match self {
            Self::After(seq) => (Range::After(seq), PAGE_MESSAGES),
            Self::UpTo(seq, limit) => (Range::Before(seq + 1), limit),
        };
        HistoryRequest { range, limit, max_bytes: PAGE_BYTES, retention }
    }
}

/// A part of a room's history that lies before its log.
#[derive(Debug, Clone)]
pub(crate) struct BackfillPage {
    /// The epoch its seqs count in.
    pub(crate) epoch: Epoch,
    /// It answers readers at this seq …
    pub(crate) from: Seq,
    /// … and later ones up to here, where it ends.
    pub(crate) to: Seq,
    /// The seq before its first message: what lies between `from` and here is lost.
    pub(crate) start: Seq,
    /// The messages; `None` if all of it is lost.
    pub(crate) batch: Option<Arc<Batch>>,
}

impl BackfillPage {
    /// Whether a reader that has everything up to `after` finds what follows here.
    pub(crate) fn serves(&self, after: Seq) -> bool {
        self.from <= after && after < self.to
    }

    /// The hub lets go of it; readers may still have it.
    pub(super) fn leave(&self) {
        if let Some(batch) = &self.batch {
            batch.leave();
        }
    }

    /// What a reader at `after` misses before the first message, both ends included.
    pub(crate) fn missing(&self, after: Seq) -> Option<(Seq, Seq)> {
        (after < self.start).then_some((after + 1, self.start))
    }

    /// Makes a page of what the bus gave for a part; `None` if the room is in another epoch than the
    /// log, or behind it.
    pub(crate) fn of(
        room: &RoomName,
        part: BackfillRange,
        history: History,
        log: &RoomLog,
        budget: &Budget,
    ) -> Option<Self> {
        let end = log.end();
        // What the bus has and the log has not comes through the log.
        let last = history.last.min(end.seq);
        let (after, to) = match part {
            BackfillRange::After(after) => (after, last),
            BackfillRange::UpTo(to, _) => (0, to),
        };
        // Where the bus stands behind what this node was told, the feed will tell why.
        if history.lineage.epoch != end.epoch || last < to || to <= after {
            return None;
        }
        // What the log has is not lost, however little of it users may read back.
        let until = to.min(log.reach().seq).max(after + 1);
        let mut messages = history.messages;
        messages.retain(|message| message.seq > after && message.seq <= to);
        let first = messages.first().map_or(until, |message| message.seq - 1);
        let start = first.min(until);
        let from = match part {
            BackfillRange::After(after) => after,
            // What the bus has before it is another page's.
            BackfillRange::UpTo(..) if history.more => start,
            BackfillRange::UpTo(..) => 0,
        };
        let epoch = end.epoch;
        if start == until {
            return Some(Self { epoch, from, to: until, start, batch: None });
        }
        // Read from its end, it is whole up to there.
        let is_whole = !history.more || matches!(part, BackfillRange::UpTo(..));
        let (mut entries, mut to) = entries(messages, start, until);
        if is_whole && to < until {
            entries.push(Entry::Gap { from: to + 1, to: until });
            to = until;
        }
        let begin = Position { epoch, seq: start };
        let batch = Some(Arc::new(Batch::new(room.clone(), begin, entries, budget)));
        Some(Self { epoch, from, to, start, batch })
    }
}

/// What readers at `start` are told, and where they stand then. What is missing before `until` is
/// lost; what is missing after it the log has, and the page ends there.
fn entries(messages: Vec<Arc<Message>>, start: Seq, until: Seq) -> (Vec<Entry>, Seq) {
    let (mut entries, mut at) = (Vec::with_capacity(messages.len()), start);
    for message in messages {
        let before = until.min(message.seq - 1);
        if at < before {
            entries.push(Entry::Gap { from: at + 1, to: before });
            at = before;
        }
        if message.seq != at + 1 {
            break;
        }
        at = message.seq;
        entries.push(Entry::Message(message));
    }
    (entries, at)
}

#[cfg(test)]
pub(super) mod tests;
