//! The lane's reads and checks: asked of a server in one step, answered there in another, and
//! arriving in a third, if at all.

use roomcast_bus::simulation::{Need, Page};
use roomcast_metrics::RepairCause;
use roomcast_protocol::{Epoch, Seq};

use super::ROOMS;
use super::lane::{Arrival, Lane, Slot};
use super::redis::{Redis, Refused};
use super::stream::Span;
use super::truth::Truth;

/// Probes in a row that stay away before the connection counts as dead.
const MAX_SILENT: u64 = 3;

/// A read that a room waits for.
#[derive(Debug)]
pub(super) struct Read {
    room: usize,
    ticket: u64,
    need: Need,
    server: usize,
    answer: Option<Result<Page, Refused>>,
}

/// Where a server says that a room stands: epoch, seq and life, if it knows it.
type Tail = Option<(Epoch, Seq, usize)>;

/// A room's tail to be compared.
#[derive(Debug)]
pub(super) struct Check {
    room: usize,
    cause: RepairCause,
    /// Of the subscribe connection when it was asked.
    generation: u64,
    server: usize,
    answer: Option<Result<Tail, Refused>>,
}

impl Lane {
    pub(super) fn lost(&mut self, room: usize, cause: RepairCause) {
        if let Some(slot) = &mut self.slots[room] {
            slot.order.lost(cause);
            self.ask(room);
        }
    }

    /// Starts the read that a room needs, if it may have it.
    pub(super) fn ask(&mut self, room: usize) {
        let Some(slot) = &mut self.slots[room] else { return };
        if slot.ticket.is_some() || !self.subscriptions[room].confirmed {
            return;
        }
        let (Some(need), Some(server)) = (slot.order.need(), self.link) else { return };
        self.tickets += 1;
        slot.ticket = Some(self.tickets);
        let ticket = self.tickets;
        self.reads.push_back(Read { room, ticket, need, server, answer: None });
    }

    /// The link is there: what waited for it may be asked.
    pub(super) fn connect(&mut self, redis: &Redis) {
        self.link = Some(redis.primary()).filter(|&server| redis.is_alive(server));
        (0..ROOMS).for_each(|room| self.ask(room));
    }

    /// The servers answer the oldest questions that they have not answered.
    pub(super) fn answer(&mut self, redis: &mut Redis, truth: &mut Truth) -> bool {
        let read = self.reads.iter_mut().find(|read| read.answer.is_none());
        let check = self.checks.iter_mut().find(|check| check.answer.is_none());
        let any = read.is_some() || check.is_some();
        if let Some(read) = read {
            let span = match read.need {
                Need::Standing => Span::Standing,
                Need::After(seq, _) => Span::Repair(seq),
            };
            read.answer = Some(redis.read(read.server, read.room, span, truth));
        }
        if let Some(check) = check {
            check.answer = Some(redis.tail(check.server, check.room));
        }
        any
    }

    /// An answer arrives, or `fails` on its way.
    pub(super) fn read(&mut self, at: usize, fails: bool) -> bool {
        if at >= self.reads.len() {
            return false;
        }
        let Some(read) = self.reads.remove(at) else { return false };
        let room = read.room;
        let is_its = |slot: &&mut Slot| slot.ticket == Some(read.ticket);
        let Some(slot) = self.slots[room].as_mut().filter(is_its) else {
            return true;
        };
        slot.ticket = None;
        if let Some(Ok(page)) = read.answer.filter(|_| !fails) {
            self.is_unsure[room] &= !self.listens_to(read.server);
            let Some(slot) = &mut self.slots[room] else { return true };
            let mut events = Vec::new();
            slot.order.read(page, &mut events);
            self.tell(room, events);
        }
        self.ask(room);
        true
    }

    /// A comparison of tails arrives, or `fails` on its way.
    pub(super) fn compare(&mut self, fails: bool) -> bool {
        let Some(check) = self.checks.pop_front() else { return false };
        let Check { room, cause, generation, server, answer } = check;
        if generation != self.generation {
            return true;
        }
        let answer = answer.filter(|_| !fails).and_then(Result::ok);
        self.is_unsure[room] &= answer.is_none() || !self.listens_to(server);
        match answer {
            None if cause == RepairCause::Resubscribe => self.lost(room, RepairCause::Epoch),
            None => {}
            Some(Some((epoch, seq, life))) if self.link.is_none_or(|server| server == life) => {
                self.checked(room, epoch, seq, cause);
            }
            Some(_) => self.lost(room, RepairCause::Epoch),
        }
        true
    }

    fn checked(&mut self, room: usize, epoch: Epoch, seq: Seq, cause: RepairCause) {
        let Some(slot) = &mut self.slots[room] else { return };
        if cause == RepairCause::Resubscribe {
            slot.order.checked(epoch, seq, cause);
            self.ask(room);
        } else if slot.order.is_behind(epoch, seq) {
            self.suspects.push((self.probes + 1, room, epoch, seq));
        }
    }

    /// A second passes: a probe goes out, and all tails are compared.
    pub(super) fn tick(&mut self) {
        if self.silent > MAX_SILENT {
            self.deafen();
        }
        let (Some(server), Some(feed)) = (self.link, &mut self.listening) else { return };
        self.probes += 1;
        self.silent += 1;
        if feed.server == server {
            feed.queue.push_back(Arrival::Probe(self.probes));
        }
        for room in 0..ROOMS {
            if self.slots[room].is_some() {
                self.compare_with(server, room, RepairCause::Tail);
            }
        }
    }

    fn listens_to(&self, server: usize) -> bool {
        self.listening.as_ref().is_some_and(|feed| feed.server == server)
    }

    pub(super) fn compare_with(&mut self, server: usize, room: usize, cause: RepairCause) {
        let generation = self.generation;
        self.checks.push_back(Check { room, cause, generation, server, answer: None });
    }
}
