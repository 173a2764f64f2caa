//! How much a reader lost, as a table.

use roomcast_protocol::Epoch;

use super::*;

const CURRENT: Epoch = Epoch(3);

#[track_caller]
fn check(since: Option<(Epoch, Seq)>, expected: u64) {
    let ancestors = vec![(Epoch(1), 30), (Epoch(2), 25)];
    let lineage = Lineage::of(CURRENT, ancestors);
    let since = since.map(|(epoch, seq)| Position { epoch, seq });
    let end = Position { epoch: CURRENT, seq: 40 };
    assert_eq!(lost(&lineage, end, since), expected, "{since:?}");
}

#[test]
fn what_the_current_epoch_does_not_have_is_lost() {
    check(None, 0);
    check(Some((Epoch(2), 25)), 0);
    check(Some((Epoch(2), 28)), 3);
    check(Some((Epoch(1), 30)), 5);
    // Of an epoch that is no ancestor, all of it; of the current one, what lies beyond its end.
    check(Some((Epoch(9), 7)), 7);
    check(Some((CURRENT, 42)), 2);
}
