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

    /// A member leaves of its own will: the newest of its signals go out before.
    pub(super) fn send_waiting_signals(&self, connection: &Connection, room: &RoomName) {
        let waiting = self.conflation.borrow_mut().take_of(connection.id, room);
        waiting.into_iter().for_each(|signal| self.send_signal(room, signal));
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

    use roomcast_protocol::{CloseCode, JoinRoom, Lineage};
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

    /// A member sends two signals of one key and is in the room no more. Returns how many were sent,
    /// and dropped.
    async fn signal_twice_and_end(end: impl Fn(&Worker, &Rc<Connection>)) -> [u64; 2] {
        let (hub, _) = HubHandle::new();
        let worker = worker(settings(&["namespaces.default.conflate_signals=true"]), hub);
        let (connection, _client) = connection(1).await;
        worker.join(&connection, None, JoinRoom::new(room_name()), None);
        let room = worker.room(&room_name()).unwrap();
        let lineage = Arc::new(Lineage::new(EPOCH));
        room.state.borrow_mut().attach(RoomLog::new(at(0)), lineage, 0);
        worker.resolve(&room);
        for _ in 0..2 {
            worker.signal(&connection, &room, EventName::parse("cursor").unwrap(), None);
        }
        end(&worker, &connection);
        let late = Instant::now() + std::time::Duration::from_secs(1);
        assert_eq!(worker.conflation.borrow_mut().take_due(late), None);
        let signals = &worker.metrics.people.signals;
        [signals[SignalOutcome::Sent].get(), signals[SignalOutcome::Dropped].get()]
    }

    #[tokio::test]
    async fn the_newest_signal_goes_out_before_a_leave_and_not_after_an_end() {
        let test = async {
            let left = signal_twice_and_end(|worker, connection| {
                worker.leave(connection, None, room_name());
            });
            assert_eq!(left.await, [2, 0]);
            let ended = signal_twice_and_end(|worker, connection| {
                worker.close(connection, CloseCode::Normal);
            });
            assert_eq!(ended.await, [1, 1]);
        };
        LocalSet::new().run_until(test).await;
    }
}
