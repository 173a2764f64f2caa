//! A connection: its socket, its gate, and the rooms it is in. Owned by one worker and only ever
//! touched on that worker's thread.

mod boundary;
mod gate;
mod inbound;
mod memberships;
mod serve;
mod socket;
mod turn;
mod write;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use roomcast_protocol::{CloseCode, ConnectionId, Encoding, ServerFrame, UserName};
use tokio::time::Instant;

pub(crate) use gate::Gate;
pub(crate) use inbound::Arriving;
pub(crate) use memberships::Membership;
pub(crate) use serve::{abandon, serve};
pub(crate) use socket::Socket;
pub(crate) use turn::TURN_BYTES;

use crate::frame;
use crate::identity::{Hello, Tag};
use crate::room::Room;
use crate::worker::Pulse;
use memberships::Memberships;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Frames go both ways.
    Open,
    /// A Close stands in the gate: nothing else is begun, and the rest is written under a deadline.
    Closing(Ended),
    /// The socket is dead, or is to be dropped at once.
    Gone(Ended),
}

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The node closed it.
    Node(CloseCode),
    /// The client sent a Close first.
    Client,
    /// The socket ended without one.
    Vanished,
}

/// One client link.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) user: Option<UserName>,
    /// What it calls itself.
    tag: Option<Box<Tag>>,
    pub(crate) encoding: Encoding,
    socket: Socket,
    phase: Cell<Phase>,
    gate: RefCell<Gate>,
    memberships: RefCell<Memberships>,
    /// Rooms it is in.
    joined: Cell<u32>,
    /// Rooms it is about to be in.
    pub(crate) joining: RefCell<Vec<Rc<Room>>>,
    /// It published something with a key or without echo: frames of its own may differ for it, in
    /// rooms it is in and in those it is about to join.
    pub(crate) authored: Cell<bool>,
    /// Requests the bus has not answered.
    pub(crate) in_flight: Cell<u32>,
    /// How many of them are for history.
    pub(crate) reading: Cell<u32>,
    /// It is not read until its answers are taken, or come.
    pub(crate) held_back: Cell<bool>,
    /// Frames that could not be read.
    pub(crate) broken: Cell<u8>,
    /// When it was heard, and when it is looked at next.
    pub(crate) pulse: Pulse,
    /// When the message that is arriving began.
    pub(crate) arriving: Cell<Option<Instant>>,
    /// It stands in the worker's list of connections to write.
    pub(crate) queued: Cell<bool>,
    /// What frames begun hold, over all connections of the worker, in bytes.
    stalled: Rc<Cell<usize>>,
    /// Its task.
    waker: RefCell<Option<Waker>>,
}

impl Connection {
    /// A connection whose handshake is done. Of its frames begun it counts in `stalled` what they
    /// hold.
    pub(crate) fn new(
        id: ConnectionId,
        hello: Hello,
        encoding: Encoding,
        socket: impl Into<Socket>,
        stalled: &Rc<Cell<usize>>,
    ) -> Self {
        Self {
            id,
            user: hello.user,
            tag: hello.tag,
            encoding,
            socket: socket.into(),
            phase: Cell::new(Phase::Open),
            gate: RefCell::default(),
            memberships: RefCell::default(),
            joined: Cell::new(0),
            joining: RefCell::default(),
            authored: Cell::new(false),
            in_flight: Cell::new(0),
            reading: Cell::new(0),
            held_back: Cell::new(false),
            broken: Cell::new(0),
            pulse: Pulse::default(),
            arriving: Cell::new(None),
            queued: Cell::new(false),
            stalled: stalled.clone(),
            waker: RefCell::new(None),
        }
    }

    /// What its client calls itself over all its connections.
    pub(crate) fn client(&self) -> Option<&Arc<str>> {
        self.tag.as_ref().map(|tag| &tag.client)
    }

    /// How far it has come.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether frames still go to it.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    /// Whether the socket took less than it was given.
    pub(crate) fn is_blocked(&self) -> bool {
        self.gate.borrow().is_blocked()
    }

    /// The socket takes bytes again.
    pub(crate) fn unblock(&self) {
        self.gate.borrow_mut().unblock();
    }

    /// It ends: no frame of a room is begun any more.
    pub(crate) fn drop_rooms(&self) {
        self.gate.borrow_mut().drop_rooms();
    }

