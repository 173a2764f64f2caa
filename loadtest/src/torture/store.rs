//! Redis in each topology: its processes, and what each kind of fault does to them.

use anyhow::{Context, Result, bail};
use roomcast_testkit::{RedisCluster, RedisServer, Sentinels, SlotMove};

use super::fault::Kind;
use super::plan::Fault;
use super::topology::Topology;
use crate::random::Random;

/// On disk before it is answered: a kill loses nothing that anybody was told.
const KEEPS: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];
/// Slots of a cluster.
const SLOTS: usize = 16_384;

/// Redis, as the topology has it.
pub(super) struct Store {
    kind: StoreKind,
    /// The slots of the rooms, in a cluster.
    slots: Vec<u16>,
    /// The server that the fault at work has stopped or killed.
    struck: Option<usize>,
    moving: Option<SlotMove>,
}

enum StoreKind {
    Servers(Vec<RedisServer>),
    Sentinel(Sentinels),
    Cluster(RedisCluster),
}

impl Store {
    /// Starts it for rooms whose keys have these hash tags.
    pub(super) fn start(topology: Topology, tags: &[String]) -> Self {
        let servers = |count| (0..count).map(|_| RedisServer::with(KEEPS)).collect();
        let kind = match topology {
            Topology::Standalone | Topology::Servers => {
                StoreKind::Servers(servers(topology.primaries()))
            }
            Topology::Sentinel => StoreKind::Sentinel(Sentinels::start()),
            Topology::Cluster => StoreKind::Cluster(RedisCluster::start(topology.primaries(), 1)),
        };
        let slots = match &kind {
            StoreKind::Cluster(cluster) => tags.iter().map(|tag| cluster.slot_of(tag)).collect(),
            _ => Vec::new(),
        };
        Self { kind, slots, struck: None, moving: None }
    }

    /// Ports of the servers that proxies can stand before; none where nodes must reach Redis
    /// itself.
    pub(super) fn ports(&self) -> Vec<u16> {
        match &self.kind {
            StoreKind::Servers(servers) => servers.iter().map(RedisServer::port).collect(),
            _ => Vec::new(),
        }
    }

    /// Where nodes find it if no proxy stands between.
    pub(super) fn url(&self) -> Option<String> {
        match &self.kind {
            StoreKind::Servers(_) => None,
            StoreKind::Sentinel(sentinels) => Some(sentinels.url()),
            StoreKind::Cluster(cluster) => Some(cluster.url()),
        }
    }

    /// Ports of the servers of which some take over from others.
    pub(super) fn successors(&mut self) -> Vec<u16> {
        match &mut self.kind {
            StoreKind::Servers(_) => Vec::new(),
            _ => self.servers().iter().map(RedisServer::port).collect(),
        }
    }

    /// Begins a fault.
    pub(super) fn begin(&mut self, fault: &Fault) -> Result<()> {
        let &Fault { kind, server, lasts, aim, .. } = fault;
        let lasts = lasts.to_string();
        match kind {
            Kind::SentinelKill => {
                let StoreKind::Sentinel(sentinels) = &mut self.kind else { return Ok(()) };
                let all = sentinels.sentinels();
                all[Random::new(aim).index(all.len())].kill();
                return Ok(());
            }
            Kind::SlotMove => return self.begin_move(aim),
            _ => {}
        }
        let index = self.primary(server)?;
        let command = match kind {
            Kind::RedisStop | Kind::RedisKill | Kind::RedisWipe => {
                self.struck = Some(index);
                let server = &mut self.servers()[index];
                if kind == Kind::RedisStop {
                    server.pause()
                } else {
                    server.kill()
                }
                return Ok(());
            }
            Kind::Failover => return self.fail_over(index),
            Kind::PushesCut => &["CLIENT", "KILL", "TYPE", "pubsub"][..],
            Kind::CallsCut => &["CLIENT", "KILL", "TYPE", "normal"],
            Kind::PauseWrites => &["CLIENT", "PAUSE", &lasts, "WRITE"],
            Kind::PauseAll => &["CLIENT", "PAUSE", &lasts, "ALL"],
            _ => return Ok(()),
        };
        self.servers()[index].ask::<()>(command).with_context(|| format!("{command:?}"))
    }

    /// Undoes it.
    pub(super) fn end(&mut self, kind: Kind) {
        if kind == Kind::SentinelKill
            && let StoreKind::Sentinel(sentinels) = &mut self.kind
        {
            sentinels.restart_killed();
        }
        if let (Some(on_its_way), StoreKind::Cluster(cluster)) = (self.moving.take(), &self.kind) {
            cluster.move_keys(&on_its_way);
            cluster.finish_move(on_its_way);
        }
        let Some(index) = self.struck.take() else { return };
        let server = &mut self.servers()[index];
        match kind {
            Kind::RedisStop => server.resume(),
            Kind::RedisWipe => server.restart_empty(),
            // What it keeps is the topology's affair.
            _ => server.restart(),
        }
    }

    fn servers(&mut self) -> &mut [RedisServer] {
        match &mut self.kind {
            StoreKind::Servers(servers) => servers,
            StoreKind::Sentinel(sentinels) => sentinels.servers(),
            StoreKind::Cluster(cluster) => cluster.servers(),
        }
    }

    /// The server that is a primary just now, by its number among the primaries.
    fn primary(&mut self, number: usize) -> Result<usize> {
        match &mut self.kind {
            StoreKind::Servers(_) => Ok(number),
            StoreKind::Sentinel(sentinels) => {
                let port = sentinels.primary_port();
                let index = sentinels.servers().iter().position(|server| server.port() == port);
                index.context("the primary is none of the servers")
            }
            StoreKind::Cluster(cluster) => {
                let middle = SLOTS * (2 * number + 1) / (2 * Topology::Cluster.primaries());
                Ok(cluster.owner_of(middle as u16))
            }
        }
    }

    /// Has another server take over.
    fn fail_over(&mut self, primary: usize) -> Result<()> {
        if let StoreKind::Sentinel(sentinels) = &mut self.kind {
            let mut up = sentinels.sentinels().iter().filter(|sentinel| sentinel.is_up());
            let sentinel = up.next().context("no sentinel is up")?;
            // It is refused where one is under way, which is as good.
            let _ = sentinel.ask::<()>(&["SENTINEL", "FAILOVER", "main"]);
            return Ok(());
        }
        let port = self.servers()[primary].port();
        let follows = |server: &RedisServer| {
            let info: String = server.ask(&["INFO", "replication"]).unwrap_or_default();
            info.contains("role:slave") && info.contains(&format!("master_port:{port}\r"))
        };
        let up = |server: &&RedisServer| server.is_up();
        let Some(replica) = self.servers().iter().filter(up).find(|server| follows(server)) else {
            bail!("the primary has no replica");
        };
        let _ = replica.ask::<()>(&["CLUSTER", "FAILOVER"]);
        Ok(())
    }

    /// Puts the slot of a room on its way to another primary; the keys go now or at the end.
    fn begin_move(&mut self, aim: u64) -> Result<()> {
        let mut random = Random::new(aim);
        let slot = self.slots[random.index(self.slots.len())];
        let primaries = Topology::Cluster.primaries();
        let target = self.primary(random.index(primaries))?;
        let StoreKind::Cluster(cluster) = &self.kind else { return Ok(()) };
        if cluster.owner_of(slot) == target {
            // It is there already.
            return Ok(());
        }
        let on_its_way = cluster.begin_move(slot, target);
        if aim.is_multiple_of(2) {
            cluster.move_keys(&on_its_way);
        }
        self.moving = Some(on_its_way);
        Ok(())
    }
}
