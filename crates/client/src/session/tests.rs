//! The session's rules one by one, against hand-written frames. `model` tests them all together.

use std::sync::Arc;

use roomcast_protocol::{
    ClientFrame, ConnectionId, Data, Epoch, ErrorCode, Heartbeat, Limits, Message, NodeId,
    Position, Publish, PublishKey, ServerFrame, Since,
};

use super::*;
use crate::{JoinOptions, PublishFailure};

mod moves;
mod people;
mod publishes;
mod rooms;
mod state;
mod tokens;

pub(super) fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub(super) fn connected() -> ServerFrame {
    ServerFrame::Connected {
        connection: ConnectionId(1),
        user: None,
        node: NodeId::parse("n1").unwrap(),
        time: 0,
        expires: None,
        online: None,
        heartbeat: Heartbeat { interval_ms: 25_000, timeout_ms: 60_000 },
        limits: Limits { message_bytes: 65_536, rooms: 128 },
    }
}

pub(super) fn message(seq: u64, payload: u64) -> Arc<Message> {
    Arc::new(Message {
        seq,
        time: 0,
        user: None,
        connection: None,
        event: None,
        key: None,
        echo: true,
        traceparent: None,
        state_key: None,
        ttl_ms: None,
        remove: false,
        info: None,
        data: Data::Json(payload.to_string().into_bytes().into()),
    })
}

pub(super) fn publish(name: &str, payload: u64, key: Option<&str>) -> ClientRequest {
    ClientRequest::Publish(Publish {
        id: None,
        room: room(name),
        data: Data::Json(payload.to_string().into_bytes().into()),
        event: None,
        key: key.map(|key| PublishKey::parse(key).unwrap()),
        if_seq: None,
        echo: true,
        traceparent: None,
        if_key_seq: None,
        state_key: None,
        ttl_ms: None,
        remove: false,
        receipts: false,
    })
}

fn at(epoch: u64, seq: u64) -> Position {
    Position { epoch: Epoch(epoch), seq }
}

fn error(id: Option<RequestId>, name: &str, code: ErrorCode) -> ServerFrame {
    let room = Some(room(name));
    ServerFrame::Error { id, room, code, message: "no".into(), retry_after_ms: Some(700) }
}

/// A session and a clock.
struct Bench {
    session: Session,
    now: Instant,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new(["ws://a/ws", "ws://b/ws"]);
        change(&mut options);
        let now = Instant::now();
        Self { session: Session::new(&options, 5, now), now }
    }

    fn connected() -> Self {
        let mut bench = Self::new(|_| {});
        bench.give(Input::Tick);
        bench.give(Input::Frame(connected()));
        bench
    }

    fn give(&mut self, input: Input) -> Vec<Action> {
        self.session.handle(self.now, input);
        std::iter::from_fn(|| self.session.next_action()).collect()
    }

    fn pass(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.give(Input::Tick)
    }

    /// Goes to the next deadline.
    fn wait(&mut self) -> Vec<Action> {
        self.now = self.session.next_deadline().expect("something to wait for").max(self.now);
        self.give(Input::Tick)
    }

    fn lose(&mut self, code: Option<u16>) -> Vec<Action> {
        self.give(Input::Closed { code, reason: "lost".into() })
    }

    fn request(&mut self, request: ClientRequest) -> (RequestId, Vec<Action>) {
        let (id, deadline) = (self.session.next_id(), self.now + Duration::from_secs(15));
        (id, self.give(Input::Request { id, request, deadline }))
    }

    /// Lets the next try succeed; returns what is sent then.
    fn reconnect(&mut self) -> Vec<Action> {
        while !matches!(self.wait()[..], [Action::Connect { .. }]) {}
        self.give(Input::Frame(connected()))
    }

    /// Loses the connection and comes back; returns what is sent then.
    fn comes_back(&mut self) -> Vec<String> {
        self.lose(None);
        sent(&self.reconnect())
    }

    fn join(&mut self, name: &str, options: JoinOptions, position: Position) -> RequestId {
        let sent = self.give(Input::Join { room: room(name), options });
        let [Action::Send(ClientFrame::Join { id: Some(id), .. })] = sent[..] else {
            panic!("no join in {sent:?}")
        };
        self.give(Input::Frame(joined(name, position)));
        id
    }
}

fn joined(name: &str, Position { epoch, seq }: Position) -> ServerFrame {
    let (room, id) = (room(name), None);
    ServerFrame::Joined {
        id,
        room,
        epoch,
        seq,
        recovered: None,
        counts: None,
        marks: None,
        state: false,
    }
}

fn pause(actions: &[Action]) -> Duration {
    let pause = |action: &Action| match action {
        Action::Tell(Event::Disconnected { retry_in, .. }) => Some(*retry_in),
        _ => None,
    };
    actions.iter().find_map(pause).expect("a disconnect")
}

fn closed_with(actions: &[Action]) -> Option<u16> {
    match actions {
        [.., Action::Tell(Event::Closed { code, .. }), Action::Finish] => *code,
        _ => panic!("not closed: {actions:?}"),
    }
}

