//! Reading a room's state without joining it: a client's request, and the parts of the answer, all at
//! one position. What does not fit into the first part is kept for a while, for its connection only.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_bus::{ReadError, RoomStateRead};
use roomcast_protocol::{ConnectionId, ErrorCode, RequestId, RoomName, ServerFrame};
use tokio::time::{Instant, sleep_until};

use super::Worker;
use super::requests::{BusAnswer, Requester};
use crate::connection::Connection;
use crate::room_log::{SnapshotPart, StateItem, parts};

/// How long the token of a part is good after it was given.
const PAGE_LIFE: Duration = Duration::from_secs(30);
/// Answers with several parts that a connection may have open; the oldest goes for one more.
const OPEN_READS: usize = 4;
/// Those of a worker hold at most one part in so many of `limits.log_bytes`.
const HELD_PARTS: usize = 16;

/// A request for a room's state.
pub(super) struct StateQuery {
    pub(super) id: Option<RequestId>,
    pub(super) room: RoomName,
    /// The `page` of the answer before.
    pub(super) page: Option<Box<str>>,
}

/// The reads of one worker.
#[derive(Debug, Default)]
pub(super) struct StateReads {
    /// Rooms that are being read. A room has one read at a time, so that a crowd costs two.
    reading: RefCell<HashMap<RoomName, Waiting>>,
    /// Answers with several parts, by the connection that has their tokens and a number.
    held: Rc<RefCell<BTreeMap<(ConnectionId, u64), HeldState>>>,
    /// Bytes of the different answers that are held.
    held_bytes: Rc<Cell<usize>>,
    last_number: Cell<u64>,
}

/// The requests that wait for a room.
#[derive(Debug, Default)]
struct Waiting {
    /// Those that the read under way answers.
    now: Vec<Requester>,
    /// Those that came after it began.
    next: Vec<Requester>,
}

/// An answer that a connection may ask for more of.
#[derive(Debug)]
struct HeldState {
    room: RoomName,
    parts: Rc<SharedParts>,
    /// Until when the token of each part after the first is good, of those that were given.
    until: Vec<Instant>,
}

/// The parts of one answer, which all have that asked for it together.
#[derive(Debug)]
struct SharedParts {
    parts: Vec<SnapshotPart>,
    bytes: usize,
    /// Where its bytes count, once, as soon as a connection may ask for more of it.
    counted: OnceCell<Rc<Cell<usize>>>,
}

impl SharedParts {
    fn new(parts: Vec<SnapshotPart>) -> Rc<Self> {
        let bytes = parts.iter().map(|part| part.bytes).sum();
        Rc::new(Self { parts, bytes, counted: OnceCell::new() })
    }

    fn count_in(&self, all: &Rc<Cell<usize>>) {
        if self.counted.set(all.clone()).is_ok() {
            all.set(all.get() + self.bytes);
        }
    }
}

impl Drop for SharedParts {
    fn drop(&mut self) {
        if let Some(all) = self.counted.get() {
            all.set(all.get() - self.bytes);
        }
    }
}

impl Worker {
    /// A client reads a room's state, or the next part of it.
    pub(super) fn read_state(&self, connection: &Rc<Connection>, query: StateQuery) {
        let StateQuery { id, room, page } = query;
        if let Some(page) = page {
            match self.state_reads.next_part(connection.id, &room, &page) {
                Some((part, page)) => connection.send(&frame(id, room, part, page)),
                None => {
                    let reason =
                        (ErrorCode::BadFrame, "page: not one of this connection's, or over");
                    self.refuse(connection, id, Some(&room), reason);
                }
            }
            return;
        }
        let to = self.begin_request(connection, id);
        connection.reading.set(connection.reading.get() + 1);
        let mut reading = self.state_reads.reading.borrow_mut();
        if let Some(waiting) = reading.get_mut(&room) {
            waiting.next.push(to);
            return;
        }
        reading.insert(room.clone(), Waiting { now: vec![to], next: Vec::new() });
        drop(reading);
        self.start_state_read(room);
    }

    fn start_state_read(&self, room: RoomName) {
        let points =
            self.settings.borrow().namespace_of(&room).state.map_or(0, |state| state.points);
        let (bus, answers) = (self.bus.clone(), self.answers.clone());
        tokio::task::spawn_local(async move {
            let outcome = bus.state(&room, points).await;
            // The worker may have ended meanwhile.
            let _ = answers.send(BusAnswer::State { room, outcome });
        });
    }

