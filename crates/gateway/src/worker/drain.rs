//! A worker's part in a drain: it sends `reconnect` to each of its connections, with a moment of its
//! own, and closes those that are still open after it.

use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

use rand::seq::SliceRandom;
use roomcast_protocol::{CloseCode, ServerFrame};
use tokio::time::{Instant, sleep};

use super::Worker;
use super::chores::SLICE;
use crate::connection::Connection;
use crate::drain::Schedule;

/// Pause between two searches for connections whose moment has passed.
const SEARCH_PERIOD: Duration = Duration::from_millis(50);
/// How long connections may take to end when the node does.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the bus may then take to write that they are gone.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);
/// The reason in `reconnect`.
const REASON: &str = "drain";

impl Worker {
    /// Empties the worker over the schedule's window. A connection that still waits for answers of the
    /// bus is closed as soon as it has them.
    pub(crate) async fn drain(self: Rc<Self>, schedule: Schedule) {
        let begun = Instant::now();
        self.connections.move_by(begun + schedule.window);
        let mut leaving = self.tell_all(&schedule, begun).await;
        let mut answered = Vec::new();
        while !leaving.is_empty() || !answered.is_empty() {
            let now = Instant::now();
            let due = leaving.iter().take(SLICE).take_while(|&&(due, _)| due <= now).count();
            let is_burst = due == SLICE;
            answered
                .extend(leaving.drain(..due).filter_map(|(_, connection)| connection.upgrade()));
            answered.retain(|connection: &Rc<Connection>| {
                let waits = connection.is_open() && connection.in_flight.get() > 0;
                if !waits {
                    self.close(connection, CloseCode::Restart);
                }
                waits
            });
            if is_burst {
                tokio::task::yield_now().await;
            } else {
                sleep(SEARCH_PERIOD).await;
            }
        }
    }

    /// Sends `reconnect` to every connection. Returns when each is to be gone, in ascending order.
    async fn tell_all(
        &self,
        schedule: &Schedule,
        begun: Instant,
    ) -> VecDeque<(Instant, Weak<Connection>)> {
        let mut all = self.connections.all();
        // The moment of a connection does not depend on its age or its id.
        all.shuffle(&mut rand::rng());
        let moments = schedule.moments(all.len(), rand::random);
        let mut leaving = VecDeque::with_capacity(all.len());
        for (number, (connection, moment)) in all.iter().zip(moments).enumerate() {
            let moves = begun + moment;
            ask_to_move(connection, moves.saturating_duration_since(Instant::now()));
            self.write(connection);
            leaving.push_back((moves + schedule.patience, Rc::downgrade(connection)));
            if number % SLICE == SLICE - 1 {
                tokio::task::yield_now().await;
            }
        }
        leaving
    }

    /// Closes every connection (1012), and waits until they have ended, at most `END_TIMEOUT`.
    pub(crate) async fn end(&self) {
        let deadline = Instant::now() + END_TIMEOUT;
        let connections = self.connections.all();
        for some in connections.chunks(SLICE) {
            some.iter().for_each(|connection| self.close(connection, CloseCode::Restart));
            tokio::task::yield_now().await;
        }
        drop(connections);
        while !self.connections.is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
        // The other nodes would count its members until they judge this one dead.
        self.bus.presence_flush(FLUSH_TIMEOUT).await;
    }

    /// Sends `reconnect` to a connection that came after the drain had begun. It is closed when the
    /// node ends.
    pub(super) fn move_latecomer(&self, connection: &Connection) {
        if let Some(end) = self.connections.moved_by() {
            let left = end.saturating_duration_since(Instant::now());
            ask_to_move(connection, left.mul_f64(rand::random()));
        }
    }
}

fn ask_to_move(connection: &Connection, after: Duration) {
    let after_ms = after.as_millis() as u64;
    connection.send(&ServerFrame::Reconnect { after_ms, reason: REASON.into() });
}
