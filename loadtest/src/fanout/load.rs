//! The clients of one server under load: what each link is for, and one turn of reading and
//! publishing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::ServerFrame;

use super::{FanoutArgs, chat};
use crate::crowd::{Seat, gather};
use crate::dialect::Dialect;
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::machine::Cores;
use crate::reader::Depth;
use crate::server::{Kind, Server};
use crate::window::Window;

/// Rooms of which one member's frames are read and checked.
const SAMPLED_ROOMS: usize = 16;

/// What a link of the load is for.
#[derive(Debug, Clone, Copy)]
enum Role {
    Publisher,
    Member { room: usize, received: u64, last_seq: Option<u64> },
}

/// Sums over all members since the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) frames: u64,
    pub(super) reads: u64,
    pub(super) bytes: u64,
    pub(super) idle: Duration,
}

/// The load on one server.
pub(super) struct Load<'a> {
    pub(super) server: &'a Server,
    dialect: Dialect,
    engine: Engine,
    batch: EngineBatch,
    wait: Wait,
    /// By link.
    roles: Vec<Role>,
    publishers: Vec<LinkId>,
    /// What each publisher sends in this turn.
    outgoing: Vec<Vec<u8>>,
    /// The publish frames of each room, in turn.
    frames: Vec<Vec<Vec<u8>>>,
    /// Members of each room.
    pub(super) members: Vec<u32>,
    published: usize,
    /// With compression.
    inflaters: Option<chat::Inflaters>,
    pub(super) totals: Totals,
}

impl<'a> Load<'a> {
    /// Opens and joins everyone.
    pub(super) fn gather(args: &FanoutArgs, server: &'a Server, cores: &Cores) -> Result<Self> {
        let dialect = Dialect::of(server, args.encoding);
        let seat = |rooms| Seat { dialect: dialect.clone(), rooms };
        let members = (0..args.members).map(|member| seat(vec![member % args.rooms]));
        let seats: Vec<Seat> =
            members.chain((0..args.publishers).map(|_| seat(Vec::new()))).collect();
        let mut engine = Engine::new(&server.door)?;
        if args.deflate {
            engine.offer_deflate();
        }
        let links = gather(&mut engine, &seats)?;
        let publishers = links[args.members..].to_vec();
        let mut roles = vec![Role::Publisher; links.iter().max().map_or(0, |last| last + 1)];
        let mut members = vec![0; args.rooms];
        for (member, &link) in links[..args.members].iter().enumerate() {
            let room = member % args.rooms;
            members[room] += 1;
            roles[link] = Role::Member { room, received: 0, last_seq: None };
            let sampled =
                server.kind == Kind::Node && (args.check || member < SAMPLED_ROOMS.min(args.rooms));
            engine.set_depth(link, if sampled { Depth::Whole } else { Depth::Skim });
        }
        let payloads = match args.chat {
            true => chat::messages(args.encoding, args.payload)?,
            false => vec![args.encoding.payload("", args.payload)],
        };
        let id = args.acks.then_some(1);
        let frames = (0..args.rooms).map(|room| {
            payloads.iter().map(|data| dialect.publish(room, data.clone(), id)).collect()
        });
        Ok(Self {
            server,
            frames: frames.collect::<Result<_>>()?,
            dialect,
            engine,
            batch: EngineBatch::default(),
            wait: if cores.spin { Wait::Spin } else { Wait::Sleep(Duration::from_millis(10)) },
            roles,
            outgoing: vec![Vec::new(); publishers.len()],
            publishers,
            members,
            published: 0,
            inflaters: args.deflate.then(chat::Inflaters::default),
            totals: Totals::default(),
        })
    }

    /// Members count from zero again, as a new window does.
    pub(super) fn count_from_zero(&mut self) {
        for role in &mut self.roles {
            if let Role::Member { received, .. } = role {
                *received = 0;
            }
        }
    }

    /// A message without a window, in the first room.
    pub(super) fn publish_one(&mut self) -> Result<()> {
        self.published += 1;
        let frames = &self.frames[0];
        self.engine.send(self.publishers[0], &frames[self.published % frames.len()])
    }

    /// One turn of the engine; tells `on` of (room, received before, frames, when) for each read.
    pub(super) fn turn(
        &mut self,
        mut on: impl FnMut(usize, u64, u32, Instant) -> Result<()>,
    ) -> Result<()> {
        let began = Instant::now();
        self.engine.turn(self.wait, &mut self.batch)?;
        if self.batch.arrivals.is_empty() {
            self.totals.idle += began.elapsed();
        }
        for arrival in &self.batch.arrivals {
            let role = self.roles.get_mut(arrival.link).context("a link without a role")?;
            let (frames, bytes) = match (&arrival.what, &mut *role) {
                (What::Ended(why), _) => bail!("a client lost its link: {why}"),
                (What::Upgraded, _) => continue,
                (What::Frame { payload, .. }, Role::Publisher) => {
                    check_answer(&self.dialect, &self.batch.bytes[payload.clone()])?;
                    continue;
                }
                (What::Frame { payload, bytes }, Role::Member { last_seq, .. }) => {
                    let payload = &self.batch.bytes[payload.clone()];
                    let inflated = match self.inflaters.as_mut() {
                        Some(inflaters) => inflaters.read(arrival.link, payload)?,
                        None => None,
                    };
                    check_seq(&self.dialect, inflated.as_deref().unwrap_or(payload), last_seq)?;
                    (1, *bytes)
                }
                (What::Counted { frames, bytes }, _) => (*frames, *bytes),
            };
            let Role::Member { room, received, .. } = role else { continue };
            self.totals.frames += u64::from(frames);
            self.totals.bytes += u64::from(bytes);
            self.totals.reads += 1;
            on(*room, *received, frames, arrival.at)?;
            *received += u64::from(frames);
        }
        Ok(())
    }

    /// Publishes wherever the window has room; all messages of one publisher in one write.
    pub(super) fn publish(&mut self, window: &mut Window) -> Result<()> {
        while let Some(room) = window.next() {
            let publisher = self.published % self.publishers.len();
            let frames = &self.frames[room];
            self.outgoing[publisher].extend_from_slice(&frames[self.published % frames.len()]);
            self.published += 1;
        }
        for (publisher, bytes) in self.publishers.iter().zip(&mut self.outgoing) {
            if !bytes.is_empty() {
                self.engine.send(*publisher, bytes)?;
                bytes.clear();
            }
        }
        Ok(())
    }
}

fn check_answer(dialect: &Dialect, payload: &[u8]) -> Result<()> {
    match dialect.decode(payload)? {
        ServerFrame::Ack { .. } => Ok(()),
        ServerFrame::Error { code, message, .. } => {
            bail!("a publish was answered {}: {message}", code.as_str())
        }
        other => bail!("a publisher received {other:?}"),
    }
}

fn check_seq(dialect: &Dialect, payload: &[u8], last: &mut Option<u64>) -> Result<()> {
    let ServerFrame::Message { room, message } = dialect.decode(payload)? else {
        bail!("a member received something else than a message: {}", payload.escape_ascii());
    };
    if last.is_some_and(|last| message.seq != last + 1) {
        bail!("in {room} seq {} came after {last:?}", message.seq);
    }
    *last = Some(message.seq);
    Ok(())
}