    /// Answers the requests that waited for a read, and reads again for those that came later.
    pub(super) fn answer_state(&self, room: RoomName, outcome: Result<RoomStateRead, ReadError>) {
        let Some(Waiting { now, next }) = self.state_reads.reading.borrow_mut().remove(&room)
        else {
            return;
        };
        if !next.is_empty() {
            let waiting = Waiting { now: next, next: Vec::new() };
            self.state_reads.reading.borrow_mut().insert(room.clone(), waiting);
            self.start_state_read(room.clone());
        }
        let parts = outcome.map(|read| SharedParts::new(whole(read)));
        for to in now {
            let Some(connection) = self.end_request(to) else { continue };
            connection.reading.set(connection.reading.get() - 1);
            self.release(&connection);
            match &parts {
                Ok(parts) => self.answer_first(&connection, to.id, &room, parts),
                Err(ReadError::Unavailable) => {
                    let reason = (ErrorCode::BusUnavailable, "the bus does not answer; try again");
                    self.refuse(&connection, to.id, Some(&room), reason);
                }
            }
            self.write_soon(&connection);
        }
    }

    fn answer_first(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        room: &RoomName,
        parts: &Rc<SharedParts>,
    ) {
        let most = self.settings.borrow().limits.log_bytes / HELD_PARTS;
        match self.state_reads.first_part(connection.id, room, parts, most) {
            Some((part, page)) => connection.send(&frame(id, room.clone(), part, page)),
            None => {
                let reason = (ErrorCode::Overloaded, "too many states are being read; try again");
                self.refuse(connection, id, Some(room), reason);
            }
        }
    }
}

impl StateReads {
    /// The first part, and the page after it. `None` if the worker holds too much already.
    fn first_part(
        &self,
        connection: ConnectionId,
        room: &RoomName,
        parts: &Rc<SharedParts>,
        most: usize,
    ) -> Option<(SnapshotPart, Option<Box<str>>)> {
        let first = parts.parts.first()?.clone();
        if !first.more {
            return Some((first, None));
        }
        let mut held = self.held.borrow_mut();
        let mut own = held.range((connection, 0)..=(connection, u64::MAX));
        let oldest = own.next().map(|(key, held)| (*key, held));
        let oldest = oldest.filter(|_| own.count() + 1 >= OPEN_READS);
        // Bytes that others hold, too, stay.
        let freed = oldest.filter(|(_, held)| Rc::strong_count(&held.parts) == 1);
        let used = self.held_bytes.get() - freed.map_or(0, |(_, held)| held.parts.bytes);
        if parts.counted.get().is_none() && used + parts.bytes > most.max(parts.bytes) {
            return None;
        }
        if let Some((oldest, _)) = oldest {
            held.remove(&oldest);
        }
        parts.count_in(&self.held_bytes);
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        let until = Instant::now() + PAGE_LIFE;
        let (room, parts) = (room.clone(), parts.clone());
        held.insert((connection, number), HeldState { room, parts, until: vec![until] });
        drop(held);
        self.forget_later((connection, number), until);
        Some((first, Some(token(number, 1))))
    }

    /// The part that a page names, and the page after it.
    fn next_part(
        &self,
        connection: ConnectionId,
        room: &RoomName,
        page: &str,
    ) -> Option<(SnapshotPart, Option<Box<str>>)> {
        let (number, at) = page.split_once('.')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let at: usize = at.parse().ok()?;
        let mut held = self.held.borrow_mut();
        let known = held.get_mut(&(connection, number))?;
        if known.room != *room || token(number, at)[..] != *page {
            return None;
        }
        let now = Instant::now();
        known.until.get(at.checked_sub(1)?).filter(|until| now <= **until)?;
        let part = known.parts.parts.get(at)?.clone();
        if part.more {
            match known.until.get_mut(at) {
                Some(until) => *until = now + PAGE_LIFE,
                None => known.until.push(now + PAGE_LIFE),
            }
        }
        let next = part.more.then(|| token(number, at + 1));
        Some((part, next))
    }

