//! Ephemeral events on their way to the workers: what one turn of the hub brings for a room goes to
//! each of its workers in one event. A full queue drops signals; of who comes and goes nothing is
//! dropped unsaid, and the ends of typings follow when the queue has space.

use std::mem;
use std::sync::Arc;

use roomcast_bus::{Ephemeral, PresenceNews, ReceiptNews, Signal, Writer};
use roomcast_metrics::SignalOutcome;
use roomcast_protocol::{RoomKind, RoomName, ServerFrame};
use tokio::time::Instant;

use super::WorkerEvent;
use super::driver::Hub;
use super::owed::OwedNews;
use super::people::RoomPeople;
use super::typing::TypingChange;
use super::worker_queue::Sent;
use crate::ephemeral::{Audience, AudienceMembers, EphemeralFrame, EphemeralItem};
use crate::settings::PresenceSetting;

/// Typings and rooms' people that are looked at before the thread's other work gets a turn.
const DUE_PER_SLICE: usize = 256;
/// Time within which the members of a worker whose queue was full ask for lists again, in ms.
const RESET_SPREAD_MS: u64 = 2_000;

impl Hub {
    /// Something ephemeral was said in a room.
    pub(super) fn hear(&mut self, room: RoomName, ephemeral: Ephemeral) {
        if room.kind() == RoomKind::Nodes {
            return self.hear_node(&ephemeral);
        }
        let item = match ephemeral {
            Ephemeral::Signal(Signal { user, connection, event, data }) => {
                let frame =
                    ServerFrame::Signal { room: room.clone(), user, connection, event, data };
                for_all(frame, connection.map(Writer::Connection))
            }
            Ephemeral::Typing(word) => {
                let Some(change) = self.typings.hear(&room, &word, Instant::now()) else { return };
                typing_item(&room, word.writer, change)
            }
        };
        self.tell(&room, vec![item]);
    }

    /// Another node said something: every worker is asked for its part of an answer.
    fn hear_node(&mut self, ephemeral: &Ephemeral) {
        let (Some(peers), Ephemeral::Signal(signal)) = (&self.peers, ephemeral) else { return };
        let Some(question) = peers.hear(signal, self.queues.len()) else { return };
        let (question, room) = (Arc::new(question), RoomName::nodes());
        for queue in &self.queues {
            // Where there is no space the node is silent.
            let _is_asked = queue.try_send(&room, WorkerEvent::Question(question.clone()));
        }
    }

    /// Who is in a room has changed.
    pub(super) fn hear_news(&mut self, room: RoomName, news: PresenceNews) {
        let mode = self.settings.borrow().namespace_of(&room).presence.mode;
        let Some(ledger) = self.rooms.get_mut(&room) else { return };
        if mode == PresenceSetting::Off {
            // It was switched off: members of this node do not leave in the eyes of the others.
            ledger.people = None;
            return self.watch_people(&room);
        }
        let people: &mut RoomPeople = ledger.people.get_or_insert_default();
        let items = people.take_in(&room, news, Instant::now());
        self.watch_people(&room);
        self.tell(&room, items);
    }

    /// Ends typings and says what waited, a slice of what is due. True if more is due.
    pub(super) fn tell_due(&mut self, now: Instant) -> bool {
        for _ in 0..DUE_PER_SLICE {
            let Some((room, writer)) = self.typings.take_due(now) else { break };
            let item = typing_item(&room, writer, TypingChange::Ended);
            self.tell(&room, vec![item]);
        }
        let is_due = |hub: &Self| hub.people_due.first().is_some_and(|(at, _)| *at <= now);
        for _ in 0..DUE_PER_SLICE {
            if !is_due(self) {
                break;
            }
            let Some((_, room)) = self.people_due.pop_first() else { break };
            let Some(ledger) = self.rooms.get_mut(&room) else { continue };
            ledger.people_at = None;
            let Some(people) = &mut ledger.people else { continue };
            let items = people.due(&room, now);
            self.watch_people(&room);
            self.tell(&room, items);
        }
        self.flush_told();
        self.typings.is_due(now) || is_due(self)
    }

    /// Has a room's people looked at when the next thing is due.
    fn watch_people(&mut self, room: &RoomName) {
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        let next = ledger.people.as_ref().and_then(|people| people.next_due());
        let before = mem::replace(&mut ledger.people_at, next);
        if before != next {
            if let Some(before) = before {
                self.people_due.remove(&(before, room.clone()));
            }
            if let Some(next) = next {
                self.people_due.insert((next, room.clone()));
            }
        }
    }

