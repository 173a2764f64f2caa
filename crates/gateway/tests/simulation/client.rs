//! One client: the real session, the connection it has to a node, and its application.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use roomcast_client::simulation::{Action, ClientRequest, Input, Session};
use roomcast_client::{Ack, Event, JoinOptions, Options, PublishFailure};
use roomcast_protocol::{
    ClientFrame, ConnectionId, Data, Encoding, Position, Publish, PublishKey, RequestId, RoomName,
    ServerFrame, Since,
};

use super::pipe::Pipe;
use super::reader::{Reader, Tally};
use super::state::Change;
use super::state_reader::StateReader;
use super::truth::{Id, Truth};
use super::wire::{Frame, Witness, parse, payload};
use super::{Climate, ROOMS, STATE_ROOM, room_index, room_name};
use crate::connection::Connection;

/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// The connection as the client sees it.
#[expect(clippy::large_enum_variant, reason = "a client has one")]
pub(super) enum Wire {
    Down,
    /// Being made to this node.
    Opening(usize),
    Up(Up),
}

/// A connection that a node has taken.
pub(super) struct Up {
    pub(super) node: usize,
    pub(super) worker: usize,
    pub(super) connection: Rc<Connection>,
    pub(super) pipe: Pipe,
    /// Frames on their way to the node.
    pub(super) to_node: VecDeque<ClientFrame>,
    bytes: Vec<u8>,
    /// Frames that have come and were not looked at.
    frames: VecDeque<Frame>,
    witness: Witness,
}

impl Wire {
    /// The connection, if a node has taken it.
    pub(super) fn up(&self) -> Option<&Up> {
        match self {
            Self::Up(up) => Some(up),
            _ => None,
        }
    }
}

/// A publish and what became of it.
pub(super) struct Asked {
    pub(super) room: usize,
    pub(super) id: Id,
    /// With a key: it is stored once.
    pub(super) keyed: bool,
    pub(super) outcome: Option<Result<Ack, PublishFailure>>,
}

pub(super) struct Client {
    session: Session,
    now: Instant,
    pub(super) encoding: Encoding,
    pub(super) wire: Wire,
    /// Its current connection, or the last one.
    pub(super) own: ConnectionId,
    pub(super) readers: [Reader; ROOMS],
    /// Where its last membership of each room ended.
    last: [Option<Position>; ROOMS],
    pub(super) asked: BTreeMap<RequestId, Asked>,
    pub(super) tally: Tally,
    /// A connection that the session has let go of.
    pub(super) dropped: Option<Up>,
}

impl Client {
    pub(super) fn new(index: usize, climate: Climate, truth: &Truth) -> Self {
        let Climate { nodes, .. } = climate;
        let now = Instant::now();
        let urls = (0..nodes).map(|node| format!("ws://node-{}", (node + index) % nodes));
        let mut client = Self {
            session: Session::new(&Options::new(urls), index as u64, now),
            now,
            encoding: if index.is_multiple_of(2) { Encoding::Json } else { Encoding::MsgPack },
            wire: Wire::Down,
            own: ConnectionId(0),
            readers: Default::default(),
            last: [None; ROOMS],
            asked: BTreeMap::new(),
            tally: Tally::default(),
            dropped: None,
        };
        if climate.keeps_state() {
            client.readers[STATE_ROOM].state = Some(StateReader::default());
        }
        client.give(Input::Tick, truth);
        client
    }

