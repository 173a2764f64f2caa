//! Cases of one member's account.

use roomcast_protocol::Epoch;

use super::*;

fn at(seq: Seq) -> Position {
    Position { epoch: Epoch(7), seq }
}

/// A member of a room with seqs that has got messages 1 and 2 of its only stream.
fn begun() -> Account {
    let mut account = Account::new(1, true);
    account.joined(at(10), None);
    account.message(0, 1, Some(11));
    account.message(0, 2, Some(12));
    account
}

#[test]
fn all_in_order_is_all_well() {
    let tally = begun().close(|_| 2);
    assert_eq!(tally, Tally { received: 2, ..Tally::default() });
    assert!(!tally.breaks_promises() && begun().is_settled(|_| 2));
}

#[test]
fn a_planted_loss_is_found_in_the_middle_and_at_the_end() {
    let mut account = begun();
    account.message(0, 4, Some(14));
    assert!(!account.is_settled(|_| 4));
    let tally = account.close(|_| 6);
    assert_eq!((tally.missing, tally.untold), (3, 3));
    assert!(tally.breaks_promises());
    let at_the_end = begun().close(|_| 3);
    assert_eq!((at_the_end.missing, at_the_end.untold), (1, 1));
    let never_any = Account::new(2, true).close(|_| 5);
    assert_eq!(never_any.missing, 10);
}

#[test]
fn a_loss_that_was_told_breaks_nothing() {
    let mut account = begun();
    account.gap(13, 13);
    account.message(0, 4, Some(14));
    assert!(account.is_settled(|_| 4));
    let tally = account.close(|_| 4);
    assert_eq!((tally.missing, tally.untold, tally.notices), (1, 0, 1));
    assert!(!tally.breaks_promises());
    // A gap for one message does not excuse two.
    assert_eq!(account.close(|_| 5).untold, 1);
}

#[test]
fn a_seq_left_out_is_found_although_no_number_is_missing() {
    let mut account = begun();
    account.message(0, 3, Some(14));
    assert_eq!(account.close(|_| 3).untold, 1);
    let mut account = begun();
    account.gap(14, 15);
    assert_eq!(account.close(|_| 2).untold, 1, "seq 13 was not named");
}

#[test]
fn repeats_and_disorder() {
    let mut account = begun();
    assert_eq!(account.message(0, 2, Some(12)), Take::Again);
    let tally = account.close(|_| 2);
    assert_eq!((tally.repeated, tally.disordered, tally.received), (1, 0, 2));
    let mut account = begun();
    account.message(0, 4, Some(14));
    assert_eq!(account.message(0, 3, Some(13)), Take::Late);
    let tally = account.close(|_| 4);
    assert_eq!((tally.missing, tally.disordered, tally.received), (0, 1, 4));
    // Sent again by its publisher, numbered later by the room: in the room's order.
    let mut account = begun();
    account.message(0, 4, Some(13));
    account.message(0, 3, Some(14));
    assert!(!account.close(|_| 4).breaks_promises());
    // Without seqs the numbers judge.
    let mut bare = Account::new(1, true);
    for number in [1, 3, 2, 2] {
        bare.message(0, number, None);
    }
    let tally = bare.close(|_| 3);
    assert_eq!((tally.missing, tally.disordered, tally.repeated), (0, 1, 1));
}

#[test]
fn who_comes_later_misses_what_follows_its_first() {
    let mut account = Account::new(1, false);
    assert_eq!(account.close(|_| 100).missing, 0);
    account.message(0, 50, None);
    assert_eq!(account.close(|_| 52).missing, 2);
}

#[test]
fn resuming_keeps_the_place_and_a_reset_excuses() {
    let mut account = begun();
    account.joined(at(12), Some(true));
    assert_eq!(account.close(|_| 2).untold, 0);
    account.joined(at(20), Some(false));
    assert_eq!(account.position(), Some(at(12)), "until the gap comes");
    account.gap(13, 20);
    assert_eq!(account.position(), Some(at(20)));
    let mut lied = begun();
    lied.joined(at(13), Some(true));
    assert_eq!(lied.close(|_| 2).untold, 1, "recovered at another place");
    let mut account = begun();
    let epoch = Epoch(8);
    account.reset(Position { epoch, seq: 4 }, 1);
    account.message(0, 5, Some(5));
    assert!(!account.close(|_| 5).breaks_promises());
}

#[test]
fn tracks_mend_holes_piece_by_piece() {
    let mut track = Track { next: 1, holes: Vec::new() };
    assert_eq!(track.take(6), Take::New);
    assert_eq!(
        [3, 1, 5, 3].map(|number| track.take(number)),
        [Take::Late, Take::Late, Take::Late, Take::Again]
    );
    assert_eq!(track.missing(7), 3, "2, 4 and 7");
}
