//! Rooms: joined again where they stood, by positions that only the node's frames move.

use super::*;

#[test]
fn rooms_are_joined_again_where_they_stood() {
    let mut bench = Bench::connected();
    let options = JoinOptions { history: Some(5), ..JoinOptions::default() };
    let asked = bench.give(Input::Join { room: room("a"), options });
    assert_eq!(sent(&asked), ["a None Some(5)"]);
    assert_eq!(bench.comes_back(), ["a None Some(5)"], "nothing was told yet");
    bench.give(Input::Frame(joined("a", at(1, 7))));
    bench.give(Input::Frame(ServerFrame::Message { room: room("a"), message: message(8, 0) }));
    bench.give(Input::Frame(ServerFrame::gap(room("a"), (9, 20))));
    assert_eq!(bench.comes_back(), ["a Some((1, 20)) None"]);
    bench.give(Input::Frame(joined("a", at(1, 20))));
    let reset = ServerFrame::reset(room("a"), Position { epoch: Epoch(2), seq: 3 }, 17);
    bench.give(Input::Frame(reset));
    assert_eq!(bench.comes_back(), ["a Some((2, 3)) None"]);
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
    assert_eq!(bench.comes_back(), ["a Some((1, 7)) None"], "the reset never came");
    bench.give(Input::Frame(joined(3)));
    let reset = ServerFrame::reset(room.clone(), Position { epoch, seq: 3 }, 4);
    bench.give(Input::Frame(reset));
    assert_eq!(bench.comes_back(), ["a Some((2, 3)) None"]);
}

#[test]
fn an_ack_moves_no_position() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    let (id, _) = bench.request(publish("a", 0, None));
    let ack = ServerFrame::Ack { id, room: room("a"), epoch: Epoch(1), seq: 8, time: 0 };
    let actions = bench.give(Input::Frame(ack));
    assert!(matches!(actions[..], [Action::Published { result: Ok(_), .. }]), "{actions:?}");
    assert_eq!(bench.comes_back(), ["a Some((1, 7)) None"]);
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
    assert!(bench.comes_back().is_empty());
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
