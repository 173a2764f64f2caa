//! The bus over Redis. It owns the connections and the tasks; what they decide is in `redis/`
//! (publish, read, keys, scripts) and `feed/` (receive). All tasks run on the runtime that starts
//! the bus.

mod answer;
pub(crate) mod circuit;
mod group;
pub(crate) mod health;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod payload;
mod pending;
mod publisher;
mod queue;
pub(crate) mod reads;
mod scripts;
pub(crate) mod server;
mod start;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use roomcast_metrics::BusMetrics;
use roomcast_protocol::{Lineage, RoomName, Seq};

use crate::api::{Health, History, HistoryRequest, Publication, ReadError, random_epoch};
use crate::bus::Reply;
use crate::feed::RedisFeeds;
use crate::feed::exit::Exit;
use crate::feed::lane::{Lane, Tools};
use crate::seldom::Seldom;
use group::Sender;
use health::Vitals;
use keys::Keys;
use link::Link;
use publisher::Submitter;
use reads::Reader;
use server::Server;
pub use start::StartError;

/// Longest prefix: it stands in every key and channel.
const MAX_PREFIX: usize = 64;

/// Settings of the bus over Redis.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host:port[/db]`.
    pub url: String,
    /// Stands before every key and channel, so that several deployments may share a server.
    pub prefix: String,
    /// Connections that publishes share; one is enough until a core cannot fill it.
    pub publish_connections: usize,
    /// Subscribe connections, rooms spread over them; one core takes about 400,000 pushes a second.
    pub subscribe_connections: usize,
    /// How long a room is remembered beyond its history, or without any: longer than any
    /// reconnect, short enough to forget rooms that nobody published to in minutes.
    pub linger: Duration,
    /// How long a round of the sweep takes that compares every open room with Redis; it finds what
    /// no push and no reconnect tells of.
    pub sweep: Duration,
}

impl RedisOptions {
    /// The defaults, at a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "roomcast".to_owned(),
            publish_connections: 1,
            subscribe_connections: 1,
            linger: Duration::from_secs(600),
            sweep: Duration::from_secs(30),
        }
    }
}

/// The sharable half: publishes, reads and health. All rooms lie on one server; where there are
/// several, this is where a room would find its own.
#[derive(Clone)]
pub(crate) struct RedisBus {
    submitter: Submitter,
    reader: Reader,
    vitals: Vitals,
}

impl RedisBus {
    /// Checks the server and starts the bus's tasks on this runtime.
    pub(crate) async fn start(
        options: RedisOptions,
        metrics: BusMetrics,
    ) -> Result<(Self, RedisFeeds), StartError> {
        let prefix = &options.prefix;
        let printable = prefix.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if prefix.is_empty() || prefix.len() > MAX_PREFIX || !printable {
            return Err(StartError::Prefix);
        }
        let keys = Keys::new(prefix);
        let server = Server::new(&options.url).map_err(|e| StartError::Url(e.to_string()))?;
        start::check(&mut server.connect(|_| ()).await?).await?;
        let connections = options.publish_connections.max(1);
        let (link, keeper) = Link::start(server.clone(), connections, metrics.clone()).await?;
        tokio::spawn(keeper);

        let linger = options.linger;
        let reader = Reader::new(&server, link.clone(), keys.clone(), linger, metrics.clone())?;
        let node = random_epoch().to_string();
        let sender = Sender {
            node: node.clone(),
            keys: keys.clone(),
            link: link.clone(),
            linger,
            metrics: metrics.clone(),
            number: AtomicU64::new(0),
            refusals: Seldom::new(),
        };
        let (submitter, publisher) = Submitter::new(sender, metrics.clone());
        tokio::spawn(publisher);

        let count = options.subscribe_connections.max(1);
        let vitals = Vitals::new(count);
        let exit = Arc::new(Exit::default());
        let lane = |index| {
            let tools = Tools {
                server: server.clone(),
                keys: keys.clone(),
                link: link.clone(),
                reader: reader.clone(),
                exit: exit.clone(),
                vitals: vitals.clone(),
                metrics: metrics.clone(),
                linger,
                sweep: options.sweep,
                node: node.clone(),
            };
            let (lane, commands) = Lane::new(index, tools);
            tokio::spawn(lane.run());
            commands
        };
        let lanes = (0..count).map(lane).collect();
        Ok((Self { submitter, reader, vitals }, RedisFeeds::new(exit, lanes)))
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
        self.vitals.health()
    }
}
