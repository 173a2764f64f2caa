//! How pages are made of what the bus has.

use roomcast_protocol::Lineage;

use super::*;
use crate::tests::{EPOCH, at, entry, message, room_name, settings};

/// What the bus answers: it stands at `last` and has these messages.
pub(crate) fn history(last: Seq, seqs: &[Seq], more: bool) -> History {
    let messages = seqs.iter().map(|&seq| Arc::new(message(seq, 9))).collect();
    History { lineage: Lineage::new(EPOCH), last, messages, more }
}

/// A log that reaches from `start` to `end`.
pub(crate) fn log(start: Seq, end: Seq) -> RoomLog {
    let mut log = RoomLog::new(at(start));
    if start < end {
        let entries = (start + 1..=end).map(|seq| entry(seq, 9)).collect();
        log.append(Arc::new(Batch::new(room_name(), at(start), entries, &Budget::default())));
    }
    log
}

/// A page as a table row: from, to, start, and its frames (gaps as pairs).
#[track_caller]
fn check_page(after: Seq, history: History, log: &RoomLog, expected: Option<(Seq, Seq, &str)>) {
    let expected = expected.map(|(to, start, frames)| (after, to, start, frames));
    check(BackfillRange::After(after), history, log, expected);
}

/// The same for any part, with where it serves from before it.
#[track_caller]
fn check(
    part: BackfillRange,
    history: History,
    log: &RoomLog,
    expected: Option<(Seq, Seq, Seq, &str)>,
) {
    let page = BackfillPage::of(&room_name(), part, history, log, &Budget::default());
    let got = page.map(|page| {
        assert_eq!(page.epoch, EPOCH);
        let frames: Vec<String> = (page.batch.iter().flat_map(|batch| batch.entries()))
            .map(|entry| match entry {
                LogEntry::Message(message) => message.seq.to_string(),
                LogEntry::Gap { from, to } => format!("gap {from}-{to}"),
                LogEntry::Reset { .. } => "reset".to_owned(),
                LogEntry::Conflated { .. } | LogEntry::State(_) => "state".to_owned(),
            })
            .collect();
        if let Some(batch) = &page.batch {
            assert_eq!((batch.start(), batch.end()), (at(page.start), at(page.to)));
        }
        (page.from, page.to, page.start, frames.join(" "))
    });
    let expected = expected.map(|(from, to, start, frames)| (from, to, start, frames.to_owned()));
    assert_eq!(got, expected);
}

#[test]
fn a_page_tells_messages_and_what_is_missing_between_them() {
    let log = log(20, 25);
    let whole = history(25, &[11, 12, 13], true);
    check_page(10, whole, &log, Some((13, 10, "11 12 13")));
    let later = history(25, &[14, 15], true);
    check_page(10, later, &log, Some((15, 13, "14 15")));
    let holes = history(25, &[11, 13, 17], true);
    check_page(10, holes, &log, Some((17, 10, "11 gap 12-12 13 gap 14-16 17")));
    // A hole that the log fills ends the page.
    let in_log = history(25, &[19, 20, 21, 24, 25], false);
    check_page(18, in_log, &log, Some((21, 18, "19 20 21")));
    let across = history(25, &[18, 24, 25], false);
    check_page(17, across, &log, Some((20, 17, "18 gap 19-20")));
    // What ends before the log begins has lost its end.
    let short = history(25, &[11, 12], false);
    check_page(10, short, &log, Some((20, 10, "11 12 gap 13-20")));
    check_page(10, history(25, &[], false), &log, Some((20, 20, "")));
}

#[test]
fn what_the_log_has_not_told_comes_through_the_log() {
    let log = log(20, 25);
    let ahead = history(30, &[18, 19, 20, 21, 22, 23, 24, 25, 26, 27], false);
    check_page(17, ahead, &log, Some((25, 17, "18 19 20 21 22 23 24 25")));
    let only_later = history(30, &[28, 29, 30], false);
    check_page(10, only_later, &log, Some((20, 20, "")));
    let only_within = history(25, &[23, 24, 25], false);
    check_page(10, only_within, &log, Some((20, 20, "")));
    // Messages that the reader has are none of its business.
    let from_before = history(25, &[9, 10, 11], true);
    check_page(10, from_before, &log, Some((11, 10, "11")));
}

#[test]
fn no_page_is_made_of_another_epoch_or_of_a_bus_that_stands_behind() {
    let log = log(20, 25);
    let mut other = history(25, &[11], false);
    other.lineage = Lineage::of(Epoch(2), vec![(EPOCH, 25)]);
    check_page(10, other, &log, None);
    check_page(10, history(10, &[], false), &log, None);
    check_page(10, history(0, &[], false), &log, None);
}

#[test]
fn a_page_up_to_the_log_serves_whoever_it_reaches() {
    let log = log(20, 25);
    let up_to = |history, expected| check(BackfillRange::UpTo(20, 9), history, &log, expected);
    // There is more before it, which is another page's.
    up_to(history(25, &[18, 19, 20], true), Some((17, 20, 17, "18 19 20")));
    up_to(history(25, &[15, 18, 20], true), Some((14, 20, 14, "15 gap 16-17 18 gap 19-19 20")));
    up_to(history(25, &[17, 18], true), Some((16, 20, 16, "17 18 gap 19-20")));
    // There is nothing before it: whoever stands further back has lost what is missing.
    up_to(history(25, &[18, 19, 20], false), Some((0, 20, 17, "18 19 20")));
    up_to(history(25, &[], false), Some((0, 20, 20, "")));
    up_to(history(25, &[], true), Some((20, 20, 20, "")));
    // What came after the question is the log's.
    up_to(history(30, &[19, 20, 21], false), Some((0, 20, 18, "19 20")));
    up_to(history(19, &[18, 19], false), None);
}

#[test]
fn a_page_may_end_where_the_log_began_when_it_was_asked_for() {
    let trimmed = log(23, 25);
    let read = history(25, &[18, 19, 20], true);
    check(BackfillRange::UpTo(20, 9), read, &trimmed, Some((17, 20, 17, "18 19 20")));
}

#[test]
fn parts_are_bounded() {
    let retention = settings(&[]).namespace_of(&room_name()).retention;
    let after = BackfillRange::After(7).request(retention);
    assert_eq!((after.range, after.limit), (HistoryRange::After(7), PAGE_MESSAGES));
    let up_to = BackfillRange::UpTo(20, 9).request(retention);
    assert_eq!((up_to.range, up_to.limit), (HistoryRange::Before(21), 9));
    assert_eq!((after.max_bytes, up_to.max_bytes), (PAGE_BYTES, PAGE_BYTES));
}