    /// Has a room's workers get this at the end of the turn.
    fn tell(&mut self, room: &RoomName, items: Vec<EphemeralItem>) {
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        if items.is_empty() || ledger.workers.is_empty() {
            return;
        }
        if ledger.told.is_empty() {
            self.told.push(room.clone());
        }
        ledger.told.extend(items.into_iter().map(Arc::new));
    }

    /// Sends the workers what this turn has brought.
    pub(super) fn flush_told(&mut self) {
        for room in mem::take(&mut self.told) {
            let Some(ledger) = self.rooms.get_mut(&room) else { continue };
            let items: Arc<[Arc<EphemeralItem>]> = mem::take(&mut ledger.told).into();
            let must_arrive = items.iter().any(|item| item.is_needed());
            for &(worker, _) in &ledger.workers {
                let count = items.len() as u64;
                let event = WorkerEvent::Ephemeral { room: room.clone(), items: items.clone() };
                let queue = &mut self.queues[worker];
                if must_arrive {
                    // A marked room gets its log again, and a reset of lists with it.
                    if queue.send(&room, event) == Sent::Marked {
                        self.metrics.rooms.hub_queue_full.inc();
                    }
                    if let Some(owed) = queue.owed(&room) {
                        owed.keep_ends(&items);
                    }
                } else if !queue.try_send(&room, event) {
                    self.metrics.people.signals[SignalOutcome::Dropped].inc_by(count);
                }
            }
        }
    }

    /// Users' positions in a room moved.
    pub(super) fn tell_receipts(&mut self, room: &RoomName, news: &Arc<[ReceiptNews]>) {
        let Some(ledger) = self.rooms.get(room) else { return };
        for &(worker, _) in &ledger.workers {
            let queue = &mut self.queues[worker];
            let event = WorkerEvent::Receipts { room: room.clone(), news: news.clone() };
            if queue.send(room, event) == Sent::Marked {
                self.metrics.rooms.hub_queue_full.inc();
            }
            if let Some(owed) = queue.owed(room) {
                owed.keep_receipts(room, news);
            }
        }
    }

    /// A worker's queue was full and has space again: it gets the room's log and what follows it.
    pub(super) fn attach_again(&mut self, worker: usize, room: &RoomName, owed: OwedNews) {
        self.send_log(worker, room);
        self.reset_lists(worker, room);
        let OwedNews { ends, receipts } = owed;
        if !ends.is_empty() {
            let items: Arc<[Arc<EphemeralItem>]> = ends.into();
            let event = WorkerEvent::Ephemeral { room: room.clone(), items: items.clone() };
            self.send(worker, room, event);
            if let Some(owed) = self.queues[worker].owed(room) {
                owed.keep_ends(&items);
            }
        }
        if let Some(receipts) = receipts {
            let news: Arc<[ReceiptNews]> = Arc::new([receipts]);
            let event = WorkerEvent::Receipts { room: room.clone(), news: news.clone() };
            self.send(worker, room, event);
            if let Some(owed) = self.queues[worker].owed(room) {
                owed.keep_receipts(room, &news);
            }
        }
    }

    /// A worker's queue was full: what it was to hear of a room's people may be lost.
    fn reset_lists(&mut self, worker: usize, room: &RoomName) {
        let has_people = self.rooms.get(room).is_some_and(|ledger| ledger.people.is_some());
        if has_people {
            let reset = EphemeralItem::ListReset { room: room.clone(), spread_ms: RESET_SPREAD_MS };
            let items = Arc::from([Arc::new(reset)]);
            self.send(worker, room, WorkerEvent::Ephemeral { room: room.clone(), items });
        }
    }
}

fn for_all(frame: ServerFrame, but: Option<Writer>) -> EphemeralItem {
    let audience = Audience { members: AudienceMembers::All, but };
    EphemeralItem::Frame(EphemeralFrame::new(frame, audience))
}

fn typing_item(room: &RoomName, writer: Writer, change: TypingChange) -> EphemeralItem {
    let (user, connection) = match &writer {
        Writer::User(user) => (Some(user.clone()), None),
        Writer::Connection(connection) => (None, Some(*connection)),
    };
    let active = change == TypingChange::Began;
    for_all(ServerFrame::Typing { room: room.clone(), user, connection, active }, Some(writer))
}
