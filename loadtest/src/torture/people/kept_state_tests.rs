//! States as a client keeps them, with planted violations.

use roomcast_protocol::Epoch;

use super::*;

fn at(epoch: u64, seq: Seq) -> Position {
    Position { epoch: Epoch(epoch), seq }
}

fn key(text: &str) -> StateKey {
    StateKey::parse(text).unwrap()
}

fn value(number: u32) -> Content {
    Content { publisher: 1, number }
}

fn part(at: Position, keys: &[(&str, Seq)], more: bool) -> JudgedPart {
    let entry = |&(name, seq): &(&str, Seq)| (key(name), seq, value(seq as u32));
    JudgedPart { at, entries: keys.iter().map(entry).collect(), more }
}

/// A reader at 5 with {a: 3, b: 5}.
fn with_state() -> StateCopy {
    let mut state = StateCopy::default();
    state.joined(at(1, 5), None, AfterFrame::Snapshot).unwrap();
    assert_eq!(state.part(part(at(1, 5), &[("a", 3)], true)), Ok(false));
    assert_eq!((state.position(), state.is_whole()), (None, false));
    assert_eq!(state.part(part(at(1, 5), &[("b", 5)], false)), Ok(true));
    assert!(state.is_whole());
    state
}

#[test]
fn messages_set_and_remove_keys_in_order() {
    let mut state = with_state();
    state.message(6, &key("a"), Some(value(6))).unwrap();
    state.message(7, &key("b"), None).unwrap();
    state.gap((8, 9), AfterFrame::Changes).unwrap();
    state.message(10, &key("c"), Some(value(10))).unwrap();
    assert_eq!(state.values, [(key("a"), (6, value(6))), (key("c"), (10, value(10)))].into());
    assert!(state.message(12, &key("c"), Some(value(12))).is_err(), "11 was not named");
    assert!(state.message(12, &key("c"), Some(value(12))).is_err(), "12 comes again");
    assert!(state.gap((14, 15), AfterFrame::Changes).is_err(), "13 was not named");
}

#[test]
fn a_snapshot_moves_the_position_at_its_end_only() {
    let mut state = with_state();
    state.gap((6, 20), AfterFrame::Snapshot).unwrap();
    assert_eq!(state.position(), Some(at(1, 5)));
    state.part(part(at(1, 20), &[("a", 19)], true)).unwrap();
    assert!(state.message(21, &key("a"), None).is_err(), "in the midst of a snapshot");
    state.gap((6, 25), AfterFrame::Snapshot).unwrap();
    state.part(part(at(1, 25), &[("a", 19)], true)).unwrap();
    state.lost();
    assert_eq!((state.position(), state.values.len()), (Some(at(1, 5)), 2));
    state.joined(at(1, 5), Some(true), AfterFrame::Changes).unwrap();
    state.message(6, &key("a"), None).unwrap();
}

#[test]
fn snapshots_are_whole_and_of_one_position() {
    let mut state = with_state();
    assert!(state.part(part(at(1, 6), &[], false)).is_err(), "not announced");
    for (first, second) in [
        (part(at(2, 9), &[("a", 1)], true), part(at(2, 10), &[("b", 1)], false)),
        (part(at(2, 9), &[("a", 1)], true), part(at(2, 9), &[("a", 2)], false)),
        (part(at(2, 9), &[("a", 1)], true), part(at(2, 9), &[("b", 10)], false)),
    ] {
        state.reset(AfterFrame::Snapshot).unwrap();
        state.part(first).unwrap();
        assert!(state.part(second).is_err());
    }
    assert!(state.reset(AfterFrame::Changes).is_err());
}

#[test]
fn a_join_says_how_it_goes_on() {
    let mut fresh = StateCopy::default();
    assert!(fresh.joined(at(1, 5), None, AfterFrame::Changes).is_err());
    assert!(with_state().joined(at(1, 4), Some(true), AfterFrame::Changes).is_err());
    assert!(with_state().joined(at(1, 5), None, AfterFrame::Changes).is_err());
    let mut state = with_state();
    state.joined(at(1, 5), Some(false), AfterFrame::Changes).unwrap();
    assert!(state.message(8, &key("a"), None).is_err(), "6 and 7 were not named");
    state.message(6, &key("a"), None).unwrap();
    state.gap((7, 7), AfterFrame::Changes).unwrap();
}
