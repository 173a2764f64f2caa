//! Positions: where a reader stands in a room. Seqs alone cannot tell two lives of a room apart,
//! so a position is always an epoch and a seq.

use std::fmt;

use crate::name::parse_hex;

/// Number of a message within its room: 1, 2, 3 … without holes; 0 stands before the first.
/// Below 2^53, so that JavaScript reads it exactly.
pub type Seq = u64;

/// One life of a room's sequence: a random number, written as 16 hex digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a room that does not exist. No room is ever in it, and every lineage begins
    /// with its seq 0 ([`Position::START`]).
    pub const NONE: Self = Self(0);

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

impl Position {
    /// Before the first message of every room, in whatever life: all that a room has follows.
    pub const START: Self = Self { epoch: Epoch::NONE, seq: 0 };
}

/// An epoch and the ancestors it grew from, each with the last seq it shares with its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The current epoch.
    pub epoch: Epoch,
    /// (ancestor, base), oldest first: positions of the ancestor up to base are still good.
    pub ancestors: Vec<(Epoch, Seq)>,
    /// (epoch, shared), oldest first: epochs that are no ancestors but began alike, and how far. The
    /// bus does not know them; whoever lived through them does ([`Lineage::after`]).
    pub kin: Vec<(Epoch, Seq)>,
}

/// Kin that are remembered.
const MAX_KIN: usize = 16;

impl Lineage {
    /// A room's first epoch.
    pub fn new(epoch: Epoch) -> Self {
        Self::of(epoch, Vec::new())
    }

    /// An epoch and its ancestors, as the bus tells them.
    pub fn of(epoch: Epoch, ancestors: Vec<(Epoch, Seq)>) -> Self {
        Self { epoch, ancestors, kin: Vec::new() }
    }

    /// Whether a reader at `position` may continue in the current epoch, whose last seq is `last`:
    /// its epoch is current and its seq exists, or its seq is shared.
    pub fn admits(&self, position: Position, last: Seq) -> bool {
        self.kept_of(position.epoch, last).is_some_and(|kept| position.seq <= kept)
    }

    /// The last seq of `epoch` that is part of the current epoch, which has come to `last`; `None` if
    /// they are strangers.
    pub fn kept_of(&self, epoch: Epoch, last: Seq) -> Option<Seq> {
        if epoch == self.epoch { Some(last) } else { self.shares(epoch) }
    }

    /// The last seq that the current epoch shares with `epoch`; `None` if it is no ancestor.
    pub fn base_of(&self, epoch: Epoch) -> Option<Seq> {
        let at = self.ancestors.iter().position(|&(ancestor, _)| ancestor == epoch)?;
        // A later fork may have cut deeper than this ancestor's own.
        self.ancestors[at..].iter().map(|&(_, base)| base).min()
    }

    /// The last seq that the current epoch shares with `epoch`, an ancestor or kin. With
    /// [`Epoch::NONE`] every epoch shares its beginning.
    pub fn shares(&self, epoch: Epoch) -> Option<Seq> {
        let kin = || self.kin.iter().find(|&&(kin, _)| kin == epoch).map(|&(_, shared)| shared);
        let start = || (epoch == Epoch::NONE).then_some(Position::START.seq);
        self.base_of(epoch).or_else(kin).or_else(start)
    }

    /// Up to where this epoch and another are the same; without end if they are one.
    pub fn shared_with(&self, other: &Self) -> Seq {
        let shared = |(epoch, ours): (Epoch, Seq)| Some(ours.min(other.kept_of(epoch, Seq::MAX)?));
        self.known().filter_map(shared).max().unwrap_or(0)
    }

    /// This lineage as told to whoever lived through `old`: it remembers what both share, also where
    /// `old` is no ancestor, because the bus went back to a copy that knew nothing of it.
    #[must_use]
    pub fn after(mut self, old: &Self) -> Self {
        let shared = self.shared_with(old);
        let mut kin: Vec<(Epoch, Seq)> = old
            .known()
            .filter(|&(epoch, _)| self.kept_of(epoch, Seq::MAX).is_none())
            .map(|(epoch, reach)| (epoch, reach.min(shared)))
            .filter(|&(_, shared)| shared > 0)
            .collect();
        kin.drain(..kin.len().saturating_sub(MAX_KIN));
        self.kin = kin;
        self
    }

