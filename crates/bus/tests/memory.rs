//! What only the bus in memory promises: it forgets by time passing, without being asked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use roomcast_bus::{Bus, MemoryOptions};
use support::*;

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
