//! The worker's turns of writing: rooms with something to write take turns, a chunk of members at a
//! time, and connections with something of their own to write come first.

use std::rc::Rc;

use roomcast_metrics::SignalOutcome;

use super::Worker;
use crate::connection::Connection;
use crate::hub::now_ms;
use crate::room::{CHUNK, Room, write_chunk};
use crate::room_log::LogEntry;

impl Worker {
    /// A room has something new for its members: queues a pass over them.
    pub(super) fn queue_pass(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        if state.members.len() > 0 && !std::mem::replace(&mut state.queued, true) {
            self.work.add_room(room.clone());
        }
    }

    /// Writes to rooms and connections as long as the node runs. It yields after each chunk of members,
    /// of one room or of many small ones.
    pub(crate) async fn run_passes(self: Rc<Self>) {
        loop {
            if self.turn() {
                tokio::task::yield_now().await;
            } else {
                self.work.wait().await;
            }
        }
    }

    /// One turn of writing, and a slice of one chore; false if there was nothing to do.
    pub(crate) fn turn(&self) -> bool {
        let connections = self.work.next_connections();
        let mut written = connections.len();
        self.write_all(connections);
        while written < CHUNK {
            let Some(room) = self.work.next_room() else { break };
            written += self.step(room);
        }
        let is_chore = self.do_chore();
        written > 0 || is_chore
    }

    /// Has a connection written once this turn's other work is done.
    pub(crate) fn write_soon(&self, connection: &Rc<Connection>) {
        if !connection.queued.replace(true) {
            self.write_later(connection);
        }
    }

    /// The same for a connection that was just marked as queued.
    pub(super) fn write_later(&self, connection: &Rc<Connection>) {
        self.work.add_connection(connection.clone());
    }

    /// Writes to the next chunk of members of a room. Returns how many there were, at least 1.
    fn step(&self, room: Rc<Room>) -> usize {
        let chunk = write_chunk(&mut room.state.borrow_mut());
        let traffic = &self.metrics.traffic;
        traffic.messages_out.inc_by(chunk.delivered);
        traffic.bytes_out.inc_by(chunk.bytes);
        traffic.writes.inc_by(chunk.writes);
        self.metrics.people.signals[SignalOutcome::Dropped].inc_by(chunk.dropped);
        self.write_all(chunk.deferred);
        if chunk.ended {
            traffic.passes.inc();
            self.observe(&room);
        }
        if chunk.ended && chunk.done {
            room.state.borrow_mut().queued = false;
        } else {
            self.work.return_room(room);
        }
        chunk.members.max(1)
    }

    /// Writes to each connection once, for all rooms that have frames for it.
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
            if let LogEntry::Message(message) = entry {
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
