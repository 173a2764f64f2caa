//! All thin clients of a run on one engine: members, publishers and, at the end, readers of history.
//! It hands what they saw to the checker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::checker::{MemberId, Rule};
use super::journal::Entry;
use super::judges::Judges;
use super::member::TortureMember;
use super::past::Past;
use super::people::People;
use super::publisher::Publisher;
use super::turned_away::is_turned_away;
use super::way::{Turn, Way};
use crate::door::Door;
use crate::engine::{Arrival, Engine, EngineBatch, LinkId, Wait, What};
use crate::random::Random;

/// How long one turn may sleep.
const NAP: Duration = Duration::from_millis(3);

/// Whose a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Member(usize),
    Publisher(usize),
    Past(usize),
    Person(usize),
}

/// All thin clients.
pub(super) struct Load {
    engine: Engine,
    batch: EngineBatch,
    roles: Vec<Option<Role>>,
    random: Random,
    pub(super) members: Vec<TortureMember>,
    pub(super) publishers: Vec<Publisher>,
    pub(super) pasts: Vec<Past>,
    pub(super) people: People,
    /// Whose turn to publish it is.
    turn: usize,
    /// Messages that are due by the rate.
    credit: f64,
    last: Instant,
}

impl Load {
    /// A load of these clients.
    pub(super) fn new(
        members: Vec<TortureMember>,
        publishers: Vec<Publisher>,
        people: People,
        door: &Arc<Door>,
        seed: u64,
    ) -> Result<Self> {
        Ok(Self {
            engine: Engine::new(door)?,
            batch: EngineBatch::default(),
            roles: Vec::new(),
            random: Random::new(seed),
            members,
            publishers,
            pasts: Vec::new(),
            people,
            turn: 0,
            credit: 0.0,
            last: Instant::now(),
        })
    }

    /// Begins as many messages as are due. What an outage held back is made up for, within bounds.
    pub(super) fn publish(&mut self, rate: f64, catch_up: Duration, now: Instant) {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        self.credit = (self.credit + passed * rate).min(rate * catch_up.as_secs_f64());
        let mut refused = 0;
        while self.credit >= 1.0 && refused < self.publishers.len() {
            self.turn = (self.turn + 1) % self.publishers.len();
            if self.publishers[self.turn].begin() {
                self.credit -= 1.0;
                refused = 0;
            } else {
                refused += 1;
            }
        }
    }

    /// Each client does what is due.
    pub(super) fn tick(&mut self, judges: &mut Judges, now: (Instant, Duration)) {
        for number in 0..self.members.len() {
            self.tick_way(Role::Member(number), judges, now);
            self.members[number].tick(&mut self.engine, &mut judges.checker, now);
        }
        for number in 0..self.publishers.len() {
            self.tick_way(Role::Publisher(number), judges, now);
            self.publishers[number].flush(&mut self.engine, &mut judges.checker, now);
        }
        for number in 0..self.pasts.len() {
            self.tick_way(Role::Past(number), judges, now);
            self.pasts[number].tick(&mut self.engine, now.0);
        }
        for number in 0..self.people.len() {
            self.tick_way(Role::Person(number), judges, now);
            self.people.tick(number, &mut self.engine, &mut judges.checker, now);
        }
    }

