//! The hub's upkeep: full queues, rooms that do not open, rooms without workers, old messages, and
//! the memory of all logs together.

use roomcast_metrics::DeflateSize;
use roomcast_protocol::{ErrorCode, RoomName};
use tokio::time::Instant;

use super::WorkerEvent;
use super::driver::{Hub, now_ms};
use super::ledger::{FeedPhase, RoomLedger};
use super::worker_queue::{Sent, WorkerQueue};
use crate::form::DeflatedBytes;
use crate::room_log::Floor;

/// Ticks in which each room is looked at once (5 s).
const TICKS_PER_ROUND: usize = 100;
/// Rooms that are looked at, or refused, before the thread's other work gets a turn: about 0.2 ms.
const SLICE: usize = 256;
/// A map gives memory back when its entries fill less than one part in so many of its capacity.
const SHRINK_BELOW_PART: usize = 4;
/// Entries for which a map keeps its memory in any case.
const MIN_CAPACITY: usize = 1024;

impl Hub {
    pub(super) fn tick(&mut self, now: Instant) {
        self.attach_marked();
        (self.is_telling, self.is_refusing) = (true, true);
        self.sweep_due += self.round_size.max(self.round.len());
        self.to_sweep += self.sweep_due / TICKS_PER_ROUND;
        self.sweep_due %= TICKS_PER_ROUND;
        self.keep_budget(None);
        self.metrics.rooms.log_bytes.set(self.budget.used() as i64);
        self.follow_deflate();
        if self.round.is_empty() {
            (self.round_size, self.unseen, self.batches) = (0, 0, 0);
            self.metrics.rooms.log_batches.set(0);
        }
        self.end_states(now);
        self.upkeep_some(now, now_ms());
    }

    /// Takes over from which size on batches are compressed, and counts what that saved.
    fn follow_deflate(&self) {
        let deflate = self.budget.deflate();
        deflate.set_min(self.settings.borrow().http.deflate_min);
        let DeflatedBytes { before, after } = deflate.take_bytes();
        let deflated = &self.metrics.traffic.deflated;
        deflated[DeflateSize::Plain].inc_by(before);
        deflated[DeflateSize::Compressed].inc_by(after);
    }

    /// Whether work that a tick began is left for other turns.
    pub(super) fn has_upkeep(&self) -> bool {
        self.is_telling || self.is_refusing || self.to_sweep > 0
    }

    /// Does a slice of the work that a tick began; `clock` is Unix time in ms.
    pub(super) fn upkeep_some(&mut self, now: Instant, clock: u64) {
        if self.is_telling {
            self.is_telling = self.tell_due(now);
        }
        if self.is_refusing {
            self.is_refusing = self.refuse_some(now);
        }
        for _ in 0..self.to_sweep.min(SLICE) {
            self.to_sweep -= 1;
            self.sweep_next(now, clock);
        }
    }

    /// Attaches again where a queue was full: for each worker half of its queue at most.
    pub(super) fn attach_marked(&mut self) {
        for worker in 0..self.queues.len() {
            if self.queues[worker].is_marked() {
                for (room, owed) in self.queues[worker].unmark() {
                    self.attach_again(worker, &room, owed);
                }
            }
        }
    }

    /// Refuses some of the workers that have waited too long for a room to open. The bus is still
    /// asked to open it. False if no such worker is left for now.
    pub(super) fn refuse_some(&mut self, now: Instant) -> bool {
        let mut full = Vec::new();
        for _ in 0..SLICE {
            let Some(room) = self.opening.take_due(now) else {
                full.into_iter().for_each(|room| self.opening.watch(now, room));
                return false;
            };
            let Some(ledger) = self.rooms.get_mut(&room) else { continue };
            ledger.is_watched = false;
            let FeedPhase::Opening { until } = ledger.phase else { continue };
            if ledger.workers.is_empty() {
                continue;
            }
            if until > now {
                ledger.is_watched = true;
                self.opening.watch(until, room);
                continue;
            }
            ledger.idle_since = Some(now);
            let waiting = std::mem::take(&mut ledger.workers);
            let (queues, code) = (&mut self.queues, ErrorCode::BusUnavailable);
            // A worker whose queue is full is refused at another tick.
            let untold = waiting.into_iter().filter(|&(worker, number)| {
                let event = WorkerEvent::Refused { room: room.clone(), number, code };
                !queues[worker].takes(&room) || queues[worker].send(&room, event) == Sent::Marked
            });
            ledger.workers = untold.collect();
            if !ledger.workers.is_empty() {
                ledger.is_watched = true;
                full.push(room);
            }
        }
        let any_full = !full.is_empty();
        // After the other rooms that are due.
        full.into_iter().for_each(|room| self.opening.watch(now, room));
        !any_full
    }

