//! The bus over Redis: it puts the parts together (server map, publishing, reads, feeds, leases) and
//! hands out one handle. All tasks run on the runtime that starts the bus.

mod options;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use roomcast_metrics::BusMetrics;
use roomcast_protocol::{Lineage, RoomName, Seq};
use tokio::sync::{mpsc, oneshot, watch};

use crate::api::{
    Ephemeral, EphemeralFate, Health, History, HistoryRequest, OrderPage, OrderRecord,
    OrderRevision, Publication, PublishReply, ReadError, RoomStateRead, random_epoch,
};
use crate::ephemeral::{EphemeralSender, EphemeralTools};
use crate::event_queue::EventQueue;
use crate::leases::{LeaseKeeper, LeaseNews, LeaseStanding};
use crate::listening::RedisFeeds;
use crate::log_throttle::LogThrottle;
use crate::map_owner::cluster::ClusterOwner;
use crate::map_owner::opening::{RedisOpening, Unopened};
use crate::map_owner::servers::{ServerListChange, ServerListOwner};
use crate::map_owner::shard_maker::ShardMaker;
use crate::online::OnlineStore;
use crate::orders::OrderStore;
use crate::placement::address::{self, RedisTopology};
use crate::placement::describe;
use crate::placement::keys::Keyspace;
use crate::presence::{PresenceParts, PresenceStore};
use crate::primary::fault::RedisStartError;
use crate::publishing::Submitter;
use crate::publishing::group::GroupSender;
use crate::reads::RoomReader;
use crate::receipts::ReceiptStore;
use crate::server_map::ServerMap;
use crate::tickets::TicketStore;
use options::is_prefix;
pub use options::{RedisOptions, check_url, locate_room};

/// The sharable half: publishes, reads and health.
#[derive(Clone)]
pub(crate) struct RedisBus {
    submitter: Submitter,
    ephemeral: EphemeralSender,
    reader: RoomReader,
    orders: OrderStore,
    tickets: TicketStore,
    online: OnlineStore,
    receipts: ReceiptStore,
    presence: PresenceStore,
    shards: ServerMap,
    owner: Owner,
    /// True after Redis was reached for the first time.
    reached: Arc<AtomicBool>,
    /// Where Redis is, for logs and errors.
    place: Arc<str>,
    /// Dropped with the last handle: then the task of the lease ends.
    _leased: Arc<oneshot::Sender<()>>,
}

/// The owner of the server map; its task ends when the last handle is dropped.
#[derive(Clone)]
enum Owner {
    Servers(mpsc::UnboundedSender<ServerListChange>),
    Cluster { _user: mpsc::UnboundedSender<ServerListChange> },
}

/// Why a running node does not take another list of servers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Correct the URL.
    #[error("the Redis URL is not valid: {0}")]
    Url(String),
    /// Restart the node: a cluster, or the bus in memory, has no list of servers.
    #[error("only a list of servers can be changed while the node runs")]
    Kind,
}

