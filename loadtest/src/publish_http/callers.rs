//! Connections that publish as fast as they are answered: each sends its next request when its last
//! one is acknowledged.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::PublishHttpArgs;
use super::carrier::Carrier;
use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, WireEncoding};
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::machine::Cores;
use crate::server::Server;

/// How long no answer at all may come.
const STALL: Duration = Duration::from_secs(10);

/// One connection.
struct Caller {
    link: LinkId,
    request: Rc<[u8]>,
    /// Messages of its request that have no ack yet.
    unacked: usize,
    /// What has come of an answer.
    come: Vec<u8>,
}

/// All of them, on one node.
pub(super) struct Callers<'a> {
    carrier: &'a Carrier,
    node: &'a Server,
    dialect: Dialect,
    engine: Engine,
    batch: EngineBatch,
    wait: Wait,
    callers: Vec<Caller>,
    /// The caller of each link, by its id.
    caller_of: Vec<Option<usize>>,
}

impl<'a> Callers<'a> {
    /// Opens the connections. Those of HTTP send their first request with it.
    pub(super) fn open(
        args: &PublishHttpArgs,
        node: &'a Server,
        carrier: &'a Carrier,
        cores: &Cores,
    ) -> Result<Self> {
        let dialect = Dialect::of(node, WireEncoding::Json);
        let mut engine = Engine::new(&node.door)?;
        let requests = (0..args.connections)
            .map(|number| carrier.request(&dialect, number % args.rooms, args.payload));
        let requests: Vec<Rc<[u8]>> =
            requests.map(|bytes| Ok(bytes?.into())).collect::<Result<_>>()?;
        let links = match carrier {
            Carrier::WebSocket { .. } => {
                let seats =
                    vec![Seat { dialect: dialect.clone(), rooms: Vec::new() }; requests.len()];
                gather(&mut engine, &seats)?
            }
            Carrier::Http { .. } | Carrier::HttpBatch { .. } => requests
                .iter()
                .map(|request| engine.open_bytes(node.addr, request))
                .collect::<Result<_>>()?,
        };
        let is_http = !matches!(carrier, Carrier::WebSocket { .. });
        let unacked = if is_http { carrier.messages() } else { 0 };
        let mut caller_of = vec![None; links.iter().max().map_or(0, |most| most + 1)];
        for (number, &link) in links.iter().enumerate() {
            caller_of[link] = Some(number);
        }
        let caller = |(link, request)| Caller { link, request, unacked, come: Vec::new() };
        Ok(Self {
            carrier,
            node,
            dialect,
            engine,
            batch: EngineBatch::default(),
            wait: if cores.spin { Wait::Spin } else { Wait::Sleep(Duration::from_millis(10)) },
            callers: links.into_iter().zip(requests).map(caller).collect(),
            caller_of,
        })
    }

    /// Publishes for so long; how many messages were acknowledged.
    pub(super) fn run(&mut self, time: Duration) -> Result<u64> {
        let (mut acks, mut last) = (0, Instant::now());
        let until = last + time;
        while Instant::now() < until {
            for caller in self.callers.iter_mut().filter(|caller| caller.unacked == 0) {
                caller.unacked = self.carrier.messages();
                self.engine.send(caller.link, &caller.request)?;
            }
            let more = self.absorb()?;
            acks += more;
            if more > 0 {
                last = Instant::now();
            } else if last.elapsed() > STALL {
                self.node.check()?;
                bail!("no publish was answered for 10 s{}", self.node.log_tail());
            }
        }
        Ok(acks)
    }

    fn absorb(&mut self) -> Result<u64> {
        let mut acks = 0;
        self.engine.turn(self.wait, &mut self.batch)?;
        for arrival in &self.batch.arrivals {
            let Some(number) = self.caller_of.get(arrival.link).copied().flatten() else {
                continue;
            };
            let caller = &mut self.callers[number];
            let payload = match &arrival.what {
                What::Ended(why) => bail!("a publisher lost its link: {why}"),
                What::Frame { payload, .. } => &self.batch.bytes[payload.clone()],
                _ => continue,
            };
            let mut taken = 0;
            if let Carrier::WebSocket { .. } = self.carrier {
                taken += usize::from(Carrier::is_ack(&self.dialect, payload)?);
            } else {
                caller.come.extend_from_slice(payload);
                while let Some(messages) = self.carrier.take_answer(&mut caller.come)? {
                    taken += messages;
                }
            }
            caller.unacked = caller.unacked.saturating_sub(taken);
            acks += taken as u64;
        }
        Ok(acks)
    }
}
