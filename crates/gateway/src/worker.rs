//! A worker: one thread with a single-threaded runtime, its connections and its view of the rooms.
//! It shares nothing with other threads, takes no lock and holds no borrow across an await. Three
//! owners hold what changes: `connections.rs`, `rooms.rs` and `work_queue.rs`.

mod access;
mod access_ends;
mod author_receipts;
mod backfill;
mod backfill_joins;
mod backfill_members;
mod chores;
mod confirms;
mod conflation;
mod connections;
mod deadlines;
mod deliver;
mod dispatch;
mod drain;
mod handle;
mod heartbeat;
mod history;
mod http_tasks;
mod hub_requests;
mod inflating;
mod join_lookups;
mod joins;
mod judging;
mod member_pages;
mod members;
mod orders;
mod own_room;
mod passes;
mod people;
mod publish;
mod questions;
mod rates;
mod requests;
mod room_info;
mod rooms;
mod signal_pace;
mod signals;
mod state_readers;
mod state_reads;
mod tokens;
mod user_rooms;
mod wheel;
mod work_queue;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use roomcast_bus::Bus;
use roomcast_metrics::Metrics;
use roomcast_protocol::NodeId;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

pub(crate) use chores::SLICE;
pub(crate) use inflating::InflateScratch;
pub(crate) use rates::{FrameFate, FrameRole};
pub(crate) use requests::BusAnswer;

use crate::auth::TokenKeys;
use crate::connection::{Connection, TURN_BYTES};
use crate::hub::HubHandle;
use crate::orders::OrderDesk;
use crate::page_token::PageSecret;
use crate::peers::PeerDesk;
use crate::receipts::ReceiptDesk;
use crate::settings::Settings;
use crate::tls::HandshakeTurn;
use crate::traces::Tracer;
use crate::user_limits::{UserConnections, UserLimits};
use access_ends::AccessEnds;
use conflation::Conflation;
use connections::LiveConnections;
use http_tasks::HttpTasks;
use hub_requests::HubClient;
use judging::LargeJudge;
use people::WaitingForNumbers;
use rooms::LocalRooms;
use signal_pace::SignalPace;
use state_reads::StateReads;
use work_queue::WorkQueue;

/// Requests for history of one connection that may be unanswered; each answer holds up to 64 KiB of
/// data until the client takes it.
const MAX_HISTORY_REQUESTS: u32 = 8;
/// Bytes of a frame begun that a stalled connection may hold in any case.
const ALLOWED_REST_BYTES: usize = 64 * 1024;

/// One worker: three owners of what changes, and what all of its parts use.
pub(crate) struct Worker {
    /// Its number on the node.
    pub(crate) index: usize,
    /// The node's name.
    pub(crate) node: NodeId,
    /// All metric families; handles are shared, values atomic.
    pub(crate) metrics: Metrics,
    settings: RefCell<Arc<Settings>>,
    pub(crate) bus: Bus,
    hub: HubClient,
    /// Answers of the bus. Bounded by the requests that connections may have in flight.
    answers: mpsc::UnboundedSender<BusAnswer>,
    pub(crate) tracer: Tracer,
    /// The keys that tokens are checked with, shared by the node's threads.
    pub(crate) keys: Arc<TokenKeys>,
    /// The ends of identities and of rooms' tokens.
    access_ends: RefCell<AccessEnds>,
    /// The node's bans and disconnects, once it follows them.
    orders: OnceCell<Arc<OrderDesk>>,
    /// Questions between nodes, once the node answers them.
    peers: OnceCell<Arc<PeerDesk>>,
    /// Where confirmations go, once the node writes them.
    receipt_desk: OnceCell<Arc<ReceiptDesk>>,
    /// The connections of all users of the node, once it follows them.
    user_connections: OnceCell<Arc<UserConnections>>,
    /// Reads of rooms' states that clients asked for.
    state_reads: StateReads,
    /// Connections and their timers.
    connections: LiveConnections,
    /// Rooms with local members, or about to have some.
    rooms: LocalRooms,
    /// What the next turns write.
    work: WorkQueue,
    /// The buffer that sockets are read into.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    /// What compressed frames are inflated with.
    pub(crate) inflating: RefCell<InflateScratch>,
    /// Bytes of messages that are arriving, over all connections.
    pub(crate) inbound_held: Rc<Cell<usize>>,
    /// Bytes of frames begun that the sockets have not taken, over all connections.
    pub(crate) stalled_held: Rc<Cell<usize>>,
    /// What users use of their limits, over all workers.
    users: Arc<UserLimits>,
    large_judge: LargeJudge,
    /// Joins that wait for the numbers of their rooms.
    waiting_for_numbers: RefCell<WaitingForNumbers>,
    page_secret: PageSecret,
    /// Signals that wait for newer ones.
    conflation: RefCell<Conflation>,
    /// A key has begun to wait.
    conflating: Notify,
    /// Rooms of which signals wait for their pass.
    signal_pace: RefCell<SignalPace>,
    /// The moment that rates count from.
    began: Instant,
    /// Whose TLS handshake goes on next.
    pub(crate) handshake_turn: HandshakeTurn,
    /// Sockets that are not WebSockets yet.
    http_tasks: RefCell<HttpTasks>,
}

