//! Heartbeats: a wheel of slots, each connection in one of them at random, so that pings are
//! spread over the interval. One turn of the wheel is one interval.

use std::rc::{Rc, Weak};
use std::time::Duration;

use roomcast_protocol::CloseCode;
use tokio::time::Instant;

use super::Worker;
use crate::connection::{Arriving, Connection};
use crate::frame;

/// Slots of the wheel: with 25 s, one every 250 ms.
const SLOTS: usize = 100;
/// A tick this late means that the process was stopped: what clients sent meanwhile has not been
/// read yet.
const LATE: Duration = Duration::from_secs(1);

/// Where each connection's ping is due.
pub(super) struct Wheel {
    slots: Vec<Vec<Weak<Connection>>>,
    next: usize,
    period: Duration,
}

impl Wheel {
    pub(super) fn new(interval: Duration) -> Self {
        Self { slots: vec![Vec::new(); SLOTS], next: 0, period: interval / SLOTS as u32 }
    }

    /// Time between two slots.
    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Puts a connection into a slot of its own choice.
    pub(super) fn add(&mut self, connection: &Rc<Connection>) {
        let slot = rand::random_range(0..SLOTS);
        self.slots[slot].push(Rc::downgrade(connection));
    }

    /// The connections whose turn it is; those that ended are forgotten.
    fn turn(&mut self) -> Vec<Rc<Connection>> {
        self.next = (self.next + 1) % SLOTS;
        let slot = &mut self.slots[self.next];
        let mut due = Vec::with_capacity(slot.len());
        slot.retain(|connection| match connection.upgrade() {
            Some(connection) if connection.is_open() => {
                due.push(connection);
                true
            }
            _ => false,
        });
        due
    }
}

impl Worker {
    /// One tick of the wheel, `late` after it was due: pings those whose turn it is and ends those
    /// that are dead or idle. After a late tick nobody is judged: first they are read.
    pub(super) fn beat(&self, late: Duration) {
        let settings = self.settings();
        let due = self.wheel.borrow_mut().turn();
        let now = Instant::now();
        for connection in due {
            let missed = connection.missed.get();
            let is_idle = |timeout| now - connection.active.get() >= timeout;
            if late < LATE && missed >= settings.heartbeat.missed {
                self.close(&connection, CloseCode::Dead);
            } else if late < LATE && settings.limits.idle_timeout.is_some_and(is_idle) {
                self.close(&connection, CloseCode::Idle);
            } else {
                connection.missed.set(missed.saturating_add(1));
                connection.send_control(frame::append_ping);
                self.write(&connection);
            }
        }
    }

    /// Notes whether a message is arriving on a connection, and keeps the worker's bound on them.
    pub(crate) fn note_arriving(&self, connection: &Rc<Connection>, arriving: Arriving) {
        if arriving == Arriving::Nothing {
            return connection.arriving.set(None);
        }
        if self.inbound_held.get() > self.settings.borrow().limits.inbound_bytes {
            return self.close(connection, CloseCode::TryAgain);
        }
        if arriving == Arriving::Postponed {
            return connection.arriving.set(None);
        }
        let is_new = connection.arriving.get().is_none();
        if is_new {
            self.arriving.borrow_mut().push(connection.clone());
        }
        if is_new || arriving == Arriving::Begun {
            connection.arriving.set(Some(Instant::now()));
        }
    }

    /// Ends connections whose message has been arriving for too long.
    pub(super) fn check_arriving(&self) {
        let deadline = self.settings.borrow().limits.message_deadline;
        let now = Instant::now();
        let mut late = Vec::new();
        let mut all = self.arriving.borrow_mut();
        // A connection is listed again whenever a message begins after a rest.
        all.sort_unstable_by_key(|connection| connection.id);
        all.dedup_by(|a, b| Rc::ptr_eq(a, b));
        all.retain(|connection| match connection.arriving.get() {
            Some(since) if connection.is_open() && now - since >= deadline => {
                late.push(connection.clone());
                false
            }
            Some(_) => connection.is_open(),
            None => false,
        });
        drop(all);
        for connection in late {
            self.close(&connection, CloseCode::Policy);
        }
    }
}

#[cfg(test)]
mod tests;
