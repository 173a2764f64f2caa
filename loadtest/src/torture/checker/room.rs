//! One room in all of its lives: what stands at each seq of each epoch, how epochs grew from each
//! other, and where each key went. It compares whoever tells of it with who told before.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use roomcast_protocol::{Epoch, Seq};

use super::Rule;
use crate::torture::journal::Content;

/// Seqs in one page of what an epoch holds.
const PAGE: u64 = 512;
/// Set in a cell that an ack named.
const ACKED: u64 = 1 << 63;
/// Keys stored twice, in different epochs, that are judged at the end; more would mean thousands of
/// messages lost and published again.
const TWICE: usize = 100_000;

/// A rule that was broken, and how, in words.
pub(super) type Wrong = (Rule, String);

/// Who tells of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// An ack.
    Acked,
    /// A member or history.
    Read,
}

/// One room.
#[derive(Debug, Default)]
pub(super) struct CheckedRoom {
    pub(super) lives: Vec<Life>,
    by_epoch: HashMap<Epoch, usize>,
    /// How one life grew from another, by their numbers.
    pub(super) forks: HashMap<(usize, usize), Fork>,
    /// Where each publisher's messages stand.
    keys: HashMap<u32, Vec<Place>>,
    pub(super) twice: HashSet<(Content, Place, Place)>,
}

/// One epoch.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) epoch: Epoch,
    /// When somebody first told of it.
    pub(super) first: Duration,
    pub(super) last: Seq,
    /// Whether an ack named it.
    pub(super) is_acked: bool,
    pages: HashMap<u64, Box<[u64]>>,
}

/// What is known of how one epoch grew from another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fork {
    /// Members that stood here and lost nothing: the two share at least as much.
    pub(super) kept: Seq,
    /// Where members lost something: the two share exactly as much.
    pub(super) base: Option<Seq>,
}

impl Fork {
    /// Up to where both are sure to be the same.
    pub(super) fn shared(&self) -> Seq {
        self.base.unwrap_or(self.kept)
    }
}

/// A seq in one of the room's lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// Its number, from 1; 0: nowhere yet.
    life: u32,
    seq: u32,
}

impl Place {
    pub(super) fn life(self) -> usize {
        self.life as usize - 1
    }

    pub(super) fn seq(self) -> Seq {
        Seq::from(self.seq)
    }
}

impl Life {
    /// What stands there, if anybody told, and whether it was acknowledged.
    pub(super) fn at(&self, seq: Seq) -> Option<(Content, bool)> {
        let cell = self.pages.get(&(seq / PAGE))?[(seq % PAGE) as usize];
        let (publisher, number) = (((cell & !ACKED) >> 32) as u32, cell as u32);
        let publisher = publisher.checked_sub(1)?;
        Some((Content { publisher, number }, cell & ACKED != 0))
    }

    /// All that was told, in no order.
    pub(super) fn cells(&self) -> impl Iterator<Item = (Seq, Content, bool)> {
        let seqs = self.pages.keys().flat_map(|page| page * PAGE..(page + 1) * PAGE);
        seqs.filter_map(|seq| self.at(seq).map(|(content, acked)| (seq, content, acked)))
    }

    fn set(&mut self, seq: Seq, content: Content, how: How) {
        let page = self.pages.entry(seq / PAGE).or_insert_with(|| vec![0; PAGE as usize].into());
        let acked = if how == How::Acked { ACKED } else { 0 };
        let cell = (u64::from(content.publisher) + 1) << 32 | u64::from(content.number);
        page[(seq % PAGE) as usize] |= cell | acked;
        self.last = self.last.max(seq);
    }
}

impl CheckedRoom {
    /// The number of an epoch's life, which begins if it is new.
    pub(super) fn life(&mut self, epoch: Epoch, now: Duration) -> usize {
        *self.by_epoch.entry(epoch).or_insert_with(|| {
            self.lives.push(Life {
                epoch,
                first: now,
                last: 0,
                is_acked: false,
                pages: HashMap::new(),
            });
            self.lives.len() - 1
        })
    }

    /// A message was told of.
    pub(super) fn see(
        &mut self,
        life: usize,
        seq: Seq,
        content: Content,
        how: How,
    ) -> Result<(), Wrong> {
        let epoch = self.lives[life].epoch;
        if let Some((known, _)) = self.lives[life].at(seq)
            && known != content
        {
            let what = format!("{content:?} at {epoch}:{seq}, where others have {known:?}");
            return Err((Rule::Order, what));
        }
        self.lives[life].set(seq, content, how);
        let here = Place { life: life as u32 + 1, seq: seq as u32 };
        let places = self.keys.entry(content.publisher).or_default();
        let number = content.number as usize;
        if places.len() <= number {
            places.resize(number + 1, Place::default());
        }
        let known = std::mem::replace(&mut places[number], here);
        if known == Place::default() || known.seq == here.seq {
            return Ok(());
        }
        if known.life == here.life {
            let what = format!("{content:?} stands at {epoch}:{} and at {seq}", known.seq);
            return Err((Rule::Key, what));
        }
        if self.twice.len() < TWICE {
            self.twice.insert((content, known.min(here), known.max(here)));
        }
        Ok(())
    }

    /// A member went from one epoch to another and kept what it had up to `kept`; `lost` says
    /// whether it had more.
    pub(super) fn forked(
        &mut self,
        (from, to): (usize, usize),
        kept: Seq,
        lost: bool,
    ) -> Result<(), Wrong> {
        let fork = self.forks.entry((from, to)).or_default();
        let before = *fork;
        if lost {
            fork.base = Some(kept);
        } else {
            fork.kept = fork.kept.max(kept);
        }
        let agrees = fork
            .base
            .is_none_or(|base| before.base.is_none_or(|known| known == base) && fork.kept <= base);
        if agrees {
            return Ok(());
        }
        let (one, two) = (self.lives[from].epoch, self.lives[to].epoch);
        Err((Rule::Reset, format!("{two} shares {kept} with {one}, but others say {before:?}")))
    }
}
