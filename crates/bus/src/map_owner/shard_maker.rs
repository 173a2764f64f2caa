//! Makes shards: it starts the tasks of one primary, those of its link and its lanes, on the
//! current runtime.

use std::sync::Arc;
use std::time::Duration;

use roomcast_metrics::BusMetrics;
use tokio::sync::watch;

use crate::event_queue::EventQueue;
use crate::listening::driver::{LaneDriver, LaneTools};
use crate::listening::subscriber::SubscribeDialect;
use crate::placement::address::Target;
use crate::placement::keys::Keyspace;
use crate::primary::health::Vitals;
use crate::primary::link::{LinkOptions, RedisLink};
use crate::reads::RoomReader;
use crate::server_map::ServerMap;
use crate::server_map::shard::Shard;

/// What shards are made with, the same for all.
#[derive(Clone)]
pub(crate) struct ShardMaker {
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
    pub(crate) reader: RoomReader,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) metrics: BusMetrics,
    /// Connections that publish, and that listen, to each.
    pub(crate) connections: (usize, usize),
    /// How long Redis keeps a room after its last use.
    pub(crate) linger: Duration,
    /// How long a round of the sweep takes.
    pub(crate) sweep: Duration,
    /// The id of this run of this node.
    pub(crate) node: String,
    /// The version of the list of servers; `None` in a cluster.
    pub(crate) version: Option<watch::Receiver<u64>>,
}

impl ShardMaker {
    /// Starts the tasks of one primary on the current runtime; they begin to connect at once.
    pub(crate) fn start(&self, id: &str, address: &str, target: Target) -> Arc<Shard> {
        let (publish, listen) = self.connections;
        let keys = self.keys.in_database(target.database());
        let (link, supervisor) = RedisLink::new(LinkOptions {
            name: id.to_owned(),
            target,
            connections: publish,
            keys: self.keys.clone(),
            version: self.version.clone(),
            metrics: self.metrics.clone(),
        });
        tokio::spawn(supervisor);
        let vitals = Vitals::new(listen);
        let lane = |index| {
            let tools = LaneTools {
                keys: keys.clone(),
                shards: self.shards.clone(),
                link: link.clone(),
                reader: self.reader.clone(),
                events: self.events.clone(),
                vitals: vitals.clone(),
                metrics: self.metrics.clone(),
                linger: self.linger,
                sweep: self.sweep,
                node: self.node.clone(),
                dialect: if self.version.is_some() {
                    SubscribeDialect::Plain
                } else {
                    SubscribeDialect::Sharded
                },
            };
            let (lane, commands) = LaneDriver::new(index, tools);
            tokio::spawn(lane.run());
            commands
        };
        let lanes = (0..listen).map(lane).collect();
        Arc::new(Shard { id: id.to_owned(), address: address.to_owned(), link, vitals, lanes })
    }
}
