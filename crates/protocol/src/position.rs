//! Positions: where a reader stands in a room. Seqs alone cannot tell two lives of a room apart,
//! so a position is always an epoch and a seq.

use std::fmt;

use crate::name::parse_hex;

/// Number of a message within its room: 1, 2, 3 … without holes; 0 stands before the first.
/// Below 2^53, so that JavaScript reads it exactly.
pub type Seq = u64;

/// One life of a room's sequence: a random number, written as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Reads the 16 hex digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where a reader stands: it has everything up to and including `seq` of this epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the room that `seq` counts in.
    pub epoch: Epoch,
    /// The last message the reader has; 0 if none yet.
    pub seq: Seq,
}

/// An epoch and the ancestors it grew from, each with the last seq it shares with its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The current epoch.
    pub epoch: Epoch,
    /// (ancestor, base), oldest first: positions of the ancestor up to base are still good.
    pub ancestors: Vec<(Epoch, Seq)>,
}

impl Lineage {
    /// A room's first epoch.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, ancestors: Vec::new() }
    }

    /// Whether a reader at `position` may continue in the current epoch, whose last seq is `last`:
    /// its epoch is current and its seq exists, or it is an ancestor and its seq is shared.
    pub fn admits(&self, position: Position, last: Seq) -> bool {
        if position.epoch == self.epoch {
            return position.seq <= last;
        }
        self.base_of(position.epoch).is_some_and(|base| position.seq <= base)
    }

    /// The last seq that the current epoch shares with `epoch`; `None` if it is no ancestor.
    pub fn base_of(&self, epoch: Epoch) -> Option<Seq> {
        let at = self.ancestors.iter().position(|&(ancestor, _)| ancestor == epoch)?;
        // A later fork may have cut deeper than this ancestor's own.
        self.ancestors[at..].iter().map(|&(_, base)| base).min()
    }
}
