//! One primary with all that this node has to do with it: the command link, the lanes that listen
//! to its rooms, their health. Its tasks end when the last handle to it is dropped.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use roomcast_metrics::BusMetrics;
use roomcast_protocol::RoomName;
use tokio::sync::watch;

use super::address::Target;
use super::health::Vitals;
use super::keys::Keys;
use super::link::{Link, LinkOptions};
use super::reads::Reader;
use super::shards::Shards;
use crate::feed::LaneHandle;
use crate::feed::driver::{LaneDriver, Tools};
use crate::feed::exit::Exit;
use crate::feed::subscriptions::Dialect;

/// One primary.
pub(crate) struct Shard {
    /// Its name among the servers, or its id in the cluster.
    pub(crate) id: String,
    /// `host:port` in a cluster, as redirections name it; else empty.
    pub(crate) address: String,
    /// The command connections.
    pub(crate) link: Link,
    /// What its lanes last saw.
    pub(crate) vitals: Vitals,
    /// One for each lane; what waits there is bounded by the rooms of the node.
    lanes: Vec<LaneHandle>,
}

/// What makes shards, and is the same for all of them.
#[derive(Clone)]
pub(crate) struct ShardMaker {
    pub(crate) keys: Keys,
    pub(crate) shards: Shards,
    pub(crate) reader: Reader,
    pub(crate) exit: Arc<Exit>,
    pub(crate) metrics: BusMetrics,
    /// Connections that publish, and that listen, to each.
    pub(crate) connections: (usize, usize),
    /// How long a room is remembered beyond its last use.
    pub(crate) linger: Duration,
    /// How long a round of the sweep takes.
    pub(crate) sweep: Duration,
    /// This run of this node.
    pub(crate) node: String,
    /// The version of the list of servers; `None` in a cluster.
    pub(crate) version: Option<watch::Receiver<u64>>,
}

impl ShardMaker {
    /// Starts the tasks of one primary on the current runtime; they begin to connect at once.
    pub(crate) fn start(&self, id: &str, address: &str, target: Target) -> Arc<Shard> {
        let (publish, listen) = self.connections;
        let keys = self.keys.in_database(target.database());
        let (link, keeper) = Link::new(LinkOptions {
            name: id.to_owned(),
            target,
            connections: publish,
            keys: self.keys.clone(),
            version: self.version.clone(),
            metrics: self.metrics.clone(),
        });
        tokio::spawn(keeper);
        let vitals = Vitals::new(listen);
        let lane = |index| {
            let tools = Tools {
                keys: keys.clone(),
                shards: self.shards.clone(),
                link: link.clone(),
                reader: self.reader.clone(),
                exit: self.exit.clone(),
                vitals: vitals.clone(),
                metrics: self.metrics.clone(),
                linger: self.linger,
                sweep: self.sweep,
                node: self.node.clone(),
                dialect: if self.version.is_some() { Dialect::Plain } else { Dialect::Sharded },
            };
            let (lane, commands) = LaneDriver::new(index, tools);
            tokio::spawn(lane.run());
            commands
        };
        let lanes = (0..listen).map(lane).collect();
        Arc::new(Shard { id: id.to_owned(), address: address.to_owned(), link, vitals, lanes })
    }
}

impl Shard {
    /// The lane that listens to a room.
    pub(crate) fn lane(&self, room: &RoomName) -> &LaneHandle {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(room);
        &self.lanes[hash as usize % self.lanes.len()]
    }
}
