//! The gate against a model: everything put in comes out whole, in its order.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// How many rooms the model's turn writes, as a connection's turn does.
const ROOMS: usize = 3;

#[derive(Debug, Clone)]
enum Op {
    /// An answer of so many bytes.
    Control(usize),
    /// A room has another frame of so many bytes.
    Append(u32, usize),
    Leave(u32),
    /// A turn of which the socket takes so many bytes.
    Turn(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (2..60usize).prop_map(Op::Control),
        4 => (0..6u32, 2..60usize).prop_map(|(room, size)| Op::Append(room, size)),
        1 => (0..6u32).prop_map(Op::Leave),
        5 => (0..200usize).prop_map(Op::Turn),
    ]
}

/// One whole frame: its source, its number there, and filling; the length tells where it ends.
fn unit(source: u8, number: u8, size: usize) -> Vec<u8> {
    let mut bytes = vec![source, number, size as u8];
    bytes.resize(3 + size, source);
    bytes
}

/// The source and number of each unit in a stream of whole ones.
fn units(mut stream: &[u8]) -> Vec<(u8, u8)> {
    let mut units = Vec::new();
    while let [source, number, size, rest @ ..] = stream {
        let (filling, next) = rest.split_at(*size as usize);
        assert!(filling.iter().all(|byte| byte == source), "a torn frame");
        units.push((*source, *number));
        stream = next;
    }
    assert!(stream.is_empty(), "a torn frame");
    units
}

const CONTROL: u8 = 255;

/// A connection's use of its gate, with rooms that are queues of frames.
#[derive(Default)]
struct Model {
    gate: Gate,
    rooms: [VecDeque<Vec<u8>>; 6],
    listed: [bool; 6],
    numbers: [u8; 6],
    answers: u8,
    stream: Vec<u8>,
    /// What should come out of each source: numbers in order.
    due: Vec<(u8, u8)>,
}

impl Model {
    fn control(&mut self, size: usize) {
        self.gate.control().extend(unit(CONTROL, self.answers, size));
        self.due.push((CONTROL, self.answers));
        self.answers = self.answers.wrapping_add(1);
    }

    fn append(&mut self, room: u32, size: usize) {
        let at = room as usize;
        self.rooms[at].push_back(unit(room as u8, self.numbers[at], size));
        self.due.push((room as u8, self.numbers[at]));
        self.numbers[at] = self.numbers[at].wrapping_add(1);
        if !std::mem::replace(&mut self.listed[at], true) {
            self.gate.owe(room);
        }
    }

    fn leave(&mut self, room: u32) {
        let at = room as usize;
        self.gate.forget(room);
        self.listed[at] = false;
        let unsent: Vec<u8> = self.rooms[at].drain(..).map(|frame| frame[1]).collect();
        self.due.retain(|&(source, number)| source != room as u8 || !unsent.contains(&number));
    }

    fn turn(&mut self, takes: usize) {
        let owed = self.gate.next_owed(ROOMS);
        assert!(owed.len() <= ROOMS);
        let lent = self.gate.lend();
        let mut offered: Vec<u8> = lent.slices().concat();
        let own = offered.len();
        for &room in &owed {
            self.listed[room as usize] = false;
            self.rooms[room as usize].iter().for_each(|frame| offered.extend_from_slice(frame));
        }
        let written = takes.min(offered.len());
        self.stream.extend_from_slice(&offered[..written]);
        self.gate.give_back(lent);
        let mut beyond = self.gate.written(written);
        assert_eq!(beyond, written.saturating_sub(own));
        for room in owed {
            let frames = &mut self.rooms[room as usize];
            while let Some(frame) = frames.front() {
                if beyond == 0 {
                    break;
                }
                let taken = beyond.min(frame.len());
                if taken < frame.len() {
                    self.gate.begin(frame[taken..].to_vec());
                }
                beyond -= taken;
                frames.pop_front();
            }
            if !frames.is_empty() {
                self.listed[room as usize] = true;
                self.gate.owe(room);
            }
        }
        assert_eq!(beyond, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// 1,000 stories of up to 80 steps, then turns until nothing is left.
    #[test]
    fn nothing_is_lost_torn_or_told_twice(ops in prop::collection::vec(op(), 1..80)) {
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Control(size) => model.control(size),
                Op::Append(room, size) => model.append(room, size),
                Op::Leave(room) => model.leave(room),
                Op::Turn(takes) => model.turn(takes),
            }
            let gate = &model.gate;
            let rests = gate.rest.left().len() + gate.control.left().len();
            prop_assert_eq!(gate.is_clear(), rests == 0);
            prop_assert_eq!(gate.control_bytes(), gate.control.left().len());
            prop_assert_eq!(gate.owes(), model.listed.contains(&true));
            prop_assert_eq!(gate.is_empty(), rests == 0 && !gate.owes());
        }
        for _ in 0..1000 {
            model.turn(61);
        }
        prop_assert!(model.gate.is_empty());
        let told = units(&model.stream);
        for source in (0..6).chain([CONTROL]) {
            let of = |units: &[(u8, u8)]| -> Vec<u8> {
                units.iter().filter(|unit| unit.0 == source).map(|unit| unit.1).collect()
            };
            prop_assert_eq!(of(&told), of(&model.due), "source {}", source);
        }
        prop_assert_eq!(heap(&model.gate), 0, "an idle gate holds no memory");
    }
}