    /// The session takes something in, and the world does what it wants.
    fn give(&mut self, input: Input, truth: &Truth) {
        self.session.handle(self.now, input);
        let mut asks_for_another = false;
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Connect { url, .. } => {
                    assert!(matches!(self.wire, Wire::Down), "two connections at once");
                    self.wire = Wire::Opening(url);
                }
                Action::Disconnect { .. } => self.let_go(),
                Action::Send(frame) => match &mut self.wire {
                    Wire::Up(up) => up.to_node.push_back(frame),
                    _ => panic!("sent without a connection: {frame:?}"),
                },
                Action::Tell(event) => self.told(&event, truth),
                Action::Published { id, result } => {
                    let asked = self.asked.get_mut(&id).expect("it was asked");
                    assert!(asked.outcome.replace(result).is_none(), "two answers");
                }
                Action::Answered { .. } | Action::FetchToken | Action::Finish => {}
                Action::Prepare { .. } => asks_for_another = true,
                Action::TakeOver => panic!("there is none to take over"),
            }
        }
        if asks_for_another {
            // One connection at a time here: it moves by a loss.
            self.give(Input::Prepared { is_open: false }, truth);
        }
    }

    fn told(&mut self, event: &Event, truth: &Truth) {
        let room = match event {
            Event::Joined { room, .. }
            | Event::Message { room, .. }
            | Event::Gap { room, .. }
            | Event::Reset { room, .. }
            | Event::State { room, .. }
            | Event::Left { room, .. } => room_index(room),
            Event::Error { retry_in, .. } => {
                return assert!(retry_in.is_some(), "refused for good: {event:?}");
            }
            Event::Closed { .. } => panic!("the session ended: {event:?}"),
            _ => return,
        };
        super::run::note(|| format!("    //     {}: {event:?}", self.own));
        let reader = &mut self.readers[room];
        reader.hear(event, self.own, truth, &mut self.tally);
    }

    fn let_go(&mut self) {
        if let Wire::Up(up) = std::mem::replace(&mut self.wire, Wire::Down) {
            self.dropped = Some(up);
        }
        for reader in &mut self.readers {
            self.tally.cut += u64::from(reader.awaits());
            reader.unlink();
        }
    }

    /// The node that this client's connection is being made to.
    pub(super) fn is_opening(&self) -> Option<usize> {
        match self.wire {
            Wire::Opening(url) => Some(url),
            _ => None,
        }
    }

    /// A node took the connection.
    pub(super) fn accepted(
        &mut self,
        (node, worker): (usize, usize),
        connection: Rc<Connection>,
        pipe: Pipe,
    ) {
        let (to_node, frames, bytes) = (VecDeque::new(), VecDeque::new(), Vec::new());
        self.own = connection.id;
        let state_room = self.readers[STATE_ROOM].state.is_some().then_some(STATE_ROOM);
        let witness = Witness::new(connection.id, state_room);
        self.wire =
            Wire::Up(Up { node, worker, connection, pipe, to_node, bytes, frames, witness });
    }

    /// The connection, or the attempt, is over.
    pub(super) fn lost(&mut self, code: Option<u16>, truth: &Truth) {
        if matches!(self.wire, Wire::Down) {
            return;
        }
        self.let_go();
        self.give(Input::Closed { code, reason: "lost".into() }, truth);
    }

    /// Up to `count` bytes come to the client.
    pub(super) fn read(&mut self, count: usize) -> bool {
        let Wire::Up(up) = &mut self.wire else { return false };
        let bytes = up.pipe.read(count);
        up.bytes.extend_from_slice(&bytes);
        up.frames.extend(parse(&mut up.bytes, self.encoding));
        !bytes.is_empty()
    }

    /// The client looks at up to `count` frames.
    pub(super) fn hear(&mut self, count: usize, truth: &Truth) -> bool {
        let mut any = false;
        for _ in 0..count {
            let Wire::Up(up) = &mut self.wire else { break };
            let Some(frame) = up.frames.pop_front() else { break };
            any = true;
            match frame {
                Frame::Server(frame) => {
                    up.witness.hear(&frame, truth);
                    self.give(Input::Frame(*frame), truth);
                }
                Frame::Ping => self.give(Input::Heard, truth),
                Frame::Close(code) => self.lost(Some(code), truth),
            }
        }
        any
    }

    /// The application wants to be in a room.
    pub(super) fn join(
        &mut self,
        room: usize,
        since: Option<Position>,
        history: Option<u32>,
        truth: &Truth,
    ) {
        if self.readers[room].wanted {
            return;
        }
        let is_bogus = since.is_some_and(|since| !truth.knows(room, since));
        self.readers[room].enter(since, is_bogus, truth);
        let since = since.map(Since::Position);
        let options = JoinOptions { since, history, ..JoinOptions::default() };
        self.give(Input::Join { room: room_name(room), options }, truth);
    }

    /// Where the last membership of a room ended.
    pub(super) fn last(&self, room: usize) -> Option<Position> {
        self.last[room]
    }

    /// The application wants out of a room.
    pub(super) fn leave(&mut self, room: usize, truth: &Truth) {
        if self.readers[room].wanted {
            self.last[room] = self.readers[room].leave();
            self.give(Input::Leave { room: room_name(room) }, truth);
        }
    }

    /// The application publishes.
    pub(super) fn publish(
        &mut self,
        room: usize,
        (keyed, echo): (bool, bool),
        climate: Climate,
        truth: &mut Truth,
    ) {
        let request = self.session.next_id();
        let id = truth.next_id();
        let key = keyed.then(|| PublishKey::parse(&format!("k{id}")).expect("a key"));
        let data = payload(id, climate.width(room));
        let change = Change::of(room, climate.keeps_state(), id);
        let publish = publication(room_name(room), data, change, key, echo);
        self.asked.insert(request, Asked { room, id, keyed, outcome: None });
        let deadline = self.now + DEADLINE;
        let input =
            Input::Request { id: request, request: ClientRequest::Publish(publish), deadline };
        self.give(input, truth);
    }

    /// Lets time pass, stopping at every deadline of the session on the way.
    pub(super) fn pass(&mut self, time: Duration, truth: &Truth) {
        if matches!(self.wire, Wire::Up(_)) {
            // The node's pings.
            self.give(Input::Heard, truth);
        }
        let end = self.now + time;
        for _ in 0..1000 {
            match self.session.next_deadline().filter(|&deadline| deadline <= end) {
                Some(deadline) => self.now = deadline.max(self.now),
                None => return self.now = end,
            }
            self.give(Input::Tick, truth);
        }
        panic!("the session does not get past {:?}", self.session.next_deadline());
    }

    /// P4, as far as the session can see.
    pub(super) fn duplicates(&self) -> u64 {
        self.session.duplicates()
    }

    /// Whether nothing is on its way to it or from it.
    pub(super) fn is_quiet(&self) -> bool {
        let Wire::Up(up) = &self.wire else { return false };
        let answered = self.asked.values().all(|asked| asked.outcome.is_some());
        up.to_node.is_empty() && up.frames.is_empty() && answered
    }
}

fn publication(
    room: RoomName,
    data: Data,
    change: Option<Change>,
    key: Option<PublishKey>,
    echo: bool,
) -> Publish {
    Publish {
        id: None,
        room,
        data,
        event: None,
        key,
        if_seq: None,
        echo,
        traceparent: None,
        if_key_seq: None,
        state_key: change.and_then(Change::key),
        ttl_ms: change.and_then(Change::ttl_ms),
        remove: change.is_some_and(Change::removes),
        receipts: false,
    }
}

/// The answer to a publish that was stored.
pub(super) fn ack(id: RequestId, room: RoomName, at: Position) -> ServerFrame {
    ServerFrame::Ack { id, room, epoch: at.epoch, seq: at.seq, time: 0 }
}
