//! The judge of a run: takes in what every member noted, every ack and what was done to Redis, as it
//! comes, and fails whatever breaks a promise. Pure: no sockets, no clock. It keeps 16 bytes for a
//! message and nothing for a delivery.

use std::collections::VecDeque;
use std::time::Duration;

use roomcast_protocol::Position;

use super::fault::Harm;
use super::journal::{Content, Entry, Noted, Stand};

mod doubts;
mod end;
mod frames;
mod harms;
mod room;
#[cfg(test)]
mod tests;

use doubts::Doubt;
pub(super) use end::HistoryRead;
use harms::Harms;
use room::CheckedRoom;

/// Entries of a membership that are shown around a violation, on each side.
const AROUND: usize = 6;
/// Violations that are kept; more are counted.
const SHOWN: usize = 50;

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rule {
    /// Another message at a place where somebody else has this one.
    Order,
    /// Something is missing and nobody said so.
    Hole,
    /// A message came again.
    Duplicate,
    /// A `gap` that is none, or that names what is there.
    Gap,
    /// A `reset` that does not fit, or that nothing accounts for.
    Reset,
    /// A resume that did not go on where the member stood.
    Resume,
    /// An acknowledged message is gone although Redis kept its data.
    Ack,
    /// Two messages for one key.
    Key,
    /// History does not hold what it should.
    History,
    /// A member that did not get to the end.
    Behind,
    /// An answer that never came, or that must not come.
    Answer,
    /// A client that was refused or ended at the door, although its token was good.
    Door,
    /// Events or lists of members that differ from the truth, or that a client cannot follow.
    Presence,
    /// A state of a room that is not so, or that a client could not follow.
    State,
    /// A process that failed.
    Program,
}

/// One broken promise.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub(super) rule: Rule,
    pub(super) at: Duration,
    pub(super) room: Option<usize>,
    /// Who saw it, in words.
    pub(super) who: String,
    pub(super) what: String,
    /// What that member saw before it, and at it.
    pub(super) before: Vec<Noted>,
    /// What it saw after it.
    pub(super) after: Vec<Noted>,
}

/// Names one membership.
pub(super) type MemberId = usize;

/// One member in one room.
#[derive(Debug)]
struct Membership {
    room: usize,
    name: String,
    stand: Stand,
    /// Epochs that it has left, by the numbers of their lives.
    left: Vec<usize>,
    recent: VecDeque<Noted>,
    /// Violations whose `after` is still being filled.
    telling: Vec<usize>,
}

/// What the run told so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) deliveries: u64,
    pub(super) acks: u64,
    pub(super) gaps: u64,
    pub(super) resets: u64,
    pub(super) resumes: u64,
    pub(super) losses: u64,
    pub(super) violations: u64,
}

/// Takes everything in.
pub(super) struct Checker {
    rooms: Vec<CheckedRoom>,
    members: Vec<Membership>,
    harms: Harms,
    /// How many messages of a room history holds.
    retention: u64,
    /// Whether members may come to an epoch that they left: two primaries may be at work at once,
    /// until one is told that it is none.
    may_return: bool,
    pub(super) counts: Counts,
    violations: Vec<Violation>,
    doubts: Vec<Doubt>,
}

impl Checker {
    /// A checker for so many rooms, whose history holds so many messages.
    pub(super) fn new(rooms: usize, retention: u64, may_return: bool) -> Self {
        Self {
            rooms: (0..rooms).map(|_| CheckedRoom::default()).collect(),
            members: Vec::new(),
            harms: Harms::default(),
            retention,
            may_return,
            counts: Counts::default(),
            violations: Vec::new(),
            doubts: Vec::new(),
        }
    }

    /// A member that will be in this room.
    pub(super) fn enrol(&mut self, room: usize, name: String) -> MemberId {
        let (stand, left, recent) = (Stand::default(), Vec::new(), VecDeque::new());
        self.members.push(Membership { room, name, stand, left, recent, telling: Vec::new() });
        self.members.len() - 1
    }

