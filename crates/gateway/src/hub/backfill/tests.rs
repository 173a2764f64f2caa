//! Catching up: who is answered when, and by how many reads.

use std::sync::Arc;

use roomcast_bus::History;
use roomcast_protocol::Epoch;

use super::*;
use crate::hub::backfill_page::tests::{history, log};
use crate::room_log::{Batch, Budget, LogEntry};
use crate::tests::{at, entry, reset, room_name};

mod storm;

/// A page of what the bus has after a seq.
fn page_after(after: Seq, history: History, log: &RoomLog) -> BackfillPage {
    BackfillPage::of(&room_name(), BackfillRange::After(after), history, log, &Budget::default())
        .unwrap()
}

/// A request of which the bus must be asked, and how.
#[track_caller]
fn part(ask: BackfillStep) -> BackfillRange {
    match ask {
        BackfillStep::Read(part) => part,
        other => panic!("a read was expected, not {other:?}"),
    }
}

#[test]
fn a_page_is_kept_while_it_is_asked_for() {
    let budget = Budget::default();
    let log = log(20, 25);
    let mut backfill = Backfill::default();
    let asked = part(backfill.ask(0, 10, &log));
    let read = history(25, &[11, 12], true);
    let page = BackfillPage::of(&room_name(), asked, read, &log, &budget).unwrap();
    backfill.arrived(asked, page);
    let charged = budget.used();
    assert!(charged > 0, "kept for the next who asks");
    backfill.forget_unused();
    assert!(matches!(backfill.ask(1, 11, &log), BackfillStep::Answer(BackfillAnswer::Page(_))));
    backfill.forget_unused();
    assert_eq!(budget.used(), charged);
    backfill.forget_unused();
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_read_that_keeps_failing_is_given_up() {
    let log = log(20, 25);
    let mut backfill = Backfill::default();
    let up_to = BackfillRange::UpTo(20, FIRST_MESSAGES);
    assert_eq!(part(backfill.ask(2, 10, &log)), up_to);
    assert!(matches!(backfill.ask(0, 12, &log), BackfillStep::Wait));
    assert!(matches!(backfill.ask(2, 11, &log), BackfillStep::Wait));
    for _ in 1..MAX_TRIES {
        assert_eq!(backfill.failed(up_to).ok(), Some(up_to));
    }
    let answers = backfill.failed(up_to).unwrap_err();
    let workers: Vec<usize> = answers.iter().map(|(worker, _)| *worker).collect();
    assert_eq!(workers, [0, 2], "each worker once");
    assert!(answers.iter().all(|(_, answer)| matches!(answer, BackfillAnswer::Failed)));
    assert_eq!(part(backfill.ask(1, 10, &log)), up_to, "and the next may try again");
    assert_eq!(backfill.failed(up_to).ok(), Some(up_to), "from the first try on");
}

#[test]
fn a_reset_sends_everybody_back_to_the_log() {
    let before = log(20, 25);
    let mut backfill = Backfill::default();
    let first = part(backfill.ask(0, 10, &before));
    let read = history(25, &[18, 19, 20], true);
    let page = BackfillPage::of(&room_name(), first, read, &before, &Budget::default());
    let (answers, next) = backfill.arrived(first, page.unwrap());
    assert!(answers.is_empty() && matches!(next, BackfillStep::Read(BackfillRange::After(10))));
    assert!(matches!(backfill.ask(1, 12, &before), BackfillStep::Wait));
    let answers = backfill.reset();
    assert!(matches!(answers[..], [(0, BackfillAnswer::InLog), (1, BackfillAnswer::InLog)]));

    let mut after = before;
    let entries = vec![reset(Epoch(2), 24), entry(25, 9)];
    after.append(Arc::new(Batch::new(room_name(), at(25), entries, &Budget::default())));
    let again = part(backfill.ask(1, 19, &after));
    assert_eq!(again, BackfillRange::UpTo(24, FIRST_MESSAGES), "the old page serves nobody");
}

#[test]
fn a_page_of_another_epoch_serves_nobody() {
    let mut log = log(20, 25);
    let mut backfill = Backfill::default();
    let first = part(backfill.ask(0, 10, &log));
    let read = history(25, &[11, 12, 13, 14, 15, 16, 17, 18, 19, 20], true);
    let page = BackfillPage::of(&room_name(), first, read, &log, &Budget::default());
    backfill.arrived(first, page.unwrap());
    assert!(matches!(backfill.ask(0, 11, &log), BackfillStep::Answer(BackfillAnswer::Page(_))));
    let entries = vec![reset(Epoch(2), 25)];
    log.append(Arc::new(Batch::new(room_name(), at(25), entries, &Budget::default())));
    part(backfill.ask(0, 11, &log));
    assert!(matches!(backfill.ask(0, 25, &log), BackfillStep::Answer(BackfillAnswer::InLog)));
}

#[test]
fn a_read_that_a_reset_overtook_starts_no_other() {
    // So far back that each needs a read from its own position.
    let log = log(2000, 2005);
    let mut backfill = Backfill::default();
    let (stale, second) = (BackfillRange::After(10), BackfillRange::After(12));
    assert_eq!(part(backfill.ask(0, 10, &log)), stale);
    backfill.reset();
    assert_eq!(part(backfill.ask(0, 12, &log)), second);
    assert!(matches!(backfill.ask(1, 14, &log), BackfillStep::Wait));
    // Two reads are under way now; what comes of the first must not end the second.
    assert_eq!(backfill.failed(stale).unwrap_err().len(), 0);
    let read = page_after(10, history(2005, &[11], true), &log);
    let (answers, next) = backfill.arrived(stale, read);
    assert!(answers.is_empty() && matches!(next, BackfillStep::Wait));
    let read = page_after(12, history(2005, &[13, 14], true), &log);
    let (answers, next) = backfill.arrived(second, read);
    assert!(matches!(answers[..], [(0, BackfillAnswer::Page(_))]));
    assert!(matches!(next, BackfillStep::Read(BackfillRange::After(14))));
}
