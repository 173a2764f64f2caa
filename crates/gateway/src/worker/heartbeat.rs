//! Heartbeats: each connection has a phase of its own, so that pings are spread over the interval. A
//! connection is looked at only when its ping or its end is due.

use std::rc::Rc;
use std::time::Duration;

use roomcast_protocol::CloseCode;
use tokio::time::Instant;

use super::Worker;
use super::wheel::Wheel;
use crate::connection::{Arriving, Connection, WheelPlace, WorkerTime};
use crate::settings::Settings;

/// Fewest ticks in an interval: the moments over which pings are spread.
const MIN_TICKS: u32 = 100;
/// Longest time between two ticks: a connection ends at most so much too late.
const MAX_TICK_PERIOD: Duration = Duration::from_millis(250);
/// A tick that is so late shows that the process was stopped. That time does not count as silence.
const MIN_STOPPED: Duration = Duration::from_secs(1);

/// After how much silence a connection is closed. Pure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Without any bytes.
    timeout: Duration,
    /// Without an application frame.
    idle: Option<Duration>,
}

impl Patience {
    /// As configured.
    pub(super) fn of(settings: &Settings) -> Self {
        Self { timeout: settings.heartbeat.timeout, idle: settings.limits.idle_timeout }
    }

    /// When a connection is closed if no more bytes come, and with which code.
    fn end(self, heard: WorkerTime, active: WorkerTime) -> (WorkerTime, CloseCode) {
        let dead = (heard.after(self.timeout), CloseCode::Dead);
        let idle = self.idle.map(|idle| (active.after(idle), CloseCode::Idle));
        idle.filter(|idle| idle.0 < dead.0).unwrap_or(dead)
    }
}

/// The times at which the connections of a worker are looked at.
pub(super) struct Heartbeats {
    wheel: Wheel<Rc<Connection>>,
    period: Duration,
    began: Instant,
    /// Time in which the process was stopped.
    stopped: Duration,
}

impl Heartbeats {
    pub(super) fn new(interval: Duration) -> Self {
        let ticks = interval.as_nanos().div_ceil(MAX_TICK_PERIOD.as_nanos());
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX).max(MIN_TICKS);
        Self {
            wheel: Wheel::new(ticks),
            period: interval / ticks,
            began: Instant::now(),
            stopped: Duration::ZERO,
        }
    }

    /// Time between two ticks.
    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Counts time in which the process was stopped.
    pub(super) fn add_stopped(&mut self, time: Duration) {
        self.stopped += time;
    }

    /// The worker's time.
    pub(super) fn now(&self) -> WorkerTime {
        WorkerTime::default().after(self.began.elapsed().saturating_sub(self.stopped))
    }

    /// The first tick that is not before a moment.
    fn tick_at(&self, moment: WorkerTime) -> u64 {
        moment.0.div_ceil(self.period.as_nanos() as u64)
    }

    /// Adds a connection, at a random phase.
    pub(super) fn add(&mut self, connection: &Rc<Connection>, patience: Patience, now: WorkerTime) {
        let pulse = &connection.pulse;
        pulse.heard.set(now);
        pulse.active.set(now);
        pulse.phase.set(rand::random_range(0..self.wheel.round()) as u32);
        self.schedule(connection, patience);
    }

    /// Has a connection looked at when its next ping is due, or its end if that is earlier.
    pub(super) fn schedule(&mut self, connection: &Rc<Connection>, patience: Patience) {
        let pulse = &connection.pulse;
        let (tick, round) = (self.wheel.tick(), self.wheel.round());
        let behind = (tick + round - u64::from(pulse.phase.get())) % round;
        let (end, _) = patience.end(pulse.heard.get(), pulse.active.get());
        let due = self.tick_at(end).min(tick + round - behind);
        pulse.place.set(self.wheel.put(due, connection.clone()));
    }

    /// The next tick's connections, each with whether its ping is due.
    pub(super) fn turn(&mut self) -> Vec<(Rc<Connection>, bool)> {
        let due = self.wheel.turn();
        let phase = self.wheel.tick() % self.wheel.round();
        due.into_iter()
            .map(|connection| {
                connection.pulse.place.set(WheelPlace::NOWHERE);
                let pings = u64::from(connection.pulse.phase.get()) == phase;
                (connection, pings)
            })
            .collect()
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, connection: &Connection) {
        let place = connection.pulse.place.replace(WheelPlace::NOWHERE);
        if let Some(moved) = self.wheel.take(place) {
            moved.pulse.place.set(place);
        }
    }
}

impl Worker {
    /// Time between two ticks.
    pub(crate) fn beat_period(&self) -> Duration {
        self.connections.beat_period()
    }

    /// Bytes came from a connection.
    pub(crate) fn hear(&self, connection: &Connection) {
        self.connections.hear(connection);
    }

    /// One tick, `late` after it was due. True if the process was stopped before it; then the next
    /// tick is due one period from now.
    pub(crate) fn beat(&self, late: Duration) -> bool {
        let was_stopped = late >= MIN_STOPPED;
        let stopped = if was_stopped { late } else { Duration::ZERO };
        self.beat_at(self.connections.now_after(stopped));
        was_stopped
    }

    /// The next tick: closes connections that were silent for too long, and pings those whose ping is
    /// due.
    fn beat_at(&self, now: WorkerTime) {
        let patience = Patience::of(&self.settings.borrow());
        for (connection, pings) in self.connections.next_tick() {
            if !connection.is_open() {
                continue;
            }
            if let Some(code) = self.end_of(&connection, patience, now) {
                self.close(&connection, code);
                continue;
            }
            if pings {
                connection.send_heartbeat();
                self.write(&connection);
                self.end_quiet_followed(&connection);
            }
            self.connections.schedule(&connection, patience);
        }
    }

    /// The code with which a connection is to be closed now, if it is.
    fn end_of(
        &self,
        connection: &Connection,
        patience: Patience,
        now: WorkerTime,
    ) -> Option<CloseCode> {
        let pulse = &connection.pulse;
        // Bytes that were read after a stop, before its tick was handled, have too late a time.
        pulse.heard.set(pulse.heard.get().min(now));
        pulse.active.set(pulse.active.get().min(now));
        let (end, code) = patience.end(pulse.heard.get(), pulse.active.get());
        if now < end {
            return None;
        }
        if self.may_read(connection) {
            // Bytes that have come are read first; then the next tick decides.
            return (!connection.has_unread()).then_some(code);
        }
        if connection.unread_control() > self.settings.borrow().limits.control_bytes {
            // It is not read because its client does not take its answers.
            return Some(code);
        }
        // It is not read because the node owes it answers.
        pulse.heard.set(now);
        pulse.active.set(now);
        None
    }

    /// Notes whether a message is arriving on a connection. Closes the connection if all messages that
    /// are arriving hold more than `limits.inbound_bytes`.
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
            self.connections.note_arriving(connection);
        }
        if is_new || arriving == Arriving::Begun {
            connection.arriving.set(Some(Instant::now()));
        }
    }

    /// Closes connections whose message has been arriving for `limits.message_deadline`.
    pub(crate) fn check_arriving(&self) {
        let limit = self.settings.borrow().limits.message_deadline;
        for connection in self.connections.take_late_arrivals(limit) {
            self.close(&connection, CloseCode::Policy);
        }
    }
}

#[cfg(test)]
mod tests;
