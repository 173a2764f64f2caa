//! A client in a room with presence: it comes, leaves, vanishes and comes back at other nodes, and
//! keeps the list of who is there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use roomcast_protocol::{
    ClientFrame, ErrorCode, JoinRoom, RequestId, RoomName, ServerFrame, UserName,
};

use super::attendance::Attendance;
use super::kept_list::{KeptList, Move};
use super::{Broken, PONGS, PeopleCounts, is_overdue, pause_after};
use crate::engine::Engine;
use crate::random::Random;
use crate::torture::checker::Rule;
use crate::torture::way::{Turn, Way};

/// Between two looks at the list after the last fault: a node reads it once a second.
const LOOK_AGAIN: Duration = Duration::from_millis(1_100);
/// Between two changes of a restless guest, in ms.
const CHANGE: (u64, u64) = (400, 5_000);
/// How long a guest that vanished is away, in ms: within the grace or beyond it.
const AWAY: (u64, u64) = (100, 9_000);

/// How a guest behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Temper {
    /// It stays, and comes back after each loss.
    Steady,
    /// It leaves and vanishes too.
    Restless,
    /// It stays at one node, and looks at that node's list at the end.
    Resident,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stance {
    Out { from: Option<Instant> },
    Joining { id: RequestId, pongs: u64 },
    In,
    Leaving { pongs: u64 },
}

/// One such client.
pub(super) struct Guest {
    pub(super) way: Way,
    number: usize,
    pub(super) room: (usize, RoomName),
    user: UserName,
    temper: Temper,
    stance: Stance,
    wants_in: bool,
    change: Instant,
    list: KeptList,
    next_id: RequestId,
    /// The whole list as it was last read, and the memberships it counts.
    look: Option<(BTreeSet<UserName>, u64)>,
    look_at: Duration,
}

impl Guest {
    /// Guest `number`, not there yet.
    pub(super) fn new(
        (way, number): (Way, usize),
        room: (usize, RoomName),
        user: UserName,
        temper: Temper,
    ) -> Self {
        let list = KeptList::new(user.clone());
        Self {
            way,
            number,
            room,
            user,
            temper,
            stance: Stance::Out { from: None },
            wants_in: true,
            change: Instant::now() + Duration::from_millis(CHANGE.1),
            list,
            next_id: 1,
            look: None,
            look_at: Duration::ZERO,
        }
    }

    /// Does what is due; true if its connection was given up.
    pub(super) fn tick(
        &mut self,
        (engine, random): (&mut Engine, &mut Random),
        broken: &mut Vec<Broken>,
        is_quiet: bool,
        now: (Instant, Duration),
    ) -> bool {
        if self.temper == Temper::Restless && !is_quiet && self.change <= now.0 {
            self.change = now.0 + Duration::from_millis(random.between(CHANGE.0, CHANGE.1));
            if self.change_mind((engine, random), now.0) {
                return true;
            }
        }
        if !self.way.is_live() {
            return false;
        }
        let pongs = self.way.pongs;
        match self.stance {
            Stance::Out { from } if self.wants_in && from.is_none_or(|from| from <= now.0) => {
                let id = self.id();
                self.stance = Stance::Joining { id, pongs };
                let join = JoinRoom { presence: true, ..JoinRoom::new(self.room.1.clone()) };
                self.way.send(engine, &ClientFrame::Join { id: Some(id), rooms: vec![join] });
            }
            Stance::Joining { pongs: sent, .. } | Stance::Leaving { pongs: sent }
                if is_overdue(&self.way, sent) =>
            {
                let what = format!("a join or leave unanswered while {PONGS} pongs came");
                broken.push((Rule::Answer, self.name(), what));
                self.stance = Stance::Leaving { pongs: u64::MAX };
            }
            Stance::In => {
                let looks = is_quiet && self.temper == Temper::Resident && self.look_at <= now.1;
                if self.list.is_due(now.1) || looks {
                    self.look_at = now.1 + LOOK_AGAIN;
                    let (id, room) = (Some(self.id()), self.room.1.clone());
                    self.way.send(engine, &ClientFrame::Members { id, room, page: None });
                }
            }
            _ => {}
        }
        false
    }

    /// The connection is gone.
    pub(super) fn down(&mut self, truth: &mut Attendance) {
        truth.went((self.room.0, &self.user, self.number));
        self.stance = Stance::Out { from: None };
        self.list.lost();
    }

