//! Joins and leaves by the clock: what one change costs the node and Redis, and how long a join
//! takes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::{ClientFrame, ServerFrame};
use serde_json::{Value, json};

use super::calls::RedisCalls;
use super::{Part, PresenceArgs, PresenceBench, named, spread};
use crate::children::Children;
use crate::dialect::Dialect;
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::machine::Cores;
use crate::pace::Pace;
use crate::people::{Guest, welcome};
use crate::print;
use crate::reader::Depth;
use crate::stats::{digits, millis, percentile};
use crate::table::Table;

/// Users that come and go.
pub(super) const GUESTS: usize = 50;
/// How long an answer may take after the last change.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Handshakes under way at once.
const AT_ONCE: usize = 64;

pub(super) fn measure(args: &PresenceArgs, cores: &Cores, children: &Children) -> Result<Part> {
    print::note(format_args!("churn: {} members", args.members));
    let bench = PresenceBench::start(args, cores, "events", children)?;
    let mut engine = Engine::new(&bench.node.door)?;
    let links =
        welcome(&mut engine, &bench.dialect, &spread(args.members, args.rooms)?, AT_ONCE)?.links;
    links.iter().for_each(|&link| engine.set_depth(link, Depth::Skim));
    let rooms = (0..args.rooms).map(|room| format!("load-{room}")).collect();
    let mut churn = Churn::new(&mut engine, &bench.dialect, rooms)?;
    let (calls, cpu) = (RedisCalls::of(&bench.redis)?, bench.cpu()?);
    churn.run(&mut engine, args.rate, Duration::from_secs_f64(args.seconds))?;
    let (calls, after) = (RedisCalls::of(&bench.redis)?.since(&calls), bench.cpu()?);
    let cpu = [after[0] - cpu[0], after[1] - cpu[1]];
    let (table, found) = churn.outcome(args.members, cpu, &calls);
    let heading = format!(
        "presence, churn: {} members in {} rooms, {} joins and leaves/s of {GUESTS} users, {} s",
        args.members, args.rooms, args.rate, args.seconds
    );
    Ok(("churn", heading, table, found))
}

