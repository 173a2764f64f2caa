//! What goes first where all logs together are above their budget.

use std::sync::Arc;

use roomcast_bus::{Bus, FeedEvent, MemoryOptions};
use roomcast_metrics::Metrics;
use roomcast_protocol::Seq;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::hub::catchup::Ask;
use crate::hub::page::Page;
use crate::hub::page::tests::history;
use crate::tests::{EPOCH, message, settings};

/// More than pages and logs of this test hold, and less than both together.
const MAX: usize = 1 << 20;

/// A hub without workers and an open room `r<number>` for each of these.
fn hub(rooms: usize) -> Hub {
    let settings = settings(&["limits.log_bytes=1MiB"]);
    let (_, settings) = watch::channel(Arc::new(settings));
    let (_, commands) = mpsc::unbounded_channel();
    let bus = Bus::memory(MemoryOptions::default());
    let mut hub = Hub::new(bus, Vec::new(), commands, settings, Metrics::new());
    for number in 0..rooms {
        let mut ledger = Ledger::opening(Instant::now());
        ledger.open(roomcast_protocol::Lineage::new(EPOCH), 20);
        hub.rooms.insert(name(number), ledger);
    }
    hub
}

fn name(number: usize) -> RoomName {
    RoomName::parse(&format!("r{number}")).unwrap()
}

/// Appends a message of so many bytes.
fn append(hub: &mut Hub, number: usize, (seq, bytes): (Seq, usize)) {
    let ledger = hub.rooms.get_mut(&name(number)).unwrap();
    let event = FeedEvent::Messages(vec![Arc::new(message(seq, bytes))]);
    for batch in ledger.batches(&name(number), event, &hub.budget) {
        ledger.append(batch, usize::MAX);
    }
}

/// Somebody came back to the room and a page was read.
fn read_page(hub: &mut Hub, number: usize) {
    let ledger = hub.rooms.get_mut(&name(number)).unwrap();
    let Ask::Read(part) = ledger.catch_up.ask(0, 10, &ledger.log) else { panic!("no read") };
    let mut read = history(20, &[], true);
    read.messages = (11..=20).map(|seq| Arc::new(message(seq, 4000))).collect();
    let page = Page::of(&name(number), part, read, &ledger.log, &hub.budget);
    ledger.catch_up.arrived(part, page.unwrap());
}

#[test]
fn pages_go_before_messages() {
    let mut hub = hub(20);
    for number in 0..20 {
        append(&mut hub, number, (21, 10_000));
        append(&mut hub, number, (22, 10_000));
        read_page(&mut hub, number);
    }
    let whole = hub.budget.used();
    assert!(whole > MAX, "{whole}");
    hub.keep_budget();
    let logs: usize = hub.rooms.values().map(|ledger| ledger.log.bytes()).sum();
    assert_eq!((hub.budget.used(), hub.rooms[&name(0)].log.len()), (logs, 2));
    assert!(logs < MAX);
    // They are kept for as long as there is space.
    read_page(&mut hub, 7);
    let with_page = hub.budget.used();
    hub.keep_budget();
    assert_eq!(hub.budget.used(), with_page);
    // Where the logs alone are too much, the largest gives half.
    (0..30).for_each(|n| append(&mut hub, 3, (23 + n, 30_000)));
    hub.keep_budget();
    assert!(hub.budget.used() <= MAX, "{}", hub.budget.used());
    let lengths: Vec<usize> = (2..5).map(|n| hub.rooms[&name(n)].log.len()).collect();
    assert_eq!((lengths[0], lengths[2]), (2, 2));
    assert!(lengths[1] < 32, "{lengths:?}");
}
