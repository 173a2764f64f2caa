//! The well-behaved: members in rooms, a publisher for each room that sends by the clock, and how
//! long each message took.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::ServerFrame;
use serde::Serialize;

use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, text_of};
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::pace::Pace;
use crate::server::Server;
use crate::stats::{millis, percentile};

/// How long members may lack messages without receiving any.
const STUCK: Duration = Duration::from_secs(10);

/// Who takes part.
#[derive(Debug, Clone)]
pub(super) struct MembersPlan {
    pub(super) members: usize,
    pub(super) rooms: usize,
    /// Messages per second in each room.
    pub(super) rate: f64,
    pub(super) payload: usize,
}

/// Delays of one half of a run, from the intended moment of sending to the receipt.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Delays {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// 99 of 100 messages were sent at most so long after their moment: the load's own share.
    pub(super) late_p99_ms: f64,
}

/// What a link is for.
#[derive(Debug, Clone, Copy)]
enum Part {
    Publisher,
    Member(usize),
}

/// All of them, on one node.
pub(super) struct Crowd {
    plan: MembersPlan,
    dialect: Dialect,
    engine: Engine,
    batch: EngineBatch,
    /// By link.
    parts: Vec<Part>,
    /// By room.
    publishers: Vec<LinkId>,
    /// When each message was to go, by its number.
    sent: Vec<Instant>,
    /// Messages of each room.
    published: Vec<usize>,
    /// What each member has.
    received: Vec<usize>,
    delays: Vec<Duration>,
    lateness: Vec<Duration>,
    lost: Vec<String>,
    last_receipt: Instant,
}

impl Crowd {
    /// Opens and joins everyone.
    pub(super) fn gather(plan: &MembersPlan, server: &Server, dialect: Dialect) -> Result<Self> {
        let mut engine = Engine::new(&server.door)?;
        let seat = |rooms| Seat { dialect: dialect.clone(), rooms };
        let members: Vec<Seat> =
            (0..plan.members).map(|member| seat(vec![member % plan.rooms])).collect();
        let members = gather(&mut engine, &members)?;
        let publishers = gather(&mut engine, &vec![seat(Vec::new()); plan.rooms])?;
        let links = members.iter().chain(&publishers).max().map_or(0, |&most| most + 1);
        let mut parts = vec![Part::Publisher; links];
        for (member, &link) in members.iter().enumerate() {
            parts[link] = Part::Member(member);
        }
        Ok(Self {
            dialect,
            engine,
            batch: EngineBatch::default(),
            parts,
            publishers,
            sent: Vec::new(),
            published: vec![0; plan.rooms],
            received: vec![0; plan.members],
            delays: Vec::new(),
            lateness: Vec::new(),
            lost: Vec::new(),
            last_receipt: Instant::now(),
            plan: plan.clone(),
        })
    }

    /// Lets time pass.
    pub(super) fn idle(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            self.turn(left)?;
        }
        Ok(())
    }

    /// Publishes by the clock for so long, in each room in turn, and waits for the rest.
    pub(super) fn pace(&mut self, time: Duration) -> Result<Delays> {
        self.settle()?;
        self.delays.clear();
        self.lateness.clear();
        let mut pace = Pace::new(Instant::now(), self.plan.rate * self.plan.rooms as f64, time);
        while !pace.is_over() {
            while let Some(intended) = pace.due(Instant::now()) {
                self.lateness.push(intended.elapsed());
                self.publish(intended)?;
            }
            self.turn(pace.rest(Instant::now()))?;
        }
        self.settle()?;
        self.delays.sort_unstable();
        self.lateness.sort_unstable();
        let delay = |share| millis(percentile(&self.delays, share));
        let late_p99_ms = millis(percentile(&self.lateness, 0.99));
        Ok(Delays { p50_ms: delay(0.5), p99_ms: delay(0.99), max_ms: delay(1.0), late_p99_ms })
    }

    /// Waits until the members have everything, or nothing came for too long.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.last_receipt = Instant::now();
        while self.missing() > 0 && self.last_receipt.elapsed() < STUCK {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Deliveries that members lack.
    pub(super) fn missing(&self) -> usize {
        let rooms = self.published.iter().cycle();
        self.received.iter().zip(rooms).map(|(&has, &all)| all.saturating_sub(has)).sum()
    }

    /// Members that lost their links, in words.
    pub(super) fn lost(&self) -> Vec<String> {
        self.lost.clone()
    }

    fn publish(&mut self, intended: Instant) -> Result<()> {
        let number = self.sent.len();
        let room = number % self.plan.rooms;
        let data = self.dialect.encoding.payload(&format!("n{number}|"), self.plan.payload);
        let frame = self.dialect.publish(room, data, None)?;
        self.sent.push(intended);
        self.published[room] += 1;
        self.engine.send(self.publishers[room], &frame)
    }

    fn turn(&mut self, longest: Duration) -> Result<()> {
        self.engine.turn(Wait::precisely(longest), &mut self.batch)?;
        for arrival in &self.batch.arrivals {
            let payload = match &arrival.what {
                What::Frame { payload, .. } => &self.batch.bytes[payload.clone()],
                What::Ended(why) => {
                    self.lost.push(format!("{:?}: {why}", self.parts[arrival.link]));
                    continue;
                }
                What::Upgraded | What::Counted { .. } => continue,
            };
            let Part::Member(member) = self.parts[arrival.link] else {
                bail!("a publisher was answered {:?}", self.dialect.decode(payload)?);
            };
            let number = number(&self.dialect.decode(payload)?)?;
            let intended = self.sent.get(number).context("a message that was not sent")?;
            self.delays.push(arrival.at.saturating_duration_since(*intended));
            self.received[member] += 1;
            self.last_receipt = arrival.at;
        }
        Ok(())
    }
}

/// The number in a message's text.
fn number(frame: &ServerFrame) -> Result<usize> {
    let ServerFrame::Message { message, .. } = frame else {
        bail!("a member received {frame:?}");
    };
    let text = std::str::from_utf8(text_of(&message.data)?)?;
    let number = text.strip_prefix('n').and_then(|rest| Some(rest.split_once('|')?.0));
    Ok(number.context("the text is not what was published")?.parse()?)
}
