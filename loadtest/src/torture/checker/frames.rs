//! Judges what one member saw, frame by frame, by where it stands and by what others told.

use std::time::Duration;

use roomcast_protocol::{Epoch, Position, Seq};

use super::doubts::About;
use super::room::{How, Wrong};
use super::{Checker, MemberId, Rule};
use crate::torture::fault::Harm;
use crate::torture::journal::Content;

impl Checker {
    pub(super) fn message(&mut self, member: MemberId, seq: Seq, content: Content, now: Duration) {
        self.counts.deliveries += 1;
        let (room, stand) = (self.members[member].room, self.members[member].stand);
        let Some(front) = stand.front() else {
            return self.blame(Rule::Resume, member, "a message before `joined`".into(), now);
        };
        if stand.beyond.is_some() {
            let what = "a message although `recovered: false` announced a gap or reset first";
            self.blame(Rule::Hole, member, what.to_owned(), now);
        } else if seq <= front.seq {
            self.blame(Rule::Duplicate, member, format!("{seq} after {}", front.seq), now);
        } else if seq > front.seq + 1 {
            let what = format!("{seq} after {}: nothing told of what is between", front.seq);
            self.blame(Rule::Hole, member, what, now);
        }
        let life = self.rooms[room].life(front.epoch, now);
        let outcome = self.rooms[room].see(life, seq, content, How::Read);
        self.blame_for(outcome, member, now);
    }

    pub(super) fn joined(
        &mut self,
        member: MemberId,
        at: Position,
        recovered: Option<bool>,
        now: Duration,
    ) {
        let (room, stood) = (self.members[member].room, self.members[member].stand.at);
        self.rooms[room].life(at.epoch, now);
        match (stood, recovered) {
            (None, None) => {}
            (None, Some(_)) => {
                let what = "`recovered`, but it did not resume".to_owned();
                self.blame(Rule::Resume, member, what, now);
            }
            (Some(_), None) => {
                let what = "it resumed, but `joined` does not say whether that went well";
                self.blame(Rule::Resume, member, what.to_owned(), now);
            }
            (Some(stood), Some(true)) => {
                self.counts.resumes += 1;
                if at.seq != stood.seq {
                    let what = format!("resumed at {} although it stood at {}", at.seq, stood.seq);
                    self.blame(Rule::Resume, member, what, now);
                }
                if at.epoch != stood.epoch {
                    self.moved(member, (stood, at.epoch, Some(at.seq)), 0, now);
                }
            }
            // What it means is told by the frame that follows.
            (Some(_), Some(false)) => {}
        }
    }

    pub(super) fn gap(&mut self, member: MemberId, (from, to): (Seq, Seq), now: Duration) {
        self.counts.gaps += 1;
        let (room, stand) = (self.members[member].room, self.members[member].stand);
        let (Some(stood), Some(front)) = (stand.at, stand.front()) else {
            return self.blame(Rule::Gap, member, "a gap before `joined`".into(), now);
        };
        if from != stood.seq + 1 || to < from {
            let what = format!("a gap of {from} to {to}, but it stands at {}", stood.seq);
            self.blame(Rule::Gap, member, what, now);
        }
        if front.epoch != stood.epoch {
            self.moved(member, (stood, front.epoch, Some(stood.seq)), 0, now);
        }
        let life = self.rooms[room].life(front.epoch, now);
        let last = self.rooms[room].lives[life].last;
        if to + self.retention <= last {
            return;
        }
        let holds = self.retention;
        let what =
            format!("a gap of {from} to {to}, but history holds {holds} and the room is at {last}");
        self.doubt((Rule::Gap, member), About::Gap { life, to }, what, now);
    }

    pub(super) fn reset(&mut self, member: MemberId, at: Position, lost: u64, now: Duration) {
        self.counts.resets += 1;
        let stand = self.members[member].stand;
        let Some(stood) = stand.at else {
            return self.blame(Rule::Reset, member, "a reset before `joined`".into(), now);
        };
        let Some(kept) = stood.seq.checked_sub(lost) else {
            let what = format!("{lost} lost, but it had only {}", stood.seq);
            return self.blame(Rule::Reset, member, what, now);
        };
        // Who returns with a position that is gone begins at the end; who was there goes on where
        // the epochs part.
        let may_skip = stand.beyond.is_some() && (lost > 0 || stood.seq == 0);
        if at.seq < kept || (at.seq > kept && !may_skip) {
            let what =
                format!("reset to {} with {lost} lost, but it stood at {}", at.seq, stood.seq);
            self.blame(Rule::Reset, member, what, now);
        }
        if at.epoch == stood.epoch {
            let what = "reset within one epoch".to_owned();
            return self.blame(Rule::Reset, member, what, now);
        }
        // A node that never saw the member's epoch, nor an epoch that grew from it, cannot know how
        // much both share.
        let is_unknown = stand.beyond.is_some() && lost == stood.seq;
        let kept = (!is_unknown).then_some(kept);
        self.moved(member, (stood, at.epoch, kept), lost, now);
    }

    /// A member went from one epoch to another, and kept what it had up to some seq, if its node
    /// knew.
    fn moved(
        &mut self,
        member: MemberId,
        (from, to, kept): (Position, Epoch, Option<Seq>),
        lost: u64,
        now: Duration,
    ) {
        let room = &mut self.rooms[self.members[member].room];
        let (one, two) = (room.life(from.epoch, now), room.life(to, now));
        let first = room.lives[one].first;
        let outcome = kept.map_or(Ok(()), |kept| room.forked((one, two), kept, lost > 0));
        self.blame_for(outcome, member, now);
        if !self.may_return && self.members[member].left.contains(&two) {
            let what = format!("back to {to}, which it had left");
            self.blame(Rule::Reset, member, what, now);
        }
        self.members[member].left.push(one);
        let harm = if lost > 0 { Harm::Loses } else { Harm::Renews };
        if !self.harms.account_for(harm, first, now) {
            let from = from.epoch;
            let what = format!("from {from} to {to}, {lost} lost, but Redis came to no such harm");
            self.doubt((Rule::Reset, member), About::Harm { harm, first }, what, now);
        }
    }

    fn blame_for(&mut self, outcome: Result<(), Wrong>, member: MemberId, now: Duration) {
        if let Err((rule, what)) = outcome {
            self.blame(rule, member, what, now);
        }
    }
}
