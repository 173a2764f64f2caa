//! What can happen in the model, and how often.

use proptest::prelude::*;

#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Someone else publishes.
    Publish(usize),
    /// Someone else publishes so often in the state room that some of it is left out.
    Conflate(u64),
    /// The room loses its last messages and goes on in another epoch.
    Fork(usize, u64),
    /// History forgets its oldest half.
    Trim(usize),
    /// The node handles some frames of the client, in this mood.
    Node(usize, Mood),
    /// Some frames of the node arrive.
    Arrive(usize),
    /// The node repeats something that it said before.
    Repeat(usize, u64),
    /// The handshakes that are under way succeed.
    Accept,
    /// The one for a move fails.
    Refuse,
    /// The connection drops; the node still handles some of what was sent.
    Drop(usize, Option<u16>),
    Hint(u64),
    Pass(u64),
    /// The application publishes, with a key or without.
    Ask(usize, Option<()>),
    Join(usize),
    Leave(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Kind,
    Overloaded,
    /// Stores a publish and says it does not know.
    Unsure,
    Forbidding,
}

/// Any of it.
pub(super) fn ops() -> impl Strategy<Value = Op> {
    let mood = prop_oneof![
        6 => Just(Mood::Kind),
        1 => Just(Mood::Overloaded),
        1 => Just(Mood::Unsure),
        1 => Just(Mood::Forbidding),
    ];
    let code = prop_oneof![
        30 => Just(None),
        10 => Just(Some(1012)),
        5 => Just(Some(4000)),
        1 => Just(Some(4500)),
    ];
    prop_oneof![
        8 => (0..2usize).prop_map(Op::Publish),
        2 => (0..4u64).prop_map(Op::Conflate),
        1 => (0..2usize, 0..4u64).prop_map(|(at, lost)| Op::Fork(at, lost)),
        1 => (0..2usize).prop_map(Op::Trim),
        8 => (1..5usize, mood).prop_map(|(frames, mood)| Op::Node(frames, mood)),
        8 => (1..8usize).prop_map(Op::Arrive),
        2 => (0..2usize, 0..5u64).prop_map(|(at, back)| Op::Repeat(at, back)),
        6 => Just(Op::Accept),
        1 => Just(Op::Refuse),
        2 => (0..4usize, code).prop_map(|(handles, code)| Op::Drop(handles, code)),
        1 => (0..900u64).prop_map(Op::Hint),
        4 => (0..4000u64).prop_map(Op::Pass),
        1 => (50_000..70_000u64).prop_map(Op::Pass),
        5 => (0..2usize, proptest::option::of(Just(()))).prop_map(|(at, key)| Op::Ask(at, key)),
        3 => (0..2usize).prop_map(Op::Join),
        1 => (0..2usize).prop_map(Op::Leave),
    ]
}
