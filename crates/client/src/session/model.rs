//! The session against a model of a hostile node: it drops connections in mid-burst, loses acks,
//! says things twice, forgets history, forks epochs, refuses, hints and falls silent. Whatever it
//! does, the application must see each room in order, once, with every hole named, and get exactly
//! one true answer to each publish.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;
use roomcast_protocol::{
    ClientFrame, Data, Epoch, ErrorCode, JoinRoom, Message, Position, Publish, ServerFrame, Since,
    StateEntry, StateKey,
};

use super::tests::{connected, message, publish, room};
use super::*;
use crate::{JoinOptions, PublishFailure};

mod app;
mod ops;

use app::App;
use ops::{Mood, Op, ops};

const ROOMS: [&str; 2] = ["a", "b"];
/// The one that keeps state: the last payload of each of three keys.
const STATE_ROOM: usize = 1;
const KEYS: u64 = 3;

#[derive(Debug, Default)]
struct NodeRoom {
    epoch: u64,
    /// Everything of the current epoch, by seq from 1: (payload, epoch it was stored in).
    log: Vec<u64>,
    /// Seqs up to this one are forgotten, but for the state.
    forgotten: u64,
    member: bool,
}

impl NodeRoom {
    fn state(&self) -> BTreeMap<Option<StateKey>, StateEntry> {
        let entry = |(index, &payload): (usize, &u64)| {
            let message = said(STATE_ROOM, index as u64 + 1, payload);
            let (key, seq) = (message.state_key.clone(), message.seq);
            let (data, points) = (message.data.clone(), None);
            (key.clone(), StateEntry { key, seq, time: message.time, user: None, data, points })
        };
        self.log.iter().enumerate().map(entry).collect()
    }
}

enum Wire {
    Down,
    Opening,
    Up { to_node: VecDeque<ClientFrame>, to_client: VecDeque<ServerFrame> },
}

