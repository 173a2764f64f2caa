//! The whole path: publishers of a node that keep their windows full of publishes without ack.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::{ErrorCode, ServerFrame};

use super::{RedisArgs, Way};
use crate::crowd::{Seat, gather};
use crate::dialect::Dialect;
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};

/// How long no ack at all may come.
const STALL: Duration = Duration::from_secs(10);

struct Publisher {
    link: LinkId,
    unacked: usize,
    sent: usize,
}

/// Publishers of one node.
pub(super) struct Path {
    dialect: Dialect,
    engine: Engine,
    batch: EngineBatch,
    publishers: Vec<Publisher>,
    /// One publish frame for each room.
    frames: Vec<Vec<u8>>,
    window: usize,
    acks: u64,
}

impl Path {
    /// Connects the publishers; they will use `count` rooms from `first` on.
    pub(super) fn open(
        args: &RedisArgs,
        dialect: &Dialect,
        first: usize,
        count: usize,
    ) -> Result<Self> {
        let data = dialect.encoding.payload("", args.payload);
        let frames =
            (first..first + count).map(|room| dialect.publish(room, data.clone(), Some(1)));
        let mut engine = Engine::new(&dialect.door)?;
        let seats = vec![Seat { dialect: dialect.clone(), rooms: Vec::new() }; args.publishers];
        let links = gather(&mut engine, &seats)?.into_iter().enumerate();
        // Each begins at another room, so that they do not all meet in the same one.
        let publishers = links.map(|(number, link)| Publisher {
            link,
            unacked: 0,
            sent: number * count / args.publishers,
        });
        Ok(Self {
            dialect: dialect.clone(),
            engine,
            batch: EngineBatch::default(),
            publishers: publishers.collect(),
            frames: frames.collect::<Result<_>>()?,
            window: args.window,
            acks: 0,
        })
    }

    fn publish(&mut self) -> Result<()> {
        for publisher in &mut self.publishers {
            let mut bytes = Vec::new();
            while publisher.unacked < self.window {
                bytes.extend_from_slice(&self.frames[publisher.sent % self.frames.len()]);
                publisher.sent += 1;
                publisher.unacked += 1;
            }
            if !bytes.is_empty() {
                self.engine.send(publisher.link, &bytes)?;
            }
        }
        Ok(())
    }

    fn absorb(&mut self) -> Result<()> {
        self.engine.turn(Wait::Sleep(Duration::from_millis(10)), &mut self.batch)?;
        for arrival in &self.batch.arrivals {
            let payload = match &arrival.what {
                What::Ended(why) => bail!("a publisher lost its link: {why}"),
                What::Frame { payload, .. } => &self.batch.bytes[payload.clone()],
                _ => continue,
            };
            let publisher = self.publishers.iter_mut().find(|from| from.link == arrival.link);
            let publisher = publisher.context("a link without a publisher")?;
            match self.dialect.decode(payload)? {
                ServerFrame::Ack { .. } => self.acks += 1,
                // Surely not stored: its place in the window is free for another.
                ServerFrame::Error { code: ErrorCode::Overloaded, .. } => {}
                other => bail!("a publish was answered {other:?}"),
            }
            publisher.unacked -= 1;
        }
        Ok(())
    }
}

impl Way for Path {
    fn run(&mut self, time: Duration) -> Result<u64> {
        let (before, until) = (self.acks, Instant::now() + time);
        let mut last = (self.acks, Instant::now());
        while Instant::now() < until {
            self.publish()?;
            self.absorb()?;
            if self.acks > last.0 {
                last = (self.acks, Instant::now());
            } else if last.1.elapsed() > STALL {
                bail!("no ack for 10 s");
            }
        }
        Ok(self.acks - before)
    }
}
