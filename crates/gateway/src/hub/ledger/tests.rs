//! What a room's ledger keeps and what it gives up.

use std::time::Duration;

use proptest::prelude::*;
use roomcast_protocol::Epoch;

use super::*;
use crate::tests::{EPOCH, at, message, room_name};

fn ledger(last: u64) -> RoomLedger {
    let mut ledger = RoomLedger::opening(Instant::now());
    assert!(matches!(ledger.phase, FeedPhase::Opening { .. }));
    ledger.open(Lineage::new(EPOCH), last);
    assert_eq!(ledger.phase, FeedPhase::Open);
    ledger
}

fn messages(from: u64, count: u64, size: usize) -> FeedEvent {
    FeedEvent::Messages((from..from + count).map(|seq| Arc::new(message(seq, size))).collect())
}

/// Appends all batches of an event as the hub does; the last floor.
fn feed(ledger: &mut RoomLedger, event: FeedEvent, max: usize, budget: &Budget) -> Floor {
    let batches = ledger.batches(&room_name(), event, budget);
    let mut floor = ledger.floor();
    for batch in batches {
        floor = ledger.append(batch, max);
    }
    floor
}

#[test]
fn events_become_batches_that_follow_one_another() {
    let (mut ledger, budget) = (ledger(7), Budget::default());
    feed(&mut ledger, messages(8, 3, 40_000), usize::MAX, &budget);
    assert_eq!((ledger.log.len(), ledger.log.end()), (3, at(10)), "64 KiB or one message");
    feed(&mut ledger, messages(11, 3, 100), usize::MAX, &budget);
    feed(&mut ledger, FeedEvent::Gap { from: 14, to: 20 }, usize::MAX, &budget);
    assert_eq!((ledger.log.len(), ledger.log.end()), (5, at(20)));
    let lineage = Lineage::of(Epoch(2), vec![(EPOCH, 18)]);
    let reset = FeedEvent::Reset { lineage: lineage.clone(), last: 18, lost: 2 };
    feed(&mut ledger, reset, usize::MAX, &budget);
    assert_eq!(ledger.log.end(), Position { epoch: Epoch(2), seq: 18 });
    assert_eq!(*ledger.lineage, lineage);
    let opened = FeedEvent::Opened { lineage, last: 18 };
    assert!(ledger.batches(&room_name(), opened, &budget).is_empty());
}

#[derive(Debug, Clone)]
enum Op {
    Messages {
        count: u64,
        size: usize,
    },
    Gap,
    Reset,
    Shed,
    /// Drops what is older than the newest message but so many.
    Expire {
        young: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..6u64, 2..2000usize).prop_map(|(count, size)| Op::Messages { count, size }),
        1 => Just(Op::Gap),
        1 => Just(Op::Reset),
        1 => Just(Op::Shed),
        1 => (0..12u64).prop_map(|young| Op::Expire { young }),
    ]
}

