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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURRENT: Epoch = Epoch(9);

    fn lineage(bases: &[Seq]) -> Lineage {
        let ancestors = bases.iter().enumerate().map(|(at, &base)| (Epoch(at as u64), base));
        Lineage { epoch: CURRENT, ancestors: ancestors.collect() }
    }

    #[track_caller]
    fn check(lineage: &Lineage, epoch: Epoch, seq: Seq, last: Seq, expected: bool) {
        let position = Position { epoch, seq };
        assert_eq!(lineage.admits(position, last), expected, "{position:?} at {last}");
    }

    #[test]
    fn a_fork_deeper_than_an_ancestors_own_base_cuts_that_ancestor_too() {
        // Epoch 0 was left at 10; epoch 1 then lost all after 7.
        let lineage = lineage(&[10, 7]);
        check(&lineage, Epoch(0), 7, 20, true);
        check(&lineage, Epoch(0), 8, 20, false);
        check(&lineage, Epoch(1), 7, 20, true);
        check(&lineage, Epoch(1), 8, 20, false);
        check(&lineage, CURRENT, 20, 20, true);
        check(&lineage, CURRENT, 21, 20, false);
        check(&lineage, Epoch(5), 0, 20, false);
    }

    proptest! {
        /// Told by the story itself: each epoch's seqs up to its base live on in its successor.
        #[test]
        fn a_position_is_good_if_it_lived_through_every_fork(
            bases in prop::collection::vec(0..12u64, 0..5), epoch in 0..6u64, seq in 0..15u64,
        ) {
            let at = epoch as usize;
            let survives = bases.get(at..).is_some_and(|later| later.iter().all(|&base| seq <= base));
            let expected = at < bases.len() && survives;
            let position = Position { epoch: Epoch(epoch), seq };
            prop_assert_eq!(lineage(&bases).admits(position, 100), expected);
        }

        #[test]
        fn what_is_admitted_stays_admitted_further_back(
            bases in prop::collection::vec(0..12u64, 0..5), epoch in 0..6u64, seq in 1..15u64,
        ) {
            let lineage = lineage(&bases);
            let admits = |seq| lineage.admits(Position { epoch: Epoch(epoch), seq }, 100);
            prop_assert!(!admits(seq) || admits(seq - 1));
        }
    }

    #[test]
    fn epochs_are_sixteen_hex_digits() {
        assert_eq!(Epoch::parse("00000000000000ff"), Some(Epoch(255)));
        assert_eq!(Epoch(255).to_string(), "00000000000000ff");
        assert_eq!(Epoch::parse("ff"), None);
    }
}
