//! Presence, signals, watched users, and questions about rooms.

use roomcast_protocol::{OnlineUser, PresenceStatus, UserName};

use super::*;
use crate::RequestFailure;
use crate::answer::ClientAnswer;

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

/// The frames sent, without joins.
fn frames(actions: Vec<Action>) -> Vec<ClientFrame> {
    let frame = |action| match action {
        Action::Send(ClientFrame::Join { .. }) => None,
        Action::Send(frame) => Some(frame),
        _ => None,
    };
    actions.into_iter().filter_map(frame).collect()
}

fn answer(actions: &[Action]) -> Option<&Result<ClientAnswer, RequestFailure>> {
    actions.iter().find_map(|action| match action {
        Action::Answered { result, .. } => Some(result),
        _ => None,
    })
}

fn typing() -> Input {
    let frame = ClientFrame::Typing { id: None, room: room("a"), active: true };
    Input::Ephemeral { room: room("a"), frame }
}

fn facts(id: RequestId, name: &str) -> Input {
    Input::Frame(ServerFrame::Room {
        id: Some(id),
        room: room(name),
        epoch: Epoch(1),
        seq: 4,
        counts: None,
        marks: None,
        time: None,
    })
}

#[test]
fn wishes_for_presence_are_made_again() {
    let mut bench = Bench::connected();
    let info = Some(Data::Json("1".into()));
    let options = JoinOptions { presence: true, strict: true, info, ..JoinOptions::default() };
    bench.join("a", options, at(1, 7));
    let shown = Showing { info: Some(Data::Json("2".into())), status: Some(PresenceStatus::Away) };
    let (id, actions) = bench.request(ClientRequest::Show(room("a"), shown.clone()));
    assert!(matches!(frames(actions)[..], [ClientFrame::Presence { .. }]));
    let frame = ServerFrame::Presence {
        id: Some(id),
        room: room("a"),
        user: None,
        connection: None,
        info: shown.info.clone(),
        status: shown.status,
        rev: None,
    };
    assert_eq!(answer(&bench.give(Input::Frame(frame))), Some(&Ok(ClientAnswer::Shown)));
    bench.lose(None);
    let sent = bench.reconnect();
    let [.., Action::Send(ClientFrame::Join { rooms, .. })] = &sent[..] else {
        panic!("no join in {sent:?}")
    };
    assert!(rooms[0].presence && rooms[0].strict);
    assert_eq!(rooms[0].info, shown.info);
    let again = frames(bench.give(Input::Frame(joined("a", at(1, 7)))));
    let [ClientFrame::Presence { id: None, info: None, status, .. }] = &again[..] else {
        panic!("not shown again: {again:?}")
    };
    assert_eq!(*status, shown.status);
}

#[test]
fn what_is_shown_and_refused_is_not_shown_again() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    let shown = Showing { info: Some(Data::Json("2".into())), status: None };
    let (id, _) = bench.request(ClientRequest::Show(room("a"), shown));
    let refused = bench.give(Input::Frame(error(Some(id), "a", ErrorCode::TooLarge)));
    assert!(matches!(answer(&refused), Some(Err(RequestFailure::Refused { .. }))), "{refused:?}");
    bench.lose(None);
    let sent = bench.reconnect();
    let [.., Action::Send(ClientFrame::Join { rooms, .. })] = &sent[..] else {
        panic!("no join in {sent:?}")
    };
    assert_eq!(rooms[0].info, None);
}

#[test]
fn ephemeral_frames_are_sent_by_members_or_not_at_all() {
    let mut bench = Bench::connected();
    bench.give(Input::Join { room: room("a"), options: JoinOptions::default() });
    assert!(frames(bench.give(typing())).is_empty());
    bench.give(Input::Frame(joined("a", at(1, 7))));
    assert_eq!(frames(bench.give(typing())).len(), 1);
    bench.lose(None);
    assert!(frames(bench.give(typing())).is_empty());
    assert!(frames(bench.reconnect()).is_empty());
}

