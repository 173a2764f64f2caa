//! The owner of the map of a Redis Cluster: asks the nodes every second, and whenever the map is in
//! doubt, which slots each owns, and starts and ends shards as primaries are added and removed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hashbrown::HashMap;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionAddr, RedisResult};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use super::servers::ServerListChange;
use super::shard_maker::ShardMaker;
use crate::placement::address::Target;
use crate::placement::cluster_layout::{ClusterLayout, ClusterView, merge, read};
use crate::placement::endpoint::RedisEndpoint;
use crate::placement::{Placement, SLOTS};
use crate::primary::server::connect;
use crate::server_map::MapSnapshot;
use crate::server_map::shard::Shard;

/// Interval between two rounds of questions.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);
/// Least interval between two rounds, even if the map is in doubt.
const MIN_ROUND_INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for a node's answer.
const NODE_ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// The owner.
pub(crate) struct ClusterOwner {
    map: watch::Sender<Arc<MapSnapshot>>,
    doubt: Arc<Notify>,
    maker: ShardMaker,
    /// The nodes of the configuration: asked first, and always.
    seeds: Vec<RedisEndpoint>,
    /// A connection to each node that answered, by its address.
    open: HashMap<(String, u16), MultiplexedConnection>,
    /// The layout that the map in force was made of.
    known: ClusterLayout,
}

impl ClusterOwner {
    /// An owner that has only the nodes of the configuration yet.
    pub(crate) fn new(
        map: watch::Sender<Arc<MapSnapshot>>,
        doubt: Arc<Notify>,
        maker: ShardMaker,
        seeds: Vec<RedisEndpoint>,
    ) -> Self {
        Self { map, doubt, maker, seeds, open: HashMap::new(), known: ClusterLayout::default() }
    }

    /// The nodes of the configuration.
    pub(crate) fn seeds(&self) -> &[RedisEndpoint] {
        &self.seeds
    }

    /// Asks until every slot has an owner, or until the deadline.
    pub(crate) async fn settle(&mut self, deadline: Instant) {
        loop {
            self.look().await;
            let owners = &self.known.owners;
            if (!owners.is_empty() && owners.iter().all(Option::is_some))
                || Instant::now() >= deadline
            {
                return;
            }
            sleep(MIN_ROUND_INTERVAL).await;
        }
    }

    /// Keeps the map current until the last handle of the bus is dropped; then empties it.
    pub(crate) async fn run(mut self, mut users: mpsc::UnboundedReceiver<ServerListChange>) {
        loop {
            tokio::select! {
                // A cluster takes no changes: the channel only ends.
                _ = users.recv() => break,
                () = self.doubt.notified() => sleep(MIN_ROUND_INTERVAL).await,
                () = sleep(ROUND_INTERVAL) => {}
            }
            self.look().await;
        }
        self.map.send_replace(Arc::new(MapSnapshot::empty()));
    }

    /// Asks every known node, and replaces the map if their answers differ from it.
    async fn look(&mut self) {
        let views = self.ask_all().await;
        // Without an answer the last map stays in force.
        if views.iter().all(|view| view.primaries.is_empty()) {
            return;
        }
        let cluster = merge(views);
        if cluster != self.known {
            self.replace(cluster);
        }
    }

    async fn ask_all(&mut self) -> Vec<ClusterView> {
        let seeds = self.seeds.iter().filter_map(|info| match info.addr() {
            ConnectionAddr::Tcp(host, port) => Some((host.clone(), *port)),
            ConnectionAddr::TcpTls { host, port, .. } => Some((host.clone(), *port)),
            _ => None,
        });
        let mut addresses: Vec<_> = seeds.chain(self.known.primaries.values().cloned()).collect();
        addresses.sort();
        addresses.dedup();
        self.open.retain(|address, _| addresses.contains(address));
        let mut asked = FuturesUnordered::new();
        for address in addresses {
            let open = self.open.get(&address).cloned();
            let info = self.seeds[0].at(address.0.clone(), address.1);
            asked.push(async move {
                let answer = timeout(NODE_ANSWER_TIMEOUT, ask(open, &info)).await;
                (address, answer.ok().and_then(Result::ok))
            });
        }
        let mut views = Vec::new();
        let mut answered = HashMap::new();
        while let Some((address, answer)) = asked.next().await {
            let Some((connection, mut view)) = answer else { continue };
            // A node that does not know its own address has the one where it was asked.
            for primary in view.primaries.iter_mut().filter(|primary| primary.host.is_empty()) {
                primary.host.clone_from(&address.0);
            }
            answered.insert(address, connection);
            views.push(view);
        }
        drop(asked);
        self.open = answered;
        views
    }

    fn replace(&mut self, cluster: ClusterLayout) {
        let before = self.map.borrow().clone();
        let mut indices = BTreeMap::new();
        let mut shards = Vec::new();
        for (id, (host, port)) in &cluster.primaries {
            let address = format!("{host}:{port}");
            let same = |shard: &&Arc<_>| {
                let shard: &Shard = shard;
                shard.id == *id && shard.address == address
            };
            let known = before.shards.iter().find(same).cloned();
            let shard = known.unwrap_or_else(|| {
                let target = Target::At(self.seeds[0].at(host.clone(), *port));
                self.maker.start(id, &address, target)
            });
            indices.insert(id.clone(), shards.len() as u16);
            shards.push(shard);
        }
        let owner = |id: &Option<String>| indices.get(id.as_ref()?).copied();
        let owners: Vec<_> = cluster.owners.iter().map(owner).collect();
        let owned = owners.iter().flatten().count();
        if self.known.owners != cluster.owners || self.known.primaries != cluster.primaries {
            info!(primaries = shards.len(), slots = owned, of = SLOTS, "the cluster is laid out");
        }
        let (placement, moving) = (Placement::Slots(owners), cluster.moving.clone());
        self.map.send_replace(Arc::new(MapSnapshot { shards, placement, moving }));
        self.known = cluster;
    }
}

async fn ask(
    open: Option<MultiplexedConnection>,
    info: &RedisEndpoint,
) -> RedisResult<(MultiplexedConnection, ClusterView)> {
    let mut connection = match open {
        Some(open) => open,
        None => connect(info, |_| ()).await?,
    };
    let text: String = redis::cmd("CLUSTER").arg("NODES").query_async(&mut connection).await?;
    Ok((connection, read(&text)))
}