impl Worker {
    /// A worker without connections. The bus's answers to it go to `answers`.
    pub(crate) fn new(
        (index, node): (usize, NodeId),
        (bus, hub, answers): (Bus, HubHandle, mpsc::UnboundedSender<BusAnswer>),
        settings: Arc<Settings>,
        (metrics, tracer): (Metrics, Tracer),
        keys: Arc<TokenKeys>,
    ) -> Self {
        Self {
            index,
            node,
            metrics,
            connections: LiveConnections::new(settings.heartbeat.interval),
            state_reads: StateReads::default(),
            rooms: LocalRooms::default(),
            work: WorkQueue::default(),
            settings: RefCell::new(settings),
            bus,
            hub: HubClient::new(index, hub),
            scratch: RefCell::new(vec![0; TURN_BYTES].into_boxed_slice()),
            inflating: RefCell::default(),
            inbound_held: Rc::default(),
            stalled_held: Rc::default(),
            users: Arc::default(),
            large_judge: LargeJudge::default(),
            waiting_for_numbers: RefCell::default(),
            page_secret: PageSecret::default(),
            conflation: RefCell::default(),
            conflating: Notify::new(),
            signal_pace: RefCell::default(),
            began: Instant::now(),
            handshake_turn: HandshakeTurn::default(),
            http_tasks: RefCell::default(),
            answers,
            tracer,
            keys,
            access_ends: RefCell::default(),
            orders: OnceCell::new(),
            peers: OnceCell::new(),
            receipt_desk: OnceCell::new(),
            user_connections: OnceCell::new(),
        }
    }

    /// The same worker, with the limits by user that it shares with others.
    pub(crate) fn with_users(mut self, users: Arc<UserLimits>) -> Self {
        self.users = users;
        self
    }

    /// The configuration in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    /// Sends the hub the commands for which it had no space, as long as the node runs.
    pub(super) async fn run_hub_requests(self: Rc<Self>) {
        self.hub.run().await;
    }

    /// Sends the hub as many of these commands as it has space for.
    #[cfg(test)]
    pub(crate) fn tell_hub(&self) {
        self.hub.flush();
    }

    /// Whether a connection may be read: it takes its answers, and fewer than
    /// `limits.inflight_publishes` of its requests are unanswered.
    pub(crate) fn may_read(&self, connection: &Connection) -> bool {
        let requests = self.settings.borrow().limits.requests;
        (connection.in_flight.get() as usize) < requests && self.may_go_on(connection)
    }

    /// Whether more of the bytes that were read of a connection may be handled in this turn: its
    /// answers that its socket has not taken, and its requests for history, are within their bounds,
    /// and no payload of it is being judged.
    pub(crate) fn may_go_on(&self, connection: &Connection) -> bool {
        connection.unread_control() <= self.settings.borrow().limits.control_bytes
            && connection.reading.get() < MAX_HISTORY_REQUESTS
            && !connection.judging.get()
    }

    /// Whether a connection is to end because of the memory that it holds: it holds much of a frame
    /// begun, and all connections together hold more than `limits.stalled_bytes`.
    pub(crate) fn holds_too_much(&self, connection: &Connection) -> bool {
        self.stalled_held.get() > self.settings.borrow().limits.stalled_bytes
            && connection.rest_held() > ALLOWED_REST_BYTES
    }

    /// Wakes a connection's task if the connection was held back and may be read now.
    pub(crate) fn release(&self, connection: &Connection) {
        if connection.held_back.get() && self.may_read(connection) {
            connection.held_back.set(false);
            connection.wake();
        }
    }

    /// Writes one turn of what waits for a connection. The rest is written after other connections.
    pub(crate) fn write(&self, connection: &Rc<Connection>) {
        connection.queued.set(false);
        let turn = self.rooms.write_turn(connection);
        self.metrics.traffic.messages_out.inc_by(turn.frames);
        self.metrics.traffic.bytes_out.inc_by(turn.bytes as u64);
        if turn.bytes > 0 {
            self.metrics.traffic.writes.inc();
        }
        if turn.more {
            self.write_soon(connection);
        }
        for room in turn.page_ended {
            self.request_backfill(&room);
        }
        self.release(connection);
        if connection.missed_list.get() {
            self.reset_missed_lists(connection);
        }
    }
}
