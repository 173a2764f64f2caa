//! One run on one fresh node: cursors by the clock in the first room, and messages in the others.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use roomcast_protocol::{ClientFrame, EventName};
use serde::Serialize;

use super::others::OtherRooms;
use super::{CursorMode, CursorsArgs, note, time};
use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, room_name};
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::pace::Pace;
use crate::reader::Depth;
use crate::scrape::Scrape;
use crate::server::Server;
use crate::stats::{millis, percentile};

/// How long what was sent may still be on its way.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
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
    sent: u64,
    received: u64,
}

pub(super) fn measure(
    args: &CursorsArgs,
    (mode, round): (CursorMode, usize),
    server: &Server,
    dialect: &Dialect,
) -> Result<CursorOutcome> {
    let others = OtherRooms::gather(args, server, dialect)?;
    let mut load = CursorLoad::gather(args, server, dialect)?;
    let scrape = || Scrape::of(&server.door, server.addr);
    let before = (server.cpu_time()?, server.cpu_wait()?, scrape()?);
    let began = Instant::now();
    others.begin(began)?;
    load.run(args, mode, began)?;
    let mut delays = others.end()?;
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
    delays.sort_unstable();
    let delay = |share| millis(percentile(&delays, share));
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
        deliveries: delays.len(),
        p50_ms: delay(0.5),
        p99_ms: delay(0.99),
        max_ms: delay(1.0),
    };
    note(&outcome);
    Ok(outcome)
}

impl<'a> CursorLoad<'a> {
    fn gather(args: &CursorsArgs, server: &Server, dialect: &'a Dialect) -> Result<Self> {
        let seat = || Seat { dialect: dialect.clone(), rooms: vec![0] };
        let seats: Vec<Seat> = (0..args.members).map(|_| seat()).collect();
        let mut engine = Engine::new(&server.door)?;
        let links = gather(&mut engine, &seats)?;
        for &link in &links {
            engine.set_depth(link, Depth::Skim);
        }
        let cursors = links[..args.cursors].to_vec();
        Ok(Self { dialect, engine, cursors, sent: 0, received: 0 })
    }

    fn run(&mut self, args: &CursorsArgs, mode: CursorMode, began: Instant) -> Result<()> {
        let rate = args.rate * args.cursors as f64;
        let mut moving = (mode != CursorMode::Still).then(|| Pace::new(began, rate, time(args)));
        let data = Some(self.dialect.encoding.payload("", SIGNAL_BYTES));
        let (room, event) = (room_name(0)?, EventName::parse("cursor")?);
        let signal = self.dialect.frame(&ClientFrame::Signal { id: None, room, event, data });
        let (mut batch, end) = (EngineBatch::default(), began + time(args) + SETTLE);
        loop {
            let now = Instant::now();
            while moving.as_mut().and_then(|pace| pace.due(now)).is_some() {
                let cursor = self.cursors[self.sent as usize % self.cursors.len()];
                self.engine.send(cursor, &signal)?;
                self.sent += 1;
            }
            if now >= end {
                return Ok(());
            }
            let rest = moving.as_ref().map_or(Duration::MAX, |pace| pace.rest(now));
            self.engine.turn(Wait::precisely(rest.min(Duration::from_millis(1))), &mut batch)?;
            self.absorb(&batch)?;
        }
    }

    fn absorb(&mut self, batch: &EngineBatch) -> Result<()> {
        for arrival in &batch.arrivals {
            match &arrival.what {
                What::Ended(why) => bail!("a client lost its link: {why}"),
                What::Upgraded => {}
                What::Counted { frames, .. } => self.received += u64::from(*frames),
                What::Frame { .. } => self.received += 1,
            }
        }
        Ok(())
    }
}
