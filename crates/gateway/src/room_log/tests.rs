//! The log against a naive model: every frame in one list.

use proptest::prelude::*;
use roomcast_protocol::{Epoch, RoomName};

use super::*;
use crate::room_log::{Budget, LogEntry};
use crate::tests::{EPOCH, at, entry, reset, room_name};

#[derive(Debug, Clone)]
enum Item {
    Message {
        size: usize,
    },
    Gap {
        more: u64,
    },
    /// Another epoch, which continues so many seqs back, or from the start.
    Reset {
        back: u64,
        restart: bool,
    },
}

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<Item>),
    /// Drops so many batches.
    Trim(u64),
    /// Drops what is above so many bytes.
    Shrink(usize),
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        8 => (2..300usize).prop_map(|size| Item::Message { size }),
        2 => (0..3u64).prop_map(|more| Item::Gap { more }),
        1 => (0..6u64, any::<bool>()).prop_map(|(back, restart)| Item::Reset { back, restart }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop::collection::vec(item(), 1..5).prop_map(Op::Append),
        1 => (0..4u64).prop_map(Op::Trim),
        1 => (0..4000usize).prop_map(Op::Shrink),
    ]
}

/// One frame as the model knows it.
#[derive(Debug)]
struct Frame {
    cursor: Cursor,
    before: Position,
    after: Position,
    is_reset: bool,
}

/// Everything that was ever appended, and how much of it is gone.
struct Model {
    start: Position,
    frames: Vec<Frame>,
    weights: Vec<usize>,
    base: u64,
}

impl Model {
    fn end(&self) -> Position {
        self.frames.last().map_or(self.start, |frame| frame.after)
    }

    fn end_cursor(&self) -> Cursor {
        Cursor { batch: self.weights.len() as u64, frame: 0 }
    }

    fn kept(&self) -> impl DoubleEndedIterator<Item = &Frame> {
        self.frames.iter().filter(|frame| frame.cursor.batch >= self.base)
    }

    fn log_start(&self) -> Position {
        self.kept().next().map_or(self.end(), |frame| frame.before)
    }

    /// Where the current epoch begins in the log, and its frames there.
    fn current(&self) -> (Position, Vec<&Frame>) {
        let mut current: Vec<&Frame> = self.kept().rev().take_while(|f| !f.is_reset).collect();
        current.reverse();
        let is_all = current.len() == self.kept().count();
        let start = if is_all {
            self.log_start()
        } else {
            current.first().map_or(self.end(), |frame| frame.before)
        };
        (start, current)
    }

    fn bytes(&self) -> usize {
        self.weights[self.base as usize..].iter().sum()
    }

    fn floor_for(&self, max: usize) -> u64 {
        let count = self.weights.len() as u64;
        let fits = |floor: &u64| self.weights[*floor as usize..].iter().sum::<usize>() <= max;
        let last = count.saturating_sub(1).max(self.base);
        (self.base..last).find(fits).unwrap_or(last)
    }

    /// The entries of the next batch, recorded.
    fn append(&mut self, items: &[Item]) -> Vec<LogEntry> {
        let batch = self.weights.len() as u64;
        let mut entries = Vec::new();
        for (frame, item) in items.iter().enumerate() {
            let before = self.end();
            let next = before.seq + 1;
            let (entry, after) = match *item {
                Item::Message { size } => (entry(next, size), Position { seq: next, ..before }),
                Item::Gap { more } => {
                    let to = next + more;
                    (LogEntry::Gap { from: next, to }, Position { seq: to, ..before })
                }
                Item::Reset { back, restart } => {
                    let epoch = Epoch(before.epoch.0 + 1);
                    let seq = if restart { 0 } else { before.seq.saturating_sub(back) };
                    (reset(epoch, seq), Position { epoch, seq })
                }
            };
            let cursor = Cursor { batch, frame: frame as u32 };
            let is_reset = matches!(item, Item::Reset { .. });
            self.frames.push(Frame { cursor, before, after, is_reset });
            entries.push(entry);
        }
        entries
    }
}

fn check_cursors(log: &RoomLog, model: &Model) -> Result<(), TestCaseError> {
    let (start, current) = model.current();
    let mut next = current.iter().peekable();
    let end = model.end();
    prop_assert_eq!(log.reach(), start);
    for seq in 0..end.seq + 3 {
        while next.peek().is_some_and(|frame| frame.after.seq <= seq) {
            next.next();
        }
        let expected = (start.seq..=end.seq)
            .contains(&seq)
            .then(|| next.peek().map_or(model.end_cursor(), |frame| frame.cursor));
        prop_assert_eq!(log.cursor_after(seq), expected, "after {}", seq);
    }
    for frame in model.kept() {
        prop_assert_eq!(log.position_of(frame.cursor), frame.before);
    }
    prop_assert_eq!(log.position_of(model.end_cursor()), end);
    if let Some(gone) = model.base.checked_sub(1) {
        let gone = Cursor { batch: gone, frame: 0 };
        prop_assert_eq!(log.position_of(gone), model.log_start());
    }
    Ok(())
}

