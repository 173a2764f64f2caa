//! What stands below and around the nodes: Redis in the chosen topology, and a proxy on each way
//! that a fault may hit. It knows what each kind of fault does there and how that is undone.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use roomcast_testkit::{Proxy, RedisServer};

use super::fault::{Kind, Trouble};
use super::topology::Topology;

/// How long a proxy may take to cut what goes through it.
const CUT: std::time::Duration = std::time::Duration::from_millis(50);

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
    pub(super) fn start(topology: Topology, nodes: usize, runtime: &tokio::runtime::Handle) -> Self {
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
    ) -> Result<Vec<SocketAddr>> {
        let start = |node: &SocketAddr| runtime.block_on(Proxy::start(node.port()));
        self.fronts = nodes.iter().map(start).collect();
        let address = |front: &Proxy| {
            let url = front.redis_url();
            let address = url.strip_prefix("redis://").and_then(|address| address.parse().ok());
            address.with_context(|| format!("no address in {url}"))
        };
        self.fronts.iter().map(address).collect()
    }

    /// Begins a fault that hits Redis or a way.
    pub(super) fn begin(&mut self, kind: Kind, target: usize, lasts_ms: u64) -> Result<()> {
        match kind {
            Kind::Link(trouble) => hit(&self.links[target], trouble),
            Kind::Front(trouble) => hit(&self.fronts[target], trouble),
            kind => return self.hit_redis(kind, lasts_ms),
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
            Kind::Link(trouble) => heal(&self.links[target], trouble),
            Kind::Front(trouble) => heal(&self.fronts[target], trouble),
            Kind::RedisStop => server.resume(),
            Kind::RedisKill => server.restart(),
            Kind::RedisWipe => server.restart_empty(),
            // The pauses end by themselves.
            _ => {}
        }
    }
}

fn hit(way: &Proxy, trouble: Trouble) {
    match trouble {
        Trouble::Away => {
            way.refuse();
            way.cut();
        }
        Trouble::Cut => way.cut(),
        Trouble::Mute => way.swallow_answers(),
    }
}

fn heal(way: &Proxy, trouble: Trouble) {
    if trouble == Trouble::Mute {
        // What was swallowed is missing from the stream: no TCP connection goes on like that.
        way.cut();
        std::thread::sleep(CUT);
    }
    way.pass();
}
