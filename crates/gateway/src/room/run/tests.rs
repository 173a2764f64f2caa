//! Runs, written in every way a socket may cut them: the reader always sees the same frames.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use roomcast_protocol::{Epoch, Message};

use super::*;
use crate::room_log::{Budget, LogEntry};
use crate::tests::{EPOCH, Seen, at, entry, key, message, reset, room_name, seen};

const READER: ConnectionId = ConnectionId(7);

/// Who published a message, as the reader sees it.
#[derive(Debug, Clone, Copy)]
enum Author {
    Nobody,
    Other,
    Reader,
}

#[derive(Debug, Clone)]
enum Item {
    Message { author: Author, echo: bool, keyed: bool, size: usize },
    Gap,
    Reset,
}

fn item() -> impl Strategy<Value = Item> {
    let author = prop_oneof![Just(Author::Nobody), Just(Author::Other), Just(Author::Reader)];
    let message = (author, any::<bool>(), any::<bool>(), 2..140usize)
        .prop_map(|(author, echo, keyed, size)| Item::Message { author, echo, keyed, size });
    prop_oneof![12 => message, 1 => Just(Item::Gap), 1 => Just(Item::Reset)]
}

/// A log of these batches; those before `floor` are gone.
fn log_of(batches: &[Vec<Item>], floor: u64) -> RoomLog {
    let budget = Budget::default();
    let mut log = RoomLog::new(at(0));
    for items in batches {
        let start = log.end();
        let (mut seq, mut epoch) = (start.seq, start.epoch);
        let mut entries = Vec::new();
        for item in items {
            entries.push(match *item {
                Item::Message { author, echo, keyed, size } => {
                    seq += 1;
                    let connection = match author {
                        Author::Nobody => None,
                        Author::Other => Some(ConnectionId(1)),
                        Author::Reader => Some(READER),
                    };
                    let key = keyed.then(key);
                    let message = Message { connection, echo, key, ..message(seq, size) };
                    LogEntry::Message(Arc::new(message))
                }
                Item::Gap => {
                    seq += 2;
                    LogEntry::Gap { from: seq - 1, to: seq }
                }
                Item::Reset => {
                    epoch = Epoch(epoch.0 + 1);
                    seq /= 2;
                    reset(epoch, seq)
                }
            });
        }
        log.append(Arc::new(Batch::new(room_name(), start, entries, &budget)));
    }
    log.trim(floor);
    log
}

/// What the reader should see from a cursor on, by its definition.
fn expected(log: &RoomLog, cursor: Cursor, form: Form, author: bool) -> Vec<Seen> {
    let mut expected = Vec::new();
    for number in cursor.batch..log.end_cursor().batch {
        let from = if number == cursor.batch { cursor.frame as usize } else { 0 };
        for entry in &log.batch(number).unwrap().entries()[from..] {
            match entry {
                LogEntry::Message(message) if author && message.connection == Some(READER) => {
                    if message.echo {
                        expected.push(Seen::message(message, message.key.is_some(), form));
                    }
                }
                other => expected.push(Seen::entry(other, form)),
            }
        }
    }
    expected
}

/// A reader with its log.
struct Reading<'a> {
    log: &'a RoomLog,
    form: Form,
    author: Option<ConnectionId>,
}

impl<'a> Reading<'a> {
    fn run(&self, cursor: Cursor, max: usize) -> Run<'a> {
        Run::of_log(self.log, cursor, self.form, self.author, max)
    }

    /// All bytes and frames from a cursor on.
    fn all(&self, mut cursor: Cursor) -> (Vec<u8>, u64) {
        let (mut bytes, mut frames) = (Vec::new(), 0);
        while cursor < self.log.end_cursor() {
            let run = self.run(cursor, usize::MAX);
            run.slices().iter().for_each(|slice| bytes.extend_from_slice(slice));
            frames += run.frames();
            assert!(run.end() > cursor, "it goes on");
            cursor = run.end();
        }
        (bytes, frames)
    }
}