    /// Waits for what the sockets bring; `absorb` takes it in.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.engine.turn(Wait::Sleep(NAP), &mut self.batch)
    }

    /// Takes in what the last `wait` brought.
    pub(super) fn absorb(&mut self, judges: &mut Judges, began: Instant) {
        let batch = std::mem::take(&mut self.batch);
        for Arrival { link, at, what } in &batch.arrivals {
            let Some(role) = self.roles.get(*link).copied().flatten() else { continue };
            let now = (*at, at.saturating_duration_since(began));
            match what {
                What::Frame { payload, .. } => {
                    let payload = &batch.bytes[payload.clone()];
                    if let Err(error) = self.frame(role, payload, judges, now) {
                        self.wrong(role, &error, judges, now.1);
                        self.cut(role, judges, now);
                    }
                }
                What::Ended(why) => {
                    self.roles[*link] = None;
                    judges.write(now.1, &format!("{role:?}: {why}"));
                    if is_turned_away(why) {
                        self.fail(Rule::Door, role, why, judges, now.1);
                    }
                    let random = &mut self.random;
                    let turn = way(
                        &mut self.members,
                        &mut self.publishers,
                        (&mut self.pasts[..], &mut self.people),
                        role,
                    )
                    .ended(random, now.0);
                    self.turned(role, &turn, judges, now);
                }
                What::Upgraded | What::Counted { .. } => {}
            }
        }
        self.batch = batch;
    }

    /// Ends the connection of every client that `chosen` names by its number among all.
    pub(super) fn disconnect(
        &mut self,
        judges: &mut Judges,
        now: (Instant, Duration),
        chosen: impl Fn(usize) -> bool,
    ) {
        let members = (0..self.members.len()).map(Role::Member);
        let publishers = (0..self.publishers.len()).map(Role::Publisher);
        let all: Vec<Role> = members.chain(publishers).collect();
        for (_, &role) in all.iter().enumerate().filter(|(number, _)| chosen(*number)) {
            self.cut(role, judges, now);
        }
    }

    /// Tokens that nodes took on live connections.
    pub(super) fn renewed(&self) -> u64 {
        let members = self.members.iter().map(|member| member.way.renewed());
        members.chain(self.publishers.iter().map(|it| it.way.renewed())).sum()
    }

    /// Stops reading a member; false if it is not up.
    pub(super) fn mute(&mut self, member: usize) -> bool {
        self.members[member].way.mute(&mut self.engine)
    }

    /// Reads it on.
    pub(super) fn wake(&mut self, member: usize, judges: &mut Judges, now: (Instant, Duration)) {
        let turn = self.members[member].way.wake(&mut self.engine, &mut self.random, now.0);
        self.turned(Role::Member(member), &turn, judges, now);
    }

    fn tick_way(&mut self, role: Role, judges: &mut Judges, now: (Instant, Duration)) {
        let others = (&mut self.pasts[..], &mut self.people);
        let way = way(&mut self.members, &mut self.publishers, others, role);
        let turn = way.tick(&mut self.engine, &mut self.random, now.0);
        self.turned(role, &turn, judges, now);
    }

    fn cut(&mut self, role: Role, judges: &mut Judges, now: (Instant, Duration)) {
        let others = (&mut self.pasts[..], &mut self.people);
        let way = way(&mut self.members, &mut self.publishers, others, role);
        let turn = way.cut(&mut self.engine, &mut self.random, now.0);
        for known in self.roles.iter_mut().filter(|known| **known == Some(role)) {
            *known = None;
        }
        self.turned(role, &turn, judges, now);
    }

    /// What a tick or an end of a way means for its client.
    fn turned(&mut self, role: Role, turn: &Turn, judges: &mut Judges, now: (Instant, Duration)) {
        match (turn, role) {
            (Turn::Opening(link), role) => self.assign(*link, role),
            (Turn::Down, Role::Member(number)) => {
                let forgets = self.members[number].forgets();
                for id in self.members[number].down() {
                    judges.note(id, Entry::Lost, now.1);
                    if forgets {
                        judges.note(id, Entry::Forgot, now.1);
                    }
                }
            }
            (Turn::Down, Role::Publisher(number)) => self.publishers[number].down(now.0),
            (Turn::Down, Role::Person(number)) => self.people.down(number, now.0),
            _ => {}
        }
    }

    fn assign(&mut self, link: LinkId, role: Role) {
        if self.roles.len() <= link {
            self.roles.resize(link + 1, None);
        }
        self.roles[link] = Some(role);
    }

    fn frame(
        &mut self,
        role: Role,
        payload: &[u8],
        judges: &mut Judges,
        now: (Instant, Duration),
    ) -> Result<()> {
        match role {
            Role::Member(number) => {
                if let Some((id, entry)) = self.members[number].frame(payload, now.0)? {
                    judges.note(id, entry, now.1);
                }
            }
            Role::Publisher(number) => {
                if self.publishers[number].frame(payload, &mut judges.checker, now)? {
                    judges.timeline.acked(now.1);
                }
            }
            Role::Past(number) => self.pasts[number].frame(payload, &mut self.engine, now.0)?,
            Role::Person(number) => {
                let to = (&mut self.engine, &mut judges.checker);
                self.people.frame(number, payload, to, now)?;
            }
        }
        Ok(())
    }

    fn wrong(&self, role: Role, error: &anyhow::Error, judges: &mut Judges, now: Duration) {
        self.fail(Rule::Answer, role, &format!("{error:#}"), judges, now);
    }

    fn fail(&self, rule: Rule, role: Role, what: &str, judges: &mut Judges, now: Duration) {
        let room = match role {
            Role::Member(number) => {
                let first: MemberId = self.members[number].seats[0].id;
                Some(judges.checker.room_of(first))
            }
            Role::Publisher(number) => Some(self.publishers[number].room),
            Role::Past(number) => Some(number),
            Role::Person(_) => None,
        };
        let (who, what) = (format!("{role:?}"), what.to_owned());
        judges.checker.fail(rule, room, (who, what), now);
    }
}

fn way<'a>(
    members: &'a mut [TortureMember],
    publishers: &'a mut [Publisher],
    (pasts, people): (&'a mut [Past], &'a mut People),
    role: Role,
) -> &'a mut Way {
    match role {
        Role::Member(number) => &mut members[number].way,
        Role::Publisher(number) => &mut publishers[number].way,
        Role::Past(number) => &mut pasts[number].way,
        Role::Person(number) => people.way(number),
    }
}
