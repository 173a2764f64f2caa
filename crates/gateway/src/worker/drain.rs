//! A worker's part in a drain: tells each of its connections when to move, and closes those that
//! are still there after their moment.

use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

use rand::seq::SliceRandom;
use roomcast_protocol::{CloseCode, ServerFrame};
use tokio::time::{Instant, sleep};

use super::Worker;
use crate::connection::Connection;
use crate::drain::Schedule;

/// Connections told, or closed, before the worker does something else.
const CHUNK: usize = 256;
/// How often connections whose moment has passed are looked for.
const LOOK: Duration = Duration::from_millis(50);
/// What clients are told.
const REASON: &str = "drain";

impl Worker {
    /// Empties the worker over the schedule's window. Whoever the last answers of the bus keep here
    /// is closed as soon as it has them.
    pub(super) async fn drain(self: Rc<Self>, schedule: Schedule) {
        let begun = Instant::now();
        self.connections.move_by(begun + schedule.window);
        let mut leaving = self.tell_all(&schedule, begun).await;
        let mut answered = Vec::new();
        while !leaving.is_empty() || !answered.is_empty() {
            let now = Instant::now();
            let due = leaving.iter().take(CHUNK).take_while(|&&(due, _)| due <= now).count();
            let is_burst = due == CHUNK;
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
                sleep(LOOK).await;
            }
        }
    }

    /// Sends `reconnect` to every connection; when each is to be gone, ascending.
    async fn tell_all(
        &self,
        schedule: &Schedule,
        begun: Instant,
    ) -> VecDeque<(Instant, Weak<Connection>)> {
        let mut all = self.connections.all();
        // When one moves has nothing to do with when it came or what it is called.
        all.shuffle(&mut rand::rng());
        let moments = schedule.moments(all.len(), rand::random);
        let mut leaving = VecDeque::with_capacity(all.len());
        for (number, (connection, moment)) in all.iter().zip(moments).enumerate() {
            let moves = begun + moment;
            ask_to_move(connection, moves.saturating_duration_since(Instant::now()));
            self.write(connection);
            leaving.push_back((moves + schedule.patience, Rc::downgrade(connection)));
            if number % CHUNK == CHUNK - 1 {
                tokio::task::yield_now().await;
            }
        }
        leaving
    }

    /// Tells a connection that was on its way in when all others were told. It is closed with the
    /// node.
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