/// The publishes and rooms sent, in order, as text.
fn sent(actions: &[Action]) -> Vec<String> {
    let text = |action: &Action| match action {
        Action::Send(ClientFrame::Publish(publish)) => Some(format!("publish {:?}", publish.id?)),
        Action::Send(ClientFrame::Join { rooms, .. }) => {
            let room = |join: &roomcast_protocol::JoinRoom| {
                let since = join.since.and_then(Since::position).map(|at| (at.epoch.0, at.seq));
                format!("{} {since:?} {:?}", join.room, join.history)
            };
            Some(rooms.iter().map(room).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    };
    actions.iter().filter_map(text).collect()
}

#[test]
fn a_client_that_comes_back_counts_its_tries_from_its_last_connection() {
    let mut bench = Bench::connected();
    for (failures, first) in [(0, 2), (3, 3)] {
        let mut actions = bench.lose(None);
        let mut tried = Vec::new();
        loop {
            if !matches!(actions.last(), Some(Action::Connect { .. })) {
                actions = bench.wait();
            }
            let Some(Action::Connect { attempt, .. }) = actions.last() else { panic!("no try") };
            tried.push((attempt.number, attempt.tries));
            if tried.len() > failures {
                break;
            }
            let (reason, retry_after) = ("refused".into(), Duration::ZERO);
            let verdict = RetryVerdict::TryAgain;
            actions = bench.give(Input::Failed(Failure { reason, retry_after, verdict }));
        }
        let expected: Vec<_> = (0..=failures as u32).map(|n| (first + n, n + 1)).collect();
        assert_eq!(tried, expected);
        bench.give(Input::Frame(connected()));
    }
}

#[test]
fn urls_are_tried_in_turn_with_pauses_between_rounds_only() {
    let mut bench = Bench::new(|_| {});
    let mut tried = bench.give(Input::Tick);
    for attempt in 1..=9 {
        let Some(Action::Connect { url, attempt: told }) = tried.last() else {
            panic!("no try in {tried:?}")
        };
        let expected = Attempt { number: attempt, tries: 0 };
        assert_eq!((*url, *told), ((attempt as usize - 1) % 2, expected));
        let (reason, retry_after) = ("refused".into(), Duration::ZERO);
        let verdict = RetryVerdict::TryAgain;
        tried = bench.give(Input::Failed(Failure { reason, retry_after, verdict }));
        let shown = ["ws://a/ws", "ws://b/ws"][(attempt as usize - 1) % 2];
        assert!(
            matches!(&tried[0], Action::Tell(Event::Disconnected { url, .. }) if &**url == shown),
            "{shown} in {tried:?}"
        );
        let pause = pause(&tried);
        assert_eq!(pause.is_zero(), attempt % 2 == 1, "{pause:?} after {attempt}");
        if !pause.is_zero() {
            tried = bench.wait();
        }
    }
}

#[test]
fn a_first_round_that_fails_ends_a_client_that_asked_for_it() {
    let mut bench = Bench::new(|options| options.first_try = FirstTry::Fail);
    bench.give(Input::Tick);
    assert_eq!(pause(&bench.lose(None)), Duration::ZERO);
    bench.give(Input::Tick);
    assert_eq!(closed_with(&bench.lose(None)), None);
}

#[test]
fn a_node_that_never_greets_is_given_up() {
    let mut bench = Bench::new(|options| options.open_timeout = Duration::from_secs(3));
    bench.give(Input::Tick);
    let actions = bench.pass(Duration::from_secs(3));
    assert!(matches!(actions[..], [Action::Disconnect { .. }, Action::Tell(_), ..]), "{actions:?}");
}

#[test]
fn pauses_grow_while_connections_die_young() {
    let mut bench = Bench::connected();
    let ceiling = |young: u32| Duration::from_millis(200) * (1 + 2u32.pow(young));
    let mut longest = Duration::ZERO;
    for young in 0..6 {
        let pause = pause(&bench.lose(None));
        assert!(pause <= ceiling(young), "{pause:?} after {young}");
        longest = longest.max(pause);
        bench.reconnect();
    }
    assert!(longest > ceiling(0), "{longest:?}");
    bench.pass(Duration::from_secs(5));
    assert!(pause(&bench.lose(None)) <= ceiling(0));
}

#[test]
fn close_codes_say_whether_to_come_back() {
    for (code, ends) in [(1000, false), (1012, false), (4000, false), (1008, true), (4500, true)] {
        let mut bench = Bench::connected();
        let actions = bench.lose(Some(code));
        if ends {
            assert_eq!(closed_with(&actions), Some(code));
            assert_eq!(bench.session.next_deadline(), None);
        } else {
            pause(&actions);
        }
    }
    assert!(pause(&Bench::connected().lose(Some(1013))) >= PATIENCE);
}

#[test]
fn a_silent_node_is_dead_unless_the_silence_is_ours() {
    let mut bench = Bench::connected();
    bench.give(Input::Paused);
    assert!(bench.pass(Duration::from_secs(600)).is_empty());
    bench.give(Input::Resumed);
    assert!(bench.pass(Duration::from_secs(59)).is_empty());
    bench.give(Input::Heard);
    assert!(bench.pass(Duration::from_secs(59)).is_empty());
    let actions = bench.pass(Duration::from_secs(1));
    assert!(matches!(actions[..], [Action::Disconnect { .. }, Action::Tell(_), ..]), "{actions:?}");
}

#[test]
fn the_end_answers_everything() {
    let mut bench = Bench::connected();
    let (sent, _) = bench.request(publish("a", 1, None));
    let actions = bench.give(Input::Close);
    assert_eq!(closed_with(&actions), Some(1000));
    let unknown = |action: &Action| {
        matches!(action, Action::Published { id, result: Err(PublishFailure::Unknown) }
            if *id == sent)
    };
    assert!(actions.iter().any(unknown), "{actions:?}");
    let (_, late) = bench.request(publish("a", 1, None));
    let closed = matches!(&late[..], [Action::Published { result: Err(failure), .. }]
        if *failure == PublishFailure::Closed);
    assert!(closed, "{late:?}");
}
