//! What one member got of its room: every message once and in order, or what was missed, repeated
//! or late, and how much of the missing it was told of. Pure.

use std::ops::Range;

use roomcast_protocol::{Position, Seq};
use serde::{Deserialize, Serialize};

/// Sums over members. All count deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Messages that came, each once.
    pub(crate) received: u64,
    /// Messages that never came.
    pub(crate) missing: u64,
    /// Those of them that nobody told the member of. Only a Roomcast node tells, by `gap` and
    /// `reset`.
    pub(crate) untold: u64,
    /// Messages that came again.
    pub(crate) repeated: u64,
    /// Messages that came after a later one of their publisher or, with seqs, of the room.
    pub(crate) disordered: u64,
    /// Gaps and resets that were told.
    pub(crate) notices: u64,
}

impl Tally {
    /// Adds another's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.missing += other.missing;
        self.untold += other.untold;
        self.repeated += other.repeated;
        self.disordered += other.disordered;
        self.notices += other.notices;
    }

    /// Whether a promise of Roomcast's is broken.
    pub(crate) fn breaks_promises(&self) -> bool {
        self.untold + self.repeated + self.disordered > 0
    }
}

/// One stream at one member.
#[derive(Debug, Clone, Default)]
struct Track {
    /// The number that comes next; 0 while the member has not begun.
    next: u32,
    /// Numbers that were passed over.
    holes: Vec<Range<u32>>,
}

/// What a message was to its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// New.
    New,
    /// New, after a later one.
    Late,
    /// Known.
    Again,
}

impl Track {
    fn take(&mut self, number: u32) -> Take {
        if self.next == 0 {
            self.next = number;
        }
        if number >= self.next {
            if number > self.next {
                self.holes.push(self.next..number);
            }
            self.next = number + 1;
            return Take::New;
        }
        let Some(at) = self.holes.iter().position(|hole| hole.contains(&number)) else {
            return Take::Again;
        };
        let hole = self.holes.swap_remove(at);
        let parts = [hole.start..number, number + 1..hole.end];
        self.holes.extend(parts.into_iter().filter(|part| !part.is_empty()));
        Take::Late
    }

    /// What is missing if so many were sent.
    fn missing(&self, sent: u32) -> u64 {
        let passed: u64 = self.holes.iter().map(|hole| u64::from(hole.end - hole.start)).sum();
        // A member that never began cannot tell what it was to get.
        let rest = if self.next == 0 { 0 } else { (sent + 1).saturating_sub(self.next) };
        passed + u64::from(rest)
    }
}

/// One member's account of its room.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    tracks: Vec<Track>,
    position: Option<Position>,
    /// Messages that a gap or a reset named.
    told: u64,
    /// Messages of the room that a seq passed over untold.
    skipped: u64,
    tally: Tally,
}

impl Account {
    /// For a room of so many streams. A member that is there from the start misses whatever of
    /// them it does not get; another one what follows its first message.
    pub(crate) fn new(streams: usize, from_start: bool) -> Self {
        let track = Track { next: u32::from(from_start), holes: Vec::new() };
        let (position, tally) = (None, Tally::default());
        Self { tracks: vec![track; streams], position, told: 0, skipped: 0, tally }
    }

    /// Where the member stands in the room's numbering, to resume from.
    pub(crate) fn position(&self) -> Option<Position> {
        self.position
    }

    /// It joined at this position; after an incomplete recovery a gap or a reset moves it.
    pub(crate) fn joined(&mut self, at: Position, recovered: Option<bool>) {
        if recovered != Some(false) {
            if self.position.is_some_and(|stood| recovered.is_none() || stood != at) {
                self.skipped += 1;
            }
            self.position = Some(at);
        }
    }

    /// A message of a stream of the room came, with its seq if the room has such.
    pub(crate) fn message(&mut self, stream: usize, number: u32, seq: Option<Seq>) -> Take {
        let take = match self.tracks.get_mut(stream) {
            Some(track) => track.take(number),
            None => Take::Again,
        };
        let in_order = match (seq, &mut self.position) {
            (Some(seq), Some(position)) => {
                let expected = position.seq + 1;
                self.skipped += seq.saturating_sub(expected);
                position.seq = position.seq.max(seq);
                seq >= expected
            }
            // Without a seq the publisher's own order is all that can be judged.
            _ => take != Take::Late,
        };
        match take {
            Take::Again => self.tally.repeated += 1,
            Take::New | Take::Late => self.tally.received += 1,
        }
        if !in_order && take != Take::Again {
            self.tally.disordered += 1;
            // A seq that was passed over has come after all.
            self.skipped = self.skipped.saturating_sub(1);
        }
        take
    }

    /// Messages `from` to `to` cannot be delivered.
    pub(crate) fn gap(&mut self, from: Seq, to: Seq) {
        self.tally.notices += 1;
        if let Some(position) = &mut self.position {
            self.skipped += from.saturating_sub(position.seq + 1);
            position.seq = to.max(position.seq);
        }
        self.told += (to + 1).saturating_sub(from);
    }

    /// The room goes on in another epoch, without so many messages of the old one.
    pub(crate) fn reset(&mut self, at: Position, lost: u64) {
        self.tally.notices += 1;
        // Which messages that were between the epochs nobody knows: all are told of.
        self.told += lost.max(1) + self.pending();
        self.position = Some(at);
    }

    fn pending(&self) -> u64 {
        u64::from(u32::MAX)
    }

    /// Whether it has everything, or knows of what it lacks, if so many were sent of each stream.
    pub(crate) fn is_settled(&self, sent: impl Fn(usize) -> u32) -> bool {
        self.missing(&sent) <= self.told
    }

    fn missing(&self, sent: &impl Fn(usize) -> u32) -> u64 {
        let tracks = self.tracks.iter().enumerate();
        tracks.map(|(stream, track)| track.missing(sent(stream))).sum()
    }

    /// The sums at the end, if so many were sent of each stream.
    pub(crate) fn close(&self, sent: impl Fn(usize) -> u32) -> Tally {
        let missing = self.missing(&sent);
        let untold = missing.saturating_sub(self.told).max(self.skipped);
        Tally { missing, untold, ..self.tally }
    }
}

#[cfg(test)]
mod tests;
