//! The bus as the node sees it: one handle to publish and read, one set of feeds to listen to. It
//! only selects the kind of bus, in memory or over Redis.

mod presence;

use std::time::Duration;

use roomcast_metrics::BusMetrics;
use roomcast_protocol::{Lineage, Position, RoomName, Seq, UserName};
use tokio::sync::oneshot;

use crate::api::{
    Ephemeral, EphemeralFate, Health, History, HistoryRequest, OrderPage, OrderRecord,
    OrderRevision, Publication, PublishAck, PublishError, PublishReply, ReadError, ReceiptCounts,
    ReceiptError, ReceiptMarks, ReceiptMove, ReceiptRules, Retention, RoomEvent, RoomOutline,
    RoomStateRead, TicketUse, UserNewcomer, UserPlace, UserPresence,
};
use crate::listening::RedisFeeds;
use crate::map_owner::opening::RedisOpening;
use crate::memory::{MemoryBus, MemoryFeeds, MemoryOptions};
use crate::online::OnlineNews;
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
    /// A bus for a single node, in its memory, that counts nothing.
    pub fn memory(options: MemoryOptions) -> (Self, Feeds) {
        let (bus, feeds) = MemoryBus::new(options, None);
        (Self(Kind::Memory(bus)), Feeds(FeedsKind::Memory(feeds)))
    }

    /// The same, and it counts changes of presence.
    pub fn memory_counted(options: MemoryOptions, metrics: BusMetrics) -> (Self, Feeds) {
        let (bus, feeds) = MemoryBus::new(options, Some(metrics));
        (Self(Kind::Memory(bus)), Feeds(FeedsKind::Memory(feeds)))
    }

    /// A bus over Redis, for any number of nodes. Its tasks run on the runtime that calls this. The
    /// servers are checked first; an unreachable server is an error.
    pub async fn redis(
        options: RedisOptions,
        metrics: BusMetrics,
    ) -> Result<(Self, Feeds), RedisStartError> {
        let (bus, feeds, opening) = Self::redis_later(options, metrics)?;
        opening.try_once().await?;
        Ok((bus, feeds))
    }

    /// The same, before Redis is reached: until the opening has succeeded, publishes and reads fail
    /// and feeds deliver nothing. Call this, and poll the opening, on the runtime of the bus.
    pub fn redis_later(
        options: RedisOptions,
        metrics: BusMetrics,
    ) -> Result<(Self, Feeds, RedisOpening), RedisStartError> {
        let (bus, feeds, opening) = RedisBus::prepare(options, metrics)?;
        let bus = Self(Kind::Redis(Box::new(bus)));
        Ok((bus, Feeds(FeedsKind::Redis(feeds)), opening))
    }

    /// Tells the members of a room something that is neither numbered nor kept. Returns at once.
    pub fn send_ephemeral(&self, room: &RoomName, ephemeral: Ephemeral) -> EphemeralFate {
        match &self.0 {
            Kind::Memory(bus) => bus.send_ephemeral(room, ephemeral),
            Kind::Redis(bus) => bus.send_ephemeral(room, &ephemeral),
        }
    }

    /// Hands a publication over and returns at once. What one thread submits to one room is
    /// sequenced in the order of its calls. `reply` is called exactly once, from a task of the bus
    /// or before this returns. It must be short and must not block.
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
            // The caller may have stopped waiting.
            let _ = sender.send(result);
        });
        self.submit(room, publication, reply);
        outcome.await.unwrap_or(Err(PublishError::Unknown))
    }

    /// Reads what users may see of a room's history. It does not create a room: the epoch of a room
    /// that does not exist is `Epoch::NONE`, its last seq 0. It works while Redis refuses writes.
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

    /// Reads the whole state of a room at one position; with `points`, so many of the last messages of
    /// each key. It does not create a room, and works while Redis refuses writes.
    pub async fn state(&self, room: &RoomName, points: u32) -> Result<RoomStateRead, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.state(room, points)),
            Kind::Redis(bus) => bus.state(room, points).await,
        }
    }

    /// A room's epoch with its ancestors, and its last seq. It is called for rooms that have
    /// members or are about to, so it creates a room that does not exist. For a room that exists it
    /// works while Redis refuses writes.
    pub async fn standing(&self, room: &RoomName) -> Result<(Lineage, Seq), ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.standing(room)),
            Kind::Redis(bus) => bus.standing(room).await,
        }
    }

    /// Moves users' positions in a room; one answer for each move, in their order. Nothing is
    /// created where there is no room.
    pub async fn advance_receipts(
        &self,
        room: &RoomName,
        moves: &[ReceiptMove],
        rules: ReceiptRules,
    ) -> Result<Vec<Result<ReceiptMarks, ReceiptError>>, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.advance_receipts(room, moves, rules)),
            Kind::Redis(bus) => bus.receipts().advance(room, moves, rules).await,
        }
    }

    /// Where a room is, and a user in it. The room's receipts last for `age` from now on, or as long
    /// as they did if that is zero. It creates no room.
    pub async fn outline(
        &self,
        room: &RoomName,
        user: Option<&UserName>,
        (kept, age): (Retention, Duration),
    ) -> Result<RoomOutline, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.outline(room, user, kept)),
            Kind::Redis(bus) => bus.receipts().outline(room, user, (kept, age)).await,
        }
    }

    /// The position before a room's first message of a time (Unix ms by the bus's clock) or later. 0
    /// in its epoch if what is kept begins later; `Position::START` if the room does not exist.
    pub async fn position_at(&self, room: &RoomName, time: u64) -> Result<Position, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.position_at(room, time)),
            Kind::Redis(bus) => bus.receipts().position_at(room, time).await,
        }
    }

    /// How many users have each of these messages of a room.
    pub async fn count_receipts(
        &self,
        room: &RoomName,
        seqs: &[Seq],
    ) -> Result<ReceiptCounts, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.count_receipts(room, seqs)),
            Kind::Redis(bus) => bus.receipts().count(room, seqs).await,
        }
    }

    /// Adds orders to those that the bus keeps, and reads what changed since `known`: all orders if
    /// that is none of the bus's present revisions. Of two orders of one id a lift wins, and the
    /// later end; what has ended is removed.
    pub async fn exchange_orders(
        &self,
        known: &OrderRevision,
        records: &[OrderRecord],
    ) -> Result<OrderPage, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.exchange_orders(known, records)),
            Kind::Redis(bus) => bus.exchange_orders(known, records).await,
        }
    }

    /// Keeps a record under a ticket for so long: a random text that nobody guesses.
    pub async fn keep_ticket(
        &self,
        ticket: &str,
        record: &str,
        life: Duration,
    ) -> Result<(), ReadError> {
        match &self.0 {
            Kind::Memory(bus) => {
                bus.keep_ticket(ticket, record, life);
                Ok(())
            }
            Kind::Redis(bus) => bus.tickets().keep(ticket, record, life).await,
        }
    }

    /// The record of a ticket; `None` for one that is unknown, ended or taken.
    pub async fn find_ticket(
        &self,
        ticket: &str,
        usage: TicketUse,
    ) -> Result<Option<String>, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.find_ticket(ticket, usage)),
            Kind::Redis(bus) => bus.tickets().find(ticket, usage).await,
        }
    }

    /// Sets how many connections a user has on this node.
    pub async fn set_user(&self, user: &UserName, here: &UserPresence) -> Result<(), ReadError> {
        match &self.0 {
            // No other thread looks.
            Kind::Memory(_) => Ok(()),
            Kind::Redis(bus) => bus.online().set(user, here).await,
        }
    }

    /// Sets the same with a newcomer in it, if the user has a place for it on all nodes together.
    /// If there is none, what was set before stays.
    pub async fn admit_user(
        &self,
        user: &UserName,
        here: &UserPresence,
        newcomer: UserNewcomer,
    ) -> Result<UserPlace, ReadError> {
        match &self.0 {
            // The node's own count is all there is.
            Kind::Memory(_) => Err(ReadError::Unavailable),
            Kind::Redis(bus) => bus.online().admit(user, here, newcomer).await,
        }
    }

    /// Tells when all users of this node are to be set again.
    pub fn online_news(&self) -> OnlineNews {
        match &self.0 {
            Kind::Memory(_) => OnlineNews::never(),
            Kind::Redis(bus) => bus.online().news(),
        }
    }

    /// Replaces the list of Redis servers by one of a later version: rooms that are placed on
    /// another server now are created there (`Reset`), and no others are touched. The servers
    /// refuse nodes that still have the older list until these take the new one. Returns when the
    /// new list is in force here.
    pub async fn change_servers(&self, options: &RedisOptions) -> Result<(), ChangeError> {
        match &self.0 {
            Kind::Memory(_) => Err(ChangeError::Kind),
            Kind::Redis(bus) => bus.change(options).await,
        }
    }

    /// Whether Redis was reached and passed its checks after the node started.
    pub fn is_reached(&self) -> bool {
        match &self.0 {
            Kind::Memory(_) => true,
            Kind::Redis(bus) => bus.is_reached(),
        }
    }

    /// Whether other nodes may use it too.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Kind::Redis(_))
    }

    /// Where the rooms are, for logs and errors; without passwords.
    pub fn place(&self) -> &str {
        match &self.0 {
            Kind::Memory(_) => "in memory",
            Kind::Redis(bus) => bus.place(),
        }
    }

    /// Whether the bus works, for readiness.
    pub fn health(&self) -> Health {
        match &self.0 {
            Kind::Memory(_) => Health { reached: true, probed: true, subscribed: true },
            Kind::Redis(bus) => bus.health(),
        }
    }
}

