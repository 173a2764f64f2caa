//! What the application knows of one room: it believes only what its client tells it, and is
//! checked against what really happened. The promises stand here.

use std::collections::BTreeMap;

use roomcast_client::Event;
use roomcast_protocol::{ConnectionId, Epoch, Position, Seq};

use super::state_reader::StateReader;
use super::truth::{Id, Truth};
use super::wire::{expect_next, id_of};

/// One room of one application.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Whether it wants to be in the room.
    pub(super) wanted: bool,
    /// Whether it is in it.
    pub(super) joined: bool,
    /// Where it stands.
    pub(super) at: Option<Position>,
    /// It began at a position that did not exist then.
    is_bogus: bool,
    /// A join that did not recover: the next thing told must name what is missing.
    owed: bool,
    /// It was told nothing since it joined: it may stand inside a gap of its node's.
    is_fresh: bool,
    /// What it believes to be in the room, as far back as it was told.
    known: BTreeMap<Seq, Id>,
    /// What of it is left after the snapshot that follows a reset.
    kept: Option<Seq>,
    /// Its map, if the room keeps state.
    pub(super) state: Option<StateReader>,
}

/// How often what was told, so that a run can show what it came through.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) recovered: u64,
    pub(super) gaps: u64,
    pub(super) resets: u64,
    pub(super) conflated: u64,
    pub(super) snapshots: u64,
    /// Snapshots of more than one part.
    pub(super) parts: u64,
    /// Snapshots that a lost link cut short.
    pub(super) cut: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.recovered += other.recovered;
        self.gaps += other.gaps;
        self.resets += other.resets;
        self.conflated += other.conflated;
        self.snapshots += other.snapshots;
        self.parts += other.parts;
        self.cut += other.cut;
    }
}

impl Reader {
    /// It wants to be a member, with what an earlier membership or nobody told it.
    pub(super) fn enter(&mut self, since: Option<Position>, is_bogus: bool, truth: &Truth) {
        let goes_on = since.is_some() && since == self.at;
        let state = self.state.take().map(|state| match goes_on {
            true => state,
            false => StateReader::at(since.filter(|_| !is_bogus), truth),
        });
        *self = Self { wanted: true, at: since, is_bogus, state, ..Self::default() };
    }

    /// The connection is gone.
    pub(super) fn unlink(&mut self) {
        (self.joined, self.kept) = (false, None);
        if let Some(state) = &mut self.state {
            state.unlink();
        }
    }

    /// Whether it is in a room of which a snapshot is on its way.
    pub(super) fn awaits(&self) -> bool {
        self.joined && self.state.as_ref().is_some_and(StateReader::awaits)
    }

    /// It wants to be none any more; where it stood.
    pub(super) fn leave(&mut self) -> Option<Position> {
        self.wanted = false;
        self.joined = false;
        self.at
    }

