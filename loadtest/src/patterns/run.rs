//! One pattern on one fresh node: changes by the clock, and when each reader had each of them.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::{ClientFrame, Data, Message, Publish, ServerFrame, StateKey};
use serde::Serialize;

use super::app::Application;
use super::pulls::{Pulls, version_of};
use super::{Pattern, PatternsArgs, document, time, value};
use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, room_name};
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::pace::Pace;
use crate::server::Server;
use crate::stats::{millis, percentile};

/// How long the last change may take.
const SETTLE: Duration = Duration::from_secs(10);
const GET: &[u8] = b"GET /state HTTP/1.1\r\nhost: application\r\n\r\n";

/// What one run showed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PatternOutcome {
    pub(super) pattern: &'static str,
    pub(super) round: usize,
    /// Changes made.
    pub(super) changes: usize,
    /// From a change to the moment at which a reader had it.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Bytes that a reader received for one change, from the node and the application.
    pub(super) bytes_each: f64,
    pub(super) node_micros_each: f64,
    pub(super) application_micros_each: f64,
    pub(super) pulls_each: f64,
    pub(super) kept_waiting_percent: f64,
}

/// What a link is for.
#[derive(Debug, Clone, Copy)]
enum Use {
    Publisher,
    Reader(usize),
    /// The reader's way to the application.
    Pull(usize),
}

#[derive(Debug)]
struct PatternReader {
    pull: LinkId,
    pulls: Pulls,
    /// The newest version it has.
    version: usize,
}

struct PatternLoad<'a> {
    args: &'a PatternsArgs,
    pattern: Pattern,
    dialect: &'a Dialect,
    engine: Engine,
    application: Application,
    publisher: LinkId,
    uses: Vec<Use>,
    readers: Vec<PatternReader>,
    /// When each change was due, from version 1 on.
    moments: Vec<Instant>,
    delays: Vec<Duration>,
    bytes: u64,
    pulls: u64,
}

pub(super) fn measure(
    args: &PatternsArgs,
    (pattern, round): (Pattern, usize),
    server: &Server,
    dialect: &Dialect,
) -> Result<PatternOutcome> {
    let mut load = PatternLoad::gather(args, pattern, server, dialect)?;
    let usage = |load: &PatternLoad<'_>| {
        let node = server.cpu_time()?.unwrap_or_default();
        let waited = server.cpu_wait()?.unwrap_or_default();
        anyhow::Ok([node, load.application.cpu_time()?, waited])
    };
    let (before, began) = (usage(&load)?, Instant::now());
    load.run()?;
    let (after, seconds) = (usage(&load)?, began.elapsed().as_secs_f64());
    server.check()?;
    load.delays.sort_unstable();
    let changes = load.moments.len();
    let spent = |index: usize| (after[index] - before[index]).as_secs_f64();
    let each = (changes * args.readers) as f64;
    Ok(PatternOutcome {
        pattern: pattern.name(),
        round,
        changes,
        p50_ms: millis(percentile(&load.delays, 0.5)),
        p99_ms: millis(percentile(&load.delays, 0.99)),
        bytes_each: load.bytes as f64 / each,
        node_micros_each: spent(0) * 1e6 / changes as f64,
        application_micros_each: spent(1) * 1e6 / changes as f64,
        pulls_each: load.pulls as f64 / each,
        kept_waiting_percent: spent(2) * 100.0 / seconds,
    })
}

impl<'a> PatternLoad<'a> {
    fn gather(
        args: &'a PatternsArgs,
        pattern: Pattern,
        server: &Server,
        dialect: &'a Dialect,
    ) -> Result<Self> {
        let application = Application::start(&document(args, args.values))?;
        let seat = |rooms| Seat { dialect: dialect.clone(), rooms };
        let seats: Vec<Seat> =
            (0..args.readers).map(|_| seat(vec![0])).chain([seat(Vec::new())]).collect();
        let mut engine = Engine::new(&server.door)?;
        let links = gather(&mut engine, &seats)?;
        let publisher = *links.last().context("no publisher")?;
        let mut uses = vec![Use::Publisher; links.iter().max().map_or(0, |last| last + 1)];
        let mut readers = Vec::new();
        for (reader, &link) in links[..args.readers].iter().enumerate() {
            uses[link] = Use::Reader(reader);
            let pull = match pattern {
                Pattern::Poke => {
                    let pull = engine.open_bytes(application.addr, &Rc::from(GET))?;
                    uses.resize(uses.len().max(pull + 1), Use::Publisher);
                    uses[pull] = Use::Pull(reader);
                    pull
                }
                Pattern::State | Pattern::Operations => link,
            };
            let mut pulls = Pulls::default();
            if pattern == Pattern::Poke {
                // The link's first request goes out as it opens.
                pulls.poke();
            }
            readers.push(PatternReader { pull, pulls, version: args.values });
        }
        let mut load = Self {
            args,
            pattern,
            dialect,
            engine,
            application,
            publisher,
            uses,
            readers,
            moments: Vec::new(),
            delays: Vec::new(),
            bytes: 0,
            pulls: 0,
        };
        let until = Instant::now() + Duration::from_millis(300);
        let mut batch = EngineBatch::default();
        while Instant::now() < until {
            load.engine.turn(Wait::Sleep(Duration::from_millis(20)), &mut batch)?;
            load.absorb(&batch)?;
        }
        (load.bytes, load.pulls) = (0, 0);
        Ok(load)
    }