/// Bytes that a gate holds.
fn heap(gate: &Gate) -> usize {
    gate.rest.bytes.capacity() + gate.control.bytes.capacity() + gate.owed.capacity() * 2
}

#[test]
fn the_frame_begun_goes_first_then_control_then_rooms_in_turn() {
    let mut gate = Gate::default();
    gate.owe(4);
    gate.owe(2);
    gate.control().extend_from_slice(b"answer");
    gate.begin(b"rest".to_vec());
    let lent = gate.lend();
    assert_eq!(lent.slices(), [b"rest".as_slice(), b"answer"]);
    gate.give_back(lent);
    assert_eq!(gate.written(7), 0, "the frame and half of the answer");
    assert_eq!(gate.lend().slices(), [b"".as_slice(), b"wer"]);
    assert_eq!(gate.next_owed(1), [4]);
    gate.owe(4);
    assert_eq!(gate.next_owed(7), [2, 4]);
    assert!(gate.next_owed(7).is_empty());
}

#[test]
fn what_lies_beyond_belongs_to_the_rooms() {
    let mut gate = Gate::default();
    gate.begin(vec![1; 10]);
    gate.control().extend_from_slice(&[2; 5]);
    assert_eq!(gate.written(22), 7);
    assert!(gate.is_clear());
    assert_eq!(gate.written(3), 3, "nothing was lent");
}

#[test]
fn a_gate_that_forgets_its_last_room_holds_nothing() {
    let mut gate = Gate::default();
    gate.owe(1);
    gate.owe(2);
    gate.forget(1);
    assert!(gate.owes());
    gate.forget(2);
    assert!(gate.is_empty());
    assert_eq!(heap(&gate), 0);
}

#[test]
fn ending_drops_the_rooms_and_keeps_what_was_begun() {
    let mut gate = Gate::default();
    gate.begin(vec![1; 3]);
    gate.control().push(2);
    gate.owe(1);
    gate.drop_rooms();
    assert!(!gate.owes() && !gate.is_empty());
    assert_eq!(gate.written(4), 0);
    assert!(gate.is_empty());
}

#[test]
fn only_a_gate_that_is_not_blocked_is_clear() {
    let mut gate = Gate::default();
    gate.block();
    assert!(gate.is_blocked() && !gate.is_clear() && gate.is_empty());
    gate.unblock();
    assert!(!gate.is_blocked() && gate.is_clear());
}

#[test]
fn a_reader_that_never_catches_up_does_not_make_the_gate_grow() {
    let mut gate = Gate::default();
    for _ in 0..10_000 {
        gate.control().extend_from_slice(&[7; 100]);
        assert_eq!(gate.written(if gate.control_bytes() > 1000 { 100 } else { 50 }), 0);
    }
    assert!(gate.control_bytes() <= 1100);
    assert!(heap(&gate) <= 8 * 1024, "{} bytes for {}", heap(&gate), gate.control_bytes());
}
