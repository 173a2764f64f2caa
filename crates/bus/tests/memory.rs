//! What only the bus in memory promises: it forgets by time passing, without being asked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use roomcast_bus::{Bus, MemoryOptions};
use roomcast_metrics::Metrics;
use support::presence::{PresenceNode, member};
use support::*;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn polling_the_feeds_forgets_idle_rooms() {
    let (bus, mut feeds) = Bus::memory(MemoryOptions::default());
    let (idle, open) = (room("idle"), room("open"));
    feeds.open(open.clone());
    assert_eq!(feeds.next().await.len(), 1);
    let idle_epoch = bus.standing(&idle).await.unwrap().0;
    let open_epoch = bus.standing(&open).await.unwrap().0;
    let hour = tokio::time::timeout(Duration::from_secs(3600), feeds.next()).await;
    assert!(hour.is_err(), "nothing to tell");
    assert_ne!(bus.standing(&idle).await.unwrap().0, idle_epoch);
    assert_eq!(bus.standing(&open).await.unwrap().0, open_epoch);
}

/// A large room's list is made once a second, however many come and ask; what one has missed is in the
/// list that it gets.
#[tokio::test(start_paused = true)]
async fn a_large_list_is_made_once_a_second() {
    const CROWD: u64 = 1_000;
    let (bus, feeds) = Bus::memory(MemoryOptions::default());
    let node = PresenceNode::new(bus.clone(), feeds, Metrics::new());
    let room = room("large");
    for id in 1..=CROWD {
        node.enter(&room, member(id, &format!("u{id}"))).await;
    }
    let list = async |since| bus.presence_list(&room, since).await.unwrap();
    let first = list(None).await;
    assert!(first.entries.is_sorted_by_key(|entry| (entry.user.clone(), entry.connection)));
    assert!(Arc::ptr_eq(&first, &list(Some(Instant::now())).await), "nothing was missed");
    let begun = Instant::now();
    let mut pages = Vec::new();
    for id in CROWD + 1..=CROWD + 50 {
        node.enter(&room, member(id, &format!("u{id}"))).await;
        assert!(Arc::ptr_eq(&first, &list(None).await), "it may be a second old");
        let (bus, room, since) = (bus.clone(), room.clone(), Some(Instant::now()));
        pages.push(tokio::spawn(async move { bus.presence_list(&room, since).await.unwrap() }));
    }
    let mut lists = Vec::new();
    for page in pages {
        lists.push(page.await.unwrap());
    }
    assert!(lists.iter().all(|list| Arc::ptr_eq(list, &lists[0])), "one for all");
    assert_eq!(lists[0].entries.len() as u64, CROWD + 50);
    assert_eq!(Instant::now().duration_since(begun), Duration::from_secs(1));
    // A small room's list always has everything.
    let small = support::room("small");
    for id in 1..=3 {
        node.enter(&small, member(id, "ann")).await;
        assert_eq!(bus.presence_list(&small, None).await.unwrap().entries.len() as u64, id);
    }
}

#[tokio::test]
async fn another_thread_wakes_the_feeds() {
    let (bus, feeds) = Bus::memory(MemoryOptions::default());
    let mut listener = Listener::new(feeds);
    let room = room("a");
    listener.open(&room).await;
    let publisher = std::thread::spawn({
        let (bus, room) = (bus.clone(), room.clone());
        move || (0..5000).for_each(|_| bus.submit(room.clone(), json("1"), Box::new(|_| {})))
    });
    assert_eq!(listener.up_to(&room, 5000).await.messages.len(), 5000);
    publisher.join().unwrap();
}

#[tokio::test]
async fn a_dropped_next_loses_nothing() {
    let (bus, feeds) = Bus::memory(MemoryOptions::default());
    let mut listener = Listener::new(feeds);
    let room = room("a");
    listener.open(&room).await;
    for count in 1..200u64 {
        bus.submit(room.clone(), json("1"), Box::new(|_| {}));
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            events = listener.feeds.next() => listener.hear(events),
        }
        assert!(listener.heard(&room).unwrap().at <= count);
    }
    listener.up_to(&room, 199).await;
}
