//! The checker finds what is lost, repeated or out of order.

use super::*;

/// Two members see and two authors are told of three messages; `change` plants a fault in what
/// the second member sees.
fn run(change: impl FnOnce(&mut Vec<(Seq, u64)>)) -> (Vec<Violation>, u64) {
    let good = vec![(1, 11), (2, 22), (3, 33)];
    let mut other = good.clone();
    change(&mut other);
    let mut checker = Checker::new(1, 2);
    checker.in_epoch(0, Epoch(7));
    for &(seq, content) in &good {
        checker.saw(0, 0, seq, content);
        checker.acknowledged(0, seq, content);
    }
    for (seq, content) in other {
        checker.saw(0, 1, seq, content);
    }
    assert_eq!(checker.acknowledged_in_all(), 3);
    checker.finish()
}

fn only(change: impl FnOnce(&mut Vec<(Seq, u64)>)) -> Violation {
    let (mut found, count) = run(change);
    assert_eq!((found.len(), count), (1, 1), "{found:?}");
    found.remove(0)
}

#[test]
fn what_is_right_passes() {
    assert_eq!(run(|_| ()), (vec![], 0));
}

#[test]
fn a_swap_is_a_hole_and_disorder() {
    let (found, _) = run(|seen| seen.swap(1, 2));
    let hole = Violation::Hole { room: 0, member: 1, from: 2, to: 2 };
    assert_eq!(found, [hole, Violation::Disorder { room: 0, member: 1, seq: 2, after: 3 }]);
}

#[test]
fn a_hole_is_found() {
    let hole = Violation::Hole { room: 0, member: 1, from: 2, to: 2 };
    assert_eq!(only(|seen| seen.retain(|&(seq, _)| seq != 2)), hole);
}

#[test]
fn a_duplicate_is_found_at_once_or_later() {
    let duplicate = Violation::Duplicate { room: 0, member: 1, seq: 1 };
    assert_eq!(only(|seen| seen.insert(1, (1, 11))), duplicate);
    assert_eq!(only(|seen| seen.push((1, 11))), duplicate);
}

#[test]
fn wrong_content_is_found() {
    let content = Violation::Content { room: 0, member: Some(1), seq: 2 };
    assert_eq!(only(|seen| seen[1].1 = 99), content);
}

#[test]
fn a_missing_end_is_found() {
    let missing = Violation::Missing { room: 0, member: 1, from: 2, to: 3 };
    assert_eq!(only(|seen| seen.truncate(1)), missing);
}

#[test]
fn a_message_nobody_was_told_of_is_found() {
    let mut checker = Checker::new(1, 1);
    checker.saw(0, 0, 1, 11);
    let count = Violation::Count { room: 0, acknowledged: 0, seen: 1 };
    assert_eq!(checker.finish(), (vec![count], 1));
}

#[test]
fn a_message_lost_for_all_is_found() {
    let mut checker = Checker::new(1, 1);
    checker.acknowledged(0, 1, 11);
    let missing = Violation::Missing { room: 0, member: 0, from: 1, to: 1 };
    assert_eq!(checker.finish(), (vec![missing], 1));
}

#[test]
fn a_crossed_ack_and_another_epoch_are_found() {
    let mut checker = Checker::new(1, 1);
    checker.in_epoch(0, Epoch(7));
    checker.in_epoch(0, Epoch(8));
    checker.saw(0, 0, 1, 11);
    checker.acknowledged(0, 1, 22);
    let epoch = Violation::Epoch { room: 0, was: Epoch(7), is: Epoch(8) };
    let content = Violation::Content { room: 0, member: None, seq: 1 };
    assert_eq!(checker.finish(), (vec![epoch, content], 2));
}

#[test]
fn the_list_is_bounded_and_the_count_is_not() {
    let mut checker = Checker::new(1, 1);
    for _ in 0..1000 {
        checker.unexpected(0, "a gap".to_owned());
    }
    let (kept, count) = checker.finish();
    assert_eq!((kept.len(), count), (KEPT, 1000));
}
