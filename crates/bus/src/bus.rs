//! The bus as the node sees it: one handle to publish and read, one set of feeds to listen to.
//! It knows which kind of bus stands behind and nothing else.

use roomcast_metrics::BusMetrics;
use roomcast_protocol::{Lineage, RoomName, Seq};
use tokio::sync::oneshot;

use crate::api::{
    Health, History, HistoryRequest, Publication, PublishAck, PublishError, PublishReply,
    ReadError, RoomEvent,
};
use crate::listening::RedisFeeds;
use crate::map_owner::opening::RedisOpening;
use crate::memory::{MemoryBus, MemoryFeeds, MemoryOptions};
use crate::primary::fault::RedisStartError;
use crate::redis_bus::{ChangeError, RedisBus, RedisOptions};

/// A handle to the bus; clones share it, and any thread may use it.
#[derive(Clone)]
pub struct Bus(Kind);

#[derive(Clone)]
enum Kind {
    Memory(MemoryBus),
    Redis(Box<RedisBus>),
}

impl Bus {
    /// A bus for one node alone, in its memory.
    pub fn memory(options: MemoryOptions) -> (Self, Feeds) {
        let (bus, feeds) = MemoryBus::new(options);
        (Self(Kind::Memory(bus)), Feeds(FeedsKind::Memory(feeds)))
    }

    /// A bus over Redis, for any number of nodes. Its tasks run on the runtime that calls this; the
    /// servers are checked first, and one that is away is an error.
    pub async fn redis(
        options: RedisOptions,
        metrics: BusMetrics,
    ) -> Result<(Self, Feeds), RedisStartError> {
        let (bus, feeds, opening) = Self::redis_later(options, metrics)?;
        opening.try_once().await?;
        Ok((bus, feeds))
    }

    /// The same, before Redis is reached: until the opening has ended well publishes and reads
    /// fail, and feeds are silent. Call it, and poll the opening, on the runtime of the bus.
    pub fn redis_later(
        options: RedisOptions,
        metrics: BusMetrics,
    ) -> Result<(Self, Feeds, RedisOpening), RedisStartError> {
        let (bus, feeds, opening) = RedisBus::prepare(options, metrics)?;
        let bus = Self(Kind::Redis(Box::new(bus)));
        Ok((bus, Feeds(FeedsKind::Redis(feeds)), opening))
    }

    /// Hands a publication over and returns at once. What one thread submits to one room is
    /// sequenced in the order of its calls. `reply` is called exactly once, from a task of the bus
    /// or before this returns, whatever happens; it must be short and must not block.
    pub fn submit(&self, room: RoomName, publication: Publication, reply: PublishReply) {
        match &self.0 {
            Kind::Memory(bus) => reply(bus.publish(room, publication)),
            Kind::Redis(bus) => bus.submit(room, &publication, reply),
        }
    }

    /// Publishes and waits for the outcome.
    pub async fn publish(
        &self,
        room: RoomName,
        publication: Publication,
    ) -> Result<PublishAck, PublishError> {
        let (sender, outcome) = oneshot::channel();
        let reply = Box::new(move |result| {
            // A caller that no longer waits needs no answer.
            let _ = sender.send(result);
        });
        self.submit(room, publication, reply);
        outcome.await.unwrap_or(Err(PublishError::Unknown))
    }

    /// Reads what users may see of a room's history. A room that does not exist is not created by
    /// this: its epoch is `Epoch::NONE`, its last seq 0. Works while Redis refuses writes.
    pub async fn history(
        &self,
        room: &RoomName,
        request: HistoryRequest,
    ) -> Result<History, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.history(room, request)),
            Kind::Redis(bus) => bus.history(room, request).await,
        }
    }

    /// Where a room stands now: its epoch with its ancestors, and its last seq. It is asked for
    /// rooms that have members or are about to, so a room that does not exist begins here; of one
    /// that exists it tells while Redis refuses writes, too.
    pub async fn standing(&self, room: &RoomName) -> Result<(Lineage, Seq), ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.standing(room)),
            Kind::Redis(bus) => bus.standing(room).await,
        }
    }

    /// Takes another list of Redis servers over, with its version: rooms whose server is another
    /// one now begin anew there (`Reset`), and no others are touched. Nodes that have the older
    /// list still are refused by the servers until they take the new one. Returns when the new
    /// list is in force here.
    pub async fn change_servers(&self, options: &RedisOptions) -> Result<(), ChangeError> {
        match &self.0 {
            Kind::Memory(_) => Err(ChangeError::Kind),
            Kind::Redis(bus) => bus.change(options).await,
        }
    }

    /// Whether Redis was reached, and passed its checks, since the node started.
    pub fn is_reached(&self) -> bool {
        match &self.0 {
            Kind::Memory(_) => true,
            Kind::Redis(bus) => bus.is_reached(),
        }
    }

    /// Where the rooms are, in words without passwords.
    pub fn place(&self) -> &str {
        match &self.0 {
            Kind::Memory(_) => "in memory",
            Kind::Redis(bus) => bus.place(),
        }
    }

    /// Whether the bus works, as readiness sees it.
    pub fn health(&self) -> Health {
        match &self.0 {
            Kind::Memory(_) => Health { reached: true, probed: true, subscribed: true },
            Kind::Redis(bus) => bus.health(),
        }
    }
}

/// The feeds of the rooms that a node listens to. One owner polls `next` all the time.
pub struct Feeds(FeedsKind);

enum FeedsKind {
    Memory(MemoryFeeds),
    Redis(RedisFeeds),
}

impl Feeds {
    /// Begins to listen to a room: `Opened` follows, then its messages. A room that is open
    /// already is left as it is.
    pub fn open(&mut self, room: RoomName) {
        match &mut self.0 {
            FeedsKind::Memory(feeds) => feeds.open(room),
            FeedsKind::Redis(feeds) => feeds.open(room),
        }
    }

    /// Stops listening to a room; nothing more is told of it unless it is opened again.
    pub fn close(&mut self, room: &RoomName) {
        match &mut self.0 {
            FeedsKind::Memory(feeds) => feeds.close(room),
            FeedsKind::Redis(feeds) => feeds.close(room),
        }
    }

    /// Everything that is ready, in order within each room, with consecutive messages of a room
    /// in one event; waits until there is something. Cancel-safe: what it did not return, the next
    /// call does.
    pub async fn next(&mut self) -> Vec<RoomEvent> {
        match &mut self.0 {
            FeedsKind::Memory(feeds) => feeds.next().await,
            FeedsKind::Redis(feeds) => feeds.next().await,
        }
    }
}
