//! The worker's passes: rooms with something to write take turns, a few hundred members at a time.

use std::rc::Rc;

use super::Worker;
use crate::connection::Connection;
use crate::hub::now_ms;
use crate::log::Entry;
use crate::room::{CHUNK, Room, write_chunk};

impl Worker {
    /// A room has something new for its members.
    pub(super) fn queue_pass(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        if state.members.len() > 0 && !std::mem::replace(&mut state.queued, true) {
            self.passes.borrow_mut().push_back(room.clone());
            self.pass_wake.notify_one();
        }
    }

    /// Writes to rooms and connections as long as the node runs, and yields after every chunk's
    /// worth of members: one room's, or those of many small rooms.
    pub(crate) async fn run_passes(self: Rc<Self>) {
        loop {
            if self.turn() {
                tokio::task::yield_now().await;
            } else {
                self.pass_wake.notified().await;
            }
        }
    }

    /// One turn of writing, and a slice of what else is to be done; false if there was nothing.
    pub(crate) fn turn(&self) -> bool {
        let later = self.next_later();
        let mut written = later.len();
        self.write_all(later);
        while written < CHUNK {
            let Some(room) = self.passes.borrow_mut().pop_front() else { break };
            written += self.step(room);
        }
        let is_chore = self.do_chore();
        written > 0 || is_chore
    }

    /// Lets a connection be written once this turn's other work is done.
    pub(crate) fn write_soon(&self, connection: &Rc<Connection>) {
        if !connection.queued.replace(true) {
            self.write_later(connection);
        }
    }

    /// The same for a connection that was just marked as queued.
    pub(super) fn write_later(&self, connection: &Rc<Connection>) {
        self.later.borrow_mut().push(connection.clone());
        self.pass_wake.notify_one();
    }

    /// Connections with more to write, a chunk of them.
    fn next_later(&self) -> Vec<Rc<Connection>> {
        let mut later = self.later.borrow_mut();
        let count = later.len().min(CHUNK);
        later.drain(..count).collect()
    }

    /// Writes to the next members of a room; returns how many there were, at least one.
    fn step(&self, room: Rc<Room>) -> usize {
        let chunk = write_chunk(&mut room.state.borrow_mut());
        let traffic = &self.metrics.traffic;
        traffic.messages_out.inc_by(chunk.delivered);
        traffic.bytes_out.inc_by(chunk.bytes);
        traffic.writes.inc_by(chunk.writes);
        self.write_all(chunk.deferred);
        if chunk.ended {
            traffic.passes.inc();
            self.observe(&room);
        }
        if chunk.ended && chunk.done {
            room.state.borrow_mut().queued = false;
        } else {
            self.passes.borrow_mut().push_back(room);
        }
        chunk.members.max(1)
    }

    /// Writes each once, across all that it is owed.
    fn write_all(&self, connections: Vec<Rc<Connection>>) {
        for connection in connections {
            self.write(&connection);
        }
    }

    /// Measures the delay of the messages whose first pass has ended.
    fn observe(&self, room: &Room) {
        let mut state = room.state.borrow_mut();
        let members = state.members.len();
        let now = now_ms();
        let (since, batches) = state.passed();
        for entry in batches.iter().flat_map(|batch| batch.entries()) {
            if let Entry::Message(message) = entry {
                self.metrics.delivery.observe(message.time, now);
                if let Some(context) = &message.traceparent {
                    let took = since.map(|since| since.elapsed()).unwrap_or_default();
                    self.tracer.delivered(context, (&room.name, message.seq), members, took);
                }
            }
        }
        if let Some(since) = since {
            let pass = &self.metrics.delivery.stage[roomcast_metrics::DeliveryStage::Pass];
            pass.observe(since.elapsed().as_secs_f64());
        }
    }
}
