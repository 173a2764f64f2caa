//! What goes first where all logs together are above their budget, what the budget bounds, and how
//! much a tick does at once.

use std::sync::Arc;

use roomcast_bus::{
    Bus, Ephemeral, FeedEvent, MemoryOptions, ReceiptMarks, ReceiptNews, RoomEvent, TypingWord,
    Writer,
};
use roomcast_metrics::Metrics;
use roomcast_protocol::{Lineage, Seq, UserName};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::hub::backfill::BackfillStep;
use crate::hub::backfill_page::BackfillPage;
use crate::hub::backfill_page::tests::history;
use crate::hub::{HubCommand, HubHandle, worker_queue};
use crate::settings::Settings;
use crate::tests::{EPOCH, message, settings};

mod states;

/// More than pages and logs of this test hold, and less than both together.
const MAX: usize = 1 << 20;
/// Where the open rooms stand in the beginning.
const LAST: Seq = 20;

/// A hub with these many workers that take nothing in, and an open room `r<number>` for each of
/// `rooms`, to which all workers are attached.
fn hub_with(workers: usize, rooms: usize) -> (Hub, Vec<mpsc::Receiver<WorkerEvent>>) {
    let settings = settings(&["limits.log_bytes=1MiB", "limits.room_linger=0"]);
    hub_of(settings, workers, rooms)
}

fn hub_of_states(rooms: usize) -> Hub {
    let settings = settings(&["limits.log_bytes=1MiB", "namespaces.default.state=true"]);
    hub_of(settings, 0, rooms).0
}

fn hub_of(
    settings: Settings,
    workers: usize,
    rooms: usize,
) -> (Hub, Vec<mpsc::Receiver<WorkerEvent>>) {
    let (_, settings) = watch::channel(Arc::new(settings));
    let (_, commands) = HubHandle::new();
    let bus = Bus::memory(MemoryOptions::default());
    let (queues, events) = (0..workers).map(|_| worker_queue()).unzip();
    let mut hub = Hub::new(bus, queues, commands, settings, Metrics::new());
    for number in 0..rooms {
        let mut ledger = RoomLedger::opening(Instant::now());
        ledger.open(Lineage::new(EPOCH), LAST);
        (0..workers).for_each(|worker| ledger.attach(worker, 1));
        hub.rooms.insert(name(number), ledger);
        hub.round.push_back(name(number));
    }
    (hub, events)
}

fn hub(rooms: usize) -> Hub {
    hub_with(0, rooms).0
}

fn name(number: usize) -> RoomName {
    RoomName::parse(&format!("r{number}")).unwrap()
}

/// A message of so many bytes comes to a room.
fn feed(hub: &mut Hub, number: usize, bytes: usize) {
    let seq = hub.rooms[&name(number)].log.end().seq + 1;
    let event = FeedEvent::Messages(vec![Arc::new(message(seq, bytes))]);
    hub.feed(vec![RoomEvent { room: name(number), event }]);
}

/// The same, and the budget is not kept.
fn append(hub: &mut Hub, number: usize, bytes: usize) {
    let ledger = hub.rooms.get_mut(&name(number)).unwrap();
    let seq = ledger.log.end().seq + 1;
    let event = FeedEvent::Messages(vec![Arc::new(message(seq, bytes))]);
    for batch in ledger.batches(&name(number), event, &hub.budget) {
        ledger.append(batch, usize::MAX);
    }
    hub.shares.settle(&mut ledger.place, ledger.log.bytes(), &name(number));
}

/// Somebody came back to the room and a page was read.
fn read_page(hub: &mut Hub, number: usize) {
    let ledger = hub.rooms.get_mut(&name(number)).unwrap();
    let BackfillStep::Read(part) = ledger.backfill.ask(0, 10, &ledger.log) else {
        panic!("no read")
    };
    let mut read = history(LAST, &[], true);
    read.messages = (11..=LAST).map(|seq| Arc::new(message(seq, 4000))).collect();
    let page = BackfillPage::of(&name(number), part, read, &ledger.log, &hub.budget);
    ledger.backfill.arrived(part, page.unwrap());
    hub.paged.insert(name(number));
}

