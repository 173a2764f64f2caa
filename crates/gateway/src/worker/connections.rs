//! Owner of a worker's connections and of their timers: heartbeats, messages that are arriving, and
//! the moment by which all are to have moved. It knows no rooms, and closes no connection: it says
//! which are due.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_protocol::ConnectionId;
use tokio::time::Instant;

use super::heartbeat::{Heartbeats, Patience};
use crate::connection::{Connection, WorkerTime};

/// The connections of one worker.
pub(super) struct LiveConnections {
    by_id: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    heartbeats: RefCell<Heartbeats>,
    /// Connections with a message that is arriving; some may be listed twice or have ended.
    arriving: RefCell<Vec<Rc<Connection>>>,
    /// The moment by which all connections are to have moved, once the node drains.
    moved_by: Cell<Option<Instant>>,
}

impl LiveConnections {
    /// No connections; each that comes is pinged once in `heartbeat_interval`.
    pub(super) fn new(heartbeat_interval: Duration) -> Self {
        Self {
            by_id: RefCell::default(),
            heartbeats: RefCell::new(Heartbeats::new(heartbeat_interval)),
            arriving: RefCell::default(),
            moved_by: Cell::new(None),
        }
    }

    /// Adds a connection; its heartbeat begins.
    pub(super) fn add(&self, connection: &Rc<Connection>, patience: Patience) {
        let now = self.heartbeats.borrow().now();
        self.add_at(connection, patience, now);
    }

    /// The same at a moment of the worker's time.
    pub(super) fn add_at(&self, connection: &Rc<Connection>, patience: Patience, now: WorkerTime) {
        self.by_id.borrow_mut().insert(connection.id, connection.clone());
        self.heartbeats.borrow_mut().add(connection, patience, now);
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&self, id: ConnectionId) {
        let removed = self.by_id.borrow_mut().remove(&id);
        if let Some(connection) = removed {
            self.heartbeats.borrow_mut().remove(&connection);
        }
    }

    /// A connection by its id, until it is removed.
    pub(super) fn get(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.by_id.borrow().get(&id).cloned()
    }

    /// All connections.
    pub(super) fn all(&self) -> Vec<Rc<Connection>> {
        self.by_id.borrow().values().cloned().collect()
    }

    /// Whether there are no connections.
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.borrow().is_empty()
    }

    /// The moment by which all connections are to have moved, if the node drains.
    pub(super) fn moved_by(&self) -> Option<Instant> {
        self.moved_by.get()
    }

    /// The node drains: all connections are to have moved by this moment.
    pub(super) fn move_by(&self, moment: Instant) {
        self.moved_by.set(Some(moment));
    }

    /// Time between two ticks of the heartbeats.
    pub(super) fn beat_period(&self) -> Duration {
        self.heartbeats.borrow().period()
    }

    /// Bytes came from a connection.
    pub(super) fn hear(&self, connection: &Connection) {
        connection.pulse.heard.set(self.heartbeats.borrow().now());
    }

    /// The worker's time at its last tick.
    pub(super) fn now(&self) -> WorkerTime {
        self.heartbeats.borrow().now()
    }

    /// The worker's time. `stopped` is time in which the process did not run; it does not count.
    pub(super) fn now_after(&self, stopped: Duration) -> WorkerTime {
        let mut heartbeats = self.heartbeats.borrow_mut();
        heartbeats.add_stopped(stopped);
        heartbeats.now()
    }

    /// The connections that the next tick looks at, each with whether its ping is due. Those that
    /// stay open are to be scheduled again.
    pub(super) fn next_tick(&self) -> Vec<(Rc<Connection>, bool)> {
        self.heartbeats.borrow_mut().turn()
    }

    /// Has a connection looked at again when its next ping or its end is due.
    pub(super) fn schedule(&self, connection: &Rc<Connection>, patience: Patience) {
        self.heartbeats.borrow_mut().schedule(connection, patience);
    }

    /// A message begins to arrive on a connection that had none arriving.
    pub(super) fn note_arriving(&self, connection: &Rc<Connection>) {
        self.arriving.borrow_mut().push(connection.clone());
    }

    /// Takes out the open connections whose message has been arriving for `limit` or longer.
    pub(super) fn take_late_arrivals(&self, limit: Duration) -> Vec<Rc<Connection>> {
        let now = Instant::now();
        let mut late = Vec::new();
        let mut all = self.arriving.borrow_mut();
        // A connection is listed again whenever a message begins after a rest.
        all.sort_unstable_by_key(|connection| connection.id);
        all.dedup_by(|a, b| Rc::ptr_eq(a, b));
        all.retain(|connection| match connection.arriving.get() {
            Some(since) if connection.is_open() && now - since >= limit => {
                late.push(connection.clone());
                false
            }
            Some(_) => connection.is_open(),
            None => false,
        });
        late
    }

    /// The heartbeats, for their tests.
    #[cfg(test)]
    pub(super) fn heartbeats(&self) -> &RefCell<Heartbeats> {
        &self.heartbeats
    }
}
