//! The other rooms: messages by the clock, sent and read in a thread of their own, so that their delay
//! is the node's and not that of the client that reads the cursors.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use roomcast_protocol::ServerFrame;

use super::run::SETTLE;
use super::{CursorsArgs, time};
use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, text_of};
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::pace::Pace;
use crate::server::Server;

/// Bytes of a message's data.
const MESSAGE_BYTES: usize = 64;

/// The thread, when all its members have joined.
pub(super) struct OtherRooms {
    begin: Sender<Instant>,
    thread: JoinHandle<Result<Vec<Duration>>>,
}

impl OtherRooms {
    pub(super) fn gather(args: &CursorsArgs, server: &Server, dialect: &Dialect) -> Result<Self> {
        let (begin, begun) = channel();
        let (joined, all_joined) = channel();
        let (args, door, dialect) = (args.clone(), server.door.clone(), dialect.clone());
        let run = move || {
            let mut engine = Engine::new(&door)?;
            let publisher = join_all(&mut engine, &args, &dialect)?;
            let rooms =
                Messages { dialect, engine, publisher, moments: Vec::new(), delays: Vec::new() };
            joined.send(())?;
            rooms.run(&args, &begun)
        };
        let thread = std::thread::Builder::new().name("others".to_owned()).spawn(run)?;
        let others = Self { begin, thread };
        match all_joined.recv() {
            Ok(()) => Ok(others),
            Err(_) => Err(others.end().err().unwrap_or_else(|| anyhow!("nobody joined"))),
        }
    }

    pub(super) fn begin(&self, at: Instant) -> Result<()> {
        self.begin.send(at).context("the other rooms ended early")
    }

    /// Waits for the end; returns each delivery's delay.
    pub(super) fn end(self) -> Result<Vec<Duration>> {
        drop(self.begin);
        self.thread.join().map_err(|_| anyhow!("the other rooms panicked"))?
    }
}

fn join_all(engine: &mut Engine, args: &CursorsArgs, dialect: &Dialect) -> Result<LinkId> {
    let seat = |rooms| Seat { dialect: dialect.clone(), rooms };
    let members = (0..args.rooms * args.cursors).map(|n| seat(vec![1 + n % args.rooms]));
    let seats: Vec<Seat> = members.chain([seat(Vec::new())]).collect();
    gather(engine, &seats)?.last().copied().context("no publisher")
}

struct Messages {
    dialect: Dialect,
    engine: Engine,
    publisher: LinkId,
    /// When each message was to go.
    moments: Vec<Instant>,
    delays: Vec<Duration>,
}

impl Messages {
    fn run(mut self, args: &CursorsArgs, begun: &Receiver<Instant>) -> Result<Vec<Duration>> {
        let mut pace = Pace::new(begun.recv()?, args.messages, time(args));
        let (mut batch, mut end) = (EngineBatch::default(), None);
        loop {
            let now = Instant::now();
            while let Some(at) = pace.due(now) {
                self.publish(args.rooms, at)?;
            }
            if pace.is_over() && *end.get_or_insert(now + SETTLE) <= now {
                return Ok(self.delays);
            }
            let rest = pace.rest(now).min(Duration::from_millis(1));
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
                What::Upgraded | What::Counted { .. } => {}
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
