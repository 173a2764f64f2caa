//! The entries of a batch: what a reader gets, one frame each.

use std::sync::Arc;

use roomcast_protocol::{Lineage, Message, Position, RoomName, Seq, ServerFrame, StateEntry};

/// Bytes of one message beside its data: envelope, names and bookkeeping, roughly.
pub(crate) const ENTRY_BYTES: usize = 160;

/// One entry of a room's log, or of a page.
#[derive(Debug, Clone)]
pub(crate) enum LogEntry {
    /// The next message.
    Message(Arc<Message>),
    /// Messages `from` to `to`, both included, are lost to this node.
    Gap { from: Seq, to: Seq },
    /// The room goes on in another epoch, after `seq`.
    Reset { lineage: Arc<Lineage>, seq: Seq, lost: u64 },
    /// In a page of a room with state: of messages `from` to `to` this reader gets only what is the
    /// newest of its key.
    Conflated { from: Seq, to: Seq },
    /// In a snapshot: a part of the room's state.
    State(SnapshotPart),
}

/// A part of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotPart {
    /// The position of the whole snapshot.
    pub(crate) at: Position,
    pub(crate) entries: Vec<StateEntry>,
    /// Whether another part follows.
    pub(crate) more: bool,
    /// Bytes of the data.
    pub(crate) bytes: usize,
}

impl SnapshotPart {
    /// The frame for members.
    pub(super) fn frame(&self, room: RoomName) -> ServerFrame {
        ServerFrame::State {
            id: None,
            room,
            epoch: self.at.epoch,
            seq: self.at.seq,
            entries: self.entries.clone(),
            more: self.more,
            page: None,
        }
    }
}

impl LogEntry {
    /// The position after this entry of a reader that was at `before`. A snapshot moves it with its
    /// last part.
    pub(super) fn end(&self, before: Position) -> Position {
        let epoch = before.epoch;
        match self {
            Self::Message(message) => Position { epoch, seq: message.seq },
            Self::Gap { to, .. } | Self::Conflated { to, .. } => Position { epoch, seq: *to },
            Self::Reset { lineage, seq, .. } => Position { epoch: lineage.epoch, seq: *seq },
            Self::State(SnapshotPart { more: true, .. }) => before,
            Self::State(part) => part.at,
        }
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Message(message) => ENTRY_BYTES + message.data.len(),
            Self::Gap { .. } | Self::Reset { .. } | Self::Conflated { .. } => ENTRY_BYTES,
            Self::State(part) => ENTRY_BYTES * (1 + part.entries.len()) + part.bytes,
        }
    }
}
