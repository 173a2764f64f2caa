//! A slot moves while a thousand rooms of one partition are written and read, and new rooms of it
//! begin: nothing is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use roomcast_bus::{Bus, HistoryRange, HistoryRequest, RedisOptions};
use roomcast_metrics::Metrics;
use roomcast_protocol::RoomName;
use roomcast_testkit::RedisCluster;
use support::*;

const ROOMS: usize = 1000;
const NEW_ROOMS: usize = 100;
const PUBLISHERS: usize = 8;

/// Rooms of the partition of `chat:0`, as many as asked for.
fn rooms_of_one_partition(count: usize) -> Vec<RoomName> {
    let slot = |name: &str| crc16::State::<crc16::XMODEM>::calculate(name.as_bytes()) % 16_384;
    let wanted = slot("chat:0") / 16;
    let names = (0..).map(|number| format!("chat:{number}"));
    names.filter(|name| slot(name) / 16 == wanted).take(count).map(|name| room(&name)).collect()
}

async fn publish(bus: &Bus, room: &RoomName) -> u64 {
    let ack = bus.publish(room.clone(), json("1")).await;
    ack.unwrap_or_else(|error| panic!("{room}: {error}")).position.seq
}

async fn read(bus: &Bus, room: &RoomName) -> usize {
    let request = HistoryRequest {
        range: HistoryRange::Latest,
        limit: 10,
        max_bytes: 1 << 16,
        retention: RETENTION,
    };
    let history = bus.history(room, request).await;
    history.unwrap_or_else(|error| panic!("{room}: {error}")).messages.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_of_a_thousand_rooms_moves_and_nothing_is_refused() {
    let cluster = RedisCluster::start(3, 0);
    let options = RedisOptions::new(cluster.url());
    let (bus, feeds) = Bus::redis(options, Metrics::new().bus).await.unwrap();
    let mut listener = Listener::new(feeds);
    eventually("ready", async || bus.health().ready()).await;
    let mut old: Arc<[RoomName]> = rooms_of_one_partition(ROOMS + NEW_ROOMS).into();
    let (new, listened) = (old[ROOMS..].to_vec(), old[0].clone());
    old = old[..ROOMS].into();
    for room in old.iter() {
        publish(&bus, room).await;
    }
    listener.open(&listened).await;
    let names = keys_of(old[0].as_str());
    assert!(old.iter().all(|room| keys_of(room.as_str()).meta[..12] == names.meta[..12]));

    let (moved, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|first| {
            let (bus, old, moved, written) =
                (bus.clone(), old.clone(), moved.clone(), written.clone());
            tokio::spawn(async move {
                let mut rooms = old.iter().cycle().skip(first * ROOMS / PUBLISHERS);
                while !moved.load(Ordering::Relaxed) {
                    let room = rooms.next().unwrap();
                    publish(&bus, room).await;
                    assert!(read(&bus, room).await > 1);
                    written.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let slot = cluster.slot_of(&names.meta);
    let target = (cluster.owner_of(slot) + 1) % 3;
    let on_its_way = cluster.begin_move(slot, target);
    // Half of the new rooms begin before any key has moved, the others meanwhile.
    let (first, second) = new.split_at(NEW_ROOMS / 2);
    for room in first {
        assert_eq!(read(&bus, room).await, 0);
        assert_eq!(publish(&bus, room).await, 1);
    }
    let begin = tokio::spawn({
        let (bus, rooms) = (bus.clone(), second.to_vec());
        async move {
            for room in &rooms {
                assert_eq!(publish(&bus, room).await, 1);
                assert_eq!(read(&bus, room).await, 1);
            }
        }
    });
    tokio::task::block_in_place(|| cluster.move_keys(&on_its_way));
    begin.await.unwrap();
    let standing = listener.up_to(&listened, bus.standing(&listened).await.unwrap().1).await;
    assert!(standing.resets.iter().all(|(_, lost)| *lost == 0), "{:?}", standing.resets);
    tokio::task::block_in_place(|| cluster.finish_move(on_its_way));
    let before = written.load(Ordering::Relaxed);
    eventually("publishes after the move", async || {
        written.load(Ordering::Relaxed) >= before + PUBLISHERS
    })
    .await;
    moved.store(true, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.unwrap();
    }
    for room in &new {
        assert_eq!(publish(&bus, room).await, 2);
        assert_eq!(read(&bus, room).await, 2);
    }
}
