//! The bus over Redis. It owns the connections and the tasks; what they decide is in `redis/`
//! (where rooms lie, publish, read, keys, scripts) and `feed/` (receive). All tasks run on the
//! runtime that starts the bus.

mod address;
mod answer;
pub(crate) mod circuit;
mod cluster;
mod fault;
mod group;
pub(crate) mod health;
mod keeper;
pub(crate) mod keys;
mod layout;
pub(crate) mod link;
mod nodes;
mod opening;
mod overhear;
pub(crate) mod partition;
pub(crate) mod payload;
mod pending;
mod place;
mod placement;
mod publisher;
mod queue;
pub(crate) mod reads;
mod replicas;
pub(crate) mod scripts;
pub(crate) mod server;
mod servers;
mod shard;
pub(crate) mod shards;
mod start;
mod verdict;
mod version;
mod writable;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use roomcast_metrics::BusMetrics;
use roomcast_protocol::{Lineage, RoomName, Seq};
use tokio::sync::{mpsc, oneshot, watch};

use crate::api::{Health, History, HistoryRequest, Publication, ReadError, random_epoch};
use crate::bus::Reply;
use crate::feed::RedisFeeds;
use crate::feed::exit::Exit;
use crate::leases::LeaseKeeper;
use crate::seldom::Seldom;
use address::Topology;
use cluster::ClusterOwner;
pub use fault::{RedisFault, StartError};
use group::Sender;
use keys::{Keys, RoomNames, room_names};
pub use opening::Opening;
use opening::Unopened;
use placement::Placement;
use publisher::Submitter;
use reads::Reader;
use servers::{Change, Servers};
use shard::ShardMaker;
use shards::Shards;

/// Longest prefix: it stands in every key and channel.
const MAX_PREFIX: usize = 64;

/// Settings of the bus over Redis.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// One URL, or several separated by blanks: `redis://[user:password@]host[:port][/db]`,
    /// `redis+sentinel://host,host/NAME`, `redis+cluster://host,host`; with `rediss` for TLS.
    pub url: String,
    /// Version of the list of servers in `url`: raised by one with each change of the list.
    pub version: u64,
    /// A certificate (PEM) to trust for TLS, instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// Stands before every key and channel, so that several deployments may share a server.
    pub prefix: String,
    /// Connections to each primary that publishes share; one is enough until a core cannot fill
    /// it.
    pub publish_connections: usize,
    /// Subscribe connections to each primary, rooms spread over them; one core takes about 400,000
    /// pushes a second.
    pub subscribe_connections: usize,
    /// How long a room is remembered beyond its history, or without any: longer than any
    /// reconnect, short enough to forget rooms that nobody published to in minutes.
    pub linger: Duration,
    /// How long a round of the sweep takes that compares every open room with Redis; it finds what
    /// no push and no reconnect tells of.
    pub sweep: Duration,
    /// Connections that this node has now: its lease names their number.
    pub connections: Arc<AtomicU64>,
}

impl RedisOptions {
    /// The defaults, at a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            version: 1,
            ca: None,
            prefix: "roomcast".to_owned(),
            publish_connections: 1,
            subscribe_connections: 1,
            linger: Duration::from_secs(600),
            sweep: Duration::from_secs(30),
            connections: Arc::default(),
        }
    }
}

/// Checks the form of a URL, or of several; the message holds no part of the text.
pub fn check_url(text: &str) -> Result<(), String> {
    // The library adds its own word for the kind, which says nothing to users.
    let words = |error: redis::RedisError| {
        let text = error.to_string();
        text.strip_suffix(" - InvalidClientConfig").unwrap_or(&text).to_owned()
    };
    address::read(text, None).map(drop).map_err(words)
}

/// The sharable half: publishes, reads and health.
#[derive(Clone)]
pub(crate) struct RedisBus {
    submitter: Submitter,
    reader: Reader,
    shards: Shards,
    owner: Owner,
    /// Redis was reached for the first time.
    reached: Arc<AtomicBool>,
    /// Where that is, for people.
    place: Arc<str>,
    /// Dropped with the last handle: the lease's keeper ends.
    _leased: Arc<oneshot::Sender<()>>,
}

/// Who owns the map of the primaries; its task ends when the last handle is gone.
#[derive(Clone)]
enum Owner {
    Servers(mpsc::UnboundedSender<Change>),
    Cluster { _user: mpsc::UnboundedSender<Change> },
}

/// Why another list of servers is not taken over by a running node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Correct the URL.
    #[error("the Redis URL is not valid: {0}")]
    Url(String),
    /// Restart the node: a cluster, and the bus in memory, have no list.
    #[error("only a list of servers can be changed while the node runs")]
    Kind,
}

