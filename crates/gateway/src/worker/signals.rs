//! Signals and typing: what a member tells the others without it being numbered or kept.

use std::rc::Rc;

use roomcast_bus::{Ephemeral, EphemeralFate, Signal, TypingWord, Writer};
use roomcast_metrics::SignalOutcome;
use roomcast_protocol::{Data, ErrorCode, EventName, RequestId, RoomName};
use tokio::time::{Instant, sleep_until};

use super::Worker;
use super::conflation::Conflated;
use crate::connection::Connection;
use crate::room::{AfterJoin, MemberWord, Room};

impl Worker {
    /// A member says something. What comes before its own join is answered waits for that.
    pub(super) fn say(
        &self,
        connection: &Rc<Connection>,
        (id, room): (Option<RequestId>, RoomName),
        word: MemberWord,
    ) {
        let waiting = self.after_join(connection, &room, AfterJoin::Word { id, word });
        let Some(AfterJoin::Word { id, word }) = waiting else { return };
        let known = self.room(&room);
        let member = known.filter(|room| connection.membership_in(room.id).is_some());
        let Some(room) = member else {
            let reason = (ErrorCode::NotJoined, "this connection is not in that room");
            return self.refuse(connection, id, Some(&room), reason);
        };
        match word {
            MemberWord::Signal { event, data } => self.signal(connection, &room, event, data),
            MemberWord::Typing { active } => {
                let writer = match &connection.user {
                    Some(user) => Writer::User(user.clone()),
                    None => Writer::Connection(connection.id),
                };
                self.send_ephemeral(&room.name, Ephemeral::Typing(TypingWord { writer, active }));
            }
            MemberWord::Show { info, status } => {
                self.show(connection, &room, id, (info, status));
            }
        }
    }

    fn signal(&self, connection: &Connection, room: &Room, event: EventName, data: Option<Data>) {
        let (user, id) = (connection.user.clone(), connection.id);
        let signal = Signal { user, connection: Some(id), event, data };
        if !room.namespace.borrow().conflates_signals {
            return self.send_signal(&room.name, signal);
        }
        let offered = self.conflation.borrow_mut().offer(id, &room.name, signal, Instant::now());
        match offered {
            Conflated::Now(signal) => {
                self.send_signal(&room.name, signal);
                self.conflating.notify_one();
            }
            Conflated::Waits => {}
            Conflated::Replaces => self.count_signal(SignalOutcome::Conflated),
        }
    }

    /// Sends the signals that waited for newer ones, as long as the node runs.
    pub(crate) async fn run_conflation(self: Rc<Self>) {
        loop {
            let Some(due) = self.conflation.borrow().next_due() else {
                self.conflating.notified().await;
                continue;
            };
            sleep_until(due).await;
            let now = Instant::now();
            loop {
                let taken = self.conflation.borrow_mut().take_due(now);
                let Some((room, signal)) = taken else { break };
                self.send_signal(&room, signal);
            }
        }
    }

    fn send_signal(&self, room: &RoomName, signal: Signal) {
        self.send_ephemeral(room, Ephemeral::Signal(signal));
    }

    fn send_ephemeral(&self, room: &RoomName, ephemeral: Ephemeral) {
        self.count_signal(match self.bus.send_ephemeral(room, ephemeral) {
            EphemeralFate::Taken => SignalOutcome::Sent,
            EphemeralFate::Dropped => SignalOutcome::Dropped,
        });
    }

    pub(super) fn count_signal(&self, outcome: SignalOutcome) {
        self.metrics.people.signals[outcome].inc();
    }
}