fn length(hub: &Hub, number: usize) -> usize {
    hub.rooms[&name(number)].log.len()
}

#[tokio::test]
async fn pages_go_before_messages() {
    let mut hub = hub(20);
    for number in 0..20 {
        append(&mut hub, number, 10_000);
        append(&mut hub, number, 10_000);
        read_page(&mut hub, number);
    }
    let whole = hub.budget.used();
    assert!(whole > MAX, "{whole}");
    hub.keep_budget(None);
    let logs: usize = hub.rooms.values().map(|ledger| ledger.log.bytes()).sum();
    assert!(logs < MAX);
    assert!(hub.budget.used() <= MAX, "{}", hub.budget.used());
    assert!((0..20).all(|number| length(&hub, number) == 2), "no message went");
    // They are kept for as long as there is space.
    hub.rooms.values_mut().for_each(|ledger| ledger.backfill.forget_pages());
    hub.paged.clear();
    read_page(&mut hub, 7);
    let with_page = hub.budget.used();
    hub.keep_budget(None);
    assert_eq!(hub.budget.used(), with_page);
    // Where the logs alone are too much, the largest gives half.
    (0..30).for_each(|_| append(&mut hub, 3, 30_000));
    hub.keep_budget(None);
    assert!(hub.budget.used() <= MAX, "{}", hub.budget.used());
    assert_eq!((length(&hub, 2), length(&hub, 4)), (2, 2));
    assert!(length(&hub, 3) < 32, "{}", length(&hub, 3));
}

/// The largest that a test's message makes its batch.
const BATCH: usize = 60_000 + 200;

#[tokio::test]
async fn the_bound_holds_where_every_room_has_one_batch() {
    let mut hub = hub(600);
    for number in 0..600 {
        feed(&mut hub, number, 60_000);
        assert!(hub.budget.used() <= MAX + BATCH, "{} at {number}", hub.budget.used());
        assert_eq!(length(&hub, number), 1, "what just came is there to be read");
    }
    let kept: Vec<usize> = (0..600).filter(|&number| length(&hub, number) == 1).collect();
    assert_eq!(kept, (600 - kept.len()..600).collect::<Vec<_>>(), "the oldest went first");
    assert_eq!(kept.len(), MAX / BATCH);
    hub.keep_budget(None);
    assert!(hub.budget.used() <= MAX);
}

/// Neither a worker that takes nothing in, nor one larger than all the budget.
#[tokio::test]
async fn queues_of_workers_hold_no_more_than_their_part() {
    let (mut hub, mut events) = hub_with(2, 300);
    for number in 0..300 {
        feed(&mut hub, number, 60_000);
        // Each queue holds at least one batch.
        let bound = MAX + BATCH + 2 * BATCH.max(MAX / 16);
        assert!(hub.budget.used() <= bound, "{} at {number}", hub.budget.used());
    }
    feed(&mut hub, 0, 3 * MAX);
    assert!(hub.budget.used() <= MAX + 3 * MAX + 2 * BATCH.max(MAX / 16));
    // What they were not sent they get with the log, in turn.
    events.iter_mut().for_each(|queue| while queue.try_recv().is_ok() {});
    hub.keep_budget(None);
    assert!(hub.budget.used() <= MAX, "{}", hub.budget.used());
    let mut attached = std::collections::BTreeSet::new();
    while hub.queues[0].is_marked() {
        hub.attach_marked();
        while let Ok(event) = events[0].try_recv() {
            if let WorkerEvent::Attached { room, .. } = event {
                attached.insert(room);
            }
        }
    }
    assert!(attached.len() > 250, "{}", attached.len());
}

/// Workers mirror the logs, and free what was dropped only when they hear of it.
#[tokio::test]
async fn a_flood_takes_nothing_from_small_rooms() {
    let (mut hub, mut events) = hub_with(1, 101);
    let mut mirror = Vec::new();
    for number in 1..=100 {
        feed(&mut hub, number, 2000);
        while events[0].try_recv().is_ok() {}
    }
    for _ in 0..500 {
        feed(&mut hub, 0, 20_000);
        while let Ok(event) = events[0].try_recv() {
            if let WorkerEvent::Append { batch, .. } = event {
                mirror.push(batch);
            }
        }
    }
    assert!(hub.budget.used() > 9 * MAX, "the worker holds all of it");
    assert!(hub.budget.kept() <= MAX);
    assert!((1..=100).all(|number| length(&hub, number) == 1));
    assert!(length(&hub, 0) > 10, "{}", length(&hub, 0));
    drop(mirror);
    assert!(hub.budget.used() <= MAX);
}