    /// Takes in a frame of its link.
    pub(super) fn frame(
        &mut self,
        payload: &[u8],
        engine: &mut Engine,
        (truth, counts, broken): (&mut Attendance, &mut PeopleCounts, &mut Vec<Broken>),
        now: (Instant, Duration),
    ) -> Result<()> {
        let Turn::Frame(frame) = self.way.frame(payload, now.0)? else { return Ok(()) };
        let key = (self.room.0, &self.user, self.number);
        let judged = match frame {
            ServerFrame::Joined { id, counts: told, .. } => {
                if !matches!(self.stance, Stance::Joining { id: sent, .. } if id == Some(sent)) {
                    bail!("`joined` that was not asked for");
                }
                self.stance = Stance::In;
                truth.came(key, self.way.node, now.1);
                self.list.joined(told, now.1)
            }
            ServerFrame::Left { id: Some(_), .. } => {
                truth.went(key);
                self.stance = Stance::Out { from: None };
                self.list = KeptList::new(self.user.clone());
                Ok(())
            }
            ServerFrame::UserJoined(event) => {
                counts.joins += 1;
                self.list.event(Move::Joined, &event, now.1)
            }
            ServerFrame::UserLeft(event) => {
                counts.leaves += 1;
                if !truth.may_have_left(self.room.0, &event.user, now.1) {
                    let what = format!("{} left at rev {}, who was there", event.user, event.rev);
                    broken.push((Rule::Presence, self.name(), what));
                }
                self.list.event(Move::Left, &event, now.1)
            }
            ServerFrame::Count { count, rev, list, .. } => self.list.counted(count, rev, list),
            ServerFrame::PresenceReset { after_ms, .. } => {
                counts.resets += 1;
                self.list.reset(Duration::from_millis(after_ms), now.1);
                Ok(())
            }
            ServerFrame::Members { members, counts: told, more, .. } => {
                if let Some(page) = &more {
                    let (id, room) = (Some(self.id()), self.room.1.clone());
                    let page = Some(page.clone());
                    self.way.send(engine, &ClientFrame::Members { id, room, page });
                }
                counts.lists += 1;
                self.list.page(&members, told, (more.is_none(), now.1)).map(|whole| {
                    self.look = whole.map(|whole| (whole, told.count));
                })
            }
            ServerFrame::Error { id, code, retry_after_ms, .. } => {
                return self.refused(id, (code, retry_after_ms), now);
            }
            // Of the room's messages, of which there are none.
            ServerFrame::Reset { .. } | ServerFrame::Gap { .. } => Ok(()),
            other => bail!("a guest got {other:?}"),
        };
        if let Err(what) = judged {
            broken.push((Rule::Presence, self.name(), what));
        }
        Ok(())
    }

    /// What it knows that is not so; `None` if all of it is.
    pub(super) fn differs(&self, truth: &Attendance) -> Option<String> {
        if self.stance == (Stance::Out { from: None }) && !self.wants_in && self.way.is_live() {
            return None;
        }
        if self.stance != Stance::In {
            return Some(format!("it is {:?}", self.stance));
        }
        let (users, count) = truth.truth(self.room.0);
        if self.temper == Temper::Resident {
            let Some((seen, counted)) = &self.look else { return Some("no list came".to_owned()) };
            if (seen, *counted) != (&users, count) {
                return Some(format!(
                    "its node lists {seen:?}, {counted}; there are {users:?}, {count}"
                ));
            }
        }
        let mut others = users;
        others.remove(&self.user);
        let kept = self.list.others();
        (kept.as_ref() != Some(&others) || self.list.count != Some(count)).then(|| {
            let counted = self.list.count;
            format!(
                "it keeps {kept:?}, {counted:?}; there are {others:?} besides it, {count} in all"
            )
        })
    }

    /// In words.
    pub(super) fn name(&self) -> String {
        let node = self.way.node.map_or_else(|| "no node".to_owned(), |it| format!("n{}", it + 1));
        format!("guest {} ({}) of {} at {node}", self.number, self.user, self.room.1)
    }

    /// It leaves, vanishes or comes back; true if its connection was given up.
    fn change_mind(&mut self, (engine, random): (&mut Engine, &mut Random), now: Instant) -> bool {
        match self.stance {
            Stance::In if random.below(2) == 0 => {
                let (id, room) = (Some(self.id()), self.room.1.clone());
                self.way.send(engine, &ClientFrame::Leave { id, room });
                self.stance = Stance::Leaving { pongs: self.way.pongs };
                self.wants_in = false;
                false
            }
            Stance::In => {
                self.way.cut(engine, random, now);
                self.way.rest(now + Duration::from_millis(random.between(AWAY.0, AWAY.1)));
                true
            }
            _ => {
                self.wants_in = true;
                false
            }
        }
    }

    fn refused(
        &mut self,
        id: Option<RequestId>,
        refusal: (ErrorCode, Option<u64>),
        now: (Instant, Duration),
    ) -> Result<()> {
        let pause = pause_after("a guest", refusal)?;
        match self.stance {
            Stance::Joining { id: sent, .. } if id == Some(sent) => {
                self.stance = Stance::Out { from: Some(now.0 + pause) };
            }
            _ => self.list.ask_at(now.1 + pause),
        }
        Ok(())
    }

    fn id(&mut self) -> RequestId {
        self.next_id += 1;
        self.next_id
    }
}