/// The feeds of the rooms that a node listens to. One owner must poll `next` all the time.
pub struct Feeds(FeedsKind);

enum FeedsKind {
    Memory(MemoryFeeds),
    Redis(RedisFeeds),
}

impl Feeds {
    /// Starts to listen to a room: `Opened` follows, then its messages. A room that is open already
    /// is left as it is.
    pub fn open(&mut self, room: RoomName) {
        match &mut self.0 {
            FeedsKind::Memory(feeds) => feeds.open(room),
            FeedsKind::Redis(feeds) => feeds.open(room),
        }
    }

    /// Stops listening to a room; nothing more of it is delivered unless it is opened again.
    pub fn close(&mut self, room: &RoomName) {
        match &mut self.0 {
            FeedsKind::Memory(feeds) => feeds.close(room),
            FeedsKind::Redis(feeds) => feeds.close(room),
        }
    }

    /// Every event that is ready, in order within each room, with consecutive messages of a room in
    /// one event; waits until there is one. Cancel-safe: the next call returns what this one did
    /// not.
    pub async fn next(&mut self) -> Vec<RoomEvent> {
        match &mut self.0 {
            FeedsKind::Memory(feeds) => feeds.next().await,
            FeedsKind::Redis(feeds) => feeds.next().await,
        }
    }
}
