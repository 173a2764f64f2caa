//! Where a join continues, as a table.

use std::sync::Arc;

use roomcast_protocol::Epoch;

use super::*;
use crate::room_log::{Batch, Budget, LogEntry};
use crate::tests::{connection, entry, reset, room_name};

const GRAND: Epoch = Epoch(1);
const PARENT: Epoch = Epoch(2);
const CURRENT: Epoch = Epoch(3);

/// The grandparent was left at 30, the parent at 25; the current epoch went on to 40.
fn lineage() -> Lineage {
    Lineage::of(CURRENT, vec![(GRAND, 30), (PARENT, 25)])
}

/// Two batches: what the parent had after 24, the reset, 26 to 30; then 31 to 40. Trimmed by
/// `floor` batches.
fn log(floor: u64) -> RoomLog {
    let budget = Budget::default();
    let start = Position { epoch: PARENT, seq: 24 };
    let mut log = RoomLog::new(start);
    let mut entries: Vec<LogEntry> = vec![entry(25, 9), entry(26, 9), reset(CURRENT, 25)];
    entries.extend((26..=30).map(|seq| entry(seq, 9)));
    log.append(Arc::new(Batch::new(room_name(), start, entries, &budget)));
    let entries = (31..=40).map(|seq| entry(seq, 9)).collect();
    log.append(Arc::new(Batch::new(room_name(), log.end(), entries, &budget)));
    log.trim(floor);
    log
}

struct Case {
    connection: Rc<Connection>,
    floor: u64,
}

impl Case {
    fn pending(
        &self,
        since: Option<(Epoch, Seq)>,
        history: u32,
        known: PositionCheck,
    ) -> PendingJoin {
        PendingJoin {
            connection: self.connection.clone(),
            id: None,
            since: since.map(|(epoch, seq)| Position { epoch, seq }),
            history,
            oldest: None,
            lookup: JoinLookup::Known,
            resumes: false,
            strict: false,
            marks: None,
            backend: None,
            replaces: ReplacedJoin::Nothing,
            withheld: None,
            deadline: Instant::now(),
            known,
            info: None,
            listens: false,
            presence: JoinPresence::Unasked,
            then: Vec::new(),
        }
    }

    #[track_caller]
    fn check(
        &self,
        since: Option<(Epoch, Seq)>,
        history: u32,
        known: PositionCheck,
        expected: StartPoint,
    ) {
        let pending = self.pending(since, history, known);
        let got = start_point(&log(self.floor), &lineage(), &pending);
        assert_eq!(got, expected, "since {since:?}, history {history}, {known:?}");
    }

    #[track_caller]
    fn check_in_state(&self, since: (Epoch, Seq), expected: StartPoint) {
        let pending = self.pending(Some(since), 0, PositionCheck::Unasked);
        let got = start_point_in_state(&log(self.floor), &lineage(), &pending);
        assert_eq!(got, expected, "since {since:?}");
    }
}

fn in_log(batch: u64, frame: u32, seq: Seq) -> StartPoint {
    StartPoint::Log { cursor: Cursor { batch, frame }, at: Position { epoch: CURRENT, seq } }
}

