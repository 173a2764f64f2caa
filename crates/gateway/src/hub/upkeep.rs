//! The hub's upkeep: full queues, rooms that do not open, rooms nobody came back to, old messages,
//! and the memory of all logs together.

use roomcast_protocol::RoomName;
use tokio::time::Instant;

use super::driver::{Hub, now_ms};
use super::ledger::{Ledger, Phase};
use super::outlet::{Outlet, Sent};
use super::{Floor, WorkerEvent};

/// Old messages are looked for every so many ticks (5 s).
const TICKS_PER_SWEEP: u32 = 100;

impl Hub {
    pub(super) fn tick(&mut self, now: Instant) {
        self.ticks += 1;
        self.look_at_queues(now);
        if self.ticks.is_multiple_of(TICKS_PER_SWEEP) {
            self.sweep(now, now_ms());
        }
    }

    /// Attaches again where a queue was full, and refuses who has waited too long.
    pub(crate) fn look_at_queues(&mut self, now: Instant) {
        for worker in 0..self.outlets.len() {
            if self.outlets[worker].is_marked() {
                for room in self.outlets[worker].unmark() {
                    self.attach_again(worker, &room);
                }
            }
        }
        self.refuse(now);
    }

    /// Refuses those who have waited too long for a room to open; the room stays wanted.
    fn refuse(&mut self, now: Instant) {
        let mut late: Vec<RoomName> = (self.rooms.iter())
            .filter(|(_, ledger)| matches!(ledger.phase, Phase::Opening { until } if until <= now))
            .filter(|(_, ledger)| !ledger.workers.is_empty())
            .map(|(room, _)| room.clone())
            .collect();
        late.sort_unstable();
        for room in late {
            let Some(ledger) = self.rooms.get_mut(&room) else { continue };
            ledger.idle_since = Some(now);
            let waiting = std::mem::take(&mut ledger.workers);
            let outlets = &mut self.outlets;
            // Whose queue is full stays, and is told at another tick.
            let untold = waiting.into_iter().filter(|&(worker, number)| {
                let event = WorkerEvent::Refused { room: room.clone(), number };
                !outlets[worker].takes(&room) || outlets[worker].send(&room, event) == Sent::Marked
            });
            ledger.workers = untold.collect();
        }
    }

    /// Closes rooms nobody came back to and drops what is too old; `clock` is Unix time in ms.
    pub(crate) fn sweep(&mut self, now: Instant, clock: u64) {
        let settings = self.settings.borrow().clone();
        let linger = settings.limits.room_linger;
        let feeds = &mut self.feeds;
        self.rooms.retain(|room, ledger| {
            let stays = ledger.idle_since.is_none_or(|since| now - since < linger);
            if !stays {
                feeds.close(room);
            }
            stays
        });
        let mut batches = 0;
        for (room, ledger) in &mut self.rooms {
            let age = settings.namespace_of(room).retention.history_age.as_millis() as u64;
            expire(&mut self.outlets, room, ledger, clock.saturating_sub(age));
            // A crowd comes back within seconds; an idle room holds nothing for it.
            ledger.catch_up.forget_unused();
            batches += ledger.log.len();
        }
        self.metrics.rooms.log_bytes.set(self.budget.used() as i64);
        self.metrics.rooms.log_batches.set(batches as i64);
    }

    /// Keeps all logs together within their budget: first what can be read again goes, then those
    /// above their fair share give.
    pub(super) fn keep_budget(&mut self) {
        let max = self.settings.borrow().limits.log_bytes;
        if self.budget.used() <= max {
            return;
        }
        self.rooms.values_mut().for_each(|ledger| ledger.catch_up.forget_pages());
        let mut rooms: Vec<(usize, &RoomName)> = (self.rooms.iter())
            .filter(|(_, ledger)| ledger.log.len() > 1)
            .map(|(room, ledger)| (ledger.log.bytes(), room))
            .collect();
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        let rooms: Vec<RoomName> = rooms.into_iter().map(|(_, room)| room.clone()).collect();
        for room in rooms {
            // A tenth below, so that this does not happen for each message.
            if self.budget.used() <= max - max / 10 {
                break;
            }
            if let Some(ledger) = self.rooms.get_mut(&room) {
                let floor = ledger.shed();
                trim(&mut self.outlets, &room, ledger, floor);
            }
        }
    }
}

/// Drops what is older than `oldest` (Unix ms).
pub(super) fn expire(outlets: &mut [Outlet], room: &RoomName, ledger: &mut Ledger, oldest: u64) {
    if let Some(floor) = ledger.expire(oldest) {
        trim(outlets, room, ledger, floor);
    }
}

fn trim(outlets: &mut [Outlet], room: &RoomName, ledger: &Ledger, floor: Floor) {
    for &(worker, _) in &ledger.workers {
        // A full queue marks the room, which then gets the trimmed log.
        let _marked = outlets[worker].send(room, WorkerEvent::Trim { room: room.clone(), floor });
    }
}

#[cfg(test)]
mod tests;
