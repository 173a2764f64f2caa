//! The cluster's load: publishers that send as fast as acks and members allow, and members whose
//! every frame goes to the checker.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use roomcast_protocol::{ErrorCode, Message, ServerFrame};
use serde::Serialize;

use super::checker::{Checker, Violation};
use super::mark::{Mark, content};
use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, text_of};
use crate::engine::{Arrival, Engine, EngineBatch, LinkId, Wait, What};
use crate::print;
use crate::stats::{millis, percentile};

/// How long to listen on for duplicates when all is received.
const AFTERMATH: Duration = Duration::from_millis(300);
/// How long one turn may sleep.
const NAP: Duration = Duration::from_millis(10);

/// The sizes of a run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) first_room: usize,
    pub(crate) rooms: usize,
    pub(crate) publishers: usize,
    pub(crate) members: usize,
    pub(crate) messages: u64,
    pub(crate) payload: usize,
    pub(crate) window: usize,
    pub(crate) lag: u64,
    /// How long nothing at all may happen before the run is taken for broken.
    pub(crate) stall: Duration,
}

/// What a run showed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Findings {
    pub(crate) acknowledged: u64,
    pub(crate) deliveries: u64,
    pub(crate) seconds: f64,
    /// Publish to ack: p50 and p99.
    pub(crate) ack_ms: [f64; 2],
    /// Publish to each member's read: p50 and p99.
    pub(crate) delivery_ms: [f64; 2],
    /// Publishes answered `overloaded` and sent again.
    pub(crate) retries: u64,
    pub(crate) violation_count: u64,
    /// The first of them.
    #[serde(skip)]
    pub(crate) violations: Vec<Violation>,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Publisher(usize),
    Member { room: usize, member: usize },
}

/// One publisher: message n of its own carries id n + 1.
struct Publisher {
    link: LinkId,
    dialect: Dialect,
    room: usize,
    quota: u64,
    sent_at: Vec<Instant>,
    /// Content of each message without ack, by id.
    unacked: HashMap<u64, u64>,
    /// Messages to send again.
    again: Vec<u64>,
}

struct Drive<'a> {
    plan: &'a Plan,
    engine: Engine,
    roles: HashMap<LinkId, (Role, Dialect)>,
    publishers: Vec<Publisher>,
    /// For each room: messages sent, frames received by members.
    rooms: Vec<(u64, u64)>,
    checker: Checker,
    ack_delays: Vec<Duration>,
    delivery_delays: Vec<Duration>,
    retries: u64,
    /// A link was lost or a publish failed for good: no use in waiting for the rest.
    broken: bool,
}

/// Runs the plan over links of the given kinds, in turn.
pub(crate) fn run(plan: &Plan, dialects: &[Dialect]) -> Result<Findings> {
    let mut drive = Drive::gather(plan, dialects)?;
    let began = Instant::now();
    let mut batch = EngineBatch::default();
    let (mut last, mut shown, mut progress) = (began, began, 0);
    while !drive.finished() && !drive.broken && last.elapsed() < plan.stall {
        drive.publish()?;
        drive.engine.turn(Wait::Sleep(NAP), &mut batch)?;
        drive.absorb(&batch)?;
        let now = drive.checker.acknowledged_in_all() + drive.deliveries();
        if now > progress {
            (progress, last) = (now, Instant::now());
        }
        if shown.elapsed() > Duration::from_secs(1) {
            shown = Instant::now();
            let (acks, all) = (drive.checker.acknowledged_in_all(), plan.messages);
            print::note(format_args!(
                "  {acks} of {all} acknowledged, {} deliveries",
                drive.deliveries()
            ));
        }
    }
    let seconds = (last - began).as_secs_f64();
    while last.elapsed() < AFTERMATH {
        drive.engine.turn(Wait::Sleep(NAP), &mut batch)?;
        drive.absorb(&batch)?;
    }
    let (acknowledged, deliveries) = (drive.checker.acknowledged_in_all(), drive.deliveries());
    let (violations, violation_count) = drive.checker.finish();
    Ok(Findings {
        acknowledged,
        deliveries,
        seconds,
        ack_ms: middle_and_tail(drive.ack_delays),
        delivery_ms: middle_and_tail(drive.delivery_delays),
        retries: drive.retries,
        violation_count,
        violations,
    })
}

fn middle_and_tail(mut delays: Vec<Duration>) -> [f64; 2] {
    delays.sort_unstable();
    [0.5, 0.99].map(|share| millis(percentile(&delays, share)))
}

