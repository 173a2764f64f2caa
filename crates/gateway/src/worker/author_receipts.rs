//! How many users have a message: told to the connection that published it, as long as it is one of
//! its newest. Moves of the room's users say when to count again; the bus counts.

use std::rc::Rc;
use std::time::Duration;

use roomcast_bus::{ReadError, ReceiptCounts, ReceiptNews};
use roomcast_protocol::{ConnectionId, Position, RoomName, Seq, ServerFrame};
use tokio::time::{Instant, sleep_until};

use super::Worker;
use super::requests::BusAnswer;
use crate::connection::{Connection, RoomId};
use crate::room::Room;

/// The messages of a room are counted once in this time.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// Messages of a connection that are followed; of more, the oldest are let go.
const MAX_FOLLOWED: usize = 100;
/// How long they are followed in a room that their author is not in, after the last of them there.
const MAX_QUIET: Duration = Duration::from_secs(600);

impl Worker {
    /// Follows the receipts of a message that a connection published.
    pub(super) fn follow_receipts(
        &self,
        connection: &Rc<Connection>,
        name: &RoomName,
        at: Position,
    ) {
        let room = self.room_or_ask(name);
        room.state.borrow_mut().followed.add(connection.id, at);
        let now = Instant::now();
        let dropped = connection.follow_receipts((room.id, at.seq), now, MAX_FOLLOWED);
        if let Some((id, seq)) = dropped
            && let Some(room) = self.rooms.by_id(id)
        {
            room.state.borrow_mut().followed.remove(connection.id, seq);
            self.forget_if_empty(&room);
        }
        // Some may have it already.
        self.count_soon(&room);
    }

    /// A connection ends: none of its messages is followed.
    pub(super) fn end_followed(&self, connection: &Connection) {
        self.let_go(connection, connection.end_followed());
    }

    /// Lets go of a connection's messages in rooms that it is not in, and where it has published none
    /// of them for a while: the node keeps such a room open for them alone.
    pub(super) fn end_quiet_followed(&self, connection: &Connection) {
        if let Some(since) = Instant::now().checked_sub(MAX_QUIET) {
            self.let_go(connection, connection.end_quiet_followed(since));
        }
    }

    fn let_go(&self, connection: &Connection, messages: impl IntoIterator<Item = (RoomId, Seq)>) {
        for (id, seq) in messages {
            if let Some(room) = self.rooms.by_id(id) {
                room.state.borrow_mut().followed.remove(connection.id, seq);
                self.forget_if_empty(&room);
            }
        }
    }

    /// Users' positions moved: messages that they may have reached are counted again.
    pub(super) fn recount_receipts(&self, room: &Rc<Room>, news: &[ReceiptNews]) {
        let reach = news.iter().map(|news| news.marks.received).max().unwrap_or(0);
        let is_touched = room.state.borrow().followed.first().is_some_and(|first| first <= reach);
        if is_touched {
            self.count_soon(room);
        }
    }

    /// Counts the followed messages of a room, unless that is about to be done; after a count at the
    /// earliest a second later.
    pub(super) fn count_soon(&self, room: &Rc<Room>) {
        let now = Instant::now();
        let Some(at) = room.state.borrow_mut().followed.plan(now, COUNT_INTERVAL) else { return };
        let (bus, answers, name) = (self.bus.clone(), self.answers.clone(), room.name.clone());
        let room = Rc::downgrade(room);
        tokio::task::spawn_local(async move {
            sleep_until(at).await;
            let seqs = match room.upgrade() {
                Some(room) => room.state.borrow_mut().followed.begin(Instant::now()),
                None => return,
            };
            if seqs.is_empty() {
                return;
            }
            let counts = bus.count_receipts(&name, &seqs).await;
            // The worker may have ended meanwhile.
            let _ = answers.send(BusAnswer::Counted { room: name, seqs, counts });
        });
    }

    /// The bus has counted: authors are told what changed.
    pub(super) fn take_counts(
        &self,
        name: &RoomName,
        seqs: &[u64],
        counts: Result<ReceiptCounts, ReadError>,
    ) {
        let Some(room) = self.room(name) else { return };
        let Ok(ReceiptCounts { epoch, counts, .. }) = counts else {
            // Again, a second after this try.
            return self.count_soon(&room);
        };
        let mut told: Vec<(ConnectionId, ServerFrame)> = Vec::new();
        let counted = seqs.iter().copied().zip(counts);
        for (id, seq, (received, read)) in room.state.borrow_mut().followed.counted(epoch, counted)
        {
            let room = name.clone();
            told.push((id, ServerFrame::Receipts { room, epoch, seq, received, read }));
        }
        for (id, frame) in told {
            if let Some(connection) = self.connections.get(id) {
                connection.send(&frame);
                self.write_soon(&connection);
            }
        }
        self.forget_if_empty(&room);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;
    use tokio::time::advance;

    use super::*;
    use crate::hub::HubHandle;
    use crate::room::MemberReader;
    use crate::tests::{at, connection, enter, room_name, settings, worker};

    #[tokio::test(start_paused = true)]
    async fn a_room_is_followed_for_ten_minutes_by_who_is_not_in_it() {
        let test = async {
            let (hub, _) = HubHandle::new();
            let worker = worker(settings(&[]), hub);
            let ((author, _one), (member, _two)) = (connection(1).await, connection(2).await);
            let other = RoomName::parse("other").unwrap();
            enter(&member, &worker.room_or_ask(&other), MemberReader::Waiting(at(0)));
            worker.follow_receipts(&member, &other, at(1));
            worker.follow_receipts(&author, &room_name(), at(1));
            let check = |expected: [bool; 2]| {
                worker.end_quiet_followed(&author);
                worker.end_quiet_followed(&member);
                let followed = [&room_name(), &other].map(|name| {
                    worker.room(name).is_some_and(|room| !room.state.borrow().followed.is_empty())
                });
                assert_eq!(followed, expected);
            };
            advance(MAX_QUIET / 2).await;
            worker.follow_receipts(&author, &room_name(), at(2));
            advance(MAX_QUIET / 2 + COUNT_INTERVAL).await;
            check([true, true]);
            advance(MAX_QUIET / 2).await;
            check([false, true]);
            assert!(worker.room(&room_name()).is_none(), "its log is let go, too");
        };
        LocalSet::new().run_until(test).await;
    }
}
