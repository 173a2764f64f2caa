//! Batches: how they are cut, encoded once, charged, and found their way in.

use std::sync::Arc;

use proptest::prelude::*;
use roomcast_protocol::{Data, Epoch, Message, RoomName};

use super::*;
use crate::form::{DeflatedBytes, Form};
use crate::tests::{EPOCH, Seen, at, entry, key, message, reset, room_name, seen};

const MAX: usize = 64 * 1024;

fn batch(start: u64, entries: Vec<LogEntry>, budget: &Budget) -> Batch {
    Batch::new(room_name(), at(start), entries, budget)
}

fn split(sizes: &[usize], budget: &Budget) -> Vec<Batch> {
    let entries = sizes.iter().enumerate().map(|(i, &size)| entry(i as u64 + 1, size)).collect();
    Batch::split(&room_name(), at(0), entries, MAX, budget)
}

#[test]
fn one_large_message_is_a_batch_of_its_own() {
    let budget = Budget::default();
    let batches = split(&[100, MAX * 3, 100, 100], &budget);
    assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!(batches[1].start(), at(1));
    assert_eq!(batches[2].end(), at(4));
    assert!(Batch::split(&room_name(), at(0), Vec::new(), MAX, &budget).is_empty());
}

proptest! {
    /// 256 lists of up to 60 messages of 2 bytes to 70 KiB.
    #[test]
    fn splits_at_64_kib_or_one_message(
        sizes in prop::collection::vec(prop_oneof![2..2000usize, 60_000..70_000usize], 1..60),
    ) {
        let budget = Budget::default();
        let batches = split(&sizes, &budget);
        let (mut at_end, mut count) = (at(0), 0);
        for (i, batch) in batches.iter().enumerate() {
            prop_assert_eq!(batch.start(), at_end);
            prop_assert!(batch.len() == 1 || batch.weight() <= MAX);
            prop_assert!(batch.len() > 0);
            if let Some(next) = batches.get(i + 1) {
                let first = next.entries()[0].weight();
                prop_assert!(batch.weight() + first > MAX, "it could hold one more");
            }
            at_end = batch.end();
            count += batch.len() as usize;
        }
        prop_assert_eq!((at_end, count), (at(sizes.len() as u64), sizes.len()));
        prop_assert_eq!(budget.used(), batches.iter().map(Batch::weight).sum::<usize>());
        drop(batches);
        prop_assert_eq!(budget.used(), 0);
    }

    /// 256 batches with up to 20 entries: frames lie where they say, in both encodings.
    #[test]
    fn frames_lie_where_they_say(sizes in prop::collection::vec(2..400usize, 1..20)) {
        let budget = Budget::default();
        let entries: Vec<LogEntry> = (1u64..).zip(&sizes).map(|(seq, &n)| entry(seq, n)).collect();
        let batch = batch(0, entries.clone(), &budget);
        for form in Form::ALL {
            let encoded = batch.encoded(form);
            prop_assert_eq!(encoded.len(), batch.len());
            prop_assert_eq!(encoded.end(batch.len() - 1), encoded.bytes.len());
            for index in 0..batch.len() {
                let (start, end) = (encoded.start(index), encoded.end(index));
                let expected = Seen::entry(&entries[index as usize], form);
                prop_assert_eq!(seen(&encoded.bytes[start..end], form), [expected]);
                for offset in start..end {
                    prop_assert_eq!(encoded.frame_at(offset), index);
                }
            }
            prop_assert_eq!(encoded.frame_at(encoded.bytes.len()), batch.len());
        }
    }
}

#[test]
fn encodes_once_and_gives_everything_back() {
    let budget = Budget::default();
    let batch = batch(0, vec![entry(1, 50), entry(2, 50)], &budget);
    assert_eq!(budget.used(), batch.weight());
    let first = batch.encoded(Form::WebSocketJson);
    let charged = batch.weight() + first.bytes.len();
    assert_eq!(budget.used(), charged);
    assert!(std::ptr::eq(first, batch.encoded(Form::WebSocketJson)), "made once");
    assert_eq!(budget.used(), charged, "charged once");
    let second = batch.encoded(Form::WebSocketMessagePack).bytes.len();
    assert_eq!(budget.used(), charged + second);
    drop(batch);
    assert_eq!(budget.used(), 0);
}

#[test]
fn two_threads_that_ask_at_once_are_charged_once() {
    let budget = Budget::default();
    let batch = batch(0, vec![entry(1, 2000)], &budget);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| batch.encoded(Form::WebSocketJson).bytes.len());
        }
    });
    let encoded = batch.encoded(Form::WebSocketJson).bytes.len();
    assert_eq!(budget.used(), batch.weight() + encoded);
    drop(batch);
    assert_eq!(budget.used(), 0);
}

