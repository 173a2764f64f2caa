//! The judgement at the end of a run: history against all that was told, and who did not get there.

use std::collections::HashMap;
use std::time::Duration;

use roomcast_protocol::{Epoch, Seq};

use super::room::{CheckedRoom, How};
use super::{Checker, Rule};
use crate::torture::fault::Harm;
use crate::torture::journal::Content;

/// Violations of one kind in one room that are told one by one; a lost history would be thousands.
const EACH: usize = 5;

/// A room's history as it was read at the end, ascending, up to the end.
#[derive(Debug, Clone)]
pub(crate) struct HistoryRead {
    pub(crate) epoch: Epoch,
    pub(crate) messages: Vec<(Seq, Content)>,
}

impl Checker {
    /// Whether every member has all there is of its room.
    pub(in crate::torture) fn is_caught_up(&self, member: usize) -> bool {
        let membership = &self.members[member];
        let Some(at) = membership.stand.at else { return false };
        let newest = self.rooms[membership.room].lives.last();
        membership.stand.beyond.is_none()
            && newest.is_some_and(|life| life.epoch == at.epoch && life.last == at.seq)
    }

    /// Judges a room by its history.
    pub(in crate::torture) fn close(
        &mut self,
        number: usize,
        history: &HistoryRead,
        now: Duration,
    ) {
        self.judge_last_doubts(number);
        let mut wrongs = Vec::new();
        self.judge_order(number, history, now, &mut wrongs);
        self.judge_acks(number, history, &mut wrongs, now);
        self.judge_forks(number, &mut wrongs, now);
        let mut told: HashMap<Rule, usize> = HashMap::new();
        for (rule, what) in wrongs {
            let count = told.entry(rule).or_default();
            *count += 1;
            if *count <= EACH {
                self.fail(rule, Some(number), ("history".to_owned(), what), now);
            } else {
                self.counts.violations += 1;
            }
        }
        self.judge_members(number, now);
    }

    /// History is one run without holes that says what members saw.
    fn judge_order(
        &mut self,
        number: usize,
        history: &HistoryRead,
        now: Duration,
        wrongs: &mut Vec<(Rule, String)>,
    ) {
        let room = &mut self.rooms[number];
        let life = room.life(history.epoch, now);
        if life + 1 != room.lives.len() {
            let newest = room.lives[room.lives.len() - 1].epoch;
            wrongs.push((Rule::History, format!("it is of {}, not {newest}", history.epoch)));
        }
        for two in history.messages.windows(2) {
            if two[1].0 != two[0].0 + 1 {
                wrongs.push((Rule::History, format!("{} follows {}", two[1].0, two[0].0)));
            }
        }
        let mut keys = HashMap::new();
        for &(seq, content) in &history.messages {
            wrongs.extend(room.see(life, seq, content, How::Read).err());
            if let Some(before) = keys.insert(content, seq) {
                wrongs.push((Rule::Key, format!("{content:?} stands at {before} and at {seq}")));
            }
        }
        let (last, known) =
            (history.messages.last().map_or(0, |last| last.0), room.lives[life].last);
        if last < known {
            wrongs.push((Rule::History, format!("it ends at {last}, but {known} was told")));
        }
    }

    /// What was acknowledged stands in history, unless Redis lost it or it is too old.
    fn judge_acks(
        &self,
        number: usize,
        history: &HistoryRead,
        wrongs: &mut Vec<(Rule, String)>,
        now: Duration,
    ) {
        let room = &self.rooms[number];
        let Some(&(oldest, _)) = history.messages.first() else { return };
        let holds = |seq: Seq| history.messages.get((seq - oldest) as usize).map(|it| it.1);
        let newest = room.lives.iter().position(|life| life.epoch == history.epoch);
        for (at, life) in room.lives.iter().enumerate() {
            let is_newest = Some(at) == newest;
            let is_safe = !self.harms.account_for(Harm::Loses, life.first, now);
            let fork = newest.and_then(|newest| room.forks.get(&(at, newest)));
            let shared = fork.map_or(0, |fork| fork.shared());
            for (seq, content, acked) in life.cells() {
                let must_be = is_newest || is_safe || seq <= shared;
                if acked && must_be && seq >= oldest && holds(seq) != Some(content) {
                    let (epoch, there) = (life.epoch, holds(seq));
                    let what = format!(
                        "{content:?} was acknowledged as {epoch}:{seq}, history has {there:?}"
                    );
                    wrongs.push((Rule::Ack, what));
                }
            }
        }
    }

    /// Epochs agree as far as they are shared, and no key stands twice in what is shared.
    fn judge_forks(&self, number: usize, wrongs: &mut Vec<(Rule, String)>, now: Duration) {
        let room = &self.rooms[number];
        for (&(from, to), fork) in &room.forks {
            let (one, two) = (&room.lives[from], &room.lives[to]);
            let is_safe = !self.harms.account_for(Harm::Loses, one.first, now);
            for (seq, content, acked) in one.cells() {
                let there = two.at(seq).map(|(content, _)| content);
                let is_shared = seq <= fork.shared() || (is_safe && acked);
                if is_shared && there.is_some_and(|there| there != content) {
                    let what = format!(
                        "{seq} is {content:?} in {} and {there:?} in {}, which share it",
                        one.epoch, two.epoch
                    );
                    wrongs.push((Rule::Order, what));
                }
            }
        }
        for &(content, early, late) in &room.twice {
            if lives_on(room, early.life(), late.life(), early.seq()) {
                let [one, two] = [early, late]
                    .map(|place| format!("{}:{}", room.lives[place.life()].epoch, place.seq()));
                wrongs.push((Rule::Key, format!("{content:?} stands at {one} and at {two}")));
            }
        }
    }

    fn judge_members(&mut self, number: usize, now: Duration) {
        for member in 0..self.members.len() {
            if self.members[member].room == number && !self.is_caught_up(member) {
                let newest = self.rooms[number].lives.last();
                let end = newest.map(|life| format!("{}:{}", life.epoch, life.last));
                let stand = self.members[member].stand.at;
                let what = format!("it stands at {stand:?}, the room at {end:?}");
                self.blame(Rule::Behind, member, what, now);
            }
        }
    }
}

/// Whether a seq of one epoch is known to be part of a later one.
fn lives_on(room: &CheckedRoom, from: usize, to: usize, seq: Seq) -> bool {
    room.forks.get(&(from, to)).is_some_and(|fork| seq <= fork.shared())
}