struct World {
    session: Session,
    now: Instant,
    wire: Wire,
    /// Whether a connection for a move is open, if there is one.
    spare: Option<bool>,
    rooms: [NodeRoom; 2],
    keys: HashMap<String, Position>,
    /// How often each payload was stored.
    stored: HashMap<u64, u32>,
    next_payload: u64,
    app: App,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let mut world = Self {
            session: Session::new(&Options::new(["ws://a", "ws://b"]), 3, now),
            now,
            wire: Wire::Down,
            spare: None,
            rooms: Default::default(),
            keys: HashMap::new(),
            stored: HashMap::new(),
            next_payload: 0,
            app: App::default(),
        };
        world.give(Input::Tick);
        world
    }

    fn give(&mut self, input: Input) {
        self.session.handle(self.now, input);
        while let Some(action) = self.session.next_action() {
            assert!(
                !self.app.closed || matches!(action, Action::Finish | Action::Published { .. })
            );
            match action {
                Action::Connect { .. } => {
                    assert!(matches!(self.wire, Wire::Down), "two connections at once");
                    (self.wire, self.spare) = (Wire::Opening, None);
                }
                Action::Prepare { .. } => self.spare = Some(false),
                Action::TakeOver => {
                    assert!(matches!(self.wire, Wire::Down), "two connections at once");
                    assert_eq!(self.spare.take(), Some(true), "none to take over");
                    self.open();
                }
                Action::Disconnect { .. } => self.cut(usize::MAX),
                Action::Send(frame) => match &mut self.wire {
                    Wire::Up { to_node, .. } => to_node.push_back(frame),
                    _ => panic!("sent without a connection: {frame:?}"),
                },
                Action::Tell(event) => self.app.told(event),
                Action::Published { id, result } => {
                    let (_, answer) = self.app.asked.get_mut(&id).expect("asked for");
                    assert!(answer.replace(result).is_none(), "two answers to {id}");
                }
                Action::Answered { .. } | Action::FetchToken | Action::Finish => {}
            }
        }
    }

    fn open(&mut self) {
        let to_client = VecDeque::from([connected()]);
        self.wire = Wire::Up { to_node: VecDeque::new(), to_client };
    }

    /// The connection ends at the node too, which still handles some of what was sent.
    fn cut(&mut self, handles: usize) {
        if let Wire::Up { to_node, .. } = std::mem::replace(&mut self.wire, Wire::Down) {
            for frame in to_node.into_iter().take(handles) {
                self.node_takes(frame, Mood::Kind);
            }
        }
        self.rooms.iter_mut().for_each(|room| room.member = false);
    }

    fn say(&mut self, frame: ServerFrame) {
        if let Wire::Up { to_client, .. } = &mut self.wire {
            to_client.push_back(frame);
        }
    }

    fn node_takes(&mut self, frame: ClientFrame, mood: Mood) {
        let refusal = |id, room: &RoomName, code| {
            let (room, message) = (Some(room.clone()), "no".into());
            ServerFrame::Error { id, room, code, message, retry_after_ms: None }
        };
        match (frame, mood) {
            (ClientFrame::Join { id, rooms }, Mood::Overloaded) => {
                for join in rooms {
                    self.say(refusal(id, &join.room, ErrorCode::Overloaded));
                }
            }
            (ClientFrame::Join { id, rooms }, _) => {
                rooms.into_iter().for_each(|join| self.node_joins(id, join));
            }
            (ClientFrame::Leave { id, room }, _) => {
                self.rooms[index(&room)].member = false;
                self.say(ServerFrame::Left { id, room, reason: None });
            }
            (ClientFrame::Publish(publish), Mood::Overloaded) => {
                self.say(refusal(publish.id, &publish.room, ErrorCode::Overloaded));
            }
            (ClientFrame::Publish(publish), Mood::Forbidding) => {
                self.say(refusal(publish.id, &publish.room, ErrorCode::Forbidden));
            }
            (ClientFrame::Publish(publish), mood) => {
                let (id, room) = (publish.id.expect("asks for an ack"), publish.room.clone());
                let Position { epoch, seq } = self.store(&publish);
                self.say(match mood {
                    Mood::Unsure => refusal(Some(id), &room, ErrorCode::PublishUnknown),
                    _ => ServerFrame::Ack { id, room, epoch, seq, time: 0 },
                });
            }
            (frame, _) => panic!("not sent by this model: {frame:?}"),
        }
    }

    fn store(&mut self, publish: &Publish) -> Position {
        let key = publish.key.as_ref().map(|key| key.to_string());
        if let Some(position) = key.as_ref().and_then(|key| self.keys.get(key)) {
            return *position;
        }
        let Data::Json(bytes) = &publish.data else { panic!("the model speaks JSON") };
        let payload = std::str::from_utf8(bytes).unwrap().parse().unwrap();
        let position = self.append(index(&publish.room), payload);
        self.keys.extend(key.map(|key| (key, position)));
        position
    }

    fn append(&mut self, at: usize, payload: u64) -> Position {
        *self.stored.entry(payload).or_default() += 1;
        let node = &mut self.rooms[at];
        node.log.push(payload);
        let seq = node.log.len() as u64;
        let position = Position { epoch: Epoch(node.epoch), seq };
        if node.member {
            let (room, message) = (room(ROOMS[at]), said(at, seq, payload));
            self.say(ServerFrame::Message { room, message });
        }
        position
    }

    fn node_joins(&mut self, id: Option<RequestId>, join: JoinRoom) {
        let at = index(&join.room);
        let node = &mut self.rooms[at];
        assert!(!node.member, "joined twice");
        node.member = true;
        let (room, epoch, last) = (join.room, Epoch(node.epoch), node.log.len() as u64);
        let log = node.log.clone();
        let since = join.since.and_then(Since::position);
        let good = since.filter(|since| since.epoch == epoch && since.seq <= last);
        let from = good.map_or(last, |since| since.seq);
        let oldest = node.forgotten.max(from);
        let recovered = join.since.map(|_| good.is_some() && oldest == from);
        let state = at == STATE_ROOM && join.since.is_none();
        let joined = ServerFrame::Joined {
            id,
            room: room.clone(),
            epoch,
            seq: from,
            recovered,
            counts: None,
            marks: None,
            state,
        };
        self.say(joined);
        if state {
            return self.snapshot();
        }
        if join.since.is_some() && good.is_none() {
            return self.reset(at, Position { epoch, seq: from }, 1);
        }
        if oldest > from && at == STATE_ROOM {
            let (from, to) = (from + 1, last);
            self.say(ServerFrame::Gap { room, from, to, conflated: false, state: true });
            return self.snapshot();
        }
        if oldest > from {
            self.say(ServerFrame::gap(room.clone(), (from + 1, oldest)));
        }
        for seq in oldest + 1..=last {
            let message = said(at, seq, log[seq as usize - 1]);
            self.say(ServerFrame::Message { room: room.clone(), message });
        }
    }

    fn reset(&mut self, at: usize, to: Position, lost: u64) {
        let (room, state) = (room(ROOMS[at]), at == STATE_ROOM);
        let Position { epoch, seq } = to;
        self.say(ServerFrame::Reset { room, epoch, seq, lost, state });
        if state {
            self.snapshot();
        }
    }

    /// The whole state as it is, in parts of one value each.
    fn snapshot(&mut self) {
        let node = &self.rooms[STATE_ROOM];
        let (epoch, seq) = (Epoch(node.epoch), node.log.len() as u64);
        let mut entries: Vec<_> = node.state().into_values().collect();
        loop {
            let part: Vec<_> = entries.pop().into_iter().collect();
            let (room, more) = (room(ROOMS[STATE_ROOM]), !entries.is_empty());
            let (id, page) = (None, None);
            self.say(ServerFrame::State { id, room, epoch, seq, entries: part, more, page });
            if !more {
                return;
            }
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Publish(at) => {
                self.next_payload += 1;
                self.append(at, self.next_payload);
            }
            Op::Fork(at, lost) => {
                let node = &mut self.rooms[at];
                let lost = lost.min(node.log.len() as u64);
                node.log.truncate(node.log.len() - lost as usize);
                node.epoch += 1;
                let (seq, epoch, member) = (node.log.len() as u64, Epoch(node.epoch), node.member);
                node.forgotten = node.forgotten.min(seq);
                if member {
                    self.reset(at, Position { epoch, seq }, lost);
                }
            }
            Op::Conflate(left_out) => {
                // A reader that is slow in a state room: of one key it gets the newest value.
                let node = &mut self.rooms[STATE_ROOM];
                let is_member = std::mem::take(&mut node.member);
                let from = node.log.len() as u64 + 1;
                for _ in 0..left_out {
                    self.next_payload += KEYS;
                    self.append(STATE_ROOM, self.next_payload);
                }
                self.rooms[STATE_ROOM].member = is_member;
                if is_member && left_out > 0 {
                    let (room, to) = (room(ROOMS[STATE_ROOM]), from + left_out - 1);
                    self.say(ServerFrame::Gap { room, from, to, conflated: true, state: false });
                }
                self.next_payload += KEYS;
                self.append(STATE_ROOM, self.next_payload);
            }
            Op::Trim(at) => {
                let node = &mut self.rooms[at];
                node.forgotten = (node.forgotten + node.log.len() as u64).div_ceil(2);
            }
            Op::Node(frames, mood) => {
                for _ in 0..frames {
                    let Wire::Up { to_node, .. } = &mut self.wire else { return };
                    let Some(frame) = to_node.pop_front() else { return };
                    self.node_takes(frame, mood);
                }
            }
            Op::Arrive(frames) => {
                for _ in 0..frames {
                    let Wire::Up { to_client, .. } = &mut self.wire else { return };
                    let Some(frame) = to_client.pop_front() else { return };
                    self.give(Input::Frame(frame));
                }
            }
            Op::Repeat(at, back) => {
                let node = &self.rooms[at];
                let seq = (node.log.len() as u64).saturating_sub(back);
                if node.member && seq > 0 {
                    let message = said(at, seq, node.log[seq as usize - 1]);
                    self.say(ServerFrame::Message { room: room(ROOMS[at]), message });
                }
            }
            Op::Accept => {
                if matches!(self.wire, Wire::Opening) {
                    self.open();
                }
                if self.spare == Some(false) {
                    self.spare = Some(true);
                    self.give(Input::Prepared { is_open: true });
                }
            }
            Op::Refuse => {
                if self.spare == Some(false) {
                    self.spare = None;
                    self.give(Input::Prepared { is_open: false });
                }
            }
            Op::Drop(handles, code) => {
                if !matches!(self.wire, Wire::Down) {
                    self.cut(handles);
                    self.give(Input::Closed { code, reason: "lost".into() });
                }
            }
            Op::Hint(after_ms) => {
                self.say(ServerFrame::Reconnect { after_ms, reason: "drain".into() });
            }
            Op::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Op::Ask(at, key) => {
                self.next_payload += 1;
                let (id, payload) = (self.session.next_id(), self.next_payload);
                let key = key.map(|()| format!("k{payload}"));
                let deadline = self.now + Duration::from_secs(15);
                self.app.asked.insert(id, (payload, None));
                let request = publish(ROOMS[at], payload, key.as_deref());
                self.give(Input::Request { id, request, deadline });
            }
            Op::Join(at) => {
                let app = self.app.rooms.entry(room(ROOMS[at])).or_default();
                if !std::mem::replace(&mut app.wanted, true) {
                    let since = app.at.map(Since::Position);
                    let options = JoinOptions { since, ..JoinOptions::default() };
                    self.give(Input::Join { room: room(ROOMS[at]), options });
                }
            }
            Op::Leave(at) => {
                let app = self.app.rooms.entry(room(ROOMS[at])).or_default();
                if std::mem::replace(&mut app.wanted, false) {
                    self.give(Input::Leave { room: room(ROOMS[at]) });
                }
            }
        }
    }

    /// Lets time pass, stopping at every deadline on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..1000 {
            match self.session.next_deadline().filter(|&deadline| deadline <= end) {
                Some(deadline) => self.now = deadline.max(self.now),
                None => {
                    self.now = end;
                    return;
                }
            }
            self.give(Input::Tick);
        }
        panic!("the session does not get past {:?}", self.session.next_deadline());
    }

    /// From now on the node is kind: everything has to come right.
    fn heal(&mut self) {
        for _ in 0..40 {
            for op in [Op::Accept, Op::Arrive(1), Op::Node(500, Mood::Kind), Op::Arrive(1000)] {
                self.run(op);
            }
            self.pass(Duration::from_secs(1));
        }
    }

    fn check(&self) {
        for (payload, answer) in self.app.asked.values() {
            let stored = self.stored.get(payload).copied().unwrap_or(0);
            assert!(stored <= 1, "{payload} was stored {stored} times");
            match answer.as_ref().expect("every publish is answered") {
                Ok(_) => assert_eq!(stored, 1, "{payload} was acked"),
                Err(PublishFailure::Unknown) => {}
                Err(failure) => assert_eq!(stored, 0, "{payload} was stored but {failure}"),
            }
        }
        for (name, app) in &self.app.rooms {
            let node = &self.rooms[index(name)];
            let end = Position { epoch: Epoch(node.epoch), seq: node.log.len() as u64 };
            if self.app.closed || !app.wanted {
                continue;
            }
            assert_eq!(app.at, Some(end), "{name} did not arrive");
            assert!(!app.owed, "{name}: a hole was not named");
            if index(name) == STATE_ROOM {
                let values = app.values.all().map(|entry| (entry.key.clone(), entry.clone()));
                assert_eq!(values.collect::<BTreeMap<_, _>>(), node.state(), "the state");
            }
            let current = app.seen.iter().filter(|(_, position)| position.epoch == end.epoch);
            for (payload, Position { seq, .. }) in current {
                assert_eq!(node.log[*seq as usize - 1], *payload, "{name} {seq}");
            }
        }
    }
}

/// A message of this room.
fn said(at: usize, seq: u64, payload: u64) -> Arc<Message> {
    let mut message = message(seq, payload);
    if at == STATE_ROOM {
        let key = StateKey::parse(&format!("k{}", payload % KEYS)).unwrap();
        Arc::make_mut(&mut message).state_key = Some(key);
    }
    message
}

fn index(name: &RoomName) -> usize {
    ROOMS.iter().position(|room| *room == name.as_str()).expect("a room of the model")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_made_up(ops in proptest::collection::vec(ops(), 0..120)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.heal();
        world.check();
    }
}