#[test]
fn data_goes_to_the_other_encoding_transcoded() {
    let budget = Budget::default();
    let mut with_map = message(1, 2);
    with_map.data = Data::json(r#"{"a":[1,2.5,null]}"#).unwrap();
    let batch = batch(0, vec![LogEntry::Message(Arc::new(with_map.clone()))], &budget);
    for form in Form::ALL {
        let expected = Seen::message(&with_map, false, form);
        assert_eq!(seen(&batch.encoded(form).bytes, form), [expected]);
    }
}

#[test]
fn frame_after_skips_what_the_reader_has() {
    let budget = Budget::default();
    let entries = vec![entry(5, 9), LogEntry::Gap { from: 6, to: 9 }, entry(10, 9), entry(11, 9)];
    let batch = batch(4, entries, &budget);
    let frames: Vec<u32> = (4..12).map(|seq| batch.frame_after(seq, 0)).collect();
    // Whoever stands inside of the gap is told of it.
    assert_eq!(frames, [0, 1, 1, 1, 1, 2, 3, 4]);
    assert_eq!(batch.frame_after(4, 2), 2);
    assert_eq!(batch.position_before(1), at(5));
    assert_eq!(batch.position_before(2), at(9));
    assert_eq!(batch.position_before(4), batch.end());
}

#[test]
fn the_current_epoch_begins_after_the_last_reset() {
    let budget = Budget::default();
    let (second, third) = (Epoch(2), Epoch(3));
    let entries = vec![entry(5, 9), reset(second, 5), entry(6, 9), reset(third, 0), entry(1, 9)];
    let told = batch(4, entries, &budget);
    assert_eq!(told.after_reset(), Some((4, Position { epoch: third, seq: 0 })));
    assert_eq!(told.position_before(1), at(5));
    assert_eq!(told.position_before(3), Position { epoch: second, seq: 6 });
    assert_eq!(told.end(), Position { epoch: third, seq: 1 });
    let last = batch(4, vec![entry(5, 9), reset(second, 5)], &budget);
    assert_eq!(last.after_reset(), Some((2, Position { epoch: second, seq: 5 })));
    assert_eq!(batch(4, vec![entry(5, 9)], &budget).after_reset(), None);
}

#[test]
fn newest_is_the_time_of_the_last_message() {
    let budget = Budget::default();
    let gap = LogEntry::Gap { from: 7, to: 9 };
    assert_eq!(batch(4, vec![entry(5, 9), entry(6, 9), gap.clone()], &budget).newest(), Some(60));
    assert_eq!(batch(6, vec![gap, reset(EPOCH, 9)], &budget).newest(), None);
}

#[test]
fn only_the_author_sees_its_frames_otherwise() {
    let (budget, room): (Budget, RoomName) = (Budget::default(), room_name());
    let (author, other) = (ConnectionId(1), ConnectionId(2));
    let own = |seq, echo, key: Option<_>| {
        let message = Message { connection: Some(author), echo, key, ..message(seq, 9) };
        LogEntry::Message(Arc::new(message))
    };
    let entries = vec![
        own(1, true, None),
        own(2, false, None),
        own(3, true, Some(key())),
        own(4, false, Some(key())),
        entry(5, 9),
        LogEntry::Gap { from: 6, to: 6 },
    ];
    let batch = Batch::new(room, at(0), entries, &budget);
    let special: Vec<_> = (0..6).map(|index| batch.special(index, author)).collect();
    let (skipped, keyed) = (Some(Special::Skipped), Some(Special::Keyed));
    assert_eq!(special, [None, skipped, keyed, skipped, None, None]);
    assert!((0..6).all(|index| batch.special(index, other).is_none()));
    for form in Form::ALL {
        let LogEntry::Message(third) = &batch.entries()[2] else { unreachable!() };
        let expected = Seen::message(third, true, form);
        assert_eq!(seen(&batch.keyed_frame(2, form), form), [expected]);
        let shared = seen(&batch.encoded(form).bytes, form);
        assert!(shared.iter().all(|seen| !matches!(seen, Seen::Message { keyed: true, .. })));
    }
}

/// Members of one form share one compression; those without it cause none.
#[test]
fn a_batch_is_compressed_once_and_only_if_a_reader_takes_it() {
    let budget = Budget::default();
    let batch = batch(0, vec![entry(1, 400), entry(2, 400)], &budget);
    let plain = batch.encoded(Form::WebSocketJson);
    assert_eq!(budget.deflate().take_bytes(), DeflatedBytes { before: 0, after: 0 });
    let packed = batch.encoded(Form::DeflatedJson);
    let once = budget.deflate().take_bytes();
    assert!(once.before > 800 && once.after < once.before / 2);
    assert!(std::ptr::eq(packed, batch.encoded(Form::DeflatedJson)), "made once");
    assert_eq!(budget.deflate().take_bytes(), DeflatedBytes { before: 0, after: 0 });
    let held = batch.weight() + plain.bytes.len() + packed.bytes.len();
    assert_eq!(budget.used(), held, "it is charged like every encoding");
}