/// Where a room is found in the Redis that `options` name. Nothing is asked of a server.
pub fn locate_room(options: &RedisOptions, room: &RoomName) -> Result<RoomNames, StartError> {
    let topology = address::read(&options.url, options.ca.as_deref())
        .map_err(|e| StartError::Url(e.to_string()))?;
    let database = match &topology {
        Topology::Servers(servers) => {
            let names = servers.iter().map(|server| server.name.clone()).collect();
            let index = Placement::Names(names).of(&Keys::new(&options.prefix), room);
            servers.get(index.unwrap_or(0)).map_or(0, |server| server.target.database())
        }
        Topology::Cluster(_) => 0,
    };
    Ok(room_names(&options.prefix, database, room))
}

impl RedisBus {
    /// A bus and what has to happen before it works.
    pub(crate) fn prepare(
        options: RedisOptions,
        metrics: BusMetrics,
    ) -> Result<(Self, RedisFeeds, Opening), StartError> {
        let prefix = &options.prefix;
        let printable = prefix.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if prefix.is_empty() || prefix.len() > MAX_PREFIX || !printable {
            return Err(StartError::Prefix);
        }
        let topology = address::read(&options.url, options.ca.as_deref())
            .map_err(|e| StartError::Url(e.to_string()))?;
        let place = place::describe(&topology).into();
        let keys = Keys::new(prefix);
        metrics.writable.set(1);

        let (shards, map, doubt) = Shards::new(&keys);
        let reader = Reader {
            shards: shards.clone(),
            keys: keys.clone(),
            linger: options.linger,
            metrics: metrics.clone(),
            strangers: Arc::new(Seldom::new()),
        };
        let exit = Arc::new(Exit::default());
        let (version, versions) = watch::channel(options.version.max(1));
        let mut maker = ShardMaker {
            keys: keys.clone(),
            shards: shards.clone(),
            reader: reader.clone(),
            exit: exit.clone(),
            metrics: metrics.clone(),
            connections: (options.publish_connections.max(1), options.subscribe_connections.max(1)),
            linger: options.linger,
            sweep: options.sweep,
            node: random_epoch().to_string(),
            version: Some(versions),
        };
        let node = maker.node.clone();
        let (sender, changes) = mpsc::unbounded_channel();
        let (owner, unopened, push) = match topology {
            Topology::Servers(servers) => {
                let servers = Servers { map, version, maker, servers };
                (Owner::Servers(sender), Unopened::Servers(servers), "PUBLISH")
            }
            Topology::Cluster(seeds) => {
                maker.version = None;
                let cluster = ClusterOwner::new(map, doubt, maker, seeds);
                (Owner::Cluster { _user: sender }, Unopened::Cluster(cluster), "SPUBLISH")
            }
        };
        let reached = Arc::new(AtomicBool::new(false));
        let known = (keys.clone(), shards.clone());
        let opening = Opening::new((unopened, changes), known, reached.clone());
        let sender = Sender {
            node,
            keys: keys.clone(),
            shards: shards.clone(),
            push,
            linger: options.linger,
            metrics: metrics.clone(),
            number: AtomicU64::new(0),
            refusals: Seldom::new(),
        };
        let (submitter, publisher) = Submitter::new(sender, metrics.clone());
        tokio::spawn(publisher);
        let leases =
            LeaseKeeper { keys, shards: shards.clone(), metrics, connections: options.connections };
        let (leased, ended) = oneshot::channel();
        tokio::spawn(leases.run(ended));
        let feeds = RedisFeeds::new(exit, shards.clone());
        Ok((
            Self { submitter, reader, shards, owner, reached, place, _leased: Arc::new(leased) },
            feeds,
            opening,
        ))
    }

    pub(crate) fn submit(&self, room: RoomName, publication: &Publication, reply: Reply) {
        self.submitter.submit(room, publication, reply);
    }

    pub(crate) async fn history(
        &self,
        room: &RoomName,
        request: HistoryRequest,
    ) -> Result<History, ReadError> {
        self.reader.history(room, request).await
    }

    pub(crate) async fn standing(&self, room: &RoomName) -> Result<(Lineage, Seq), ReadError> {
        let (page, _) = self.reader.standing(room).await?;
        Ok((page.lineage, page.last))
    }

    pub(crate) fn health(&self) -> Health {
        Health { reached: self.is_reached(), ..self.shards.health() }
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Takes another list of servers over, with its version.
    pub(crate) async fn change(&self, options: &RedisOptions) -> Result<(), ChangeError> {
        let topology = address::read(&options.url, options.ca.as_deref())
            .map_err(|e| ChangeError::Url(e.to_string()))?;
        let (Owner::Servers(changes), Topology::Servers(servers)) = (&self.owner, topology) else {
            return Err(ChangeError::Kind);
        };
        let (done, taken) = oneshot::channel();
        // The owner ends with the last handle, and this is one.
        let _ = changes.send(Change { servers, version: options.version, done });
        let _ = taken.await;
        Ok(())
    }
}