    /// Puts a frame into the gate; the worker writes it at the end of its turn.
    pub(crate) fn send(&self, frame: &ServerFrame) {
        if !self.is_open() {
            return;
        }
        let mut payload = Vec::with_capacity(256);
        frame.encode(self.encoding, &mut payload);
        frame::append(self.encoding, &payload, self.gate.borrow_mut().control());
    }

    /// Whether bytes have come that were not read.
    pub(crate) fn has_unread(&self) -> bool {
        self.socket.has_unread()
    }

    /// Puts bytes of complete control frames into the gate.
    pub(crate) fn send_control(&self, append: impl FnOnce(&mut Vec<u8>)) {
        append(self.gate.borrow_mut().control());
    }

    /// Control bytes that the socket has not taken.
    pub(crate) fn unread_control(&self) -> usize {
        self.gate.borrow().control_bytes()
    }

    /// Memory that the frame begun holds.
    pub(crate) fn rest_held(&self) -> usize {
        self.gate.borrow().rest_held()
    }

    /// Ends it without a Close, which could not follow the frame begun.
    pub(crate) fn cut_off(&self, code: CloseCode) {
        if self.is_open() {
            self.end(Phase::Gone(Ended::Node(code)));
        }
    }

    /// Begins the end: after what stands in the gate, a Close. The worker takes it out of its
    /// rooms and its task finishes under a deadline.
    pub(crate) fn close(&self, code: CloseCode) {
        if !self.is_open() {
            return;
        }
        frame::append_close(code, self.gate.borrow_mut().control());
        self.end(Phase::Closing(Ended::Node(code)));
    }

    /// The client's Close was answered into the gate.
    pub(crate) fn close_answered(&self) {
        if self.is_open() {
            self.end(Phase::Closing(Ended::Client));
        }
    }

    /// The socket is dead.
    pub(crate) fn fail(&self) {
        match self.phase.get() {
            Phase::Open => self.end(Phase::Gone(Ended::Vanished)),
            Phase::Closing(ended) => self.end(Phase::Gone(ended)),
            Phase::Gone(_) => {}
        }
    }

    fn end(&self, phase: Phase) {
        self.phase.set(phase);
        self.wake();
    }

    /// Lets its task look again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Remembers its task.
    fn remember(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Number of rooms it is in.
    pub(crate) fn rooms(&self) -> usize {
        self.joined.get() as usize
    }

    /// Enters a room; the membership's index, which stays.
    pub(crate) fn enter(&self, room: Rc<Room>) -> u32 {
        self.joined.set(self.joined.get() + 1);
        self.memberships.borrow_mut().enter(room)
    }

    /// The member of this membership stands in another slot now.
    pub(crate) fn moved(&self, membership: u32, slot: u32) {
        if let Some(membership) = self.memberships.borrow_mut().get_mut(membership) {
            membership.slot = slot;
        }
    }

    /// Ends a membership.
    pub(crate) fn exit(&self, membership: u32) -> Option<Membership> {
        let left = self.memberships.borrow_mut().exit(membership)?;
        self.joined.set(self.joined.get() - 1);
        if left.owed {
            self.gate.borrow_mut().forget(membership);
        }
        Some(left)
    }

    /// The membership in a room, if it is in it: index and slot.
    pub(crate) fn membership_in(&self, room: &Rc<Room>) -> Option<(u32, u32)> {
        let memberships = self.memberships.borrow();
        memberships.of(room).map(|(index, membership)| (index, membership.slot))
    }

    /// Indices of all memberships.
    pub(crate) fn membership_indices(&self) -> Vec<u32> {
        self.memberships.borrow().indices()
    }

    /// Notes that a room has something for it. True if the worker should write it soon: it is
    /// neither blocked nor queued already.
    pub(crate) fn owe(&self, membership: u32) -> bool {
        if !self.is_open() {
            return false;
        }
        let mut memberships = self.memberships.borrow_mut();
        let Some(entry) = memberships.get_mut(membership) else { return false };
        let mut gate = self.gate.borrow_mut();
        if !entry.owed {
            entry.owed = true;
            gate.owe(membership);
        }
        !gate.is_blocked() && !self.queued.replace(true)
    }
}

/// As it stands in log lines: id, user, and what it calls itself.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(user) = &self.user {
            write!(f, " user={user}")?;
        }
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, " {tag}"))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stalled.set(self.stalled.get() - self.rest_held());
        debug_assert_eq!(self.joined.get(), 0, "a connection leaves its rooms before it ends");
    }
}
