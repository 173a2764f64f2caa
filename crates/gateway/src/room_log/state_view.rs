//! A room's state at one position, as readers get it: whole, in a snapshot that all share, or as the
//! newest message of each key that changed after a reader's position. Pure and immutable.

use std::sync::Arc;

use roomcast_protocol::{Message, Position, RoomName, Seq, StateEntry, StatePoint};

use super::{Batch, Budget, LogEntry, RoomLog, SnapshotPart};
use crate::data_size::data_bytes;

/// Largest part of a snapshot on the wire, in bytes, unless it is one value: 64 KiB, with space for the
/// frame around it.
const PART_BYTES: usize = 63 * 1024;
/// Bytes of one value on the wire beside its data and names.
const VALUE_BYTES: usize = 96;
/// Bytes of one point beside its data.
const POINT_BYTES: usize = 64;
/// Largest page of changes, in bytes: as large as a batch may be.
const PAGE_BYTES: usize = 64 * 1024;

/// The value of one key, in a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct StateItem {
    pub(crate) message: Arc<Message>,
    pub(crate) points: Vec<Arc<Message>>,
}

/// A room's state at one position.
#[derive(Debug)]
pub(crate) struct StateView {
    pub(crate) at: Position,
    /// No key was removed after this seq but by one of the changes.
    pub(crate) forgotten: Seq,
    /// The newest message of each key, removals included; ascending.
    changes: Box<[Arc<Message>]>,
    /// All values, in parts.
    pub(crate) snapshot: Arc<Batch>,
    room: RoomName,
    budget: Budget,
}

impl StateView {
    /// A view of the values and the changes of a room, both ascending.
    pub(crate) fn new(
        room: &RoomName,
        (at, forgotten): (Position, Seq),
        changes: Vec<Arc<Message>>,
        values: &[StateItem],
        budget: &Budget,
    ) -> Self {
        let parts = parts(at, values).into_iter().map(LogEntry::State).collect();
        let snapshot = Arc::new(Batch::new(room.clone(), at, parts, budget));
        let changes = changes.into_boxed_slice();
        Self { at, forgotten, changes, snapshot, room: room.clone(), budget: budget.clone() }
    }

    /// Whether a reader of the snapshot goes on in this log.
    pub(crate) fn leads_into(&self, log: &RoomLog) -> bool {
        self.at.epoch == log.end().epoch && log.cursor_after(self.at.seq).is_some()
    }

    /// What a reader gets next that has everything up to `after`: the next changes, and what is left
    /// out between them. `None` if it must have the whole state, as a removal is forgotten.
    pub(crate) fn page(&self, after: Seq) -> Option<Batch> {
        if after < self.forgotten {
            return None;
        }
        let start = Position { epoch: self.at.epoch, seq: after };
        let (mut at, mut bytes, mut entries) = (after, 0, Vec::new());
        let from = self.changes.partition_point(|message| message.seq <= after);
        let left_out = |at: Seq, to: Seq, entries: &mut Vec<LogEntry>| {
            if at < to {
                entries.push(LogEntry::Conflated { from: at + 1, to });
            }
        };
        for message in &self.changes[from..] {
            bytes += message.data.len() + super::ENTRY_BYTES;
            if bytes > PAGE_BYTES && !entries.is_empty() {
                return Some(self.page_of(start, entries));
            }
            left_out(at, message.seq - 1, &mut entries);
            entries.push(LogEntry::Message(message.clone()));
            at = message.seq;
        }
        left_out(at, self.at.seq, &mut entries);
        (!entries.is_empty()).then(|| self.page_of(start, entries))
    }

    /// A page that the hub does not keep.
    fn page_of(&self, start: Position, entries: Vec<LogEntry>) -> Batch {
        let page = Batch::new(self.room.clone(), start, entries, &self.budget);
        page.leave();
        page
    }
}

/// The parts of a snapshot; one without values if there are none.
pub(crate) fn parts(at: Position, values: &[StateItem]) -> Vec<SnapshotPart> {
    let mut parts = Vec::new();
    let (mut entries, mut size, mut bytes) = (Vec::new(), 0, 0);
    for value in values {
        let more = wire_bytes(value);
        if size + more > PART_BYTES && !entries.is_empty() {
            let entries = std::mem::take(&mut entries);
            parts.push(SnapshotPart { at, entries, more: true, bytes });
            (size, bytes) = (0, 0);
        }
        size += more;
        bytes += value.message.data.len();
        bytes += value.points.iter().map(|point| point.data.len() + POINT_BYTES).sum::<usize>();
        entries.push(entry(value));
    }
    parts.push(SnapshotPart { at, entries, more: false, bytes });
    parts
}

/// The value as frames have it.
fn entry(value: &StateItem) -> StateEntry {
    let message = &value.message;
    let point = |point: &Arc<Message>| StatePoint {
        seq: point.seq,
        time: point.time,
        data: point.data.clone(),
    };
    StateEntry {
        key: message.state_key.clone(),
        seq: message.seq,
        time: message.time,
        user: message.user.clone(),
        data: message.data.clone(),
        points: (!value.points.is_empty()).then(|| value.points.iter().map(point).collect()),
    }
}

/// Bytes of a value on the wire, in either encoding: at least as many as it has.
pub(crate) fn wire_bytes(value: &StateItem) -> usize {
    let message = &value.message;
    // In JSON a quotation mark or a backslash in a name takes two bytes.
    let names = message.state_key.as_ref().map_or(0, |key| key.as_str().len())
        + message.user.as_ref().map_or(0, |user| user.as_str().len());
    let points = value.points.iter().map(|point| data_bytes(&point.data) + POINT_BYTES);
    VALUE_BYTES + 2 * names + data_bytes(&message.data) + points.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::{Data, Encoding};

    use super::*;
    use crate::tests::{at, message, room_name};

    #[test]
    fn a_part_has_64_kib_in_each_encoding() {
        let data = Data::json(format!("[{}0.5]", "-0,1e9,".repeat(20))).unwrap();
        let item = |seq| {
            let message = Message { data: data.clone(), ..message(seq, 2) };
            StateItem { message: Arc::new(message), points: Vec::new() }
        };
        let values: Vec<StateItem> = (1..=1_000).map(item).collect();
        let all = parts(at(1_000), &values);
        assert!(all.len() > 3, "{}", all.len());
        for part in all {
            for encoding in [Encoding::Json, Encoding::MsgPack] {
                let mut bytes = Vec::new();
                part.frame(room_name()).encode(encoding, &mut bytes);
                assert!(bytes.len() <= 64 * 1024, "{encoding:?}: {}", bytes.len());
            }
        }
    }
}
