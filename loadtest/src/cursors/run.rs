//! One run on one fresh node: cursors by the clock in the first room, messages by the clock in the
//! others.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::{ClientFrame, EventName, ServerFrame};
use serde::Serialize;

use super::{CursorMode, CursorsArgs, note, time};
use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, room_name, text_of};
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::pace::Pace;
use crate::reader::Depth;
use crate::scrape::Scrape;
use crate::server::Server;
use crate::stats::{millis, percentile};

/// How long what was sent may still be on its way.
const SETTLE: Duration = Duration::from_millis(500);
/// Bytes of a message's data.
const MESSAGE_BYTES: usize = 64;
/// Bytes of a signal's data: two coordinates.
const SIGNAL_BYTES: usize = 24;

/// What one run showed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CursorOutcome {
    pub(super) signals: &'static str,
    pub(super) round: usize,
    pub(super) seconds: f64,
    /// Signals that the clients sent.
    pub(super) sent: u64,
    /// Frames that members of the first room received.
    pub(super) received: u64,
    /// By the node's count: those that were left for a newer one, and those it dropped.
    pub(super) conflated: f64,
    pub(super) dropped: f64,
    /// The node's, over the run.
    pub(super) cpu_seconds: f64,
    pub(super) kept_waiting_percent: f64,
    /// Messages of other rooms that were received.
    pub(super) deliveries: usize,
    /// From the moment of sending to the receipt.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

struct CursorLoad<'a> {
    dialect: &'a Dialect,
    engine: Engine,
    /// The first ones have the cursors.
    cursors: Vec<LinkId>,
    publisher: LinkId,
    /// By link: whether it is in the first room.
    in_first: Vec<bool>,
    /// When each message was to go.
    moments: Vec<Instant>,
    sent: u64,
    received: u64,
    delays: Vec<Duration>,
}

pub(super) fn measure(
    args: &CursorsArgs,
    (mode, round): (CursorMode, usize),
    server: &Server,
    dialect: &Dialect,
) -> Result<CursorOutcome> {
    let mut load = CursorLoad::gather(args, server, dialect)?;
    let scrape = || Scrape::of(&server.door, server.addr);
    let before = (server.cpu_time()?, server.cpu_wait()?, scrape()?);
    let began = Instant::now();
    load.run(args, mode)?;
    let seconds = began.elapsed().as_secs_f64();
    let after = (server.cpu_time()?, server.cpu_wait()?, scrape()?);
    server.check()?;
    let spent = |after: Option<Duration>, before: Option<Duration>| {
        (after.unwrap_or_default() - before.unwrap_or_default()).as_secs_f64()
    };
    let counted = |label: &str| {
        let of = |scrape: &Scrape| scrape.sum("roomcast_signals_total", label);
        of(&after.2) - of(&before.2)
    };
    load.delays.sort_unstable();
    let delay = |share| millis(percentile(&load.delays, share));
    let outcome = CursorOutcome {
        signals: mode.name(),
        round,
        seconds,
        sent: load.sent,
        received: load.received,
        conflated: counted("conflated"),
        dropped: counted("dropped"),
        cpu_seconds: spent(after.0, before.0),
        kept_waiting_percent: spent(after.1, before.1) * 100.0 / seconds,
        deliveries: load.delays.len(),
        p50_ms: delay(0.5),
        p99_ms: delay(0.99),
        max_ms: delay(1.0),
    };
    note(&outcome);
    Ok(outcome)
}

impl<'a> CursorLoad<'a> {
    fn gather(args: &CursorsArgs, server: &Server, dialect: &'a Dialect) -> Result<Self> {
        let seat = |rooms| Seat { dialect: dialect.clone(), rooms };
        let first = (0..args.members).map(|_| seat(vec![0]));
        let others = (0..args.rooms * args.cursors).map(|n| seat(vec![1 + n % args.rooms]));
        let seats: Vec<Seat> = first.chain(others).chain([seat(Vec::new())]).collect();
        let mut engine = Engine::new(&server.door)?;
        let links = gather(&mut engine, &seats)?;
        let mut in_first = vec![false; links.iter().max().map_or(0, |last| last + 1)];
        for &link in &links[..args.members] {
            in_first[link] = true;
            engine.set_depth(link, Depth::Skim);
        }
        let cursors = links[..args.cursors].to_vec();
        let publisher = *links.last().context("no publisher")?;
        let (moments, delays) = (Vec::new(), Vec::new());
        let (sent, received) = (0, 0);
        Ok(Self { dialect, engine, cursors, publisher, in_first, moments, sent, received, delays })
    }

    fn run(&mut self, args: &CursorsArgs, mode: CursorMode) -> Result<()> {
        let began = Instant::now();
        let per_second = args.rate * args.cursors as f64;
        let mut moving =
            (mode != CursorMode::Still).then(|| Pace::new(began, per_second, time(args)));
        let mut messages = Pace::new(began, args.messages, time(args));
        let data = Some(self.dialect.encoding.payload("", SIGNAL_BYTES));
        let (room, event) = (room_name(0)?, EventName::parse("cursor")?);
        let signal = self.dialect.frame(&ClientFrame::Signal { id: None, room, event, data });
        let mut batch = EngineBatch::default();
        let mut end = None;
        loop {
            let now = Instant::now();
            while moving.as_mut().and_then(|pace| pace.due(now)).is_some() {
                let cursor = self.cursors[self.sent as usize % self.cursors.len()];
                self.engine.send(cursor, &signal)?;
                self.sent += 1;
            }
            while let Some(at) = messages.due(now) {
                self.publish(args.rooms, at)?;
            }
            let is_over = messages.is_over() && moving.as_ref().is_none_or(Pace::is_over);
            if is_over && *end.get_or_insert(now + SETTLE) <= now {
                return Ok(());
            }
            let next = moving.as_ref().map_or(Duration::from_millis(1), |pace| pace.rest(now));
            let rest = next.min(messages.rest(now)).min(Duration::from_millis(1));
            self.engine.turn(Wait::precisely(rest), &mut batch)?;
            self.absorb(&batch)?;
        }
    }

    fn publish(&mut self, rooms: usize, at: Instant) -> Result<()> {
        let number = self.moments.len();
        self.moments.push(at);
        let data = self.dialect.encoding.payload(&format!("{number}|"), MESSAGE_BYTES);
        let frame = self.dialect.publish(1 + number % rooms, data, None)?;
        self.engine.send(self.publisher, &frame)
    }

    fn absorb(&mut self, batch: &EngineBatch) -> Result<()> {
        for arrival in &batch.arrivals {
            match &arrival.what {
                What::Ended(why) => bail!("a client lost its link: {why}"),
                What::Upgraded => {}
                What::Counted { frames, .. } => self.received += u64::from(*frames),
                What::Frame { .. } if self.in_first[arrival.link] => self.received += 1,
                What::Frame { payload, .. } => {
                    let frame = self.dialect.decode(&batch.bytes[payload.clone()])?;
                    let ServerFrame::Message { message, .. } = frame else {
                        bail!("a member received {frame:?}")
                    };
                    let text = String::from_utf8_lossy(text_of(&message.data)?).into_owned();
                    let number: usize = text.split('|').next().unwrap_or_default().parse()?;
                    let sent = self.moments.get(number).context("a message nobody sent")?;
                    self.delays.push(arrival.at.saturating_duration_since(*sent));
                }
            }
        }
        Ok(())
    }
}
