//! Where the application stands in one room, and the only frames that move it: `joined`, `message`,
//! `gap`, `reset` and the last `state` of a snapshot. Never past a hole that has no name yet, and
//! never back within an epoch, unless a snapshot says what is true there.

use roomcast_protocol::{Position, Seq};

/// The application as a reader of one room.
#[derive(Debug)]
pub(super) struct ApplicationReader {
    /// It has everything up to here, or was told what is missing. `None` before the first join.
    position: Option<Position>,
    /// Where the node goes on from. The position stays behind until the node has named what is
    /// missing, or has sent the whole snapshot: a connection lost before that must hide no hole.
    beyond: Option<Position>,
    snapshot: Snapshot,
}

/// A snapshot of the room's state on its way. Until its end the position stays where it is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Snapshot {
    None,
    /// The node said that one follows.
    Announced,
    /// Parts of it have come.
    Begun,
}

/// What the node says that follows: a snapshot or the rest of one, or messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    Messages,
    Snapshot,
}

impl From<bool> for Follows {
    fn from(state: bool) -> Self {
        if state { Self::Snapshot } else { Self::Messages }
    }
}

impl ApplicationReader {
    pub(super) fn new(since: Option<Position>) -> Self {
        Self { position: since, beyond: None, snapshot: Snapshot::None }
    }

    /// What to resume from.
    pub(super) fn position(&self) -> Option<Position> {
        self.position
    }

    /// The node says where the room continues from; returns what to tell of it.
    pub(super) fn joined(
        &mut self,
        at: Position,
        recovered: Option<bool>,
        follows: Follows,
    ) -> Position {
        if follows == Follows::Snapshot {
            (self.beyond, self.snapshot) = (Some(at), Snapshot::Announced);
            return at;
        }
        let (position, beyond) = match (self.position, recovered) {
            (Some(stood), Some(false)) => (stood, Some(at)),
            (Some(stood), _) => (furthest(stood, at), None),
            (None, _) => (at, None),
        };
        (self.position, self.beyond, self.snapshot) = (Some(position), beyond, Snapshot::None);
        position
    }

    /// A message; `None` if the application has it already, or gets what it says by the snapshot
    /// that is on its way.
    pub(super) fn message(&mut self, seq: Seq) -> Option<Position> {
        if self.snapshot != Snapshot::None {
            return None;
        }
        let stood = self.position?;
        // A node that names no hole has none to name; clients do not infer them.
        let from = self.beyond.map_or(stood, |beyond| furthest(stood, beyond));
        if seq <= from.seq {
            return None;
        }
        Some(self.stand(Position { seq, ..from }))
    }

    /// A gap; the first seq that is missing here, and where the application stands after it. `None`
    /// if it misses nothing.
    pub(super) fn gap(
        &mut self,
        (from, to): (Seq, Seq),
        follows: Follows,
    ) -> Option<(Seq, Position)> {
        let epoch = self.beyond.or(self.position)?.epoch;
        let known = self.position.filter(|stood| stood.epoch == epoch).map_or(0, |at| at.seq);
        let after = Position { epoch, seq: to };
        if follows == Follows::Snapshot {
            (self.beyond, self.snapshot) = (Some(after), Snapshot::Announced);
        } else if to > known && self.snapshot == Snapshot::None {
            self.stand(after);
        }
        (to > known).then(|| (from.max(known + 1), after))
    }

    pub(super) fn reset(&mut self, at: Position, follows: Follows) {
        if follows == Follows::Messages {
            self.stand(at);
        } else {
            (self.beyond, self.snapshot) = (Some(at), Snapshot::Announced);
        }
    }

    /// A part of a snapshot at this position; whether it is the first.
    pub(super) fn state(&mut self, at: Position, follows: Follows) -> bool {
        let is_first = self.snapshot != Snapshot::Begun || self.beyond != Some(at);
        if follows == Follows::Messages {
            self.stand(at);
        } else {
            (self.beyond, self.snapshot) = (Some(at), Snapshot::Begun);
        }
        is_first
    }

    fn stand(&mut self, at: Position) -> Position {
        (self.position, self.beyond, self.snapshot) = (Some(at), None, Snapshot::None);
        at
    }
}

/// `at`, unless what was told reaches further in the same epoch: nothing is told twice.
fn furthest(stood: Position, at: Position) -> Position {
    if stood.epoch == at.epoch && stood.seq > at.seq { stood } else { at }
}