fn cursors(log: &RoomLog) -> Vec<Cursor> {
    let numbers = log.base()..log.end_cursor().batch;
    let frames = numbers.flat_map(|batch| {
        (0..log.batch(batch).unwrap().len()).map(move |frame| Cursor { batch, frame })
    });
    frames.chain([log.end_cursor()]).collect()
}

fn batches() -> impl Strategy<Value = Vec<Vec<Item>>> {
    prop::collection::vec(prop::collection::vec(item(), 1..6), 0..6)
}

fn form() -> impl Strategy<Value = Form> {
    prop::sample::select(&Form::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// 300 logs; every number of bytes that a socket may take of the first run.
    #[test]
    fn whatever_is_written_the_rest_follows(
        batches in batches(), floor in 0..3u64, form in form(), author in any::<bool>(),
        pick in any::<prop::sample::Index>(), max in 1..3000usize,
    ) {
        let log = log_of(&batches, floor);
        let cursor = *pick.get(&cursors(&log));
        let reading = Reading { log: &log, form, author: author.then_some(READER) };
        let (whole, frames) = reading.all(cursor);
        let wanted = expected(&log, cursor, form, author);
        prop_assert_eq!(frames, wanted.len() as u64);
        prop_assert_eq!(seen(&whole, form), wanted);

        let run = reading.run(cursor, max);
        let slices = run.slices();
        prop_assert!(slices.iter().all(|slice| !slice.is_empty()));
        prop_assert_eq!(run.bytes(), slices.iter().map(|slice| slice.len()).sum::<usize>());
        prop_assert!(run.bytes() <= max || slices.len() == 1, "only the first may exceed the turn");
        prop_assert!(run.end() > cursor || cursor == log.end_cursor(), "a turn comes further");
        if !author {
            let shared: Vec<u8> = run.shared_slices().iter().flat_map(|s| s.to_vec()).collect();
            prop_assert_eq!(&shared[..], &whole[..run.bytes()]);
        }
        let mut later = HashMap::new();
        for written in 0..=run.bytes() {
            let settled = run.settle(written);
            prop_assert!(settled.cursor >= cursor);
            let (rest, left) = later
                .entry((settled.cursor.batch, settled.cursor.frame))
                .or_insert_with(|| reading.all(settled.cursor));
            let pieces = [&whole[..written], &settled.rest[..], &rest[..]];
            prop_assert_eq!(pieces.iter().map(|piece| piece.len()).sum::<usize>(), whole.len());
            prop_assert!(whole[written..].starts_with(&settled.rest));
            prop_assert!(whole.ends_with(rest));
            prop_assert_eq!(settled.frames + *left, frames);
        }
        let settled = run.settle(run.bytes());
        prop_assert_eq!(settled, Settled { cursor: run.end(), rest: vec![], frames: run.frames() });
    }

    /// 300 readers that take a few bytes at a time, turn by turn, to the end of the log.
    #[test]
    fn short_writes_add_up_to_the_frames_owed(
        batches in batches(), form in form(), author in any::<bool>(),
        pick in any::<prop::sample::Index>(), max in 1..2000usize,
        takes in prop::collection::vec(0..700usize, 1..20),
    ) {
        let log = log_of(&batches, 0);
        let start = *pick.get(&cursors(&log));
        let reading = Reading { log: &log, form, author: author.then_some(READER) };
        let (mut cursor, mut stream, mut frames) = (start, Vec::new(), 0);
        // The last one lets every reader come to an end.
        let mut takes = takes.into_iter().chain(std::iter::repeat(97));
        while cursor < log.end_cursor() {
            let run = reading.run(cursor, max);
            let all: Vec<u8> = run.slices().iter().flat_map(|slice| slice.to_vec()).collect();
            let written = takes.next().unwrap().min(all.len());
            stream.extend_from_slice(&all[..written]);
            let settled = run.settle(written);
            stream.extend_from_slice(&settled.rest);
            frames += settled.frames;
            cursor = settled.cursor;
        }
        let wanted = expected(&log, start, form, author);
        prop_assert_eq!(frames, wanted.len() as u64);
        prop_assert_eq!(seen(&stream, form), wanted);
    }

    /// 300 pages, which stand outside the log, from any of their frames, in turns of any size and
    /// writes of any length.
    #[test]
    fn a_page_is_read_like_a_log(
        items in prop::collection::vec(item(), 1..9), form in form(),
        author in any::<bool>(), pick in any::<prop::sample::Index>(), max in 1..2000usize,
        takes in prop::collection::vec(0..700usize, 1..20),
    ) {
        let log = log_of(&[items], 0);
        let page = log.batch(0).unwrap();
        let frame = pick.index(page.len() as usize) as u32;
        let start = Cursor { batch: 0, frame };
        let (mut cursor, mut stream) = (start, Vec::new());
        let mut takes = takes.into_iter().chain(std::iter::repeat(97));
        while cursor.batch == 0 {
            let run = Run::of_page(page, cursor.frame, form, author.then_some(READER), max);
            prop_assert!(run.bytes() <= max || run.slices().len() == 1);
            let all: Vec<u8> = run.slices().iter().flat_map(|slice| slice.to_vec()).collect();
            let written = takes.next().unwrap().min(all.len());
            let settled = run.settle(written);
            stream.extend_from_slice(&all[..written]);
            stream.extend_from_slice(&settled.rest);
            cursor = settled.cursor;
        }
        prop_assert_eq!(cursor, Cursor { batch: 1, frame: 0 });
        prop_assert_eq!(seen(&stream, form), expected(&log, start, form, author));
    }
}

/// A log of one batch with `count` messages that alternate between others' and the reader's own.
fn alternating(count: u64, size: usize, echo: bool) -> RoomLog {
    let mut log = RoomLog::new(at(0));
    let own = |seq| {
        let (connection, key) = (Some(READER), Some(key()));
        LogEntry::Message(Arc::new(Message { connection, key, echo, ..message(seq, size) }))
    };
    let entries = (1..=count).map(|seq| if seq % 2 == 0 { own(seq) } else { entry(seq, size) });
    let batch = Batch::new(room_name(), at(0), entries.collect(), &Budget::default());
    log.append(Arc::new(batch));
    log
}

#[test]
fn an_authors_run_keeps_the_turns_bounds() {
    for form in Form::ALL {
        let log = alternating(400, 60, true);
        let run = Run::of_log(&log, Cursor { batch: 0, frame: 0 }, form, Some(READER), 4000);
        assert!(run.bytes() <= 4000, "{} bytes", run.bytes());
        let run = Run::of_log(&log, Cursor { batch: 0, frame: 0 }, form, Some(READER), 1 << 20);
        assert!(run.slices().len() <= MAX_PIECES, "{} slices", run.slices().len());
    }
}

#[test]
fn a_run_of_own_frames_without_echo_moves_the_cursor_and_writes_nothing() {
    let mut log = RoomLog::new(at(0));
    let own = Message { connection: Some(READER), echo: false, ..message(1, 9) };
    let entries = vec![LogEntry::Message(Arc::new(own))];
    log.append(Arc::new(Batch::new(room_name(), at(0), entries, &Budget::default())));
    let cursor = log.cursor_after(0).unwrap();
    let run = Run::of_log(&log, cursor, Form::WebSocketJson, Some(READER), 100);
    assert_eq!((run.bytes(), run.frames(), run.slices().len()), (0, 0, 0));
    let settled = Settled { cursor: log.end_cursor(), rest: Vec::new(), frames: 0 };
    assert_eq!(run.settle(0), settled);
}

#[test]
fn an_empty_run_stays_where_it_is() {
    let log = RoomLog::new(at(0));
    let run = Run::of_log(&log, log.end_cursor(), Form::WebSocketJson, None, 100);
    assert_eq!((run.end(), run.bytes()), (log.end_cursor(), 0));
    assert_eq!(Run::empty().bytes(), 0);
    assert_eq!(EPOCH, log.end().epoch);
}