    /// The version that the state has after so many changes: all values were set before the first.
    fn version(&self) -> usize {
        self.args.values + self.moments.len()
    }

    fn run(&mut self) -> Result<()> {
        let mut pace = Pace::new(Instant::now(), self.args.rate, time(self.args));
        let mut batch = EngineBatch::default();
        let mut end = None;
        loop {
            let now = Instant::now();
            while let Some(at) = pace.due(now) {
                self.change(at)?;
            }
            if pace.is_over() {
                let newest = self.version();
                if self.readers.iter().all(|reader| reader.version == newest) {
                    return Ok(());
                }
                if *end.get_or_insert(now + SETTLE) <= now {
                    bail!("10 s after the last change some reader does not have it");
                }
            }
            let rest = pace.rest(now).min(Duration::from_millis(5));
            self.engine.turn(Wait::precisely(rest), &mut batch)?;
            self.absorb(&batch)?;
        }
    }

    /// One value changes.
    fn change(&mut self, at: Instant) -> Result<()> {
        self.moments.push(at);
        let version = self.version();
        let room = room_name(0)?;
        let json = |text: String| Data::Json(text.into());
        let publish = match self.pattern {
            Pattern::Poke => {
                self.application.set(&document(self.args, version));
                Publish::new(room, json(format!("{{\"version\":{version}}}")))
            }
            Pattern::State => Publish::new(room, json(document(self.args, version))),
            Pattern::Operations => {
                let state_key = StateKey::parse(&format!("v{}", version % self.args.values)).ok();
                Publish { state_key, ..Publish::new(room, json(value(self.args, version))) }
            }
        };
        self.engine.send(self.publisher, &self.dialect.frame(&ClientFrame::Publish(publish)))
    }

    fn absorb(&mut self, batch: &EngineBatch) -> Result<()> {
        for arrival in &batch.arrivals {
            let (payload, bytes) = match &arrival.what {
                What::Ended(why) => bail!("a client lost its link: {why}"),
                What::Frame { payload, bytes } => (&batch.bytes[payload.clone()], *bytes),
                What::Upgraded | What::Counted { .. } => continue,
            };
            match self.uses[arrival.link] {
                Use::Publisher => bail!("the publisher received {}", payload.escape_ascii()),
                Use::Pull(reader) => {
                    self.bytes += u64::from(bytes);
                    let Some(version) = self.readers[reader].pulls.hear(payload) else { continue };
                    self.has(reader, version, arrival.at);
                    if self.readers[reader].pulls.again() {
                        self.pull(reader)?;
                    }
                }
                Use::Reader(reader) => {
                    self.bytes += u64::from(bytes);
                    let frame = self.dialect.decode(payload)?;
                    let ServerFrame::Message { message, .. } = frame else { continue };
                    if self.pattern != Pattern::Poke {
                        self.has(reader, version_in(&message)?, arrival.at);
                    } else if self.readers[reader].pulls.poke() {
                        self.pull(reader)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn pull(&mut self, reader: usize) -> Result<()> {
        self.pulls += 1;
        self.engine.send(self.readers[reader].pull, GET)
    }

    /// A reader has the state of this version now, and with it all changes before.
    fn has(&mut self, reader: usize, version: usize, at: Instant) {
        let known = std::mem::replace(&mut self.readers[reader].version, version);
        let first = self.args.values;
        let new = self.moments[known.max(first) - first..version.max(first) - first].iter();
        self.delays.extend(new.map(|moment| at.saturating_duration_since(*moment)));
    }
}

/// The version that a pushed state has, or that a pushed value was set with.
fn version_in(message: &Message) -> Result<usize> {
    let mut json = Vec::new();
    message.data.write_json(&mut json);
    let text = std::str::from_utf8(&json)?;
    let value = || text.trim_matches('"').split('|').next()?.parse().ok();
    version_of(text).or_else(value).context("a message without a version")
}