impl<'a> Drive<'a> {
    fn gather(plan: &'a Plan, dialects: &[Dialect]) -> Result<Self> {
        let (mut seats, mut kinds) = (Vec::new(), Vec::new());
        for room in 0..plan.rooms {
            for member in 0..plan.members {
                let dialect = dialects[(room + member) % dialects.len()].clone();
                seats.push(Seat { dialect, rooms: vec![plan.first_room + room] });
                kinds.push(Role::Member { room, member });
            }
        }
        let all = plan.rooms * plan.publishers;
        for publisher in 0..all {
            let place = publisher % plan.rooms + publisher / plan.rooms;
            seats.push(Seat { dialect: dialects[place % dialects.len()].clone(), rooms: vec![] });
            kinds.push(Role::Publisher(publisher));
        }
        let mut engine = Engine::new(&dialects[0].door)?;
        let links = gather(&mut engine, &seats)?;
        let publishers = links[plan.rooms * plan.members..].iter().enumerate();
        let publishers = publishers.map(|(number, &link)| Publisher {
            link,
            dialect: seats[plan.rooms * plan.members + number].dialect.clone(),
            room: number % plan.rooms,
            quota: plan.messages / all as u64
                + u64::from((number as u64) < plan.messages % all as u64),
            sent_at: Vec::new(),
            unacked: HashMap::new(),
            again: Vec::new(),
        });
        let roles = links.iter().zip(kinds.iter().zip(&seats));
        Ok(Self {
            plan,
            engine,
            publishers: publishers.collect(),
            roles: roles
                .map(|(&link, (&role, seat))| (link, (role, seat.dialect.clone())))
                .collect(),
            rooms: vec![(0, 0); plan.rooms],
            checker: Checker::new(plan.rooms, plan.members),
            ack_delays: Vec::new(),
            delivery_delays: Vec::new(),
            retries: 0,
            broken: false,
        })
    }

    fn deliveries(&self) -> u64 {
        self.rooms.iter().map(|room| room.1).sum()
    }

    fn finished(&self) -> bool {
        self.checker.acknowledged_in_all() == self.plan.messages
            && self.deliveries() >= self.plan.messages * self.plan.members as u64
    }

    /// Every publisher sends what its window and its room's members allow, in one write.
    fn publish(&mut self) -> Result<()> {
        let members = self.plan.members as u64;
        for (number, publisher) in self.publishers.iter_mut().enumerate() {
            let (sent, received) = &mut self.rooms[publisher.room];
            let mut bytes = Vec::new();
            while publisher.unacked.len() < self.plan.window
                && (*sent * members).saturating_sub(*received) < self.plan.lag * members
            {
                let next = publisher.sent_at.len() as u64;
                let n = match publisher.again.pop() {
                    Some(n) => n,
                    None if next < publisher.quota => {
                        publisher.sent_at.push(Instant::now());
                        *sent += 1;
                        next
                    }
                    None => break,
                };
                let text = Mark { publisher: number, n: n as usize }.text();
                let data = publisher.dialect.encoding.payload(&text, self.plan.payload);
                publisher.unacked.insert(n + 1, content(text_of(&data)?));
                let room = self.plan.first_room + publisher.room;
                bytes.extend(publisher.dialect.publish(room, data, Some(n + 1))?);
            }
            if !bytes.is_empty() {
                self.engine.send(publisher.link, &bytes)?;
            }
        }
        Ok(())
    }

    fn absorb(&mut self, batch: &EngineBatch) -> Result<()> {
        for Arrival { link, at, what } in &batch.arrivals {
            let (role, dialect) = self.roles.get(link).context("a link without a role")?;
            let room = match *role {
                Role::Member { room, .. } => room,
                Role::Publisher(number) => self.publishers[number].room,
            };
            let payload = match what {
                What::Frame { payload, .. } => &batch.bytes[payload.clone()],
                What::Ended(why) => {
                    self.checker.unexpected(room, format!("{role:?} lost its link: {why}"));
                    self.broken = true;
                    continue;
                }
                _ => continue,
            };
            match (*role, dialect.decode(payload)?) {
                (Role::Member { room, member }, ServerFrame::Message { message, .. }) => {
                    self.saw(room, member, &message, *at)?;
                }
                (Role::Publisher(number), frame) => self.answered(number, frame, *at),
                (_, frame) => self.checker.unexpected(room, format!("a member got {frame:?}")),
            }
        }
        Ok(())
    }

    fn saw(&mut self, room: usize, member: usize, message: &Message, at: Instant) -> Result<()> {
        let text = text_of(&message.data)?;
        self.checker.saw(room, member, message.seq, content(text));
        self.rooms[room].1 += 1;
        if let Some(Mark { publisher, n }) = Mark::of(text)
            && let Some(&sent) = self.publishers.get(publisher).and_then(|from| from.sent_at.get(n))
        {
            self.delivery_delays.push(at.saturating_duration_since(sent));
        }
        Ok(())
    }

    fn answered(&mut self, number: usize, frame: ServerFrame, at: Instant) {
        let publisher = &mut self.publishers[number];
        let room = publisher.room;
        match frame {
            ServerFrame::Ack { id, epoch, seq, .. } => {
                let sent = publisher.sent_at.get(id.saturating_sub(1) as usize);
                self.ack_delays.extend(sent.map(|&sent| at.saturating_duration_since(sent)));
                match publisher.unacked.remove(&id) {
                    Some(content) => self.checker.acknowledged(room, seq, content),
                    None => self.checker.unexpected(room, format!("an ack for id {id}, again")),
                }
                self.checker.in_epoch(room, epoch);
            }
            ServerFrame::Error { id: Some(id), code: ErrorCode::Overloaded, .. }
                if publisher.unacked.remove(&id).is_some() =>
            {
                publisher.again.push(id - 1);
                self.retries += 1;
            }
            other => {
                self.checker.unexpected(room, format!("a publisher got {other:?}"));
                self.broken = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
