//! Where the application stands in one room, and the only frames that move it: `joined`, `message`,
//! `gap` and `reset`. Never back within an epoch, and never past a hole that has no name yet.

use roomcast_protocol::{Position, Seq};

/// The application as a reader of one room.
#[derive(Debug)]
pub(super) struct ApplicationReader {
    /// It has everything up to here, or was told what is missing. `None` before the first join.
    position: Option<Position>,
    /// Where a join that did not recover continues from. The position stays behind until the
    /// node has named what is missing: a connection lost before that must not hide the hole.
    beyond: Option<Position>,
}

impl ApplicationReader {
    pub(super) fn new(since: Option<Position>) -> Self {
        Self { position: since, beyond: None }
    }

    /// What to resume from.
    pub(super) fn position(&self) -> Option<Position> {
        self.position
    }

    /// The node says where the room continues from; returns where the application stands.
    pub(super) fn joined(&mut self, at: Position, recovered: Option<bool>) -> Position {
        let (position, beyond) = match (self.position, recovered) {
            (Some(stood), Some(false)) => (stood, Some(at)),
            (Some(stood), _) => (furthest(stood, at), None),
            (None, _) => (at, None),
        };
        (self.position, self.beyond) = (Some(position), beyond);
        position
    }

    /// A message; `None` if the application has it already.
    pub(super) fn message(&mut self, seq: Seq) -> Option<Position> {
        let stood = self.position?;
        // A node that names no hole has none to name; clients do not infer them.
        let from = self.beyond.map_or(stood, |beyond| furthest(stood, beyond));
        if seq <= from.seq {
            return None;
        }
        Some(self.stand(Position { seq, ..from }))
    }

    /// A gap; the first seq that is missing here, and where the application stands then. `None` if
    /// it misses nothing.
    pub(super) fn gap(&mut self, from: Seq, to: Seq) -> Option<(Seq, Position)> {
        let stood = self.position?;
        let epoch = self.beyond.map_or(stood.epoch, |beyond| beyond.epoch);
        let known = if stood.epoch == epoch { stood.seq } else { 0 };
        if to <= known {
            return None;
        }
        Some((from.max(known + 1), self.stand(Position { epoch, seq: to })))
    }

    pub(super) fn reset(&mut self, at: Position) {
        self.stand(at);
    }

    fn stand(&mut self, at: Position) -> Position {
        (self.position, self.beyond) = (Some(at), None);
        at
    }
}

/// `at`, unless what was told reaches further in the same epoch: nothing is told twice.
fn furthest(stood: Position, at: Position) -> Position {
    if stood.epoch == at.epoch && stood.seq > at.seq { stood } else { at }
}
