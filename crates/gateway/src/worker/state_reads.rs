//! Reading a room's state without joining it: a client's request, and the parts of the answer, all at
//! one position. What does not fit into the first part is kept for a while, for its connection only.

use std::cell::{Cell, RefCell};
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

/// How long the parts that were not asked for are kept.
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
    /// Answers with parts that were not asked for.
    held: Rc<RefCell<HashMap<u64, HeldState>>>,
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

/// The parts of one answer.
#[derive(Debug)]
struct HeldState {
    connection: ConnectionId,
    room: RoomName,
    parts: Rc<[SnapshotPart]>,
    until: Instant,
    bytes: usize,
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
        let parts: Result<Rc<[SnapshotPart]>, ReadError> = outcome.map(|read| whole(read).into());
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
        parts: &Rc<[SnapshotPart]>,
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
        parts: &Rc<[SnapshotPart]>,
        most: usize,
    ) -> Option<(SnapshotPart, Option<Box<str>>)> {
        let first = parts.first()?.clone();
        if !first.more {
            return Some((first, None));
        }
        let bytes: usize = parts.iter().map(|part| part.bytes).sum();
        let mut held = self.held.borrow_mut();
        let own = held.iter().filter(|(_, held)| held.connection == connection);
        let own: Vec<u64> = own.map(|(number, _)| *number).collect();
        if own.len() >= OPEN_READS
            && let Some(oldest) = own.iter().min()
        {
            held.remove(oldest);
        }
        if held.values().map(|held| held.bytes).sum::<usize>() + bytes > most.max(bytes) {
            return None;
        }
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        let until = Instant::now() + PAGE_LIFE;
        let (room, parts) = (room.clone(), parts.clone());
        held.insert(number, HeldState { connection, room, parts, until, bytes });
        drop(held);
        self.forget_later(number, until);
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
        let known = held.get_mut(&number)?;
        if known.connection != connection || known.room != *room || token(number, at)[..] != *page {
            return None;
        }
        let part = known.parts.get(at)?.clone();
        known.until = Instant::now() + PAGE_LIFE;
        let next = part.more.then(|| token(number, at + 1));
        Some((part, next))
    }

    /// Forgets the parts once nobody has asked for one for as long as they are kept.
    fn forget_later(&self, number: u64, mut until: Instant) {
        let held = Rc::downgrade(&self.held);
        tokio::task::spawn_local(async move {
            loop {
                sleep_until(until).await;
                let Some(held) = held.upgrade() else { return };
                let mut held = held.borrow_mut();
                match held.get(&number) {
                    Some(known) if known.until > Instant::now() => until = known.until,
                    _ => {
                        held.remove(&number);
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
