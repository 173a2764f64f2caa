//! The session against a model of a hostile node: it drops connections in mid-burst, loses acks,
//! says things twice, forgets history, forks epochs, refuses, hints and falls silent. Whatever it
//! does, the application must see each room in order, once, with every hole named, and get exactly
//! one true answer to each publish.

use std::collections::{BTreeMap, HashMap, VecDeque};

use proptest::prelude::*;
use roomcast_protocol::{ClientFrame, Epoch, Position, ServerFrame, Since};

use super::tests::{connected, publish, room};
use super::*;
use crate::{JoinOptions, PublishFailure};

mod app;
mod node;
mod ops;

use app::App;
use node::{NodeRoom, said};
use ops::{Mood, Op, ops};

const ROOMS: [&str; 2] = ["a", "b"];
/// The one that keeps state: the last payload of each of three keys.
const STATE_ROOM: usize = 1;
const KEYS: u64 = 3;

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