    /// Where a member stands: what it resumes from.
    pub(super) fn position(&self, member: MemberId) -> Option<Position> {
        self.members[member].stand.at
    }

    /// How many memberships there are.
    pub(super) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// A member, in words.
    pub(super) fn name(&self, member: MemberId) -> String {
        format!("{} in room {}", self.members[member].name, self.members[member].room)
    }

    /// The room of a member.
    pub(super) fn room_of(&self, member: MemberId) -> usize {
        self.members[member].room
    }

    /// Something begins that may harm Redis's data; returns what `calmed` takes.
    pub(super) fn harmed(&mut self, harm: Harm, now: Duration) -> usize {
        self.harms.begin(harm, now)
    }

    /// A replica took over, whatever made it do so; what it lacked may have come to light before.
    pub(super) fn took_over(&mut self, now: Duration) {
        self.harms.trailing(Harm::Loses, now);
    }

    /// It is over.
    pub(super) fn calmed(&mut self, harm: usize, now: Duration) {
        self.harms.end(harm, now);
    }

    /// A member noted something.
    pub(super) fn note(&mut self, member: MemberId, entry: Entry, now: Duration) {
        self.remember(member, (now, entry));
        match entry {
            Entry::Message { seq, content } => self.message(member, seq, content, now),
            Entry::Joined { at, recovered } => self.joined(member, at, recovered, now),
            Entry::Gap { from, to } => self.gap(member, (from, to), now),
            Entry::Reset { at, lost } => self.reset(member, at, lost, now),
            Entry::Lost => self.counts.losses += 1,
            Entry::Forgot => self.members[member].left.clear(),
        }
        self.members[member].stand.advance(&entry);
    }

    /// A publisher got an ack.
    pub(super) fn acked(&mut self, room: usize, content: Content, at: Position, now: Duration) {
        self.counts.acks += 1;
        let life = self.rooms[room].life(at.epoch, now);
        let outcome = self.rooms[room].see(life, at.seq, content, room::How::Acked);
        self.rooms[room].lives[life].is_acked = true;
        self.judge_ripe_doubts(now);
        if let Err((rule, what)) = outcome {
            self.fail(rule, Some(room), (format!("the ack of {content:?}"), what), now);
        }
    }

    /// Something is wrong that a driver saw.
    pub(super) fn fail(
        &mut self,
        rule: Rule,
        room: Option<usize>,
        (who, what): (String, String),
        now: Duration,
    ) {
        let (before, after) = (Vec::new(), Vec::new());
        self.record(Violation { rule, at: now, room, who, what, before, after });
    }

    /// The violations that were kept.
    pub(super) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Something is wrong with what a member saw.
    fn blame(&mut self, rule: Rule, member: MemberId, what: String, now: Duration) {
        let violation = self.seen_by(member, rule, what, now);
        if let Some(number) = self.record(violation) {
            self.members[member].telling.push(number);
        }
    }

    /// What would be wrong with what a member saw up to now.
    fn seen_by(&self, member: MemberId, rule: Rule, what: String, now: Duration) -> Violation {
        let Membership { room, name, recent, .. } = &self.members[member];
        let (who, before) = (name.clone(), recent.iter().copied().collect());
        Violation { rule, at: now, room: Some(*room), who, what, before, after: Vec::new() }
    }

    /// Counts a violation, and keeps it if it is one of the first; its number among those.
    fn record(&mut self, violation: Violation) -> Option<usize> {
        self.counts.violations += 1;
        let number = self.violations.len();
        (number < SHOWN).then(|| {
            self.violations.push(violation);
            number
        })
    }

    fn remember(&mut self, member: MemberId, noted: Noted) {
        let membership = &mut self.members[member];
        if membership.recent.len() == AROUND {
            membership.recent.pop_front();
        }
        membership.recent.push_back(noted);
        let violations = &mut self.violations;
        membership.telling.retain(|&number| {
            let after = &mut violations[number].after;
            after.push(noted);
            after.len() < AROUND
        });
    }
}
