//! Ephemeral events on their way to the workers: what one turn of the hub brings for a room goes to
//! each of its workers in one event. A full queue drops signals; of who comes and goes nothing is
//! dropped unsaid.

use std::mem;
use std::sync::Arc;

use roomcast_bus::{Ephemeral, PresenceNews, Signal, Writer};
use roomcast_metrics::SignalOutcome;
use roomcast_protocol::{RoomKind, RoomName, ServerFrame};
use tokio::time::Instant;

use super::WorkerEvent;
use super::driver::Hub;
use super::people::RoomPeople;
use super::typing::TypingChange;
use crate::ephemeral::{Audience, AudienceMembers, EphemeralFrame, EphemeralItem};
use crate::settings::PresenceSetting;

/// Typings and rooms' people that are looked at in one turn.
const DUE_PER_TURN: usize = 256;
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

    /// Ends typings and says what waited, as far as that is due.
    pub(super) fn tell_due(&mut self, now: Instant) {
        for _ in 0..DUE_PER_TURN {
            let Some((room, writer)) = self.typings.take_due(now) else { break };
            let item = typing_item(&room, writer, TypingChange::Ended);
            self.tell(&room, vec![item]);
        }
        for _ in 0..DUE_PER_TURN {
            if self.people_due.first().is_none_or(|(at, _)| *at > now) {
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
            let must_arrive = items.iter().any(|item| is_needed(item));
            for &(worker, _) in &ledger.workers {
                let (room, items) = (room.clone(), items.clone());
                let count = items.len() as u64;
                let event = WorkerEvent::Ephemeral { room: room.clone(), items };
                let queue = &mut self.queues[worker];
                if must_arrive {
                    // A marked room gets its log again, and a reset of lists with it.
                    if queue.send(&room, event) == super::worker_queue::Sent::Marked {
                        self.metrics.rooms.hub_queue_full.inc();
                    }
                } else if !queue.try_send(&room, event) {
                    self.metrics.people.signals[SignalOutcome::Dropped].inc_by(count);
                }
            }
        }
    }

    /// A worker's queue was full: what it was to hear of a room's people may be lost.
    pub(super) fn reset_lists(&mut self, worker: usize, room: &RoomName) {
        let has_people = self.rooms.get(room).is_some_and(|ledger| ledger.people.is_some());
        if has_people {
            let reset = EphemeralItem::ListReset { room: room.clone(), spread_ms: RESET_SPREAD_MS };
            let items = Arc::from([Arc::new(reset)]);
            self.send(worker, room, WorkerEvent::Ephemeral { room: room.clone(), items });
        }
    }
}

fn is_needed(item: &EphemeralItem) -> bool {
    match item {
        EphemeralItem::Frame(frame) => frame.audience().members == AudienceMembers::Listeners,
        EphemeralItem::ListReset { .. } => true,
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