fn check_shape(log: &RoomLog, model: &Model, room: &RoomName) -> Result<(), TestCaseError> {
    prop_assert_eq!(log.base(), model.base);
    prop_assert_eq!(log.start, model.log_start());
    prop_assert_eq!(log.end(), model.end());
    prop_assert_eq!(log.end_cursor(), model.end_cursor());
    prop_assert_eq!(log.bytes(), model.bytes());
    prop_assert_eq!(log.len() as u64, model.weights.len() as u64 - model.base);
    for max in [0, 300, 1000, 5000, usize::MAX] {
        prop_assert_eq!(log.floor_for(max), model.floor_for(max), "floor for {} in {}", max, room);
    }
    for number in 0..model.weights.len() as u64 + 2 {
        let kept = (model.base..model.end_cursor().batch).contains(&number);
        prop_assert_eq!(log.batch(number).is_some(), kept);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// 1,000 stories of up to 60 steps; after each step every seq is looked up.
    #[test]
    fn tells_what_a_list_of_all_frames_tells(
        first in 0..5u64, ops in prop::collection::vec(op(), 1..60),
    ) {
        let (room, budget) = (room_name(), Budget::default());
        let mut log = RoomLog::new(at(first));
        let mut model = Model { start: at(first), frames: vec![], weights: vec![], base: 0 };
        for op in ops {
            match op {
                Op::Append(items) => {
                    let start = model.end();
                    let batch = Batch::new(room.clone(), start, model.append(&items), &budget);
                    model.weights.push(batch.weight());
                    log.append(Arc::new(batch));
                }
                Op::Trim(count) => {
                    model.base = (model.base + count).min(model.weights.len() as u64);
                    log.trim(log.base() + count);
                }
                Op::Shrink(max) => {
                    model.base = model.floor_for(max);
                    log.trim(log.floor_for(max));
                }
            }
            check_shape(&log, &model, &room)?;
            check_cursors(&log, &model)?;
        }
        prop_assert_eq!(budget.used(), log.bytes());
        drop(log);
        prop_assert_eq!(budget.used(), 0);
    }
}

#[test]
fn a_reader_behind_a_reset_is_found_no_cursor() {
    let budget = Budget::default();
    let mut log = RoomLog::new(at(3));
    assert_eq!(log.cursor_after(3), Some(log.end_cursor()));
    assert_eq!((log.cursor_after(2), log.cursor_after(4)), (None, None));
    let entries = vec![entry(4, 9), reset(Epoch(2), 2), entry(3, 9)];
    log.append(Arc::new(Batch::new(room_name(), at(3), entries, &budget)));
    assert_eq!(log.cursor_after(1), None);
    assert_eq!(log.cursor_after(2), Some(Cursor { batch: 0, frame: 2 }));
    assert_eq!(log.cursor_after(3), Some(Cursor { batch: 1, frame: 0 }));
    assert_eq!(log.start.epoch, EPOCH);
    assert_eq!(log.end(), Position { epoch: Epoch(2), seq: 3 });
}

/// Messages have ten times their seq as their time.
#[test]
fn a_reader_begins_at_the_first_message_of_a_time() {
    let budget = Budget::default();
    let mut log = RoomLog::new(at(0));
    for seqs in [1..=3, 4..=4, 5..=8] {
        let entries = seqs.map(|seq| entry(seq, 9)).collect();
        log.append(Arc::new(Batch::new(room_name(), log.end(), entries, &budget)));
    }
    let begin = Cursor { batch: 0, frame: 0 };
    for (time, batch, frame, before) in
        [(0, 0, 0, 0), (11, 0, 1, 1), (30, 0, 2, 2), (31, 1, 0, 3), (41, 2, 0, 4), (80, 2, 3, 7)]
    {
        let cursor = log.cursor_since(time, begin);
        assert_eq!(cursor, Cursor { batch, frame }, "{time}");
        assert_eq!(log.position_of(cursor), at(before));
    }
    assert_eq!(log.cursor_since(81, begin), log.end_cursor());
    let later = Cursor { batch: 2, frame: 1 };
    assert_eq!(log.cursor_since(0, later), later, "it never goes back");
}