    /// The client tells something of this room.
    pub(super) fn hear(
        &mut self,
        event: &Event,
        own: ConnectionId,
        truth: &Truth,
        tally: &mut Tally,
    ) {
        let was_fresh = std::mem::take(&mut self.is_fresh);
        match event {
            Event::Joined { state: true, .. }
            | Event::Gap { state: true, .. }
            | Event::Reset { state: true, .. }
            | Event::State { .. } => self.hear_snapshot(event, own, truth, tally),
            Event::Joined { position, recovered, .. } => {
                self.joined = true;
                self.entered(*position, *recovered, truth, tally);
                if let Some(state) = &mut self.state {
                    assert!(recovered.is_some(), "joined without a snapshot");
                    if !state.is_known() {
                        *state = StateReader::at(self.at, truth);
                    }
                }
            }
            Event::Message { position, message, .. } => {
                tally.messages += 1;
                let at = match &self.state {
                    Some(_) => self.standing_in(position.epoch, truth),
                    None => self.standing(),
                };
                assert!(!self.owed, "a message before the hole was named");
                assert_eq!(position.epoch, at.epoch, "a message of another epoch");
                expect_next(truth, own, at, position.seq);
                assert_eq!(truth.at(*position), Some(id_of(message)), "P1 at {position:?}");
                if let Some(state) = &mut self.state {
                    state.message(event, at, truth);
                }
                self.known.insert(position.seq, id_of(message));
                self.at = Some(*position);
            }
            Event::Gap { from, to, position, conflated, .. } => {
                tally.gaps += 1;
                let at = self.standing();
                assert!(self.owed || position.epoch == at.epoch, "a gap in another epoch");
                expect_next(truth, own, Position { epoch: position.epoch, ..at }, *from);
                assert_eq!(position.seq, *to);
                assert_eq!(*conflated, self.state.is_some(), "what kind of a gap");
                if let Some(state) = &mut self.state {
                    tally.conflated += 1;
                    let before = Position { epoch: position.epoch, ..at };
                    assert!(truth.admits(position.epoch, at), "a gap behind what is lost");
                    state.left_out(before, (*from, *to), truth);
                }
                let floor = truth.floor(position.epoch);
                let has_reason = *conflated || !truth.is_strict || *to <= floor;
                assert!(has_reason, "{from} to {to} are in history, which begins after {floor}");
                (self.at, self.owed) = (Some(*position), false);
                self.check_known(position.epoch, truth);
            }
            Event::Reset { position, lost, .. } => {
                tally.resets += 1;
                let at = self.standing();
                assert!(self.state.is_none(), "a reset without a snapshot");
                assert!(!truth.is_calm || self.is_bogus, "reset from {at:?}, which nobody lost");
                self.reset((*position, *lost), was_fresh, own, truth);
            }
            Event::Left { .. } => self.unlink(),
            _ => {}
        }
        if let Some(state) = &mut self.state {
            state.check(self.at, truth);
        }
    }

    /// A snapshot, and what announces it: only its last part moves the reader.
    fn hear_snapshot(
        &mut self,
        event: &Event,
        own: ConnectionId,
        truth: &Truth,
        tally: &mut Tally,
    ) {
        let state = self.state.as_mut().expect("the room keeps state");
        match event {
            Event::Joined { position, recovered, .. } => {
                self.joined = true;
                self.owed = match (recovered, self.at) {
                    (None, None) => false,
                    (Some(false), Some(_)) => true,
                    (recovered, at) => panic!("a snapshot, recovered {recovered:?} from {at:?}"),
                };
                state.announce(*position);
            }
            Event::Gap { from, to, position, conflated, .. } => {
                tally.gaps += 1;
                assert!(self.joined && !conflated && position.seq == *to);
                if let Some(at) = self.at.filter(|at| at.epoch == position.epoch) {
                    expect_next(truth, own, at, *from);
                }
                self.owed = false;
                state.announce(*position);
            }
            Event::Reset { position, lost, .. } => {
                tally.resets += 1;
                assert!(self.joined, "told of a room it is not in");
                assert!(!truth.is_calm || self.is_bogus, "reset, and nothing is lost");
                if let Some(at) = self.at {
                    // Its own without echo are not sent to it and move no position, but count.
                    let skipped = |seq: &Seq| truth.is_skipped(Position { seq: *seq, ..at }, own);
                    let last = (at.seq + 1..).take_while(skipped).last().unwrap_or(at.seq);
                    assert!(*lost <= last, "told {at:?} and lost {lost}");
                    let kept = Position { seq: at.seq.saturating_sub(*lost), ..at };
                    let is_kept = kept.seq == 0 || truth.admits(position.epoch, kept);
                    assert!(is_kept, "told {at:?} and lost {lost} in {position:?}");
                    let is_back = position.seq < kept.seq && !self.is_bogus;
                    assert!(!is_back, "keeps {kept:?} and is reset to {position:?}");
                    self.kept = Some(kept.seq);
                }
                self.owed = false;
                state.announce(*position);
            }
            Event::State { position, is_first, more, .. } => {
                assert!(self.joined && !self.owed, "a snapshot before the hole was named");
                tally.snapshots += u64::from(*is_first);
                tally.parts += u64::from(*is_first && *more);
                if state.part(event, truth) {
                    let kept = self.kept.take().unwrap_or(Seq::MAX);
                    self.known.retain(|&seq, _| seq <= kept);
                    (self.at, self.is_bogus) = (Some(*position), false);
                    self.check_known(position.epoch, truth);
                }
            }
            _ => {}
        }
    }

