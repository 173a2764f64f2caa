//! Heartbeats: each connection has a phase of its own, so that pings are spread over the interval,
//! and is looked at when its ping or its end is due.

use std::rc::Rc;
use std::time::Duration;

use roomcast_protocol::CloseCode;
use tokio::time::Instant;

use super::Worker;
use super::wheel::Wheel;
use crate::connection::{Arriving, Connection, WheelPlace, WorkerTime};
use crate::settings::Settings;

/// Fewest ticks in an interval: pings are spread over so many moments.
const MIN_TICKS: u32 = 100;
/// Longest time between two ticks: a connection that is to end ends that much later at most.
const MAX_PERIOD: Duration = Duration::from_millis(250);
/// A tick this late means that the process was stopped: that time does not count as silence.
const STOPPED: Duration = Duration::from_secs(1);

/// After how much silence a connection ends. Pure.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Without any bytes.
    timeout: Duration,
    /// Without an application frame.
    idle: Option<Duration>,
}

impl Patience {
    fn of(settings: &Settings) -> Self {
        Self { timeout: settings.heartbeat.timeout, idle: settings.limits.idle_timeout }
    }

    /// What ends a connection first if nothing more comes, and when.
    fn end(self, heard: WorkerTime, active: WorkerTime) -> (WorkerTime, CloseCode) {
        let dead = (heard.after(self.timeout), CloseCode::Dead);
        let idle = self.idle.map(|idle| (active.after(idle), CloseCode::Idle));
        idle.filter(|idle| idle.0 < dead.0).unwrap_or(dead)
    }
}

/// When which connection of a worker is looked at.
pub(super) struct Heartbeats {
    wheel: Wheel<Rc<Connection>>,
    period: Duration,
    began: Instant,
    /// Time in which the process was stopped.
    stopped: Duration,
}

impl Heartbeats {
    pub(super) fn new(interval: Duration) -> Self {
        let ticks = interval.as_nanos().div_ceil(MAX_PERIOD.as_nanos());
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

    /// The worker's time.
    fn now(&self) -> WorkerTime {
        WorkerTime::default().after(self.began.elapsed().saturating_sub(self.stopped))
    }

    /// The first tick that is not before a moment.
    fn tick_at(&self, moment: WorkerTime) -> u64 {
        moment.0.div_ceil(self.period.as_nanos() as u64)
    }

    /// Takes a connection in, at a phase of its own choice.
    fn add(&mut self, connection: &Rc<Connection>, patience: Patience, now: WorkerTime) {
        let pulse = &connection.pulse;
        pulse.heard.set(now);
        pulse.active.set(now);
        pulse.phase.set(rand::random_range(0..self.wheel.round()) as u32);
        self.schedule(connection, patience);
    }

    /// Has a connection looked at when its next ping is due, or its end if that is earlier.
    fn schedule(&mut self, connection: &Rc<Connection>, patience: Patience) {
        let pulse = &connection.pulse;
        let (tick, round) = (self.wheel.tick(), self.wheel.round());
        let behind = (tick + round - u64::from(pulse.phase.get())) % round;
        let (end, _) = patience.end(pulse.heard.get(), pulse.active.get());
        let due = self.tick_at(end).min(tick + round - behind);
        pulse.place.set(self.wheel.put(due, connection.clone()));
    }

    /// The next tick's connections, each with whether its ping is due.
    fn turn(&mut self) -> Vec<(Rc<Connection>, bool)> {
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

    /// Lets a connection go.
    fn remove(&mut self, connection: &Connection) {
        let place = connection.pulse.place.replace(WheelPlace::NOWHERE);
        if let Some(moved) = self.wheel.take(place) {
            moved.pulse.place.set(place);
        }
    }
}

impl Worker {
    /// A connection is watched from now on.
    pub(super) fn watch(&self, connection: &Rc<Connection>) {
        let patience = Patience::of(&self.settings.borrow());
        let mut heartbeats = self.heartbeats.borrow_mut();
        let now = heartbeats.now();
        heartbeats.add(connection, patience, now);
    }

    /// A connection has ended: nothing of it is kept.
    pub(super) fn forget(&self, connection: &Connection) {
        self.heartbeats.borrow_mut().remove(connection);
    }

    /// Bytes came from a connection.
    pub(crate) fn hear(&self, connection: &Connection) {
        connection.pulse.heard.set(self.heartbeats.borrow().now());
    }

    /// One tick, `late` after it was due. True if the process was stopped before it: then the next
    /// one is due a period from now.
    pub(super) fn beat(&self, late: Duration) -> bool {
        let was_stopped = late >= STOPPED;
        let now = {
            let mut heartbeats = self.heartbeats.borrow_mut();
            if was_stopped {
                heartbeats.stopped += late;
            }
            heartbeats.now()
        };
        self.beat_at(now);
        was_stopped
    }

    /// The next tick: ends the connections that were silent for too long, and pings those whose
    /// turn it is.
    fn beat_at(&self, now: WorkerTime) {
        let patience = Patience::of(&self.settings.borrow());
        let due = self.heartbeats.borrow_mut().turn();
        for (connection, pings) in due {
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
            }
            self.heartbeats.borrow_mut().schedule(&connection, patience);
        }
    }

    /// Why a connection is to end now, if it is.
    fn end_of(
        &self,
        connection: &Connection,
        patience: Patience,
        now: WorkerTime,
    ) -> Option<CloseCode> {
        let pulse = &connection.pulse;
        // What was read just after a stop is dated before the stop was known.
        pulse.heard.set(pulse.heard.get().min(now));
        pulse.active.set(pulse.active.get().min(now));
        let (end, code) = patience.end(pulse.heard.get(), pulse.active.get());
        if now < end {
            return None;
        }
        if self.may_read(connection) {
            // What has come is read before it is judged: at the next tick.
            return (!connection.has_unread()).then_some(code);
        }
        if connection.unread_control() > self.settings.borrow().limits.control_bytes {
            // It is not read because it does not take its answers.
            return Some(code);
        }
        // It is not read because the node owes it answers.
        pulse.heard.set(now);
        pulse.active.set(now);
        None
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
