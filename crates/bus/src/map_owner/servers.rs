//! The owner of the map where rooms are placed by the servers' names: mostly one server, or a list
//! that may change while nodes run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::shard_maker::ShardMaker;
use crate::placement::Placement;
use crate::placement::address::{Address, Target};
use crate::primary::server::connect;
use crate::primary::version::stamp;
use crate::server_map::MapSnapshot;
use crate::server_map::shard::Shard;

/// Longest wait for a server to take the new version; after that the server's own link sends it.
const STAMP_TIMEOUT: Duration = Duration::from_secs(1);

/// Another list of servers, with its version.
pub(crate) struct ServerListChange {
    pub(crate) servers: Vec<Address>,
    pub(crate) version: u64,
    /// Signalled once rooms are looked for in the new places only.
    pub(crate) done: oneshot::Sender<()>,
}

/// The owner.
pub(crate) struct ServerListOwner {
    pub(crate) map: watch::Sender<Arc<MapSnapshot>>,
    pub(crate) version: watch::Sender<u64>,
    pub(crate) maker: ShardMaker,
    /// The addresses of the shards in the map.
    pub(crate) servers: Vec<Address>,
}

impl ServerListOwner {
    /// Makes the first map.
    pub(crate) fn open(&mut self) {
        let servers = std::mem::take(&mut self.servers);
        self.replace(servers);
    }

    /// Takes changes until the last handle of the bus is dropped; then empties the map.
    pub(crate) async fn run(mut self, mut changes: mpsc::UnboundedReceiver<ServerListChange>) {
        while let Some(ServerListChange { servers, version, done }) = changes.recv().await {
            self.version.send_replace(version);
            // The new version goes to every server first, removed ones included: from then on they
            // refuse nodes with the older list, so that no room is written in two places.
            for address in self.servers.iter().chain(&servers) {
                if let Err(error) = self.send_version(&address.target, version).await {
                    warn!(server = address.name, %error, "cannot send it the version of the new list");
                }
            }
            let rooms = self.maker.events.rooms();
            let before = self.map.borrow().clone();
            self.replace(servers);
            let after = self.map.borrow().clone();
            let place = |map: &MapSnapshot, room| {
                let index = map.placement.of(&self.maker.keys, room)?;
                map.shards.get(index).map(|shard| shard.id.clone())
            };
            let moved = rooms.iter().filter(|room| place(&before, room) != place(&after, room));
            let (moved, all) = (moved.count(), rooms.len());
            let servers = after.shards.len();
            info!(version, servers, moved, rooms = all, "the list of servers changed");
            // The caller may have stopped waiting.
            let _ = done.send(());
        }
        self.map.send_replace(Arc::new(MapSnapshot::empty()));
    }

    fn replace(&mut self, servers: Vec<Address>) {
        let before = self.map.borrow().clone();
        let kept = |address: &Address| -> Option<Arc<Shard>> {
            // A server with the same name at another address is another way to the same rooms.
            let known = self.servers.iter().find(|known| known.name == address.name)?;
            let same = known.url == address.url;
            before.shards.iter().find(|shard| same && shard.id == address.name).cloned()
        };
        let start = |address: &Address| self.maker.start(&address.name, "", address.target.clone());
        let shards = servers.iter().map(|one| kept(one).unwrap_or_else(|| start(one))).collect();
        let names = servers.iter().map(|address| address.name.clone()).collect();
        let placement = Placement::Names(names);
        self.map.send_replace(Arc::new(MapSnapshot { shards, placement, moving: BTreeSet::new() }));
        self.servers = servers;
    }

    async fn send_version(&self, target: &Target, version: u64) -> RedisResult<()> {
        let stamped = async {
            let mut connection = connect(&target.locate().await?, |_| ()).await?;
            stamp(&mut connection, &self.maker.keys, version).await.map(drop)
        };
        let silent = |_| Err((redis::ErrorKind::Io, "it does not answer").into());
        timeout(STAMP_TIMEOUT, stamped).await.unwrap_or_else(silent)
    }
}
