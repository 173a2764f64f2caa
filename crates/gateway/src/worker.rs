//! A worker: one thread, one single-threaded runtime, its connections and its view of the rooms.
//! Nothing here is shared with another thread; no lock, and no borrow across an await.

mod asks;
mod chores;
mod deadlines;
mod deliver;
mod drain;
mod driver;
mod handle;
mod heartbeat;
mod members;
mod pages;
mod passes;
mod resume;
mod session;
mod visits;
mod wheel;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;
use roomcast_bus::Bus;
use roomcast_metrics::Metrics;
use roomcast_protocol::{ConnectionId, NodeId};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

pub(crate) use driver::{Handoff, WorkerParts, run};
pub(crate) use session::Reply;

use crate::connection::{Connection, TURN_BYTES};
use crate::hub::HubHandle;
use crate::room::{Room, RoomSlab, write_turn};
use crate::settings::Settings;
use crate::traces::Tracer;
use asks::Asks;
use chores::Chore;
use deadlines::Deadlines;
use heartbeat::Heartbeats;
use visits::Visits;

/// Requests for history of one connection that are answered at a time; each answer holds up to 64
/// KiB of data until the client takes it.
const MAX_READING: u32 = 8;
/// What any stalled connection may hold of a frame begun.
const SMALL_REST: usize = 64 * 1024;

/// Everything one worker owns.
pub(crate) struct Worker {
    /// Which one it is.
    pub(crate) index: usize,
    /// The node's name.
    pub(crate) node: NodeId,
    /// All families; handles are shared, values atomic.
    pub(crate) metrics: Metrics,
    settings: RefCell<Arc<Settings>>,
    bus: Bus,
    hub: HubHandle,
    /// What the hub had no space for.
    asks: RefCell<Asks>,
    asks_wake: Notify,
    rooms: RefCell<RoomSlab>,
    connections: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    /// Where sockets are read into.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    /// Bytes of messages that are arriving, over all connections.
    pub(crate) inbound_held: Rc<Cell<usize>>,
    /// Bytes of frames begun that their connections have not taken, over all of them.
    pub(crate) stalled_held: Rc<Cell<usize>>,
    /// Sockets that are not WebSockets yet.
    pub(crate) visits: RefCell<Visits>,
    /// Connections with a message that is arriving.
    arriving: RefCell<Vec<Rc<Connection>>>,
    /// Rooms with something to write, in turn.
    passes: RefCell<VecDeque<Rc<Room>>>,
    /// Connections with more to write than one turn takes.
    later: RefCell<Vec<Rc<Connection>>>,
    pass_wake: Notify,
    /// Rooms with joins that wait.
    pending: RefCell<Deadlines>,
    /// Work on many rooms at once.
    chores: RefCell<VecDeque<Chore>>,
    heartbeats: RefCell<Heartbeats>,
    /// Answers of the bus, bounded by what connections may have in flight.
    replies: mpsc::UnboundedSender<Reply>,
    tracer: Tracer,
    /// Numbers questions to the hub.
    asked: Cell<u64>,
    /// By when everybody is to have moved, once the node drains.
    moved_by: Cell<Option<Instant>>,
}

impl Worker {
    /// A worker without connections, by its index on its node; answers of the bus go to the last
    /// of its means.
    pub(crate) fn new(
        (index, node): (usize, NodeId),
        (bus, hub, replies): (Bus, HubHandle, mpsc::UnboundedSender<Reply>),
        settings: Arc<Settings>,
        (metrics, tracer): (Metrics, Tracer),
    ) -> Self {
        Self {
            index,
            node,
            metrics,
            heartbeats: RefCell::new(Heartbeats::new(settings.heartbeat.interval)),
            settings: RefCell::new(settings),
            bus,
            hub,
            asks: RefCell::default(),
            asks_wake: Notify::new(),
            rooms: RefCell::default(),
            connections: RefCell::new(HashMap::new()),
            scratch: RefCell::new(vec![0; TURN_BYTES].into_boxed_slice()),
            inbound_held: Rc::default(),
            stalled_held: Rc::default(),
            visits: RefCell::default(),
            arriving: RefCell::default(),
            passes: RefCell::new(VecDeque::new()),
            later: RefCell::default(),
            pass_wake: Notify::new(),
            pending: RefCell::default(),
            chores: RefCell::default(),
            replies,
            tracer,
            asked: Cell::new(0),
            moved_by: Cell::new(None),
        }
    }

    /// The configuration in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    /// Whether a connection may be read: it takes its answers, and has not too many requests
    /// waiting.
    pub(crate) fn may_read(&self, connection: &Connection) -> bool {
        let requests = self.settings.borrow().limits.requests;
        (connection.in_flight.get() as usize) < requests && self.may_go_on(connection)
    }

    /// Whether more of what was read of a connection may be handled in this turn: the answers that
    /// wait for it, and those of history to come, are within their bounds.
    pub(crate) fn may_go_on(&self, connection: &Connection) -> bool {
        connection.unread_control() <= self.settings.borrow().limits.control_bytes
            && connection.reading.get() < MAX_READING
    }

    /// Whether a connection is to end because of what it holds of a large frame begun, while such
    /// frames hold more than they may together.
    pub(crate) fn holds_too_much(&self, connection: &Connection) -> bool {
        self.stalled_held.get() > self.settings.borrow().limits.stalled_bytes
            && connection.rest_held() > SMALL_REST
    }

    /// Lets a connection's task look again if it was held back and may be read by now.
    pub(crate) fn release(&self, connection: &Connection) {
        if connection.held_back.get() && self.may_read(connection) {
            connection.held_back.set(false);
            connection.wake();
        }
    }

    /// Writes what waits for a connection, one turn of it; the rest comes after the others.
    pub(crate) fn write(&self, connection: &Rc<Connection>) {
        connection.queued.set(false);
        let turn = write_turn(connection, &self.rooms.borrow());
        self.metrics.traffic.messages_out.inc_by(turn.frames);
        self.metrics.traffic.bytes_out.inc_by(turn.bytes as u64);
        if turn.bytes > 0 {
            self.metrics.traffic.writes.inc();
        }
        if turn.more {
            self.write_soon(connection);
        }
        for room in turn.page_ended {
            self.ask_page(&room);
        }
        self.release(connection);
    }
}
