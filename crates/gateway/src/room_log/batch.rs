//! A batch: what one turn of the feed appended to a room, at most 64 KiB or one message. It encodes
//! itself once per form, when the first reader of that form asks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use roomcast_protocol::{
    ConnectionId, KeyVisibility, Position, RoomName, Seq, ServerFrame, encode_message,
};

use super::Budget;
use super::entry::LogEntry;
use crate::form::Form;

/// Complete frames of a batch in one form of delivery, one after the other.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The frames.
    pub(crate) bytes: Box<[u8]>,
    /// Where each frame ends.
    ends: Box<[u32]>,
}

impl Encoded {
    /// Where frame `index` begins.
    pub(crate) fn start(&self, index: u32) -> usize {
        match index {
            0 => 0,
            n => self.ends[n as usize - 1] as usize,
        }
    }

    /// Where frame `index` ends.
    pub(crate) fn end(&self, index: u32) -> usize {
        self.ends[index as usize] as usize
    }

    /// Number of frames.
    pub(crate) fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// The frame that holds the byte at `offset`; the number of frames at the very end.
    pub(crate) fn frame_at(&self, offset: usize) -> u32 {
        self.ends.partition_point(|&end| end as usize <= offset) as u32
    }
}

/// A run of entries of one room. Invariant: never empty; seqs ascend within an epoch.
#[derive(Debug)]
pub(crate) struct Batch {
    room: RoomName,
    entries: Box<[LogEntry]>,
    start: Position,
    end: Position,
    weight: usize,
    encoded: [OnceLock<Encoded>; Form::COUNT],
    /// What the budget counts as leaving for it: 0 while the hub keeps it.
    leaving: AtomicUsize,
    budget: Budget,
}

impl Batch {
    /// A batch of entries that follow `start`.
    pub(crate) fn new(
        room: RoomName,
        start: Position,
        entries: Vec<LogEntry>,
        budget: &Budget,
    ) -> Self {
        let end = entries.iter().fold(start, |at, entry| entry.end(at));
        let weight = entries.iter().map(LogEntry::weight).sum();
        budget.charge(weight);
        let entries = entries.into_boxed_slice();
        Self {
            room,
            entries,
            start,
            end,
            weight,
            encoded: Default::default(),
            leaving: AtomicUsize::new(0),
            budget: budget.clone(),
        }
    }

    /// Splits entries that follow `start` into batches of at most `max` bytes or one entry.
    pub(crate) fn split(
        room: &RoomName,
        start: Position,
        entries: Vec<LogEntry>,
        max: usize,
        budget: &Budget,
    ) -> Vec<Self> {
        let mut batches: Vec<Self> = Vec::new();
        let (mut open, mut weight) = (Vec::new(), 0);
        let mut close = |entries: Vec<LogEntry>| {
            let start = batches.last().map_or(start, |batch| batch.end);
            batches.push(Self::new(room.clone(), start, entries, budget));
        };
        for entry in entries {
            if !open.is_empty() && weight + entry.weight() > max {
                close(std::mem::take(&mut open));
                weight = 0;
            }
            weight += entry.weight();
            open.push(entry);
        }
        if !open.is_empty() {
            close(open);
        }
        batches
    }

    /// The position before the first entry.
    pub(crate) fn start(&self) -> Position {
        self.start
    }

    /// The position after the last entry.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// Its size for bounds and budgets, before any encoding, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// What it holds now, encodings included, in bytes.
    pub(crate) fn held(&self) -> usize {
        let encoded = self.encoded.iter().filter_map(OnceLock::get).map(|e| e.bytes.len());
        self.weight + encoded.sum::<usize>()
    }

    /// The hub lets go of it, once: it is freed as soon as the workers have followed.
    pub(crate) fn leave(&self) {
        let held = self.held();
        self.budget.leave(held);
        let before = self.leaving.swap(held, Ordering::Relaxed);
        self.budget.left(before);
    }

    /// Number of entries, which is the number of frames in every form.
    pub(crate) fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    /// The entries.
    pub(crate) fn entries(&self) -> &[LogEntry] {
        &self.entries
    }

