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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roomcast_protocol::{JoinRoom, Lineage};
    use tokio::task::LocalSet;

    use super::*;
    use crate::hub::HubHandle;
    use crate::room_log::RoomLog;
    use crate::tests::{EPOCH, at, connection, room_name, settings, worker};

    /// Joins, says something before that is answered, and joins. What is said is permitted by these
    /// settings at first, and by others at last.
    async fn say_while_joining(last: &[&str]) -> [u64; 2] {
        let (hub, _) = HubHandle::new();
        let worker = worker(settings(&[]), hub);
        let (connection, _client) = connection(1).await;
        worker.join(&connection, None, JoinRoom::new(room_name()), None);
        worker.say(&connection, (None, room_name()), MemberWord::Typing { active: true });
        worker.settings.replace(Arc::new(settings(last)));
        let room = worker.room(&room_name()).unwrap();
        let lineage = Arc::new(Lineage::new(EPOCH));
        room.state.borrow_mut().attach(RoomLog::new(at(0)), lineage, 0);
        worker.resolve(&room);
        assert!(connection.membership_in(room.id).is_some());
        let signals = &worker.metrics.people.signals;
        let said = signals[SignalOutcome::Sent].get() + signals[SignalOutcome::Dropped].get();
        [said, worker.metrics.traffic.errors[ErrorCode::Forbidden].get()]
    }

    #[tokio::test]
    async fn what_waits_for_a_join_is_permitted_when_it_is_said() {
        let test = async {
            assert_eq!(say_while_joining(&[]).await, [1, 0]);
            let server = ["namespaces.default.allow_signal=server"];
            assert_eq!(say_while_joining(&server).await, [0, 1]);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_signal_that_waits_does_not_go_out_after_its_sender_left() {
        let test = async {
            let (hub, _) = HubHandle::new();
            let worker = worker(settings(&["namespaces.default.conflate_signals=true"]), hub);
            let (connection, _client) = connection(1).await;
            worker.join(&connection, None, JoinRoom::new(room_name()), None);
            let room = worker.room(&room_name()).unwrap();
            let lineage = Arc::new(Lineage::new(EPOCH));
            room.state.borrow_mut().attach(RoomLog::new(at(0)), lineage, 0);
            worker.resolve(&room);
            for _ in 0..2 {
                let event = EventName::parse("cursor").unwrap();
                worker.signal(&connection, &room, event, None);
            }
            worker.leave(&connection, None, room_name());
            let late = Instant::now() + std::time::Duration::from_secs(1);
            assert_eq!(worker.conflation.borrow_mut().take_due(late), None);
            assert_eq!(worker.metrics.people.signals[SignalOutcome::Dropped].get(), 1);
        };
        LocalSet::new().run_until(test).await;
    }
}