#[test]
fn watched_users_are_watched_on_the_next_connection_too() {
    let mut bench = Bench::connected();
    let users = |names: &[&str]| names.iter().map(|name| user(name)).collect::<Vec<_>>();
    let sent = frames(bench.give(Input::Watch { users: users(&["ann", "bob", "cid"]) }));
    let [ClientFrame::Watch { id, users: watched }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(*watched, users(&["ann", "bob", "cid"]));
    let online = |name| OnlineUser { user: user(name), online: true };
    let watching = ServerFrame::Watching { id: *id, users: vec![online("ann")] };
    let told = bench.give(Input::Frame(watching));
    assert!(matches!(told[..], [Action::Tell(Event::Watching { .. })]), "{told:?}");
    let sent = frames(bench.give(Input::Unwatch { users: users(&["bob"]) }));
    assert!(matches!(sent[..], [ClientFrame::Unwatch { .. }]), "{sent:?}");
    let word = |name| ServerFrame::User { user: user(name), online: false, time: 1 };
    assert_eq!(bench.give(Input::Frame(word("ann"))).len(), 1);
    assert_eq!(bench.give(Input::Frame(word("bob"))).len(), 0, "not watched any more");

    let refused = frames(bench.give(Input::Watch { users: users(&["dan"]) }));
    let id = refused[0].id();
    let frame = ServerFrame::Error {
        id,
        room: None,
        code: ErrorCode::TooManyUsers,
        message: "no".into(),
        retry_after_ms: None,
    };
    let told = bench.give(Input::Frame(frame));
    assert!(matches!(told[..], [Action::Tell(Event::Error { .. })]), "{told:?}");
    bench.lose(None);
    let sent = frames(bench.reconnect());
    let [ClientFrame::Watch { users: watched, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(*watched, users(&["ann", "cid"]));
}

#[test]
fn rooms_are_one_question_with_an_answer_each() {
    let mut bench = Bench::connected();
    let names = vec![room("a"), room("b"), room("c")];
    let (id, _) = bench.request(ClientRequest::Rooms(names));
    assert!(bench.give(facts(id, "a")).is_empty());
    assert!(bench.give(Input::Frame(error(Some(id), "b", ErrorCode::Forbidden))).is_empty());
    bench.lose(None);
    assert_eq!(frames(bench.reconnect()).len(), 1, "asked again");
    assert!(bench.give(facts(id, "a")).is_empty());
    assert!(bench.give(Input::Frame(error(Some(id), "b", ErrorCode::Forbidden))).is_empty());
    let last = bench.give(facts(id, "c"));
    let Some(Ok(ClientAnswer::Rooms(facts))) = answer(&last) else { panic!("{last:?}") };
    assert_eq!(facts.iter().map(|facts| facts.room.as_str()).collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn a_question_that_overtakes_its_join_is_asked_again() {
    let mut bench = Bench::connected();
    bench.give(Input::Join { room: room("a"), options: JoinOptions::default() });
    let confirm = || ClientRequest::Confirm {
        room: room("a"),
        position: at(1, 7),
        confirms: crate::Confirms::Read,
    };
    let (id, _) = bench.request(confirm());
    let refused = bench.give(Input::Frame(error(Some(id), "a", ErrorCode::NotJoined)));
    assert!(answer(&refused).is_none(), "{refused:?}");
    assert_eq!(frames(bench.wait()).len(), 1);
    let frame =
        ServerFrame::Received { id: Some(id), room: room("a"), epoch: Epoch(1), seq: 7, read: 7 };
    assert!(matches!(answer(&bench.give(Input::Frame(frame))), Some(Ok(_))));
    bench.give(Input::Leave { room: room("a") });
    let (id, _) = bench.request(confirm());
    let refused = bench.give(Input::Frame(error(Some(id), "a", ErrorCode::NotJoined)));
    assert!(matches!(answer(&refused), Some(Err(_))), "{refused:?}");
}

#[test]
fn a_room_that_cannot_be_resumed_strictly_is_left() {
    let mut bench = Bench::connected();
    let options = JoinOptions { strict: true, ..JoinOptions::default() };
    bench.join("a", options, at(1, 7));
    bench.lose(None);
    bench.reconnect();
    let id = bench.session.last_id;
    let told = bench.give(Input::Frame(error(Some(id), "a", ErrorCode::Unrecoverable)));
    let is_out = matches!(&told[..], [Action::Tell(Event::Error { retry_in: None, .. })]);
    assert!(is_out, "{told:?}");
    assert!(bench.comes_back().is_empty());
}