    /// At the end its map is true.
    pub(super) fn check_end(&mut self, own: ConnectionId, truth: &Truth) {
        if let (Some(state), Some(at)) = (&mut self.state, self.at) {
            state.check_end(at, own, truth);
        }
    }

    /// P5: recovered means that nothing is missing.
    fn entered(
        &mut self,
        position: Position,
        recovered: Option<bool>,
        truth: &Truth,
        tally: &mut Tally,
    ) {
        match (recovered, self.at) {
            (None, None) => {}
            (Some(true), Some(at)) => {
                tally.recovered += 1;
                assert_eq!(position.seq, at.seq, "recovered elsewhere");
                assert!(truth.admits(position.epoch, at), "recovered what is lost: {at:?}");
            }
            (Some(false), Some(at)) => {
                assert_eq!(position, at, "moved past a hole without a name");
                self.owed = true;
                return;
            }
            (recovered, at) => panic!("joined with recovered {recovered:?} from {at:?}"),
        }
        (self.owed, self.is_fresh) = (false, true);
        self.at = Some(position);
        self.check_known(position.epoch, truth);
    }

    /// P3: who saw what is lost is told so, and how much.
    fn reset(
        &mut self,
        (position, lost): (Position, u64),
        was_fresh: bool,
        own: ConnectionId,
        truth: &Truth,
    ) {
        let at = self.standing();
        // Its own without echo move it as little as they are told, but count.
        let end = position.seq + lost;
        let skipped = |seq| truth.is_skipped(Position { seq, ..at }, own);
        let was_live = !self.owed && end > at.seq;
        let stood = if was_live && (at.seq + 1..=end).all(skipped) { end } else { at.seq };
        assert!(lost <= stood, "told {at:?} and lost {lost}");
        let mut kept = stood - lost;
        if was_fresh {
            // Its node has it before that gap, which it was about to be told.
            kept = kept.min(position.seq);
        }
        assert!(position.seq >= kept, "told {at:?}, reset to {position:?}, lost {lost}");
        let continues = position.seq == kept;
        assert!(continues || lost > 0 || self.owed, "skips {kept} to {position:?} in silence");
        self.known.retain(|&seq, _| seq <= kept);
        (self.at, self.owed) = (Some(position), false);
        self.is_bogus = false;
        self.check_known(position.epoch, truth);
    }

    /// In a room with state each hole is named in its place, after a join that did not recover too: it
    /// goes on from its position in the epoch that the node is in.
    fn standing_in(&mut self, epoch: Epoch, truth: &Truth) -> Position {
        let at = self.standing();
        if !std::mem::take(&mut self.owed) {
            return at;
        }
        assert!(truth.admits(epoch, at), "a message behind what is lost");
        Position { epoch, ..at }
    }

    fn standing(&self) -> Position {
        assert!(self.joined, "told of a room it is not in");
        self.at.expect("who is in a room stands somewhere")
    }

    /// What it believes is in the epoch it believes to be in.
    pub(super) fn check_known(&self, epoch: Epoch, truth: &Truth) {
        for (&seq, id) in &self.known {
            let at = Position { epoch, seq };
            assert_eq!(truth.at(at), Some(*id), "it believes in what is not at {at:?}");
        }
    }

    /// At the end everybody has reached the end, or was left out of its own only. Perhaps in an
    /// epoch that grew into the last one.
    pub(super) fn has_reached(&self, end: Position, own: ConnectionId, truth: &Truth) -> bool {
        let is_shared = |at: &Position| self.joined && truth.admits(end.epoch, *at);
        let Some(at) = self.at.filter(is_shared) else { return false };
        let skipped = |seq| truth.is_skipped(Position { seq, ..end }, own);
        !self.owed && !self.awaits() && at.seq <= end.seq && (at.seq + 1..=end.seq).all(skipped)
    }
}