#[tokio::test]
async fn a_join_continues_where_its_position_is_good() {
    let (connection, _client) = connection(1).await;
    let whole = Case { connection: connection.clone(), floor: 0 };
    let trimmed = Case { connection, floor: 1 };
    let all = [PositionCheck::Unasked, PositionCheck::Good, PositionCheck::Bad(CURRENT)];

    // Without `since`: at the end, or so many messages before it.
    whole.check(None, 0, PositionCheck::Unasked, in_log(2, 0, 40));
    whole.check(None, 3, PositionCheck::Unasked, in_log(1, 7, 37));
    whole.check(None, 10, PositionCheck::Unasked, in_log(1, 0, 30));
    whole.check(None, 15, PositionCheck::Unasked, in_log(0, 3, 25));
    whole.check(None, 16, PositionCheck::Unasked, StartPoint::Page { after: 24 });
    whole.check(None, 1000, PositionCheck::Unasked, StartPoint::Page { after: 0 });
    trimmed.check(None, 10, PositionCheck::Unasked, in_log(1, 0, 30));
    trimmed.check(None, 11, PositionCheck::Unasked, StartPoint::Page { after: 29 });

    // The current epoch: inside the log, before it, at its end.
    for known in all {
        whole.check(Some((CURRENT, 33)), 0, known, in_log(1, 3, 33));
        whole.check(Some((CURRENT, 25)), 0, known, in_log(0, 3, 25));
        whole.check(Some((CURRENT, 24)), 0, known, StartPoint::Page { after: 24 });
        whole.check(Some((CURRENT, 40)), 0, known, in_log(2, 0, 40));
        trimmed.check(Some((CURRENT, 29)), 0, known, StartPoint::Page { after: 29 });
        trimmed.check(Some((CURRENT, 30)), 0, known, in_log(1, 0, 30));
    }

    // Beyond its end, or an epoch that nobody here has heard of: the bus must know.
    for since in [(CURRENT, 41), (Epoch(9), 0), (Epoch(9), 99)] {
        whole.check(Some(since), 0, PositionCheck::Unasked, StartPoint::Ahead);
        whole.check(Some(since), 0, PositionCheck::Good, StartPoint::Ahead);
        whole.check(Some(since), 0, PositionCheck::Bad(CURRENT), StartPoint::Reset);
        // The room is in an epoch that this log has yet to come to.
        whole.check(Some(since), 0, PositionCheck::Bad(Epoch(8)), StartPoint::Ahead);
    }

    // Ancestors: below their base, at it, above it. The parent's base binds the grandparent too.
    for known in all {
        for ancestor in [GRAND, PARENT] {
            whole.check(Some((ancestor, 7)), 0, known, StartPoint::Page { after: 7 });
            whole.check(Some((ancestor, 25)), 0, known, in_log(0, 3, 25));
            whole.check(Some((ancestor, 26)), 0, known, StartPoint::Reset);
            trimmed.check(Some((ancestor, 25)), 0, known, StartPoint::Page { after: 25 });
        }
    }
}

#[tokio::test]
async fn a_reader_of_an_older_epoch_gets_the_whole_state() {
    let (connection, _client) = connection(1).await;
    let whole = Case { connection: connection.clone(), floor: 0 };
    let trimmed = Case { connection, floor: 1 };
    whole.check_in_state((CURRENT, 25), in_log(0, 3, 25));
    trimmed.check_in_state((CURRENT, 25), StartPoint::Page { after: 25 });
    for ancestor in [GRAND, PARENT] {
        for seq in [7, 25, 26] {
            whole.check_in_state((ancestor, seq), StartPoint::Reset);
        }
    }
    // Who was sent nothing misses nothing.
    for epoch in [PARENT, Epoch::NONE] {
        whole.check_in_state((epoch, 0), StartPoint::Page { after: 0 });
    }
    whole.check_in_state((CURRENT, 41), StartPoint::Ahead);
}

#[tokio::test]
async fn what_the_log_has_not_come_to_of_an_ancestor_is_awaited() {
    // The feed told up to 5 when the new epoch came, which shares 10 with the old.
    let lineage = Lineage::of(CURRENT, vec![(PARENT, 10)]);
    let log = RoomLog::new(Position { epoch: CURRENT, seq: 5 });
    let (connection, _client) = connection(1).await;
    let plan_of = |seq, log: &RoomLog| {
        let pending = PendingJoin {
            connection: connection.clone(),
            id: None,
            since: Some(Position { epoch: PARENT, seq }),
            history: 0,
            oldest: None,
            lookup: JoinLookup::Known,
            resumes: false,
            strict: false,
            marks: None,
            backend: None,
            replaces: ReplacedJoin::Nothing,
            withheld: None,
            deadline: Instant::now(),
            known: PositionCheck::Bad(CURRENT),
            info: None,
            listens: false,
            presence: JoinPresence::Unasked,
            then: Vec::new(),
        };
        start_point(log, &lineage, &pending)
    };
    assert_eq!(plan_of(8, &log), StartPoint::Ahead);
    // Who goes on at the end after a reset must not be told again what it keeps.
    assert_eq!(plan_of(12, &log), StartPoint::Ahead);
    let log = RoomLog::new(Position { epoch: CURRENT, seq: 10 });
    assert_eq!(plan_of(12, &log), StartPoint::Reset);
}