    /// Every epoch that this one shares something with, and how much: kin, ancestors, itself.
    fn known(&self) -> impl Iterator<Item = (Epoch, Seq)> {
        let ancestors = self.ancestors.iter();
        let ancestors = ancestors.filter_map(|&(epoch, _)| Some((epoch, self.base_of(epoch)?)));
        self.kin.iter().copied().chain(ancestors).chain([(self.epoch, Seq::MAX)])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURRENT: Epoch = Epoch(9);

    fn lineage(bases: &[Seq]) -> Lineage {
        let ancestors = bases.iter().enumerate().map(|(at, &base)| (Epoch(at as u64 + 1), base));
        Lineage::of(CURRENT, ancestors.collect())
    }

    #[track_caller]
    fn check(lineage: &Lineage, epoch: Epoch, seq: Seq, last: Seq, expected: bool) {
        let position = Position { epoch, seq };
        assert_eq!(lineage.admits(position, last), expected, "{position:?} at {last}");
    }

    #[test]
    fn a_fork_deeper_than_an_ancestors_own_base_cuts_that_ancestor_too() {
        // Epoch 1 was left at 10; epoch 2 then lost all after 7.
        let lineage = lineage(&[10, 7]);
        check(&lineage, Epoch(1), 7, 20, true);
        check(&lineage, Epoch(1), 8, 20, false);
        check(&lineage, Epoch(2), 7, 20, true);
        check(&lineage, Epoch(2), 8, 20, false);
        check(&lineage, CURRENT, 20, 20, true);
        check(&lineage, CURRENT, 21, 20, false);
        check(&lineage, Epoch(5), 0, 20, false);
    }

    #[test]
    fn every_lineage_begins_with_the_position_of_a_room_that_does_not_exist() {
        for bases in [&[][..], &[0], &[10, 7]] {
            check(&lineage(bases), Epoch::NONE, 0, 20, true);
            check(&lineage(bases), Epoch::NONE, 1, 20, false);
        }
        let nowhere = Lineage::new(Epoch::NONE);
        check(&nowhere, CURRENT, 0, 0, false);
        check(&nowhere, Epoch::NONE, 0, 0, true);
        let new = lineage(&[]).after(&nowhere);
        assert_eq!((new.shared_with(&nowhere), new.kin.len()), (0, 0));
    }

    proptest! {
        /// Told by the story itself: each epoch's seqs up to its base live on in its successor.
        #[test]
        fn a_position_is_good_if_it_lived_through_every_fork(
            bases in prop::collection::vec(0..12u64, 0..5), epoch in 1..7u64, seq in 0..15u64,
        ) {
            let at = epoch as usize - 1;
            let survives = bases.get(at..).is_some_and(|later| later.iter().all(|&base| seq <= base));
            let expected = at < bases.len() && survives;
            let position = Position { epoch: Epoch(epoch), seq };
            prop_assert_eq!(lineage(&bases).admits(position, 100), expected);
        }

        #[test]
        fn what_is_admitted_stays_admitted_further_back(
            bases in prop::collection::vec(0..12u64, 0..5), epoch in 0..7u64, seq in 1..15u64,
        ) {
            let lineage = lineage(&bases);
            let admits = |seq| lineage.admits(Position { epoch: Epoch(epoch), seq }, 100);
            prop_assert!(!admits(seq) || admits(seq - 1));
        }
    }

    /// Epochs that grew from each other at random, each with what it holds: a message is the number
    /// of the epoch that it was stored in. Returns the lineages too, as the bus tells them.
    fn family(births: &[(usize, u64, u64)]) -> Vec<(Lineage, Vec<u64>)> {
        let mut family = vec![(Lineage::new(Epoch(1)), vec![0; 10])];
        for &(parent, base, more) in births {
            let epoch = family.len() as u64 + 1;
            let (parent, content) = &family[parent % family.len()];
            let base = base.min(content.len() as u64);
            let mut ancestors = parent.ancestors.clone();
            ancestors.push((parent.epoch, base));
            let own = (0..more).map(|_| epoch);
            let content = content[..base as usize].iter().copied().chain(own).collect();
            family.push((Lineage::of(Epoch(epoch), ancestors), content));
        }
        family
    }

    proptest! {
        /// A reader that goes from epoch to epoch, whatever their relation, knows of each that it
        /// has seen no more than is shared, and all that is shared with the last one.
        #[test]
        fn kin_share_what_is_the_same(
            births in prop::collection::vec((0..9_usize, 0..12_u64, 0..6_u64), 1..9),
            path in prop::collection::vec(0..9_usize, 1..9),
        ) {
            let family = family(&births);
            let same = |one: usize, two: usize| {
                let (one, two) = (&family[one].1, &family[two].1);
                one.iter().zip(two).take_while(|(one, two)| one == two).count() as u64
            };
            let mut at = 0;
            let mut lineage = family[at].0.clone();
            for step in path {
                let next = step % family.len();
                let told = &family[next].0;
                if next != at {
                    let shared = told.shared_with(&lineage);
                    let whole = family[at].1.len().min(family[next].1.len()) as u64;
                    prop_assert_eq!(shared.min(whole), same(at, next));
                    prop_assert_eq!(shared, lineage.shared_with(told));
                    lineage = told.clone().after(&lineage);
                    at = next;
                }
                for (other, (_, content)) in family.iter().enumerate() {
                    if let Some(shared) = lineage.shares(Epoch(other as u64 + 1)) {
                        prop_assert!(shared.min(content.len() as u64) <= same(at, other));
                    }
                }
            }
        }
    }

    #[test]
    fn kin_are_remembered_over_later_forks() {
        let [a, b, c, d] = [1, 2, 3, 4].map(Epoch);
        // B left A at 6 and is lost with its server; C grew from A at 8, and D from C at 7.
        let old = Lineage::of(b, vec![(a, 6)]);
        let new = Lineage::of(c, vec![(a, 8)]).after(&old);
        assert_eq!((new.shares(b), new.base_of(b), new.shares(a)), (Some(6), None, Some(8)));
        let newest = Lineage::of(d, vec![(a, 8), (c, 7)]).after(&new);
        assert_eq!((newest.shares(b), newest.shares(c)), (Some(6), Some(7)));
        assert!(newest.admits(Position { epoch: b, seq: 6 }, 20));
        assert!(!newest.admits(Position { epoch: b, seq: 7 }, 20));
        let stranger = Lineage::new(Epoch(9)).after(&newest);
        assert_eq!(stranger, Lineage::new(Epoch(9)));
    }

    #[test]
    fn epochs_are_sixteen_hex_digits() {
        assert_eq!(Epoch::parse("00000000000000ff"), Some(Epoch(255)));
        assert_eq!(Epoch(255).to_string(), "00000000000000ff");
        assert_eq!(Epoch::parse("ff"), None);
    }
}
