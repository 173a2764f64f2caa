//! A lane's reads: opening rooms, repairing them, comparing their tails. One read per room at a
//! time, a bounded number over all, and pauses while Redis is unavailable.

use roomcast_metrics::RepairCause;
use roomcast_protocol::{Epoch, RoomName, Seq};

use super::events::{LaneAction, LaneMoment, ReadResult, RoomTail};
use super::lane::LaneState;
use super::order::Need;
use super::probe::Suspect;
use crate::api::RoomFound;

/// An open room's keys are prolonged in Redis this many times within its linger.
const HOLDS_PER_LINGER: u32 = 4;

impl LaneState {
    /// Queues the read that a room needs, if no read of it is under way and its subscription is
    /// confirmed.
    pub(super) fn ask(&mut self, name: &RoomName, at: &LaneMoment) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        if room.ticket.is_some() || !self.subscriptions.is_confirmed(name) {
            return;
        }
        match room.order.need() {
            None => {}
            Some(Need::Standing) => self.standings.queue(name),
            Some(Need::After(_, cause)) => {
                if room.repair.is_none() {
                    room.repair = Some(at.now);
                    self.metrics.repairs[cause].inc();
                }
                self.ranges.queue(name);
            }
        }
    }

    /// Pushes of a room were lost.
    pub(super) fn lost(&mut self, name: &RoomName, cause: RepairCause, at: &LaneMoment) {
        if let Some(room) = self.rooms.get_mut(name) {
            room.order.lost(cause);
            self.ask(name, at);
        }
    }

    /// Starts the reads that may start now.
    pub(super) fn start_reads(&mut self, at: &LaneMoment) {
        while let Some(room) = self.standings.start(at.now) {
            if !self.start_read(&room, |need| matches!(need, Need::Standing)) {
                self.standings.skip();
            }
        }
        while let Some(room) = self.ranges.start(at.now) {
            if !self.start_read(&room, |need| matches!(need, Need::After(..))) {
                self.ranges.skip();
            }
        }
        loop {
            let rooms = self.tail_checks.next_resubscribed();
            if rooms.is_empty() {
                break;
            }
            self.compare(rooms, RepairCause::Resubscribe, at);
        }
    }

    /// Starts the read of a room, if it is still of the kind that was queued.
    fn start_read(&mut self, name: &RoomName, is_kind: fn(&Need) -> bool) -> bool {
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.ticket.is_none()) else {
            return false;
        };
        let Some(need) = room.order.need().filter(is_kind) else { return false };
        if !self.subscriptions.is_confirmed(name) {
            return false;
        }
        self.tickets += 1;
        room.ticket = Some(self.tickets);
        self.act(LaneAction::Read(name.clone(), self.tickets, need));
        true
    }

    /// Compares rooms' tails with Redis, in one pipeline.
    fn compare(&mut self, rooms: Vec<RoomName>, cause: RepairCause, at: &LaneMoment) {
        if at.life.is_some() {
            self.act(LaneAction::Compare { generation: self.generation, cause, rooms });
        } else if cause == RepairCause::Resubscribe {
            // Without a connection nothing can be compared: each room is read instead.
            rooms.iter().for_each(|room| self.lost(room, cause, at));
        }
    }

    pub(super) fn read(
        &mut self,
        name: &RoomName,
        ticket: u64,
        need: Need,
        result: ReadResult,
        at: &LaneMoment,
    ) {
        let queue = match need {
            Need::Standing => &mut self.standings,
            Need::After(..) => &mut self.ranges,
        };
        match &result {
            Ok(_) => queue.done(),
            Err(_) => queue.failed(at.now, at.dice),
        }
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.ticket == Some(ticket)) else {
            return;
        };
        room.ticket = None;
        if let Ok((page, found)) = result {
            let mut events = Vec::new();
            room.order.read(page, &mut events);
            self.deliver(name, events, found, at);
        }
        self.ask(name, at);
    }

    pub(super) fn compared(
        &mut self,
        generation: u64,
        cause: RepairCause,
        rooms: &[RoomName],
        tails: Option<Vec<RoomTail>>,
        at: &LaneMoment,
    ) {
        if generation != self.generation {
            return;
        }
        match (tails, cause) {
            (Some(tails), _) => {
                for (room, tail) in rooms.iter().zip(tails) {
                    self.judge_tail(room, tail, cause, at);
                }
            }
            // The ends are unknown, so each room is read.
            (None, RepairCause::Resubscribe) => {
                rooms.iter().for_each(|room| self.lost(room, RepairCause::Epoch, at));
            }
            (None, _) => {}
        }
    }

    fn judge_tail(&mut self, name: &RoomName, tail: RoomTail, cause: RepairCause, at: &LaneMoment) {
        match tail {
            Some((epoch, seq, known)) if at.life.as_ref().is_none_or(|life| **life == *known) => {
                if cause != RepairCause::Resubscribe {
                    self.swept(name, epoch, seq);
                } else if let Some(room) = self.rooms.get_mut(name) {
                    room.order.checked(epoch, seq, cause);
                    self.ask(name, at);
                }
            }
            // Redis does not have the room, or has it in another life: a read gives it the next
            // epoch.
            _ => self.lost(name, RepairCause::Epoch, at),
        }
    }

    pub(super) fn held(&mut self, name: &RoomName, result: ReadResult, at: &LaneMoment) {
        match result {
            Ok((page, RoomFound::Known)) => self.swept(name, page.lineage.epoch, page.last),
            Ok(_) => self.lost(name, RepairCause::Epoch, at),
            Err(_) => {}
        }
    }

    pub(super) fn polled(&mut self, name: &RoomName, result: ReadResult, at: &LaneMoment) {
        if let (Some(room), Ok((page, _))) = (self.rooms.get_mut(name), result) {
            room.order.checked(page.lineage.epoch, page.last, RepairCause::Moved);
            self.ask(name, at);
        }
    }

    /// The sweep saw the room end at this position. The pushes may only be late, so the next probe
    /// decides.
    fn swept(&mut self, name: &RoomName, epoch: Epoch, seq: Seq) {
        if self.rooms.get(name).is_some_and(|room| room.order.is_behind(epoch, seq)) {
            self.probe.suspect(Suspect { room: name.clone(), epoch, seq });
        }
    }

    /// Compares the tails of the rooms that are due, and prolongs in Redis those that were
    /// prolonged too long ago.
    pub(super) fn sweep(&mut self, at: &LaneMoment) {
        let rooms = &self.rooms;
        let mut due = self.tail_checks.sweep(|room| rooms.contains_key(room));
        let swept = due.clone();
        let hold = self.options.linger / HOLDS_PER_LINGER;
        due.retain(|name| {
            let Some(room) = self.rooms.get_mut(name) else { return false };
            if at.now.duration_since(room.held) < hold {
                return true;
            }
            room.held = at.now;
            self.act(LaneAction::Hold(name.clone()));
            false
        });
        if self.connected && at.life.is_some() {
            self.sweep_presence(&swept);
        }
        if !due.is_empty() && self.connected {
            self.compare(due, RepairCause::Tail, at);
        }
    }
}