/// The first batch that stays when older messages than `oldest` go: the one behind the last that
/// has a time, all of which are too old.
fn expired(log: &RoomLog, oldest: u64) -> u64 {
    let times = (log.base()..log.end_cursor().batch)
        .map(|number| (number, log.batch(number).and_then(|batch| batch.newest())));
    let old = times.take_while(|(_, time)| time.is_none_or(|time| time < oldest));
    old.filter(|(_, time)| time.is_some()).last().map_or(log.base(), |(number, _)| number + 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// 500 stories of up to 60 events.
    #[test]
    fn keeps_its_bounds_and_tells_slow_readers_from_evicted_ones(
        max in 1..20_000usize, ops in prop::collection::vec(op(), 1..60),
    ) {
        let (mut ledger, budget) = (ledger(0), Budget::default());
        let mut time = 0;
        for op in ops {
            let (before, end) = (ledger.floor(), ledger.log.end());
            let (floor, may_be_slow) = match op {
                Op::Messages { count, size } => {
                    let sent: Vec<_> = (1..=count).map(|n| {
                        time += 1;
                        let message = message(end.seq + n, size);
                        Arc::new(roomcast_protocol::Message { time, ..message })
                    }).collect();
                    (feed(&mut ledger, FeedEvent::Messages(sent), max, &budget), true)
                }
                Op::Gap => {
                    let event = FeedEvent::Gap { from: end.seq + 1, to: end.seq + 4 };
                    (feed(&mut ledger, event, max, &budget), true)
                }
                Op::Reset => {
                    let lineage = Lineage::new(Epoch(end.epoch.0 + 1));
                    let event = FeedEvent::Reset { lineage, last: end.seq / 2, lost: 0 };
                    (feed(&mut ledger, event, max, &budget), true)
                }
                Op::Shed => {
                    let bytes = ledger.log.bytes();
                    let floor = ledger.shed();
                    prop_assert!(ledger.log.bytes() <= bytes / 2 || ledger.log.len() == 1);
                    (floor, false)
                }
                Op::Expire { young } => {
                    let oldest = (time + 1).saturating_sub(young);
                    let expected = expired(&ledger.log, oldest);
                    let floor = ledger.expire(oldest);
                    prop_assert_eq!(floor.is_some(), expected > before.all);
                    prop_assert_eq!(ledger.log.base(), expected);
                    (floor.unwrap_or(before), false)
                }
            };
            prop_assert_eq!(floor, ledger.floor());
            prop_assert_eq!(floor.all, ledger.log.base());
            prop_assert!(floor.slow >= before.slow && floor.slow <= floor.all);
            prop_assert!(ledger.log.bytes() <= max || ledger.log.len() == 1);
            let dropped = floor.all > before.all;
            prop_assert_eq!(floor.slow > before.slow, dropped && may_be_slow,
                "only a reader's own lag makes it slow: {:?} to {:?}", before, floor);
            prop_assert_eq!(budget.used(), ledger.log.bytes());
        }
    }
}

#[test]
fn whom_the_budget_evicted_is_not_slow_for_the_next_batch() {
    let (mut ledger, budget) = (ledger(0), Budget::default());
    for seq in 1..=8 {
        feed(&mut ledger, messages(seq, 1, 1000), usize::MAX, &budget);
    }
    let shed = ledger.shed();
    assert_eq!((shed.slow, shed.all > 0), (0, true));
    let next = feed(&mut ledger, messages(9, 1, 1000), usize::MAX, &budget);
    assert_eq!(next, Floor { slow: 0, all: shed.all });
}

#[test]
fn the_budget_takes_a_lone_batch_and_the_log_goes_on() {
    let (mut ledger, budget) = (ledger(0), Budget::default());
    feed(&mut ledger, messages(1, 1, 1000), usize::MAX, &budget);
    assert_eq!(ledger.shed(), Floor { slow: 0, all: 1 });
    assert_eq!((ledger.log.len(), ledger.log.end(), ledger.log.reach()), (0, at(1), at(1)));
    assert_eq!(budget.used(), 0);
    assert_eq!(ledger.shed(), Floor { slow: 0, all: 1 }, "there is nothing left");
    feed(&mut ledger, messages(2, 1, 1000), usize::MAX, &budget);
    assert!(ledger.log.cursor_after(1).is_some() && ledger.log.cursor_after(0).is_none());
}

#[test]
fn what_the_hub_dropped_is_held_and_not_kept() {
    let (mut ledger, budget) = (ledger(0), Budget::default());
    feed(&mut ledger, messages(1, 1, 1000), usize::MAX, &budget);
    let mirror = ledger.log.batch(0).cloned().unwrap();
    let bytes = mirror.held();
    assert_eq!((budget.used(), budget.kept()), (bytes, bytes));
    ledger.shed();
    assert_eq!((budget.used(), budget.kept()), (bytes, 0));
    drop(mirror);
    assert_eq!((budget.used(), budget.kept()), (0, 0));
}

#[test]
fn a_gap_or_reset_goes_with_the_messages_after_it() {
    let (mut ledger, budget) = (ledger(0), Budget::default());
    let all = usize::MAX;
    feed(&mut ledger, FeedEvent::Gap { from: 1, to: 4 }, all, &budget);
    assert_eq!(ledger.expire(u64::MAX), None, "nothing tells how old it is");
    feed(&mut ledger, messages(5, 1, 9), all, &budget); // time 50
    let reset = FeedEvent::Reset { lineage: Lineage::new(Epoch(2)), last: 5, lost: 0 };
    feed(&mut ledger, reset, all, &budget);
    feed(&mut ledger, messages(6, 1, 9), all, &budget); // time 60
    assert_eq!(ledger.expire(50), None);
    assert_eq!(ledger.expire(51), Some(Floor { slow: 0, all: 2 }), "the gap and its message");
    assert_eq!(ledger.expire(60), None, "the reset stays with what follows");
    assert_eq!(ledger.expire(61), Some(Floor { slow: 0, all: 4 }));
    assert_eq!(ledger.log.len(), 0);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_worker_is_attached_once_under_its_last_number() {
    let mut ledger = ledger(0);
    ledger.idle_since = Some(Instant::now() - Duration::from_secs(1));
    ledger.attach(0, 1);
    ledger.attach(1, 5);
    ledger.attach(0, 2);
    assert_eq!(ledger.workers, [(1, 5), (0, 2)]);
    assert_eq!(ledger.idle_since, None);
    ledger.detach(1);
    ledger.detach(7);
    assert_eq!(ledger.workers, [(0, 2)]);
}