    /// The time of its last message, Unix ms; `None` if it has only gaps and resets.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.entries.iter().rev().find_map(|entry| match entry {
            LogEntry::Message(message) => Some(message.time),
            _ => None,
        })
    }

    /// A reader's position before frame `index`.
    pub(crate) fn position_before(&self, index: u32) -> Position {
        let before = &self.entries[..index as usize];
        before.iter().fold(self.start, |at, entry| entry.end(at))
    }

    /// Whether it is a snapshot of a room's state: whoever has begun it must come to its end.
    pub(crate) fn is_snapshot(&self) -> bool {
        matches!(self.entries.first(), Some(LogEntry::State(_)))
    }

    /// The first frame after the last `Reset`, and the position there.
    pub(crate) fn after_reset(&self) -> Option<(u32, Position)> {
        let at = self.entries.iter().rposition(|entry| matches!(entry, LogEntry::Reset { .. }))?;
        Some((at as u32 + 1, self.position_before(at as u32 + 1)))
    }

    /// The first frame at or after `from` that holds something after `seq`; only meaningful within
    /// one epoch.
    pub(crate) fn frame_after(&self, seq: Seq, from: u32) -> u32 {
        let rest = &self.entries[from as usize..];
        let skipped = rest.partition_point(|entry| entry.end(self.start).seq <= seq);
        from + skipped as u32
    }

    /// The first frame at or after `from` that is a message of this time or later, in ms since 1970;
    /// the number of frames if there is none.
    pub(crate) fn frame_since(&self, time: u64, from: u32) -> u32 {
        let is_recent =
            |entry: &LogEntry| matches!(entry, LogEntry::Message(message) if message.time >= time);
        let skipped = self.entries[from as usize..].iter().position(is_recent);
        skipped.map_or(self.len(), |skipped| from + skipped as u32)
    }

    /// The frames in `form`, encoded at the first call.
    pub(crate) fn encoded(&self, form: Form) -> &Encoded {
        self.encoded[form.index()].get_or_init(|| self.encode(form))
    }

    fn encode(&self, form: Form) -> Encoded {
        let mut bytes = Vec::with_capacity(self.weight);
        let mut ends = Vec::with_capacity(self.entries.len());
        let mut payload = Vec::with_capacity(self.weight / self.entries.len() + 64);
        for entry in &self.entries {
            payload.clear();
            self.encode_entry(entry, form, &mut payload);
            form.append_shared(&payload, self.budget.deflate(), &mut bytes);
            ends.push(bytes.len() as u32);
        }
        let encoded = Encoded { bytes: bytes.into_boxed_slice(), ends: ends.into_boxed_slice() };
        self.budget.charge(encoded.bytes.len());
        encoded
    }

    fn encode_entry(&self, entry: &LogEntry, form: Form, payload: &mut Vec<u8>) {
        let (room, encoding) = (self.room.clone(), form.encoding());
        match entry {
            LogEntry::Message(message) => {
                encode_message(&self.room, message, KeyVisibility::Hidden, encoding, payload);
            }
            LogEntry::Gap { from, to } => {
                ServerFrame::gap(room, (*from, *to)).encode(encoding, payload);
            }
            LogEntry::Conflated { from, to } => {
                let (from, to, conflated, state) = (*from, *to, true, false);
                ServerFrame::Gap { room, from, to, conflated, state }.encode(encoding, payload);
            }
            LogEntry::State(part) => part.frame(room).encode(encoding, payload),
            LogEntry::Reset { lineage, seq, lost } => {
                ServerFrame::reset(room, Position { epoch: lineage.epoch, seq: *seq }, *lost)
                    .encode(encoding, payload);
            }
        }
    }

    /// Whether a member with this id sees frame `index` differently from the others: it is the
    /// author and asked for no echo, or sees its own key.
    pub(crate) fn special(&self, index: u32, reader: ConnectionId) -> Option<Special> {
        let LogEntry::Message(message) = &self.entries[index as usize] else { return None };
        if message.connection != Some(reader) {
            return None;
        }
        match (message.echo, &message.key) {
            (false, _) => Some(Special::Skipped),
            (true, Some(_)) => Some(Special::Keyed),
            (true, None) => None,
        }
    }

    /// The author's own version of frame `index`, with its key.
    pub(crate) fn keyed_frame(&self, index: u32, form: Form) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let LogEntry::Message(message) = &self.entries[index as usize] {
            let mut payload = Vec::new();
            let shown = KeyVisibility::Shown;
            encode_message(&self.room, message, shown, form.encoding(), &mut payload);
            form.append(&payload, &mut bytes);
        }
        bytes
    }
}

/// How an author's own message differs for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// It asked for no echo.
    Skipped,
    /// It sees its key.
    Keyed,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.budget.release(self.held());
        self.budget.left(*self.leaving.get_mut());
    }
}

#[cfg(test)]
mod tests;
