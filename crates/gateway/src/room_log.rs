//! A room's log on a node: its recent messages as batches, each encoded once per form of delivery,
//! and cursors into them. Pure: it knows no socket, no clock and no task. Batches are immutable and
//! shared by the hub, which owns each log, and the workers, which mirror it.

mod batch;
mod budget;
mod entry;
mod state_view;

use std::collections::VecDeque;
use std::sync::Arc;

use roomcast_protocol::{Position, Seq};

pub(crate) use batch::{Batch, Encoded, Special};
pub(crate) use budget::Budget;
pub(crate) use entry::{ENTRY_BYTES, LogEntry, SnapshotPart};
pub(crate) use state_view::{StateItem, StateView, parts, wire_bytes};

/// Which batches a log has dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    /// Batches before this one went because the room's log is full: a member that still reads them
    /// is slow.
    pub(crate) slow: u64,
    /// Batches before this one are gone, some of them perhaps only for the node's memory budget.
    pub(crate) all: u64,
}

/// The next frame a reader has not had: a batch, by its number in the log, and a frame in it.
/// Numbers are given once by the hub and are the same on every worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    pub(crate) batch: u64,
    pub(crate) frame: u32,
}

/// Recent batches of one room. Invariants: batches are contiguous (each starts where the one
/// before ends); `base` is the number of the first.
#[derive(Debug, Clone)]
pub(crate) struct RoomLog {
    base: u64,
    batches: VecDeque<Arc<Batch>>,
    start: Position,
    end: Position,
    bytes: usize,
    /// Where the current epoch begins in this log: frames before it belong to an older one.
    epoch_cursor: Cursor,
    epoch_start: Position,
}

impl RoomLog {
    /// An empty log of a room at `position`.
    pub(crate) fn new(position: Position) -> Self {
        let origin = Cursor { batch: 0, frame: 0 };
        Self {
            base: 0,
            batches: VecDeque::new(),
            start: position,
            end: position,
            bytes: 0,
            epoch_cursor: origin,
            epoch_start: position,
        }
    }

    /// Appends a batch that starts where the log ends.
    pub(crate) fn append(&mut self, batch: Arc<Batch>) {
        debug_assert_eq!(batch.start(), self.end, "batches are contiguous");
        if let Some((frame, position)) = batch.after_reset() {
            self.epoch_cursor = Cursor { batch: self.end_cursor().batch, frame };
            self.epoch_start = position;
        }
        self.end = batch.end();
        self.bytes += batch.weight();
        self.batches.push_back(batch);
    }

    /// Drops every batch before number `floor`.
    pub(crate) fn trim(&mut self, floor: u64) {
        while self.base < floor {
            let Some(batch) = self.batches.pop_front() else { break };
            self.bytes -= batch.weight();
            self.start = batch.end();
            self.base += 1;
        }
        let origin = Cursor { batch: self.base, frame: 0 };
        if self.epoch_cursor < origin {
            self.epoch_cursor = origin;
            self.epoch_start = self.start;
        }
    }

    /// The number of the first batch that should stay so that at most `max` bytes do; the last
    /// batch always stays.
    pub(crate) fn floor_for(&self, max: usize) -> u64 {
        let (mut bytes, mut floor) = (self.bytes, self.base);
        for batch in self.batches.iter().take(self.batches.len().saturating_sub(1)) {
            if bytes <= max {
                break;
            }
            bytes -= batch.weight();
            floor += 1;
        }
        floor
    }

    /// The number of the first batch.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Position after the last batch.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// Size of all batches before encoding, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Size of the batches that a reader at `seq` of the current epoch has not read whole.
    pub(crate) fn bytes_after(&self, seq: Seq) -> usize {
        let first = self.cursor_after(seq).map_or(self.base, |cursor| cursor.batch);
        (first..self.end_cursor().batch)
            .filter_map(|number| self.batch(number))
            .map(|batch| batch.weight())
            .sum()
    }

    /// Number of batches.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// The cursor of a reader that has everything.
    pub(crate) fn end_cursor(&self) -> Cursor {
        Cursor { batch: self.base + self.batches.len() as u64, frame: 0 }
    }

    /// The batches before number `floor`.
    pub(crate) fn before(&self, floor: u64) -> impl Iterator<Item = &Arc<Batch>> {
        let count = usize::try_from(floor.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.batches.iter().take(count)
    }

    /// The batch with this number; `None` at the end or if it is gone.
    pub(crate) fn batch(&self, number: u64) -> Option<&Arc<Batch>> {
        self.batches.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// The position of a reader whose next frame is `cursor`; the log's start if that is gone.
    pub(crate) fn position_of(&self, cursor: Cursor) -> Position {
        if cursor.batch < self.base {
            return self.start;
        }
        self.batch(cursor.batch).map_or(self.end, |batch| batch.position_before(cursor.frame))
    }

    /// The cursor of a reader that has everything up to `seq` of the current epoch; `None` if the
    /// log does not reach back so far, or forward.
    pub(crate) fn cursor_after(&self, seq: Seq) -> Option<Cursor> {
        if seq < self.epoch_start.seq || seq > self.end.seq {
            return None;
        }
        let (mut low, mut high) = (self.epoch_cursor.batch, self.end_cursor().batch);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.batch(middle) {
                Some(batch) if batch.end().seq > seq => high = middle,
                _ => low = middle + 1,
            }
        }
        let Some(batch) = self.batch(low) else { return Some(self.end_cursor()) };
        let from = if low == self.epoch_cursor.batch { self.epoch_cursor.frame } else { 0 };
        Some(Cursor { batch: low, frame: batch.frame_after(seq, from) })
    }

    /// The first message at or after a cursor that is of this time or later, in ms since 1970; the
    /// end if there is none.
    pub(crate) fn cursor_since(&self, time: u64, cursor: Cursor) -> Cursor {
        let Cursor { mut batch, mut frame } = cursor;
        while let Some(here) = self.batch(batch) {
            frame = here.frame_since(time, frame);
            if frame < here.len() {
                return Cursor { batch, frame };
            }
            (batch, frame) = (batch + 1, 0);
        }
        self.end_cursor()
    }

    /// The oldest position of the current epoch that a reader can continue from in this log.
    pub(crate) fn reach(&self) -> Position {
        self.epoch_start
    }
}

#[cfg(test)]
mod tests;
