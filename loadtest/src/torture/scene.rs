//! What stands below and around the nodes: Redis in the chosen topology, and a proxy on each way
//! that a fault may hit. It knows what each kind of fault does there and how that is undone.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use roomcast_testkit::{Direction, Fault, Proxy, RedisServer};

use super::fault::{Kind, Trouble};
use super::plan;
use super::random::Random;
use super::topology::Topology;

/// Redis, as the topology has it.
enum Store {
    Standalone(RedisServer),
}

/// The scene of a run.
pub(super) struct Scene {
    store: Store,
    /// Each node's way to Redis.
    links: Vec<Proxy>,
    /// The clients' way to each node, besides the straight one.
    fronts: Vec<Proxy>,
}

impl Scene {
    /// Starts Redis and the ways to it for so many nodes. Proxies run on the given runtime.
    pub(super) fn start(
        topology: Topology,
        nodes: usize,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let store = match topology {
            // On disk before it is answered: a kill loses nothing that anybody was told.
            Topology::Standalone => Store::Standalone(RedisServer::with(&[
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
            ])),
        };
        let Store::Standalone(server) = &store;
        let links = (0..nodes).map(|_| runtime.block_on(Proxy::start(server.port())));
        Self { links: links.collect(), fronts: Vec::new(), store }
    }

    /// Where a node finds Redis.
    pub(super) fn redis_url(&self, node: usize) -> String {
        self.links[node].redis_url()
    }

    /// Puts a proxy before each node; returns where clients find them.
    pub(super) fn stand_before(
        &mut self,
        nodes: &[SocketAddr],
        runtime: &tokio::runtime::Handle,
    ) -> Vec<SocketAddr> {
        let start = |node: &SocketAddr| runtime.block_on(Proxy::start(node.port()));
        self.fronts = nodes.iter().map(start).collect();
        self.fronts.iter().map(Proxy::address).collect()
    }

    /// Begins a fault that hits Redis or a way.
    pub(super) fn begin(&mut self, fault: &plan::Fault) -> Result<()> {
        let &plan::Fault { kind, target, lasts, aim, .. } = fault;
        match kind {
            Kind::Link(trouble) => hit(&self.links[target], trouble, aim),
            Kind::Front(trouble) => hit(&self.fronts[target], trouble, aim),
            kind => return self.hit_redis(kind, lasts),
        }
        Ok(())
    }

    fn hit_redis(&mut self, kind: Kind, lasts_ms: u64) -> Result<()> {
        let Store::Standalone(server) = &mut self.store;
        let lasts = lasts_ms.to_string();
        let command = match kind {
            Kind::RedisStop => return Ok(server.pause()),
            Kind::RedisKill | Kind::RedisWipe => return Ok(server.kill()),
            Kind::PushesCut => &["CLIENT", "KILL", "TYPE", "pubsub"][..],
            Kind::CallsCut => &["CLIENT", "KILL", "TYPE", "normal"],
            Kind::PauseWrites => &["CLIENT", "PAUSE", &lasts, "WRITE"],
            Kind::PauseAll => &["CLIENT", "PAUSE", &lasts, "ALL"],
            _ => return Ok(()),
        };
        server.ask::<()>(command).with_context(|| format!("{command:?}"))
    }

    /// Undoes a fault.
    pub(super) fn end(&mut self, kind: Kind, target: usize) {
        let Store::Standalone(server) = &mut self.store;
        match kind {
            Kind::Link(_) => self.links[target].pass(),
            Kind::Front(_) => self.fronts[target].pass(),
            Kind::RedisStop => server.resume(),
            Kind::RedisKill => server.restart(),
            Kind::RedisWipe => server.restart_empty(),
            // The pauses end by themselves.
            _ => {}
        }
    }
}

fn hit(way: &Proxy, trouble: Trouble, aim: u64) {
    let mut random = Random::new(aim);
    match trouble {
        Trouble::Away => {
            way.refuse();
            way.reset();
        }
        Trouble::Cut => way.cut(),
        Trouble::Reset => way.reset(),
        Trouble::HalfClosed => {
            let directions = [Direction::ToServer, Direction::ToClient];
            way.half_close(directions[random.index(2)]);
        }
        Trouble::Black => way.set(Fault::BlackHole),
        Trouble::Mute => way.swallow_answers(),
        Trouble::Held => way.set(Fault::Hold),
        Trouble::Late => {
            let millis = |random: &mut Random, most| Duration::from_millis(random.between(5, most));
            let (least, jitter) = (millis(&mut random, 150), millis(&mut random, 50));
            way.set(Fault::Latency { least, jitter });
        }
        Trouble::Narrow => {
            let bytes_per_second = random.between(20_000, 400_000) as u32;
            way.set(Fault::Throttle { bytes_per_second });
        }
        Trouble::Sliced => way.set(Fault::Slices),
    }
}
