//! The orders that hold on this node: bans and disconnects. It keeps the book that all threads of
//! the node judge by, and the bus's copy of it in step. It knows no connection, worker or HTTP.
//!
//! The bus has one list of orders for all nodes. Every node exchanges what changed with it several
//! times a second, so that an order holds on every node that reaches Redis within a second, and a
//! node that was away catches up with its first exchange. What the bus has lost (a failover) it gets
//! back from the nodes: each writes the union of both.

mod clock;
mod exchange;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use roomcast_access::identity::TokenId;
use roomcast_access::orders::{
    AccessOrder, DisconnectTarget, OrderBook, OrderId, OrderKind, OrderState, OrderSubject,
    OrderVerdict, Renewal,
};
use roomcast_bus::{Bus, OrderRevision, ReadError};
use roomcast_metrics::{AccessMetrics, Metrics};
use roomcast_protocol::{CloseCode, ConnectionId, UserName};
use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use clock::BusClock;

/// Period of the exchanges: a ban is to hold within 1 s, and an exchange itself takes some time.
const EXCHANGE_PERIOD: Duration = Duration::from_millis(250);
/// Failed exchanges in a row after which Redis counts as lost: one connection may fail alone.
const LOST_FAILURES: u32 = 2;
/// Longest wait of a backend that gives an order; exchanges before its own are in it.
const ORDER_TIMEOUT: Duration = Duration::from_secs(3);
/// Orders that the API keeps at once: 20 MB in Redis and on every node.
pub(crate) const MAX_ORDERS: usize = 100_000;

/// How long a replaced connection's order holds: it is done within a second on all nodes that reach
/// Redis, and the list of orders stays short.
const REPLACED_LIFE: Duration = Duration::from_secs(60);
/// Attempts to give such an order; all of them together end before 10 s.
const REPLACE_ATTEMPTS: u32 = 3;

/// What is judged: a handshake, or a connection with its id and the time when it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JudgedClient<'a> {
    pub(crate) user: Option<&'a UserName>,
    /// The `jti` of its token.
    pub(crate) token_id: Option<&'a TokenId>,
    /// `None` where all that is known is a proxy's.
    pub(crate) address: Option<IpAddr>,
    pub(crate) connection: Option<(ConnectionId, u64)>,
}

/// What the orders say of a client that may not stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderedEnd {
    /// How its connection is closed.
    pub(crate) code: CloseCode,
    /// The reason that was given for a ban.
    pub(crate) reason: Option<String>,
}

/// Why an order was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderError {
    /// The bus does not answer. The order may hold or not: give it again.
    Unavailable,
    /// There are `MAX_ORDERS` already.
    Full,
}

/// The node's orders.
pub(crate) struct OrderDesk {
    bus: Bus,
    metrics: AccessMetrics,
    book: RwLock<OrderBook>,
    /// The book has orders: most nodes have none, and need no lock then.
    has_orders: AtomicBool,
    clock: BusClock,
    /// How far the bus's list was read. Held during an exchange: there is one at a time.
    known: Mutex<OrderRevision>,
    exchanges: AtomicU64,
    started: Instant,
    /// When an exchange last succeeded, in ms since `started`; 0: never.
    followed: AtomicU64,
    /// Exchanges that have failed since.
    failures: AtomicU32,
    /// Counts the times when connections are to be judged.
    news: watch::Sender<u64>,
}

impl OrderDesk {
    /// A desk that has not read the bus's list.
    pub(crate) fn new(bus: Bus, metrics: &Metrics) -> Self {
        Self {
            bus,
            metrics: metrics.access.clone(),
            book: RwLock::default(),
            has_orders: AtomicBool::new(false),
            clock: BusClock::default(),
            known: Mutex::default(),
            exchanges: AtomicU64::new(0),
            started: Instant::now(),
            followed: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            news: watch::Sender::new(0),
        }
    }

    /// Exchanges orders with the bus as long as the task runs. A bus in memory is this node's alone:
    /// what it has, this desk gave it.
    pub(crate) async fn follow(self: Arc<Self>) {
        if !self.bus.is_shared() {
            return;
        }
        let mut tick = interval(EXCHANGE_PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // A failure is counted, and shows in the node's readiness.
            let _next_time = self.exchange(&[]).await;
        }
    }

    /// Waits until the bus's list was read once.
    pub(crate) async fn first_read(&self) {
        while !self.was_read() && self.exchange(&[]).await.is_err() {
            tokio::time::sleep(EXCHANGE_PERIOD / 4).await;
        }
    }

    /// Whether the bus's list was ever read.
    pub(crate) fn was_read(&self) -> bool {
        !self.bus.is_shared() || self.followed.load(Ordering::Relaxed) > 0
    }

    /// Whether it was read within this time.
    pub(crate) fn was_read_within(&self, time: Duration) -> bool {
        let (followed, now) = (self.followed.load(Ordering::Relaxed), self.elapsed_ms());
        let is_recent = now.saturating_sub(followed) <= time.as_millis() as u64;
        !self.bus.is_shared() || (followed > 0 && is_recent)
    }

