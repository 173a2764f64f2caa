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
fn rooms_are_joined_again_where_they_stood() {
    let mut bench = Bench::connected();
    let options = JoinOptions { history: Some(5), ..JoinOptions::default() };
    let asked = bench.give(Input::Join { room: room("a"), options });
    assert_eq!(sent(&asked), ["a None Some(5)"]);
    bench.lose(None);
    assert_eq!(sent(&bench.reconnect()), ["a None Some(5)"], "nothing was told yet");
    bench.give(Input::Frame(joined("a", at(1, 7))));
    bench.give(Input::Frame(ServerFrame::Message { room: room("a"), message: message(8, 0) }));
    bench.give(Input::Frame(ServerFrame::gap(room("a"), (9, 20))));
    bench.lose(None);
    assert_eq!(sent(&bench.reconnect()), ["a Some((1, 20)) None"]);
    bench.give(Input::Frame(joined("a", at(1, 20))));
    let reset = ServerFrame::reset(room("a"), Position { epoch: Epoch(2), seq: 3 }, 17);
    bench.give(Input::Frame(reset));
    bench.lose(None);
    assert_eq!(sent(&bench.reconnect()), ["a Some((2, 3)) None"]);
}

#[test]
fn a_hole_without_a_name_is_not_passed() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    bench.lose(None);
    bench.reconnect();
    let (room, epoch, recovered) = (room("a"), Epoch(2), Some(false));
    let joined = |seq| ServerFrame::Joined {
        id: None,
        room: room.clone(),
        epoch,
        seq,
        recovered,
        counts: None,
        marks: None,
        state: false,
    };
    bench.give(Input::Frame(joined(3)));
    bench.lose(None);
    assert_eq!(sent(&bench.reconnect()), ["a Some((1, 7)) None"], "the reset never came");
    bench.give(Input::Frame(joined(3)));
    let reset = ServerFrame::reset(room.clone(), Position { epoch, seq: 3 }, 4);
    bench.give(Input::Frame(reset));
    bench.lose(None);
    assert_eq!(sent(&bench.reconnect()), ["a Some((2, 3)) None"]);
}

#[test]
fn an_ack_moves_no_position() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    let (id, _) = bench.request(publish("a", 0, None));
    let ack = ServerFrame::Ack { id, room: room("a"), epoch: Epoch(1), seq: 8, time: 0 };
    let actions = bench.give(Input::Frame(ack));
    assert!(matches!(actions[..], [Action::Published { result: Ok(_), .. }]), "{actions:?}");
    bench.lose(None);
    assert_eq!(sent(&bench.reconnect()), ["a Some((1, 7)) None"]);
}

#[test]
fn what_was_told_is_not_told_again() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    let tell = |bench: &mut Bench, seq| {
        let message = message(seq, seq);
        bench.give(Input::Frame(ServerFrame::Message { room: room("a"), message })).len()
    };
    assert_eq!([8, 8, 7, 9].map(|seq| tell(&mut bench, seq)), [1, 0, 0, 1]);
    assert_eq!(bench.session.duplicates(), 2);
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
fn refused_joins_are_repeated_or_given_up() {
    let mut bench = Bench::connected();
    bench.give(Input::Join { room: room("a"), options: JoinOptions::default() });
    let id = bench.session.last_id;
    let told = bench.give(Input::Frame(error(Some(id), "a", ErrorCode::BusUnavailable)));
    let retries = matches!(&told[..], [Action::Tell(Event::Error { retry_in: Some(_), .. })]);
    assert!(retries, "{told:?}");
    assert_eq!(sent(&bench.wait()), ["a None None"]);
    let id = bench.session.last_id;
    let told = bench.give(Input::Frame(error(Some(id), "a", ErrorCode::Forbidden)));
    let given_up = matches!(&told[..], [Action::Tell(Event::Error { retry_in: None, .. })]);
    assert!(given_up, "{told:?}");
    bench.lose(None);
    assert!(sent(&bench.reconnect()).is_empty());
}

#[test]
fn a_room_left_and_joined_at_once_is_joined_anew() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    bench.give(Input::Leave { room: room("a") });
    let leave = bench.session.last_id;
    assert!(bench.give(Input::Join { room: room("a"), options: Default::default() }).is_empty());
    let left = ServerFrame::Left { id: Some(leave), room: room("a"), reason: None };
    let actions = bench.give(Input::Frame(left));
    assert!(matches!(actions[0], Action::Tell(Event::Left { .. })), "{actions:?}");
    assert_eq!(sent(&actions), ["a None None"]);
}

#[test]
fn many_rooms_are_joined_in_several_frames() {
    let mut bench = Bench::new(|_| {});
    for n in 0..70 {
        bench.give(Input::Join { room: room(&format!("r{n}")), options: Default::default() });
    }
    let frames = sent(&bench.give(Input::Frame(connected())));
    let rooms: Vec<_> = frames.iter().map(|frame| frame.matches('r').count()).collect();
    assert_eq!(rooms, [32, 32, 6]);
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
