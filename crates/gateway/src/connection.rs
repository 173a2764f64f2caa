//! A connection: its socket, its gate, and the ids of the rooms it is in. One worker owns it, and it
//! is only touched on that worker's thread. It knows no room.

mod access;
mod arriving;
mod followed;
mod gate;
mod link;
mod memberships;
mod phase;
mod pulse;
mod rates;
mod room_id;
mod write;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use roomcast_protocol::{ConnectionId, Encoding, ServerFrame, UserName};
use tokio::time::Instant;

pub(crate) use access::EndPlace;
pub(crate) use arriving::Arriving;
pub(crate) use memberships::Membership;
pub(crate) use phase::{ConnectionPhase, Ended};
pub(crate) use pulse::{Pulse, WheelPlace, WorkerTime};
pub(crate) use rates::{ConnectionRates, Excess, RequestRate, WireExcess};
pub(crate) use room_id::RoomId;

use crate::form::Form;
use crate::identity::{Hello, Tag};
use crate::socket::Socket;
use access::HeldAccess;
use followed::FollowedByAuthor;
use gate::Gate;
use memberships::Memberships;

/// Bytes read from a connection in one turn: one buffer of the worker.
pub(crate) const TURN_BYTES: usize = 64 * 1024;

/// One client link.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) user: Option<UserName>,
    /// Where its client is; `None` where all that is known is a proxy's address.
    pub(crate) address: Cell<Option<IpAddr>>,
    /// When it was registered, in Unix ms by the bus's clock.
    pub(crate) begun: Cell<u64>,
    /// What its client calls itself.
    tag: Option<Box<Tag>>,
    /// What its tokens let it do.
    access: HeldAccess,
    /// What its messages are written in.
    pub(crate) form: Form,
    socket: Socket,
    phase: Cell<ConnectionPhase>,
    gate: RefCell<Gate>,
    memberships: RefCell<Memberships>,
    /// Rooms it is in.
    joined: Cell<u32>,
    /// Rooms it waits to be in.
    joining: Cell<u32>,
    /// It published something with a key or without echo: frames of its own may differ for it, in
    /// rooms it is in and in those it is about to join.
    pub(crate) authored: Cell<bool>,
    /// It was joined to its user's own room by the node, and did not ask for it yet.
    pub(crate) is_auto_joined: Cell<bool>,
    /// Its messages whose receipts it is told of.
    followed: FollowedByAuthor,
    /// Requests the bus has not answered.
    pub(crate) in_flight: Cell<u32>,
    /// How many of them are for history.
    pub(crate) reading: Cell<u32>,
    /// It is not read until its answers are taken, or come.
    pub(crate) held_back: Cell<bool>,
    /// Changes of a list that it follows were not written to it.
    pub(crate) missed_list: Cell<bool>,
    /// Frames that could not be read.
    pub(crate) broken: Cell<u8>,
    /// A large payload of it is being judged: it is not read meanwhile.
    pub(crate) judging: Cell<bool>,
    /// Rooms that are counted for its user.
    pub(crate) user_rooms: Cell<usize>,
    /// What it has used of its rates; `None`: it is exempt.
    rates: Option<Box<RefCell<ConnectionRates>>>,
    /// Its user was proved, not only named.
    is_authenticated: bool,
    /// When it was heard, and when it is looked at next.
    pub(crate) pulse: Pulse,
    /// When the message that is arriving began.
    pub(crate) arriving: Cell<Option<Instant>>,
    /// It is in the worker's list of connections to write.
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
        form: Form,
        socket: impl Into<Socket>,
        stalled: &Rc<Cell<usize>>,
    ) -> Self {
        let is_authenticated = hello.is_authenticated();
        Self {
            id,
            user: hello.user,
            address: Cell::new(None),
            begun: Cell::new(0),
            tag: hello.tag,
            access: HeldAccess::new(hello.verified),
            form,
            socket: socket.into(),
            phase: Cell::new(ConnectionPhase::Open),
            gate: RefCell::default(),
            memberships: RefCell::default(),
            joined: Cell::new(0),
            joining: Cell::new(0),
            authored: Cell::new(false),
            is_auto_joined: Cell::new(false),
            followed: FollowedByAuthor::default(),
            in_flight: Cell::new(0),
            reading: Cell::new(0),
            held_back: Cell::new(false),
            missed_list: Cell::new(false),
            broken: Cell::new(0),
            judging: Cell::new(false),
            user_rooms: Cell::new(0),
            rates: None,
            is_authenticated,
            pulse: Pulse::default(),
            arriving: Cell::new(None),
            queued: Cell::new(false),
            stalled: stalled.clone(),
            waker: RefCell::new(None),
        }
    }

    /// The same connection, bound by rates.
    pub(crate) fn with_rates(mut self) -> Self {
        self.rates = Some(Box::default());
        self
    }

    /// What it has used of its rates, unless it is exempt.
    pub(crate) fn rates(&self) -> Option<&RefCell<ConnectionRates>> {
        self.rates.as_deref()
    }

    /// The user, if the user was proved: limits by user hold for these only.
    pub(crate) fn authenticated_user(&self) -> Option<&UserName> {
        self.user.as_ref().filter(|_| self.is_authenticated)
    }

    /// What its client calls itself over all its connections.
    pub(crate) fn client(&self) -> Option<&Arc<str>> {
        self.tag.as_ref().map(|tag| &tag.client)
    }

    /// The encoding of its payloads, in both directions.
    pub(crate) fn encoding(&self) -> Encoding {
        self.form.encoding()
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
        frame.encode(self.encoding(), &mut payload);
        self.form.append(&payload, self.gate.borrow_mut().control());
    }

    /// Puts a heartbeat into the gate.
    pub(crate) fn send_heartbeat(&self) {
        self.form.append_heartbeat(self.gate.borrow_mut().control());
    }

    /// Lets the reading side append complete control frames to the gate.
    pub(crate) fn append_control<R>(&self, append: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        append(self.gate.borrow_mut().control())
    }

    /// Control bytes that the socket has not taken.
    pub(crate) fn unread_control(&self) -> usize {
        self.gate.borrow().control_bytes()
    }

    /// Memory that the frame begun holds, and with TLS its last record.
    pub(crate) fn rest_held(&self) -> usize {
        self.gate.borrow().rest_held() + self.socket.unsent_held()
    }
}

/// As log lines name it: id, user, and what it calls itself.
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
    }
}
