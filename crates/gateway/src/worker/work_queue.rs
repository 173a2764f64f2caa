//! Owner of what a worker's next turns do: rooms with something to write to their members,
//! connections with something of their own to write, and chores. It only queues: the worker does the
//! work (`passes.rs`, `chores.rs`).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

use super::chores::Chore;
use crate::connection::Connection;
use crate::room::{CHUNK, Room};

/// The work that waits for a worker's next turns.
#[derive(Debug, Default)]
pub(super) struct WorkQueue {
    /// Rooms with something to write, in turn.
    rooms: RefCell<VecDeque<Rc<Room>>>,
    /// Connections with something to write.
    connections: RefCell<Vec<Rc<Connection>>>,
    /// Work on many rooms at once.
    chores: RefCell<VecDeque<Chore>>,
    wake: Notify,
}

impl WorkQueue {
    /// Queues a room for a pass. The caller marks it as queued.
    pub(super) fn add_room(&self, room: Rc<Room>) {
        self.rooms.borrow_mut().push_back(room);
        self.wake.notify_one();
    }

    /// Queues a room again whose pass has not ended, during a turn: the next turn comes anyway.
    pub(super) fn return_room(&self, room: Rc<Room>) {
        self.rooms.borrow_mut().push_back(room);
    }

    /// The next room for a pass.
    pub(super) fn next_room(&self) -> Option<Rc<Room>> {
        self.rooms.borrow_mut().pop_front()
    }

    /// Queues a connection. The caller marks it as queued.
    pub(super) fn add_connection(&self, connection: Rc<Connection>) {
        self.connections.borrow_mut().push(connection);
        self.wake.notify_one();
    }

    /// The next connections to write, a chunk of them.
    pub(super) fn next_connections(&self) -> Vec<Rc<Connection>> {
        let mut connections = self.connections.borrow_mut();
        let count = connections.len().min(CHUNK);
        connections.drain(..count).collect()
    }

    /// Queues a chore.
    pub(super) fn add_chore(&self, chore: Chore) {
        self.chores.borrow_mut().push_back(chore);
        self.wake.notify_one();
    }

    /// Queues the rest of a chore, during a turn.
    pub(super) fn return_chore(&self, chore: Chore) {
        self.chores.borrow_mut().push_back(chore);
    }

    /// The oldest chore.
    pub(super) fn next_chore(&self) -> Option<Chore> {
        self.chores.borrow_mut().pop_front()
    }

    /// Waits until something is queued.
    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }
}