#[tokio::test]
async fn encodings_count_when_they_are_made() {
    let mut hub = hub(30);
    (0..30).for_each(|number| append(&mut hub, number, 30_000));
    assert!(hub.budget.used() <= MAX);
    for number in 0..30 {
        let batch = hub.rooms[&name(number)].log.batch(0).cloned().unwrap();
        batch.encoded(crate::form::Form::WebSocketJson);
        batch.encoded(crate::form::Form::WebSocketMessagePack);
    }
    assert!(hub.budget.used() > 2 * MAX);
    hub.tick(Instant::now());
    assert!(hub.budget.used() <= MAX, "{}", hub.budget.used());
}

#[tokio::test]
async fn a_message_above_the_bound_touches_few_rooms_of_many() {
    for rooms in [100, 20_000] {
        let mut hub = hub(rooms);
        (1..rooms).for_each(|number| feed(&mut hub, number, MAX / rooms));
        (0..100).for_each(|_| feed(&mut hub, 0, 1000));
        let before = hub.shares.placings;
        for _ in 0..1000 {
            feed(&mut hub, 0, 1000);
        }
        let placings = hub.shares.placings - before;
        assert!(placings <= 2000, "{placings} for 1,000 messages beside {rooms} rooms");
        assert!(hub.budget.kept() <= MAX + 2000);
    }
}

#[tokio::test]
async fn who_waits_in_vain_is_refused_in_slices() {
    let (mut hub, mut events) = hub_with(1, 0);
    for number in 0..1000 {
        let room = name(number);
        hub.command(HubCommand::Attach { worker: 0, room, number: number as u64 });
    }
    let refused = |events: &mut mpsc::Receiver<WorkerEvent>| {
        let all = std::iter::from_fn(|| events.try_recv().ok());
        all.filter(|event| matches!(event, WorkerEvent::Refused { .. })).count()
    };
    hub.tick(Instant::now());
    assert_eq!(refused(&mut events[0]), 0, "it is not time");
    let late = Instant::now() + std::time::Duration::from_secs(3);
    hub.tick(late);
    let mut slices = vec![refused(&mut events[0])];
    while hub.has_upkeep() {
        hub.upkeep_some(late, 0);
        slices.push(refused(&mut events[0]));
    }
    assert!(slices.iter().all(|&slice| slice <= SLICE), "{slices:?}");
    assert_eq!(slices.iter().sum::<usize>(), 1000, "{slices:?}");
    hub.tick(late);
    assert_eq!(refused(&mut events[0]), 0, "each once");
}

/// A worker that takes nothing in keeps nobody else from being refused.
#[tokio::test]
async fn a_full_queue_delays_no_other_workers_refusals() {
    let (mut hub, mut events) = hub_with(2, 0);
    for number in 0..3000 {
        let room = name(number);
        let worker = usize::from(number >= 2000);
        hub.command(HubCommand::Attach { worker, room, number: number as u64 });
    }
    let late = Instant::now() + std::time::Duration::from_secs(3);
    let mut refused = 0;
    for tick in 0..20 {
        let now = late + std::time::Duration::from_millis(50) * tick;
        hub.tick(now);
        while hub.has_upkeep() {
            hub.upkeep_some(now, 0);
        }
        refused += std::iter::from_fn(|| events[1].try_recv().ok()).count();
    }
    assert_eq!(refused, 1000);
}