    /// Looks at the next room: closes it if it has been without workers for `limits.room_linger`, and
    /// drops old messages; `clock` is Unix time in ms.
    pub(super) fn sweep_next(&mut self, now: Instant, clock: u64) {
        if self.unseen == 0 {
            (self.round_size, self.unseen) = (self.round.len(), self.round.len());
        }
        let Some(room) = self.round.pop_front() else { return };
        self.look_after(&room, now, clock);
        self.unseen -= 1;
        if self.unseen == 0 {
            self.metrics.rooms.log_batches.set(std::mem::take(&mut self.batches) as i64);
        }
    }

    fn look_after(&mut self, room: &RoomName, now: Instant, clock: u64) {
        let settings = self.settings.borrow().clone();
        let linger = settings.limits.room_linger;
        let age = settings.namespace_of(room).retention.history_age.as_millis() as u64;
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        if ledger.idle_since.is_some_and(|since| now - since >= linger) {
            return self.close(room);
        }
        expire(&mut self.queues, room, ledger, clock.saturating_sub(age));
        self.shares.settle(&mut ledger.place, ledger.log.bytes(), room);
        // A crowd comes back within seconds: pages are not kept for longer.
        ledger.backfill.forget_unused();
        let keeps_state = settings.namespace_of(room).state.is_some();
        if !ledger.backfill.has_pages() {
            self.paged.remove(room);
        }
        self.batches += ledger.log.len();
        self.look_after_state(room, keeps_state);
        self.round.push_back(room.clone());
    }

    /// Stops listening to a room.
    fn close(&mut self, room: &RoomName) {
        if let Some(mut ledger) = self.rooms.remove(room) {
            self.shares.put(&mut ledger.place, 0, room);
            if let Some(at) = ledger.people_at {
                self.people_due.remove(&(at, room.clone()));
            }
            self.stated.put(&mut ledger.state_place, 0, room);
            if let Some(end) = ledger.state_end {
                self.state_ends.remove(&(end, room.clone()));
            }
        }
        self.paged.remove(room);
        self.feeds.close(room);
        if self.rooms.capacity() > MIN_CAPACITY
            && self.rooms.len() < self.rooms.capacity() / SHRINK_BELOW_PART
        {
            self.rooms.shrink_to(self.rooms.len() * 2);
            self.round.shrink_to(self.rooms.len() * 2);
        }
    }

    /// Keeps all logs together within their budget: first it drops the pages of backfill, which can be
    /// read again, then batches of the rooms with the largest logs, then the largest states. The log
    /// of `spared`, to which a batch was just appended, keeps that batch.
    pub(super) fn keep_budget(&mut self, spared: Option<&RoomName>) {
        let (_, log_bytes) = self.log_limits();
        while self.budget.kept() > log_bytes {
            if let Some(room) = self.paged.pop_first() {
                if let Some(ledger) = self.rooms.get_mut(&room) {
                    ledger.backfill.forget_pages();
                }
                continue;
            }
            let is_lone = |room: &&RoomName| {
                self.rooms.get(*room).is_some_and(|ledger| ledger.log.len() == 1)
            };
            let Some(room) = self.shares.first(spared.filter(is_lone)).cloned() else {
                match self.stated.first(None).cloned() {
                    Some(room) if self.forget_state(&room) => continue,
                    _ => break,
                }
            };
            let Some(ledger) = self.rooms.get_mut(&room) else { break };
            let floor = ledger.shed();
            self.shares.put(&mut ledger.place, ledger.log.bytes(), &room);
            trim(&mut self.queues, &room, ledger, floor);
        }
    }

    /// How large a room's log may be, and all logs together, in bytes.
    pub(super) fn log_limits(&self) -> (usize, usize) {
        let settings = self.settings.borrow();
        (settings.limits.lag_bytes, settings.limits.log_bytes)
    }
}

/// Drops batches whose messages are older than `oldest` (Unix ms).
pub(super) fn expire(
    queues: &mut [WorkerQueue],
    room: &RoomName,
    ledger: &mut RoomLedger,
    oldest: u64,
) {
    if let Some(floor) = ledger.expire(oldest) {
        trim(queues, room, ledger, floor);
    }
}

fn trim(queues: &mut [WorkerQueue], room: &RoomName, ledger: &RoomLedger, floor: Floor) {
    for &(worker, _) in &ledger.workers {
        // If the queue is full, the room is marked, and the worker gets the trimmed log later.
        let _marked = queues[worker].send(room, WorkerEvent::Trim { room: room.clone(), floor });
    }
}

#[cfg(test)]
mod tests;
