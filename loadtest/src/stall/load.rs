//! The clients of one run: members that read, members that stopped, publishers; and the turns in
//! which they publish and receive.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use roomcast_protocol::ServerFrame;

use super::ledger::Ledger;
use super::woken::{Ends, Woken};
use crate::crowd::{Seat, gather};
use crate::dialect::Dialect;
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::pace::Pace;

/// Parts in which the members come, so that readers and stalled ones mix in the room's order.
const PARTS: usize = 20;
/// `SO_RCVBUF` of a stalled member: small, and the same for all.
const STALLED_BUFFER: usize = 8 << 10;

/// Who takes part, and how.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) members: usize,
    pub(super) stalled: usize,
    pub(super) publishers: usize,
    pub(super) payload: usize,
    /// Messages per second, of all publishers together.
    pub(super) rate: f64,
    /// How long members may lack messages without receiving any.
    pub(super) patience: Duration,
}

/// What a link is for.
#[derive(Debug, Clone, Copy)]
enum Role {
    Publisher,
    Member(usize),
    Stalled(usize),
}

/// The load on one node.
pub(super) struct Load {
    plan: Plan,
    dialect: Dialect,
    engine: Engine,
    batch: EngineBatch,
    /// By link.
    roles: Vec<Role>,
    publishers: Vec<LinkId>,
    stalled: Vec<LinkId>,
    woken: Woken,
    pub(super) ledger: Ledger,
    /// How long after their intended moments messages went.
    pub(super) lateness: Vec<Duration>,
    last_receipt: Instant,
}

impl Load {
    /// Opens and joins everyone; the stalled ones are read no more from then on.
    pub(super) fn gather(plan: Plan, dialect: Dialect) -> Result<Self> {
        let mut load = Self {
            engine: Engine::new(&dialect.door)?,
            batch: EngineBatch::default(),
            roles: Vec::new(),
            publishers: Vec::new(),
            stalled: Vec::new(),
            woken: Woken::new(dialect.clone(), plan.stalled),
            ledger: Ledger::new(dialect.clone(), plan.members),
            lateness: Vec::new(),
            last_receipt: Instant::now(),
            dialect,
            plan,
        };
        for part in 0..PARTS {
            let members = share(load.plan.members, part);
            for (member, link) in members.clone().zip(load.seat(members.len())?) {
                load.assign(link, Role::Member(member));
            }
            let stalled = share(load.plan.stalled, part);
            load.engine.set_receive_buffer(Some(STALLED_BUFFER));
            let links = load.seat(stalled.len())?;
            load.engine.set_receive_buffer(None);
            for (member, link) in stalled.zip(links) {
                load.assign(link, Role::Stalled(member));
                load.engine.mute(link)?;
                load.stalled.push(link);
            }
        }
        let seat = Seat { dialect: load.dialect.clone(), rooms: Vec::new() };
        load.publishers = gather(&mut load.engine, &vec![seat; load.plan.publishers])?;
        for link in load.publishers.clone() {
            load.assign(link, Role::Publisher);
        }
        Ok(load)
    }

    /// Opens so many members.
    fn seat(&mut self, count: usize) -> Result<Vec<LinkId>> {
        let seat = Seat { dialect: self.dialect.clone(), rooms: vec![0] };
        gather(&mut self.engine, &vec![seat; count])
    }

    fn assign(&mut self, link: LinkId, role: Role) {
        if self.roles.len() <= link {
            self.roles.resize(link + 1, Role::Publisher);
        }
        self.roles[link] = role;
    }

    /// Publishes some messages at once and waits until the members that read have them.
    pub(super) fn burst(&mut self, messages: usize) -> Result<()> {
        for _ in 0..messages {
            self.publish(Instant::now())?;
        }
        self.settle()
    }

    /// Publishes at the plan's rate for so long; only these delays count.
    pub(super) fn pace(&mut self, time: Duration) -> Result<()> {
        self.ledger.count_from_here();
        let mut pace = Pace::new(Instant::now(), self.plan.rate, time);
        let deliveries = self.plan.members as f64 * self.plan.rate * time.as_secs_f64();
        self.ledger.delays.reserve(deliveries as usize + self.plan.members);
        while !pace.is_over() {
            while let Some(intended) = pace.due(Instant::now()) {
                self.lateness.push(intended.elapsed());
                self.publish(intended)?;
            }
            self.turn(pace.rest(Instant::now()))?;
        }
        Ok(())
    }

    /// Waits until the members that read have everything, or nothing came for too long.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.last_receipt = Instant::now();
        while !self.ledger.is_settled() && self.last_receipt.elapsed() < self.plan.patience {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Reads the stalled members again, to their end or to the room's newest message.
    pub(super) fn wake(&mut self) -> Result<Ends> {
        self.woken.expect(self.ledger.seqs());
        for link in self.stalled.clone() {
            self.engine.wake(link)?;
        }
        self.last_receipt = Instant::now();
        while !self.woken.is_settled() && self.last_receipt.elapsed() < self.plan.patience {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(self.woken.ends())
    }

    /// Sends the next message.
    fn publish(&mut self, intended: Instant) -> Result<()> {
        let data = self.dialect.encoding.payload(&self.ledger.text(), self.plan.payload);
        let frame = self.dialect.publish(0, data, None)?;
        let publisher = self.publishers[self.ledger.published() % self.publishers.len()];
        self.ledger.publish(intended);
        self.engine.send(publisher, &frame)
    }

    fn turn(&mut self, longest: Duration) -> Result<()> {
        self.engine.turn(Wait::precisely(longest), &mut self.batch)?;
        for arrival in &self.batch.arrivals {
            self.last_receipt = arrival.at;
            let payload = match &arrival.what {
                What::Frame { payload, .. } => Ok(&self.batch.bytes[payload.clone()]),
                What::Ended(why) => Err(why),
                What::Upgraded | What::Counted { .. } => continue,
            };
            match (self.roles[arrival.link], payload) {
                (Role::Member(member), Ok(frame)) => self.ledger.receive(member, frame, arrival.at),
                (Role::Member(member), Err(why)) => {
                    self.ledger.stray(member, &format!("lost its link: {why}"));
                }
                (Role::Stalled(member), Ok(frame)) => self.woken.receive(member, frame),
                (Role::Stalled(member), Err(why)) => self.woken.end(member, why),
                (Role::Publisher, Err(why)) => bail!("a publisher lost its link: {why}"),
                (Role::Publisher, Ok(frame)) => match self.dialect.decode(frame)? {
                    ServerFrame::Error { code, message, .. } => {
                        bail!("a publish was answered {}: {message}", code.as_str())
                    }
                    other => bail!("a publisher received {other:?}"),
                },
            }
        }
        Ok(())
    }
}

/// Which of `all` members come in this part.
fn share(all: usize, part: usize) -> Range<usize> {
    all * part / PARTS..all * (part + 1) / PARTS
}

#[cfg(test)]
mod tests;