impl RedisBus {
    /// A bus, its feeds and the opening that must succeed before they work.
    pub(crate) fn prepare(
        options: RedisOptions,
        metrics: BusMetrics,
    ) -> Result<(Self, RedisFeeds, RedisOpening), RedisStartError> {
        if !is_prefix(&options.prefix) {
            return Err(RedisStartError::Prefix);
        }
        let topology = address::read(&options.url, options.trust())
            .map_err(|e| RedisStartError::Url(e.to_string()))?;
        let place = describe::describe(&topology).into();
        let keys = Keyspace::new(&options.prefix);
        metrics.writable.set(1);

        let (shards, map, doubt) = ServerMap::new(&keys);
        let reader = RoomReader {
            shards: shards.clone(),
            keys: keys.clone(),
            linger: options.linger,
            metrics: metrics.clone(),
            unreadable_log: Arc::new(LogThrottle::new()),
        };
        let events = Arc::new(EventQueue::default());
        let (version, versions) = watch::channel(options.version.max(1));
        let mut maker = ShardMaker {
            keys: keys.clone(),
            shards: shards.clone(),
            reader: reader.clone(),
            events: events.clone(),
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
            RedisTopology::Servers(servers) => {
                let servers = ServerListOwner { map, version, maker, servers };
                (Owner::Servers(sender), Unopened::Servers(servers), "PUBLISH")
            }
            RedisTopology::Cluster(seeds) => {
                maker.version = None;
                let cluster = ClusterOwner::new(map, doubt, maker, seeds);
                (Owner::Cluster { _user: sender }, Unopened::Cluster(cluster), "SPUBLISH")
            }
        };
        let reached = Arc::new(AtomicBool::new(false));
        let known = (keys.clone(), shards.clone());
        let opening = RedisOpening::new((unopened, changes), known, reached.clone());
        let (standing, lease) = watch::channel(LeaseStanding::default());
        let online =
            OnlineStore { node: node.clone(), keys: keys.clone(), shards: shards.clone(), lease };
        let receipts = ReceiptStore {
            keys: keys.clone(),
            shards: shards.clone(),
            push,
            metrics: metrics.clone(),
        };
        let sender = GroupSender {
            node,
            keys: keys.clone(),
            shards: shards.clone(),
            push,
            linger: options.linger,
            metrics: metrics.clone(),
            number: AtomicU64::new(0),
            refusal_log: LogThrottle::new(),
        };
        let (ephemeral, pusher) = EphemeralSender::new(EphemeralTools {
            keys: keys.clone(),
            shards: shards.clone(),
            push,
            metrics: metrics.clone(),
        });
        tokio::spawn(pusher);
        let (submitter, publisher) = Submitter::new(sender, metrics.clone());
        tokio::spawn(publisher);
        let orders = OrderStore { keys: keys.clone(), shards: shards.clone() };
        let tickets = TicketStore { keys: keys.clone(), shards: shards.clone() };
        let connections = options.connections;
        let (news, lease_news) = watch::channel(LeaseNews::default());
        let (refuse, refused) = mpsc::unbounded_channel();
        let presence = PresenceStore::start(PresenceParts {
            keys: keys.clone(),
            shards: shards.clone(),
            push,
            metrics: metrics.clone(),
            events: events.clone(),
            sweep: options.sweep,
            lease: lease_news,
            refuse,
        });
        let leases = LeaseKeeper {
            keys,
            shards: shards.clone(),
            metrics,
            connections,
            standing,
            news,
            refused,
        };
        let (leased, ended) = oneshot::channel();
        tokio::spawn(leases.run(ended));
        let feeds = RedisFeeds::new(events, shards.clone());
        Ok((
            Self {
                submitter,
                ephemeral,
                reader,
                orders,
                tickets,
                online,
                receipts,
                presence,
                shards,
                owner,
                reached,
                place,
                _leased: Arc::new(leased),
            },
            feeds,
            opening,
        ))
    }

    pub(crate) fn submit(&self, room: RoomName, publication: &Publication, reply: PublishReply) {
        self.submitter.submit(room, publication, reply);
    }

    pub(crate) fn send_ephemeral(&self, room: &RoomName, ephemeral: &Ephemeral) -> EphemeralFate {
        self.ephemeral.send(room, ephemeral)
    }

    pub(crate) async fn history(
        &self,
        room: &RoomName,
        request: HistoryRequest,
    ) -> Result<History, ReadError> {
        self.reader.history(room, request).await
    }

    pub(crate) async fn state(
        &self,
        room: &RoomName,
        points: u32,
    ) -> Result<RoomStateRead, ReadError> {
        self.reader.state(room, points).await
    }

    pub(crate) async fn standing(&self, room: &RoomName) -> Result<(Lineage, Seq), ReadError> {
        let (page, _) = self.reader.standing(room).await?;
        Ok((page.lineage, page.last))
    }

    pub(crate) async fn exchange_orders(
        &self,
        known: &OrderRevision,
        records: &[OrderRecord],
    ) -> Result<OrderPage, ReadError> {
        self.orders.exchange(known, records).await
    }

    pub(crate) fn tickets(&self) -> &TicketStore {
        &self.tickets
    }

    pub(crate) fn online(&self) -> &OnlineStore {
        &self.online
    }

    pub(crate) fn receipts(&self) -> &ReceiptStore {
        &self.receipts
    }

    pub(crate) fn presence(&self) -> &PresenceStore {
        &self.presence
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

    /// Takes another list of servers, with its version.
    pub(crate) async fn change(&self, options: &RedisOptions) -> Result<(), ChangeError> {
        let topology = address::read(&options.url, options.trust())
            .map_err(|e| ChangeError::Url(e.to_string()))?;
        let (Owner::Servers(changes), RedisTopology::Servers(servers)) = (&self.owner, topology)
        else {
            return Err(ChangeError::Kind);
        };
        let (done, taken) = oneshot::channel();
        // The owner ends with the last handle, and `self` is one.
        let _ = changes.send(ServerListChange { servers, version: options.version, done });
        let _ = taken.await;
        Ok(())
    }
}
