//! The clients of one test: opened a few at a time, joined to their rooms, and ready.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::ServerFrame;

use crate::dialect::Dialect;
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::print;
use crate::server::Kind;

/// Handshakes under way at once: enough to keep a server busy, too few to overrun its backlog.
const AT_ONCE: usize = 64;
/// How long no client at all may get further.
const STALL: Duration = Duration::from_secs(15);
/// How long one turn may sleep.
const NAP: Duration = Duration::from_millis(20);

/// One client to be: how it talks, and the rooms it joins (none for a publisher).
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) dialect: Dialect,
    pub(crate) rooms: Vec<usize>,
}

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connecting,
    /// Upgraded; a node says `connected` next.
    Greeting,
    /// So many `joined` are to come.
    Joining(usize),
    Ready,
}

/// Clients on their way to their seats.
struct Arriving<'a> {
    engine: &'a mut Engine,
    seats: &'a [Seat],
    links: Vec<LinkId>,
    steps: Vec<Step>,
    /// The seat of each link, by its id.
    seat_of: Vec<Option<usize>>,
    ready: usize,
}

/// Opens one link for each seat and waits until all have joined; returns them in that order.
///
/// Links that were open before may stay silent or receive; what they receive is dropped.
pub(crate) fn gather(engine: &mut Engine, seats: &[Seat]) -> Result<Vec<LinkId>> {
    let (links, steps) = (Vec::new(), vec![Step::Connecting; seats.len()]);
    let mut arriving = Arriving { engine, seats, links, steps, seat_of: Vec::new(), ready: 0 };
    let mut batch = EngineBatch::default();
    let mut last_progress = Instant::now();
    while arriving.ready < seats.len() {
        arriving.open_more()?;
        let before = arriving.ready;
        arriving.engine.turn(Wait::Sleep(NAP), &mut batch)?;
        arriving.absorb(&batch)?;
        if arriving.ready > before {
            last_progress = Instant::now();
            if before / 5000 != arriving.ready / 5000 {
                print::note(format_args!("  {} of {} clients ready", arriving.ready, seats.len()));
            }
        } else if last_progress.elapsed() > STALL {
            let stuck = arriving.steps.iter().position(|&step| step != Step::Ready);
            let step = stuck.map(|seat| arriving.steps[seat]);
            let (ready, all) = (arriving.ready, seats.len());
            bail!("{ready} of {all} clients are ready and no other for 15 s; one is {step:?}");
        }
    }
    Ok(arriving.links)
}

impl Arriving<'_> {
    fn open_more(&mut self) -> Result<()> {
        while self.links.len() < self.seats.len() && self.links.len() - self.ready < AT_ONCE {
            let number = self.links.len();
            let Seat { dialect, rooms } = &self.seats[number];
            let link = self.engine.open(dialect.addr, &dialect.request(rooms))?;
            self.links.push(link);
            if self.seat_of.len() <= link {
                self.seat_of.resize(link + 1, None);
            }
            self.seat_of[link] = Some(number);
        }
        Ok(())
    }

    fn absorb(&mut self, batch: &EngineBatch) -> Result<()> {
        for arrival in &batch.arrivals {
            let Some(seat) = self.seat_of.get(arrival.link).copied().flatten() else { continue };
            self.advance(seat, &arrival.what, &batch.bytes)
                .with_context(|| format!("client {} of {}", seat + 1, self.seats.len()))?;
        }
        Ok(())
    }

    fn advance(&mut self, seat: usize, what: &What, bytes: &[u8]) -> Result<()> {
        let Seat { dialect, rooms } = &self.seats[seat];
        let next = match (what, self.steps[seat], dialect.kind) {
            (What::Ended(why), ..) => bail!("{why}"),
            (What::Upgraded, _, Kind::Node) => Step::Greeting,
            (What::Upgraded, _, Kind::Floor(_)) => Step::Ready,
            (What::Frame { payload, .. }, step, Kind::Node) => {
                match (dialect.decode(&bytes[payload.clone()])?, step) {
                    (ServerFrame::Error { code, message, .. }, _) => {
                        bail!("the node answered {}: {message}", code.as_str())
                    }
                    (ServerFrame::Connected { .. }, Step::Greeting) if rooms.is_empty() => {
                        Step::Ready
                    }
                    (ServerFrame::Connected { .. }, Step::Greeting) => {
                        self.engine.send(self.links[seat], &dialect.join(rooms)?)?;
                        Step::Joining(rooms.len())
                    }
                    (ServerFrame::Joined { .. }, Step::Joining(1)) => Step::Ready,
                    (ServerFrame::Joined { .. }, Step::Joining(left)) => Step::Joining(left - 1),
                    (_, step) => step,
                }
            }
            (_, step, _) => step,
        };
        if next == Step::Ready && self.steps[seat] != Step::Ready {
            self.ready += 1;
        }
        self.steps[seat] = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