#[tokio::test]
async fn each_room_is_looked_at_once_in_a_round() {
    let mut hub = hub(5000);
    let idle = Instant::now();
    hub.rooms.values_mut().for_each(|ledger| ledger.idle_since = Some(idle));
    let capacity = hub.rooms.capacity();
    for tick in 0..TICKS_PER_ROUND {
        let before = hub.rooms.len();
        hub.tick(idle);
        assert!(before - hub.rooms.len() <= 51, "{tick}");
    }
    assert_eq!(hub.rooms.len(), 0, "a round takes its time however many rooms it closes");
    assert!(hub.rooms.capacity() <= MIN_CAPACITY * 4 && capacity >= 5000, "memory is given back");
}

#[tokio::test]
async fn a_lone_room_is_not_looked_at_all_the_time() {
    let mut hub = hub(1);
    append(&mut hub, 0, 100);
    read_page(&mut hub, 0);
    for _ in 0..2 * TICKS_PER_ROUND - 1 {
        hub.tick(Instant::now());
    }
    assert!(hub.rooms[&name(0)].backfill.has_pages(), "a page is kept for a round at least");
    hub.tick(Instant::now());
    assert!(!hub.rooms[&name(0)].backfill.has_pages());
    append(&mut hub, 0, 100);
    (0..2).for_each(|_| hub.sweep(Instant::now(), 0));
    assert_eq!(hub.metrics.rooms.log_batches.get(), 1);
}

/// A user begins or ends to write in a room.
fn say(hub: &mut Hub, number: usize, (user, active): (&str, bool)) {
    let writer = Writer::User(UserName::parse(user).unwrap());
    let event = FeedEvent::Ephemeral(Ephemeral::Typing(TypingWord { writer, active }));
    hub.feed(vec![RoomEvent { room: name(number), event }]);
    hub.flush_told();
}

#[tokio::test]
async fn what_the_log_does_not_tell_follows_it_where_a_queue_was_full() {
    let (mut hub, mut events) = hub_with(1, 1);
    let user = UserName::parse("ann").unwrap();
    let own = RoomName::user(&user);
    let mut ledger = RoomLedger::opening(Instant::now());
    ledger.open(Lineage::new(EPOCH), LAST);
    ledger.attach(0, 1);
    hub.rooms.insert(own.clone(), ledger);
    say(&mut hub, 0, ("ann", true));
    let floor = Floor { slow: 0, all: 0 };
    while hub.queues[0].takes(&name(1)) {
        hub.send(0, &name(1), WorkerEvent::Trim { room: name(1), floor });
    }
    say(&mut hub, 0, ("ann", false));
    for received in [3, 5] {
        let marks = ReceiptMarks { epoch: EPOCH, received, read: 0 };
        let news = ReceiptNews { user: user.clone(), marks, by: Vec::new() };
        let event = FeedEvent::Receipts(Arc::new([news]));
        hub.feed(vec![RoomEvent { room: own.clone(), event }]);
    }
    while events[0].try_recv().is_ok() {}
    hub.attach_marked();
    let mut told = Vec::new();
    while let Ok(event) = events[0].try_recv() {
        told.push(match event {
            WorkerEvent::Attached { room, .. } => format!("{room}: log"),
            WorkerEvent::Ephemeral { room, items } => format!("{room}: {} ends", items.len()),
            WorkerEvent::Receipts { room, news } => {
                format!("{room}: {}", news[0].marks.received)
            }
            other => panic!("unexpected {other:?}"),
        });
    }
    let of_own = [format!("{own}: log"), format!("{own}: 5")];
    assert_eq!(told, [&of_own[..], &["r0: log".into(), "r0: 1 ends".into()]].concat());
}

#[tokio::test]
async fn all_that_is_due_is_told_after_one_tick() {
    let (mut hub, mut events) = hub_with(1, 1);
    for number in 0..2000 {
        say(&mut hub, 0, (&format!("user-{number}"), true));
        while events[0].try_recv().is_ok() {}
    }
    let late = Instant::now() + std::time::Duration::from_secs(4);
    hub.tick(late);
    let mut slices = 1;
    while hub.has_upkeep() {
        hub.upkeep_some(late, 0);
        slices += 1;
    }
    let mut ended = 0;
    while let Ok(event) = events[0].try_recv() {
        if let WorkerEvent::Ephemeral { items, .. } = event {
            ended += items.len();
        }
    }
    assert_eq!(ended, 2000);
    assert!(slices > 4, "{slices}: in slices");
}
