//! Events of the hub: logs, batches and pages. They change the worker's mirror of a room's log and
//! queue passes.

use std::rc::Rc;

use roomcast_metrics::{DeliveryStage, GapCause, SignalOutcome, SlowAction};
use roomcast_protocol::CloseCode;

use super::Worker;
use crate::config::SlowPolicy;
use crate::ephemeral::EphemeralItem;
use crate::hub::WorkerEvent;
use crate::room::{Attachment, Laggard, LaggardVerdict, MemberReader, Room};
use crate::room_log::LogEntry;

impl Worker {
    /// Handles an event of the hub.
    pub(crate) fn take_in(&self, event: WorkerEvent) {
        match event {
            WorkerEvent::Attached { room, number, log, lineage, slow, held: _held } => {
                let Some(room) = self.room(&room) else { return };
                let mut state = room.state.borrow_mut();
                if state.attachment.number() != number {
                    return;
                }
                let fallen = state.attach(log, lineage, slow);
                drop(state);
                self.judge(&room, fallen);
                self.resolve(&room);
                self.request_backfill(&room);
                self.queue_pass(&room);
                // Moves may have been lost meanwhile.
                self.count_soon(&room);
            }
            WorkerEvent::Refused { room, number, code } => {
                let Some(room) = self.room(&room) else { return };
                if room.state.borrow().attachment == Attachment::Asked(number) {
                    self.refuse_soon(&room, code);
                }
            }
            WorkerEvent::Append { room, number, batch, floor, lineage, appended, held: _held } => {
                let way = &self.metrics.delivery.stage[DeliveryStage::Hub];
                way.observe(appended.elapsed().as_secs_f64());
                let Some(room) = self.room(&room) else { return };
                self.note_named_authors(&room, batch.entries());
                let mut state = room.state.borrow_mut();
                // Before the log comes, and after it came again, events may be older than the log.
                let expected = state.log.end_cursor().batch;
                if !matches!(state.attachment, Attachment::Live(_)) || number < expected {
                    return;
                }
                debug_assert_eq!(number, expected, "the hub skips no batch");
                self.count_gaps(batch.entries());
                state.append(batch, lineage);
                let fallen = state.trim(floor);
                let has_pending = !state.pending.is_empty();
                drop(state);
                self.judge(&room, fallen);
                if has_pending {
                    self.resolve(&room);
                }
                self.queue_pass(&room);
            }
            WorkerEvent::Receipts { room, news } => self.take_receipts(&room, &news),
            WorkerEvent::Question(question) => self.take_question(&question),
            WorkerEvent::Trim { room, floor } => {
                let Some(room) = self.room(&room) else { return };
                let fallen = room.state.borrow_mut().trim(floor);
                self.judge(&room, fallen);
            }
            WorkerEvent::Ephemeral { room, items } => {
                let Some(room) = self.room(&room) else { return };
                let mut state = room.state.borrow_mut();
                if items.iter().any(|item| matches!(&**item, EphemeralItem::ListReset { .. })) {
                    state.people.all_missed();
                }
                let dropped = state.waiting_items.add(&items);
                drop(state);
                self.metrics.people.signals[SignalOutcome::Dropped].inc_by(dropped);
                self.pass_items(&room);
            }
            WorkerEvent::State { room, view } => {
                if let Some(room) = self.room(&room) {
                    self.take_state(&room, &view);
                }
            }
            WorkerEvent::Backfill { room, answer } => {
                if let Some(room) = self.room(&room) {
                    self.take_backfill(&room, answer);
                }
            }
        }
    }

    /// Marks connections as authors for which another one wrote: a backend may name a connection
    /// that does not receive its message. Other authors are marked when they publish.
    fn note_named_authors(&self, room: &Room, entries: &[LogEntry]) {
        for entry in entries {
            if let LogEntry::Message(message) = entry
                && !message.echo
                && let Some(author) = message.connection
                && let Some(connection) = self.connections.get(author)
            {
                self.note_author(&connection, &room.name);
            }
        }
    }

    fn count_gaps(&self, entries: &[LogEntry]) {
        let gaps = entries.iter().filter(|entry| matches!(entry, LogEntry::Gap { .. })).count();
        self.metrics.rooms.gaps[GapCause::Bus].inc_by(gaps as u64);
    }

    /// Decides about members that need batches which the log has dropped: members that were too slow
    /// are closed or skip to the end, by policy; the others wait for a page.
    fn judge(&self, room: &Rc<Room>, fallen: Vec<Laggard>) {
        if room.keeps_state() {
            return self.judge_in_state(room, fallen);
        }
        let policy = room.namespace.borrow().slow;
        let (mut evicted, mut closed) = (false, Vec::new());
        for Laggard { connection, slot, position, verdict } in fallen {
            match (verdict, policy) {
                (LaggardVerdict::Slow, SlowPolicy::Close) => {
                    self.metrics.delivery.slow[SlowAction::Closed].inc();
                    tracing::info!(%connection, room = %room.name, "closed: reads too slowly");
                    closed.push(connection);
                }
                (LaggardVerdict::Slow, SlowPolicy::Conflate) => {
                    self.metrics.delivery.slow[SlowAction::Conflated].inc();
                    self.skip_to_end(room, (&connection, slot), position, GapCause::Slow);
                }
                (LaggardVerdict::Evicted, _) => {
                    room.state.borrow_mut().place(slot, MemberReader::Waiting(position));
                    evicted = true;
                }
            }
        }
        // Last: a member that leaves may change the slots of others.
        for connection in closed {
            self.close(&connection, CloseCode::Slow);
        }
        if evicted {
            self.move_waiting(room);
            self.request_backfill(room);
        }
    }
}

#[cfg(test)]
mod tests;
