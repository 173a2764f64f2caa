//! What stands below and around the nodes: Redis, and a proxy on each way that a fault may hit. It
//! knows what each kind of fault does to a way.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use roomcast_testkit::{Direction, Proxy, ProxyFault};

use super::fault::{Kind, Scope, Trouble};
use super::plan;
use super::store::Store;
use crate::random::Random;

/// The scene of a run.
pub(super) struct Scene {
    store: Store,
    /// Each node's way to each server, where proxies can stand there.
    links: Vec<Vec<Proxy>>,
    /// The clients' way to each node, besides the straight one.
    fronts: Vec<Proxy>,
}

impl Scene {
    /// Puts proxies before Redis for so many nodes. They run on the given runtime.
    pub(super) fn new(store: Store, nodes: usize, runtime: &tokio::runtime::Handle) -> Self {
        let ports = store.ports();
        let links = |_| ports.iter().map(|&port| runtime.block_on(Proxy::start(port))).collect();
        Self { links: (0..nodes).map(links).collect(), fronts: Vec::new(), store }
    }

    /// Where a node finds Redis.
    pub(super) fn redis_url(&self, node: usize) -> String {
        if let Some(url) = self.store.url() {
            return url;
        }
        let links = &self.links[node];
        if let [only] = &links[..] {
            return only.redis_url();
        }
        let named =
            |(number, link): (usize, &Proxy)| format!("{}?name=s{number}", link.redis_url());
        links.iter().enumerate().map(named).collect::<Vec<_>>().join(" ")
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
        match fault.kind {
            Kind::Link(trouble) => hit(&self.links[fault.target][fault.server], trouble, fault.aim),
            Kind::Front(trouble) => hit(&self.fronts[fault.target], trouble, fault.aim),
            kind if kind.scope() == Scope::Redis => return self.store.begin(fault),
            _ => {}
        }
        Ok(())
    }

    /// Undoes a fault.
    pub(super) fn end(&mut self, fault: &plan::Fault) {
        match fault.kind {
            Kind::Link(_) => self.links[fault.target][fault.server].pass(),
            Kind::Front(_) => self.fronts[fault.target].pass(),
            kind if kind.scope() == Scope::Redis => self.store.end(kind),
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
        Trouble::Black => way.set(ProxyFault::BlackHole),
        Trouble::Mute => way.swallow_answers(),
        Trouble::Held => way.set(ProxyFault::Hold),
        Trouble::Late => {
            let millis = |random: &mut Random, most| Duration::from_millis(random.between(5, most));
            let (least, jitter) = (millis(&mut random, 150), millis(&mut random, 50));
            way.set(ProxyFault::Latency { least, jitter });
        }
        Trouble::Narrow => {
            let bytes_per_second = random.between(20_000, 400_000) as u32;
            way.set(ProxyFault::Throttle { bytes_per_second });
        }
        Trouble::Sliced => way.set(ProxyFault::Slices),
    }
}
