//! Handshakes one after the other, each to the node's first frame and then reset.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::dialect::{Dialect, WireEncoding};
use crate::door::{Badge, Door};
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::server::Server;

/// How long no handshake at all may be answered.
const STALL: Duration = Duration::from_secs(15);
/// Reasons of failed handshakes that are kept.
const REASONS: usize = 5;
/// How long one turn may sleep.
const NAP: Duration = Duration::from_millis(5);

/// Links that come and go.
pub(super) struct Handshakes<'a> {
    node: &'a Server,
    dialect: Dialect,
    engine: Engine,
    batch: EngineBatch,
    inflight: usize,
    began: HashMap<LinkId, Instant>,
    users: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) reasons: Vec<String>,
    /// The certificates that were seen (DER).
    pub(super) certificates: HashSet<Vec<u8>>,
    pub(super) slowest: Duration,
}

impl<'a> Handshakes<'a> {
    /// None yet, so many at once later.
    pub(super) fn begin(node: &'a Server, inflight: usize) -> Result<Self> {
        // The token is put in here, as its key changes.
        let door = Door { badge: Badge::None, ..(*node.door).clone() };
        Ok(Self {
            node,
            dialect: Dialect::of(node, WireEncoding::Json),
            engine: Engine::new(&Arc::new(door))?,
            batch: EngineBatch::default(),
            inflight,
            began: HashMap::new(),
            users: 0,
            done: 0,
            failed: 0,
            reasons: Vec::new(),
            certificates: HashSet::new(),
            slowest: Duration::ZERO,
        })
    }

    /// Makes handshakes with this key's tokens for so long.
    pub(super) fn run(&mut self, badge: Badge, time: Duration) -> Result<()> {
        let door = Door { trust: None, badge };
        let (until, mut last) = (Instant::now() + time, Instant::now());
        while Instant::now() < until {
            while self.engine.len() < self.inflight {
                self.users += 1;
                let user = format!("load-{}", self.users);
                let request = self.dialect.request(&[]);
                let dressed = door.dressed(&request, &user)?;
                let request = dressed.map_or(request, Into::into);
                let link = self.engine.open(self.node.addr, &request)?;
                self.began.insert(link, Instant::now());
            }
            self.engine.turn(Wait::Sleep(NAP), &mut self.batch)?;
            if self.absorb() {
                last = Instant::now();
            } else if last.elapsed() > STALL {
                self.node.check()?;
                bail!("no handshake was answered for 15 s{}", self.node.log_tail());
            }
        }
        Ok(())
    }

    /// Whether any handshake came to its end.
    fn absorb(&mut self) -> bool {
        let mut any = false;
        for arrival in &self.batch.arrivals {
            match &arrival.what {
                What::Upgraded => continue,
                What::Ended(why) => {
                    self.failed += 1;
                    if self.reasons.len() < REASONS {
                        self.reasons.push(why.clone());
                    }
                }
                What::Frame { .. } | What::Counted { .. } => {
                    self.certificates.extend(self.engine.certificate(arrival.link));
                    if !self.engine.reset(arrival.link) {
                        continue;
                    }
                    self.done += 1;
                }
            }
            any = true;
            if let Some(began) = self.began.remove(&arrival.link) {
                self.slowest = self.slowest.max(arrival.at.saturating_duration_since(began));
            }
        }
        any
    }
}