    /// Forgets an answer when none of the tokens that were given is good any more.
    fn forget_later(&self, key: (ConnectionId, u64), mut until: Instant) {
        let held = Rc::downgrade(&self.held);
        tokio::task::spawn_local(async move {
            loop {
                sleep_until(until).await;
                let Some(held) = held.upgrade() else { return };
                let mut held = held.borrow_mut();
                let last = held.get(&key).and_then(|known| known.until.iter().max().copied());
                match last.filter(|last| *last > Instant::now()) {
                    Some(last) => until = last,
                    None => {
                        held.remove(&key);
                        return;
                    }
                }
            }
        });
    }
}

/// The values of a read that have not expired, in parts.
fn whole(read: RoomStateRead) -> Vec<SnapshotPart> {
    let at = roomcast_protocol::Position { epoch: read.lineage.epoch, seq: read.last };
    let live = read.entries.into_iter().filter(|value| value.left != Some(Duration::ZERO));
    let item = |value: roomcast_bus::StateValue| StateItem {
        message: value.message,
        points: value.points,
    };
    let mut values: Vec<StateItem> = live.map(item).collect();
    values.sort_unstable_by_key(|value| value.message.seq);
    parts(at, &values)
}

fn token(number: u64, part: usize) -> Box<str> {
    format!("{number:x}.{part}").into()
}

fn frame(
    id: Option<RequestId>,
    room: RoomName,
    part: SnapshotPart,
    page: Option<Box<str>>,
) -> ServerFrame {
    let SnapshotPart { at, entries, more, .. } = part;
    ServerFrame::State { id, room, epoch: at.epoch, seq: at.seq, entries, more, page }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::{LocalSet, yield_now};
    use tokio::time::advance;

    use super::*;
    use crate::tests::{at, message, room_name};

    /// An answer of so many parts, each with one value of 60,000 bytes.
    fn answer(count: u64) -> Rc<SharedParts> {
        let item = |seq| StateItem { message: Arc::new(message(seq, 60_000)), points: Vec::new() };
        let values: Vec<StateItem> = (1..=count).map(item).collect();
        SharedParts::new(parts(at(count), &values))
    }

    /// Asks for the first part; the token of the next one.
    fn first(reads: &StateReads, connection: u64, of: &Rc<SharedParts>) -> Option<Box<str>> {
        let most = 20 * 60_000;
        reads.first_part(ConnectionId(connection), &room_name(), of, most)?.1
    }

    fn next(reads: &StateReads, page: &str) -> Option<Option<Box<str>>> {
        reads.next_part(ConnectionId(1), &room_name(), page).map(|(_, next)| next)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_many_asked_for_counts_once() {
        let test = async {
            let (reads, large) = (StateReads::default(), answer(17));
            for connection in 0..100 {
                assert!(first(&reads, connection, &large).is_some(), "{connection}");
            }
            assert_eq!(first(&reads, 100, &answer(17)), None, "another one is too much");
            drop(large);
            assert_eq!(reads.held_bytes.get(), 17 * 60_000);
            advance(PAGE_LIFE).await;
            // A turn runs some of the tasks that forget.
            for _ in 0..10 {
                yield_now().await;
            }
            assert_eq!((reads.held.borrow().len(), reads.held_bytes.get()), (0, 0));
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_is_refused_ends_no_other() {
        let test = async {
            let reads = StateReads::default();
            let pages: Vec<_> =
                (0..OPEN_READS).map(|_| first(&reads, 1, &answer(2)).unwrap()).collect();
            assert_eq!(first(&reads, 1, &answer(16)), None);
            assert_eq!(next(&reads, &pages[0]), Some(None));
            assert!(first(&reads, 1, &answer(14)).is_some(), "with what the oldest held");
            assert_eq!(next(&reads, &pages[0]), None);
            assert_eq!(next(&reads, &pages[1]), Some(None));
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_token_is_good_for_thirty_seconds() {
        let test = async {
            let reads = StateReads::default();
            let page = first(&reads, 1, &answer(3)).unwrap();
            advance(PAGE_LIFE / 2).await;
            let second = next(&reads, &page).unwrap().unwrap();
            assert_eq!(next(&reads, &token(1, 0)), None);
            advance(PAGE_LIFE / 2 + Duration::from_millis(1)).await;
            assert_eq!(next(&reads, &page), None, "asking for others does not prolong it");
            assert_eq!(next(&reads, &second), Some(None));
            advance(PAGE_LIFE / 2).await;
            assert_eq!(next(&reads, &second), None);
            yield_now().await;
            assert_eq!(reads.held_bytes.get(), 0);
        };
        LocalSet::new().run_until(test).await;
    }
}