    /// Whether it was read within this time, and can be read: a node that lost Redis is to catch up
    /// before it calls itself ready, however short the loss was.
    pub(crate) fn is_followed(&self, within: Duration) -> bool {
        let is_lost = self.failures.load(Ordering::Relaxed) >= LOST_FAILURES;
        !self.bus.is_shared() || (self.was_read_within(within) && !is_lost)
    }

    /// Changes whenever connections are to be judged.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Unix time in ms by the bus's clock, as far as this node knows it.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// The latest that it can be by the bus's clock: what began before this is older than an order
    /// that is given now, whichever node it is on.
    pub(crate) fn latest(&self) -> u64 {
        self.now().saturating_add(self.clock.error())
    }

    /// The earliest that it can be by the bus's clock: what begins now did not begin before.
    pub(crate) fn earliest(&self) -> u64 {
        self.now().saturating_sub(self.clock.error())
    }

    /// What the orders say of a client; `None`: it may stay.
    pub(crate) fn judge(&self, client: JudgedClient<'_>) -> Option<OrderedEnd> {
        if !self.has_orders.load(Ordering::Relaxed) {
            return None;
        }
        let JudgedClient { user, token_id, address, connection } = client;
        let subject = OrderSubject { user, token_id, address, connection };
        let book = self.read();
        Some(match book.judge(subject, self.now())? {
            OrderVerdict::Banned(order) => {
                OrderedEnd { code: CloseCode::Banned, reason: order.reason.clone() }
            }
            OrderVerdict::Disconnect(Renewal::Yes) => {
                OrderedEnd { code: CloseCode::Expired, reason: None }
            }
            OrderVerdict::Disconnect(Renewal::Replaced) => {
                OrderedEnd { code: CloseCode::Replaced, reason: None }
            }
            OrderVerdict::Disconnect(Renewal::No) => {
                OrderedEnd { code: CloseCode::Disconnected, reason: None }
            }
        })
    }

    /// Whether a token with this `jti` is banned.
    pub(crate) fn is_token_banned(&self, token_id: &TokenId) -> bool {
        self.has_orders.load(Ordering::Relaxed)
            && self.read().ban_of_token(token_id, self.now()).is_some()
    }

    /// Whether connections of other nodes may be replaced by orders: bans have the other half.
    pub(crate) fn has_room_for_replacing(&self) -> bool {
        self.read().len() < MAX_ORDERS / 2
    }

    /// Has a connection of another node closed, as another one of its client took its place. If it
    /// cannot be, that node counts it again with its next state of the user.
    pub(crate) async fn close_replaced(self: Arc<Self>, connection: ConnectionId) {
        for _ in 0..REPLACE_ATTEMPTS {
            let kind = OrderKind::Disconnect {
                target: DisconnectTarget::Connection(connection),
                before: self.now(),
                renewal: Renewal::Replaced,
            };
            match self.give(kind, REPLACED_LIFE, None).await {
                Ok(_) => return,
                Err(OrderError::Full) => break,
                Err(OrderError::Unavailable) => tokio::time::sleep(EXCHANGE_PERIOD).await,
            }
        }
        tracing::warn!(%connection, "a connection that was replaced stays on another node");
    }

    /// Gives an order that holds for `life`; it is kept by the bus when this returns.
    pub(crate) async fn give(
        &self,
        kind: OrderKind,
        life: Duration,
        reason: Option<String>,
    ) -> Result<AccessOrder, OrderError> {
        if self.read().len() >= MAX_ORDERS {
            return Err(OrderError::Full);
        }
        let end = self.now().saturating_add(life.as_millis() as u64);
        let id = OrderId(rand::random());
        let order = AccessOrder { id, kind, end, reason, state: OrderState::InForce };
        self.exchange_now(std::slice::from_ref(&order)).await?;
        Ok(order)
    }

    /// Lifts a ban; false if there is none of this id.
    pub(crate) async fn lift(&self, id: OrderId) -> Result<bool, OrderError> {
        // It may have been given on another node just now.
        self.exchange_now(&[]).await?;
        let known = self.read().order(id).filter(|order| order.is_ban()).cloned();
        let Some(order) = known else { return Ok(false) };
        let lifted = AccessOrder { state: OrderState::Lifted, ..order };
        self.exchange_now(&[lifted]).await?;
        Ok(true)
    }

    /// The bans in force on all nodes.
    pub(crate) async fn bans(&self) -> Result<Vec<AccessOrder>, OrderError> {
        self.exchange_now(&[]).await?;
        Ok(self.read().bans(self.now()).cloned().collect())
    }

    /// An exchange for which a backend waits.
    async fn exchange_now(&self, orders: &[AccessOrder]) -> Result<(), OrderError> {
        match timeout(ORDER_TIMEOUT, self.exchange(orders)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ReadError::Unavailable)) | Err(_) => Err(OrderError::Unavailable),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, OrderBook> {
        // Code that changes the book does not panic; if it did, the rest would still be valid.
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, OrderBook> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests;
