//! Snapshots of a room's state: the position waits for their end.

use roomcast_protocol::{StateEntry, StateKey};

use super::*;

fn entry(key: &str, seq: u64) -> StateEntry {
    let (key, data) = (StateKey::parse(key).ok(), Data::Json("1".into()));
    StateEntry { key, seq, time: 0, user: None, data, points: None }
}

fn part(at: Position, keys: &[&str], more: bool) -> Input {
    let entries = keys.iter().map(|key| entry(key, at.seq)).collect();
    let Position { epoch, seq } = at;
    let (id, page) = (None, None);
    Input::Frame(ServerFrame::State { id, room: room("a"), epoch, seq, entries, more, page })
}

fn entered(epoch: u64, seq: u64) -> Input {
    let mut frame = joined("a", at(epoch, seq));
    if let ServerFrame::Joined { state, .. } = &mut frame {
        *state = true;
    }
    Input::Frame(frame)
}

fn gap(from: u64, to: u64) -> Input {
    let (conflated, state) = (false, true);
    Input::Frame(ServerFrame::Gap { room: room("a"), from, to, conflated, state })
}

/// What was told, in few words.
fn told(actions: &[Action]) -> Vec<String> {
    let text = |action: &Action| match action {
        Action::Tell(Event::Joined { position, state, .. }) => {
            Some(format!("joined {} {state}", position.seq))
        }
        Action::Tell(Event::State { is_first, entries, position, more, .. }) => {
            let end = (!more).then_some(position.seq);
            Some(format!("{is_first} {} {end:?}", entries.len()))
        }
        Action::Tell(Event::Gap { from, to, state, .. }) => {
            Some(format!("gap {from}-{to} {state}"))
        }
        Action::Tell(Event::Message { message, .. }) => Some(format!("message {}", message.seq)),
        _ => None,
    };
    actions.iter().filter_map(text).collect()
}

#[test]
fn a_first_snapshot_that_is_cut_short_leaves_no_position() {
    let mut bench = Bench::connected();
    bench.give(Input::Join { room: room("a"), options: JoinOptions::default() });
    assert_eq!(told(&bench.give(entered(1, 7))), ["joined 7 true"]);
    assert_eq!(told(&bench.give(part(at(1, 7), &["x"], true))), ["true 1 None"]);
    assert_eq!(bench.comes_back(), ["a None None"]);
    bench.give(entered(1, 9));
    assert_eq!(told(&bench.give(part(at(1, 9), &["x", "y"], true))), ["true 2 None"]);
    assert_eq!(told(&bench.give(part(at(1, 9), &["z"], false))), ["false 1 Some(9)"]);
    let message = ServerFrame::Message { room: room("a"), message: message(10, 1) };
    assert_eq!(told(&bench.give(Input::Frame(message))), ["message 10"]);
    assert_eq!(bench.comes_back(), ["a Some((1, 10)) None"]);
}

#[test]
fn a_later_snapshot_that_is_cut_short_leaves_the_old_position() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    assert_eq!(told(&bench.give(gap(8, 20))), ["gap 8-20 true"]);
    bench.give(part(at(1, 20), &["x"], true));
    assert_eq!(bench.comes_back(), ["a Some((1, 7)) None"]);
}

#[test]
fn another_gap_begins_another_snapshot() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    bench.give(gap(8, 20));
    assert_eq!(told(&bench.give(part(at(1, 20), &["x"], true))), ["true 1 None"]);
    assert_eq!(told(&bench.give(gap(8, 20))), ["gap 8-20 true"]);
    assert_eq!(told(&bench.give(part(at(1, 20), &["x"], true))), ["true 1 None"]);
    let reset =
        ServerFrame::Reset { room: room("a"), epoch: Epoch(2), seq: 3, lost: 4, state: true };
    bench.give(Input::Frame(reset));
    assert_eq!(told(&bench.give(part(at(2, 3), &["x"], false))), ["true 1 Some(3)"]);
    assert_eq!(bench.comes_back(), ["a Some((2, 3)) None"]);
}

#[test]
fn a_snapshot_may_lie_before_what_was_told() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    bench.give(gap(5, 7));
    bench.give(part(at(1, 5), &["x"], false));
    let message = ServerFrame::Message { room: room("a"), message: message(6, 1) };
    assert_eq!(told(&bench.give(Input::Frame(message))), ["message 6"], "the values need it");
}