/// Users that join a room, leave it, and go to the next.
pub(super) struct Churn {
    dialect: Dialect,
    rooms: Vec<String>,
    /// By link: since when an answer is awaited, if one is, and the room the guest is in.
    guests: Vec<(LinkId, Option<Instant>, Option<usize>)>,
    turn: usize,
    joins: Vec<Duration>,
    leaves: Vec<Duration>,
    /// Changes that were due while every guest waited for an answer.
    late: u64,
    /// Frames that members received meanwhile.
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl Churn {
    pub(super) fn new(engine: &mut Engine, dialect: &Dialect, rooms: Vec<String>) -> Result<Self> {
        let guest = |guest| Guest { user: format!("guest-{guest}"), joins: Vec::new() };
        let guests: Vec<Guest> = (0..GUESTS).map(guest).collect();
        let links = welcome(engine, dialect, &guests, AT_ONCE)?.links;
        let guests = links.into_iter().map(|link| (link, None, None)).collect();
        let (joins, leaves) = (Vec::new(), Vec::new());
        let dialect = dialect.clone();
        Ok(Self { dialect, rooms, guests, turn: 0, joins, leaves, late: 0, frames: 0, bytes: 0 })
    }

    /// Changes at this rate for so long.
    pub(super) fn run(&mut self, engine: &mut Engine, rate: f64, time: Duration) -> Result<()> {
        let mut pace = Pace::new(Instant::now(), rate, time);
        let mut batch = EngineBatch::default();
        let mut end = None;
        loop {
            let now = Instant::now();
            while let Some(at) = pace.due(now) {
                self.change(engine, at)?;
            }
            let waiting = self.guests.iter().any(|(_, since, _)| since.is_some());
            if pace.is_over() {
                if !waiting {
                    return Ok(());
                }
                if *end.get_or_insert(now + ANSWER_WITHIN) <= now {
                    bail!("a join or leave was not answered within 15 s");
                }
            }
            let rest = pace.rest(now).min(Duration::from_millis(2));
            engine.turn(Wait::precisely(rest), &mut batch)?;
            self.absorb(&batch)?;
        }
    }

    fn change(&mut self, engine: &mut Engine, at: Instant) -> Result<()> {
        let count = self.guests.len();
        let free = (0..count).map(|more| (self.turn + more) % count);
        let Some(guest) = free.into_iter().find(|&guest| self.guests[guest].1.is_none()) else {
            self.late += 1;
            return Ok(());
        };
        self.turn = guest + 1;
        let (link, since, inside) = &mut self.guests[guest];
        let frame = match inside.take() {
            Some(room) => {
                let room = named(&self.rooms[room])?.room;
                ClientFrame::Leave { id: Some(1), room }
            }
            None => {
                let room = self.turn * 7919 % self.rooms.len();
                *inside = Some(room);
                ClientFrame::Join { id: Some(1), rooms: vec![named(&self.rooms[room])?] }
            }
        };
        *since = Some(at);
        engine.send(*link, &self.dialect.frame(&frame))
    }

    fn absorb(&mut self, batch: &EngineBatch) -> Result<()> {
        let first = self.guests.first().context("no guests")?.0;
        for arrival in &batch.arrivals {
            let payload = match &arrival.what {
                What::Ended(why) => bail!("a client lost its link: {why}"),
                What::Counted { frames, bytes } => {
                    self.frames += u64::from(*frames);
                    self.bytes += u64::from(*bytes);
                    continue;
                }
                What::Upgraded => continue,
                What::Frame { payload, .. } => &batch.bytes[payload.clone()],
            };
            // Guests came one after the other, on links that follow each other.
            let guest = arrival.link.checked_sub(first).filter(|&guest| guest < self.guests.len());
            let Some((_, since, _)) = guest.map(|guest| &mut self.guests[guest]) else {
                continue;
            };
            let delays = match self.dialect.decode(payload)? {
                ServerFrame::Joined { .. } => &mut self.joins,
                ServerFrame::Left { .. } => &mut self.leaves,
                ServerFrame::Error { code, message, .. } => {
                    bail!("a change was answered {}: {message}", code.as_str())
                }
                _ => continue,
            };
            let began = since.take().context("an answer to nothing")?;
            delays.push(arrival.at.saturating_duration_since(began));
        }
        Ok(())
    }

    /// What it cost, by the CPU of node and Redis.
    pub(super) fn outcome(
        &mut self,
        members: usize,
        cpu: [Duration; 2],
        calls: &RedisCalls,
    ) -> (Table, Value) {
        self.joins.sort_unstable();
        self.leaves.sort_unstable();
        let changes = (self.joins.len() + self.leaves.len()) as f64;
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / changes;
        let delay = |delays: &[Duration], share| millis(percentile(delays, share));
        let mut table = Table::new([
            "members",
            "changes",
            "late",
            "join p50 ms",
            "join p99 ms",
            "leave p99 ms",
            "node µs each",
            "Redis µs each",
            "scripts each",
            "commands each",
        ]);
        table.row([
            members.to_string(),
            digits(changes),
            self.late.to_string(),
            digits(delay(&self.joins, 0.5)),
            digits(delay(&self.joins, 0.99)),
            digits(delay(&self.leaves, 0.99)),
            digits(each(cpu[0])),
            digits(each(cpu[1])),
            digits(calls.scripts() as f64 / changes),
            digits(calls.all() as f64 / changes),
        ]);
        let found = json!({
            "members": members,
            "joins": self.joins.len(),
            "leaves": self.leaves.len(),
            "late": self.late,
            "join_p50_ms": delay(&self.joins, 0.5),
            "join_p99_ms": delay(&self.joins, 0.99),
            "leave_p99_ms": delay(&self.leaves, 0.99),
            "node_micros_each": each(cpu[0]),
            "redis_micros_each": each(cpu[1]),
            "frames_to_members": self.frames,
            "bytes_to_members": self.bytes,
            "calls": calls.by_name(),
        });
        (table, found)
    }
}
