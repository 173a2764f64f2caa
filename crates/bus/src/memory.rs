//! The bus of a single node: rooms in this process's memory behind one short lock. It owns the
//! lock, the clock and the wake-up of the feeds; `memory/` has the logic of rooms, without clock or
//! lock.

mod clock;
mod orders;
mod presence;
mod rate;
mod receipts;
mod results;
mod room;
mod rooms;
mod state;
mod tickets;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roomcast_metrics::BusMetrics;
use roomcast_protocol::{Lineage, Position, RoomName, Seq, UserName};
use tokio::sync::Notify;

use crate::api::{
    Ephemeral, EphemeralFate, History, HistoryRequest, OrderPage, OrderRecord, OrderRevision,
    Publication, PublishAck, PublishError, ReceiptCounts, ReceiptError, ReceiptMarks, ReceiptMove,
    ReceiptRules, Retention, RoomEvent, RoomOutline, RoomStateRead, TicketUse,
};
use clock::MemoryClock;
use orders::MemoryOrders;
use rooms::MemoryRooms;
use tickets::MemoryTickets;

/// Settings of the bus in memory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryOptions {
    /// Bytes that may wait for the feeds' owner to poll; further publications are refused
    /// as overloaded. The owner always polls, so this is a guard, not a working size.
    pub pending_bytes: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { pending_bytes: 64 << 20 }
    }
}

/// The sharable half: publishes and reads.
#[derive(Clone)]
pub(crate) struct MemoryBus(Arc<Shared>);

struct Shared {
    clock: MemoryClock,
    rooms: Mutex<MemoryRooms>,
    orders: Mutex<MemoryOrders>,
    tickets: Mutex<MemoryTickets>,
    /// Wakes the feeds when a first event waits.
    ready: Notify,
}

impl Shared {
    fn rooms(&self) -> MutexGuard<'_, MemoryRooms> {
        // Code that changes rooms does not panic; if it did, the other rooms would still be valid.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn tickets(&self) -> MutexGuard<'_, MemoryTickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryBus {
    /// The bus and its feeds.
    pub(crate) fn new(options: MemoryOptions, metrics: Option<BusMetrics>) -> (Self, MemoryFeeds) {
        let mut rooms = MemoryRooms::new(options.pending_bytes);
        rooms.presence.metrics = metrics;
        let shared = Arc::new(Shared {
            clock: MemoryClock::start(),
            rooms: Mutex::new(rooms),
            orders: Mutex::default(),
            tickets: Mutex::default(),
            ready: Notify::new(),
        });
        (Self(shared.clone()), MemoryFeeds(shared))
    }

    pub(crate) fn publish(
        &self,
        room: RoomName,
        publication: Publication,
    ) -> Result<PublishAck, PublishError> {
        let now = self.0.clock.now();
        let (result, wake) = {
            let mut rooms = self.0.rooms();
            let idle = !rooms.pending.is_ready();
            let result = rooms.publish(room, publication, now);
            (result, idle && rooms.pending.is_ready())
        };
        if wake {
            self.0.ready.notify_one();
        }
        result
    }

    pub(crate) fn send_ephemeral(&self, room: &RoomName, ephemeral: Ephemeral) -> EphemeralFate {
        let (fate, wake) = {
            let mut rooms = self.0.rooms();
            let idle = !rooms.pending.is_ready();
            let fate = rooms.send_ephemeral(room, ephemeral);
            (fate, idle && rooms.pending.is_ready())
        };
        if wake {
            self.0.ready.notify_one();
        }
        fate
    }

    pub(crate) fn history(&self, room: &RoomName, request: HistoryRequest) -> History {
        let now = self.0.clock.now();
        self.0.rooms().history(room, request, now)
    }

    pub(crate) fn advance_receipts(
        &self,
        room: &RoomName,
        moves: &[ReceiptMove],
        rules: ReceiptRules,
    ) -> Vec<Result<ReceiptMarks, ReceiptError>> {
        let results = self.0.rooms().advance_receipts(room, moves, rules);
        self.0.ready.notify_one();
        results
    }

    pub(crate) fn outline(
        &self,
        room: &RoomName,
        user: Option<&UserName>,
        kept: Retention,
    ) -> RoomOutline {
        let now = self.0.clock.now();
        self.0.rooms().outline(room, user, kept, now)
    }

    pub(crate) fn position_at(&self, room: &RoomName, time: u64) -> Position {
        self.0.rooms().position_at(room, time)
    }

    pub(crate) fn count_receipts(&self, room: &RoomName, seqs: &[Seq]) -> ReceiptCounts {
        self.0.rooms().count_receipts(room, seqs)
    }

    pub(crate) fn state(&self, room: &RoomName, points: u32) -> RoomStateRead {
        let now = self.0.clock.now();
        self.0.rooms().state(room, points, now)
    }

    pub(crate) fn exchange_orders(
        &self,
        known: &OrderRevision,
        records: &[OrderRecord],
    ) -> OrderPage {
        let now = self.0.clock.now();
        let mut orders = self.0.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.exchange(known, records, now)
    }

    pub(crate) fn keep_ticket(&self, ticket: &str, record: &str, life: Duration) {
        let now = self.0.clock.now();
        let end = now.saturating_add(life.as_millis() as u64);
        self.0.tickets().keep(ticket, record, end, now);
    }

    pub(crate) fn find_ticket(&self, ticket: &str, usage: TicketUse) -> Option<String> {
        let now = self.0.clock.now();
        self.0.tickets().find(ticket, usage, now)
    }

    pub(crate) fn standing(&self, room: &RoomName) -> (Lineage, Seq) {
        let now = self.0.clock.now();
        self.0.rooms().standing(room, now)
    }
}

/// The listening half; dropping it stops listening to all rooms.
pub(crate) struct MemoryFeeds(Arc<Shared>);

impl MemoryFeeds {
    pub(crate) fn open(&mut self, room: RoomName) {
        let now = self.0.clock.now();
        self.0.rooms().open(room, now);
        self.0.ready.notify_one();
    }

    pub(crate) fn close(&mut self, room: &RoomName) {
        let now = self.0.clock.now();
        self.0.rooms().close(room, now);
    }

    pub(crate) async fn next(&mut self) -> Vec<RoomEvent> {
        loop {
            let due = {
                let mut rooms = self.0.rooms();
                let events = rooms.pending.take();
                if !events.is_empty() {
                    return events;
                }
                let now = self.0.clock.now();
                let grace = rooms.expire_presence(now);
                if rooms.pending.is_ready() {
                    continue;
                }
                rooms.expire(now).into_iter().chain(grace).min()
            };
            tokio::select! {
                () = self.0.ready.notified() => {}
                () = self.0.clock.reached(due) => {}
            }
        }
    }
}

impl Drop for MemoryFeeds {
    fn drop(&mut self) {
        let now = self.0.clock.now();
        self.0.rooms().close_all(now);
    }
}
