//! A Redis that refuses: writes in general, a command of a script, the wait for replicas. What was
//! not stored is said to be so, what may be is not, and reading goes on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use futures_util::future::join_all;
use roomcast_bus::{
    Bus, HistoryRange, Publication, PublishError, ReadError, RedisOptions, Retention,
};
use roomcast_protocol::{Epoch, RoomName};
use roomcast_testkit::RedisServer;
use support::*;

async fn node(server: &RedisServer) -> (Bus, Listener) {
    redis_bus(RedisOptions::new(server.url())).await
}

/// A way to refuse writes, and its end.
type Refusal = (&'static str, fn(&RedisServer), fn(&RedisServer));

const REFUSALS: [Refusal; 3] = [
    ("OOM", |server| set(server, "maxmemory", "1"), |server| set(server, "maxmemory", "0")),
    (
        "NOREPLICAS",
        |server| set(server, "min-replicas-to-write", "1"),
        |server| set(server, "min-replicas-to-write", "0"),
    ),
    ("MISCONF", fail_to_save, |server| set(server, "save", "")),
];

fn set(server: &RedisServer, name: &str, value: &str) {
    server.command(&["CONFIG", "SET", name, value]);
}

/// A snapshot fails, since its directory is gone.
fn fail_to_save(server: &RedisServer) {
    let directory = std::env::temp_dir().join(format!("roomcast-gone-{}", server.port()));
    std::fs::create_dir_all(&directory).unwrap();
    set(server, "dir", directory.to_str().unwrap());
    set(server, "save", "3600 1");
    std::fs::remove_dir(&directory).unwrap();
    server.command(&["BGSAVE"]);
    set(server, "dir", std::env::temp_dir().to_str().unwrap());
}

/// Publishes until writes are refused, or taken again; how many were stored.
async fn publish_until(bus: &Bus, room: &RoomName, stored: bool) -> u64 {
    let mut count = 0;
    eventually("another outcome", async || {
        let outcome = bus.publish(room.clone(), json("\"until\"")).await;
        count += u64::from(outcome.is_ok());
        assert!(outcome.is_ok() || outcome == Err(PublishError::Unavailable), "{outcome:?}");
        outcome.is_ok() == stored
    })
    .await;
    count
}

#[tokio::test]
async fn reading_goes_on_while_writes_are_refused() {
    for (name, refuse, end) in REFUSALS {
        eprintln!("{name}");
        let server = RedisServer::with(&["--enable-protected-configs", "yes"]);
        let (bus, mut listener) = node(&server).await;
        let (other, mut far) = node(&server).await;
        let (room, parted) = (room("a"), room("parted"));
        let (lineage, _) = listener.open(&room).await;
        for text in ["1", "2", "3"] {
            bus.publish(room.clone(), json(text)).await.unwrap();
            bus.publish(parted.clone(), json(text)).await.unwrap();
        }
        // Touched long ago, so that a read would like to prolong it; and one of another life.
        server.command(&["HSET", &keys_of("a").meta, "fresh", "1000"]);
        let old = other.standing(&parted).await.unwrap().0;
        server.command(&["HSET", &keys_of("parted").meta, "life", "another"]);
        refuse(&server);
        let last = 3 + publish_until(&bus, &room, false).await;
        let history = bus.history(&room, request(HistoryRange::After(0))).await.unwrap();
        assert_eq!((history.messages.len() as u64, history.last), (last, last));
        assert_eq!(other.standing(&room).await, Ok((lineage.clone(), last)));
        assert_eq!(far.open(&room).await, (lineage, last), "it is joined on another node");
        let history = other.history(&parted, request(HistoryRange::Latest)).await.unwrap();
        assert_eq!(texts(&history.messages), ["1", "2", "3"]);
        assert_eq!(far.open(&parted).await, (old, 3), "also where the epoch is over");
        // What is not there cannot begin, and is not there.
        assert_eq!(other.standing(&support::room("new")).await, Err(ReadError::Unavailable));
        let none =
            other.history(&support::room("new"), request(HistoryRange::Latest)).await.unwrap();
        assert_eq!((none.lineage.epoch, none.last), (Epoch::NONE, 0));
        end(&server);
        let last = last + publish_until(&other, &room, true).await;
        assert_eq!(far.up_to(&room, last).await.gaps, []);
        let ack = other.publish(parted.clone(), json("4")).await.unwrap();
        assert_eq!(ack.position.seq, 4);
        let heard = far.until(&parted, |heard| heard.at == 4).await;
        assert_eq!(
            (heard.resets.as_slice(), texts(&heard.messages)),
            (&[(3, 0)][..], vec!["4".to_owned()])
        );
    }
}

/// A bus that comes as a user who may do everything, for now.
async fn as_user(server: &RedisServer) -> (Bus, Listener) {
    server.command(&["ACL", "SETUSER", "app", "on", ">geheim", "~*", "&*", "+@all"]);
    redis_bus(RedisOptions::new(server.url().replace("://", "://app:geheim@"))).await
}

#[tokio::test]
async fn what_fails_after_it_was_stored_is_unknown_and_reaches_members() {
    let server = RedisServer::start();
    let (bus, mut listener) = as_user(&server).await;
    let room = room("a");
    listener.open(&room).await;
    bus.publish(room.clone(), json("0")).await.unwrap();
    server.command(&["ACL", "SETUSER", "app", "-publish"]);
    let publishing = (1..=5).map(|n| bus.publish(room.clone(), json(&n.to_string())));
    let outcomes = join_all(publishing).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Err(PublishError::Unknown)), "{outcomes:?}");
    let key = bus.publish(room.clone(), keyed("6", Some("alice"), "k")).await;
    assert_eq!(key, Err(PublishError::Unknown));
    server.command(&["ACL", "SETUSER", "app", "+publish"]);
    let ack = bus.publish(room.clone(), keyed("6", Some("alice"), "k")).await.unwrap();
    assert_eq!(ack.position.seq, 7, "it was stored, and a retry finds it");
    assert_eq!(bus.publish(room.clone(), json("7")).await.unwrap().position.seq, 8);
    let heard = listener.up_to(&room, 8).await;
    assert_eq!(texts(&heard.messages), ["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!((heard.gaps.len(), heard.resets.len()), (0, 0));
}

#[tokio::test]
async fn what_fails_before_it_is_stored_is_nowhere() {
    let server = RedisServer::start();
    let (bus, _listener) = as_user(&server).await;
    let (room, stored) = (room("a"), support::room("b"));
    bus.publish(stored.clone(), json("0")).await.unwrap();
    for (command, room) in [("xadd", &stored), ("hset", &room), ("evalsha", &stored)] {
        server.command(&["ACL", "SETUSER", "app", &format!("-{command}")]);
        let outcome = bus.publish(room.clone(), keyed("1", None, "k")).await;
        assert_eq!(outcome, Err(PublishError::Unavailable), "{command}");
        server.command(&["ACL", "SETUSER", "app", &format!("+{command}")]);
    }
    assert_eq!(bus.standing(&stored).await.unwrap().1, 1);
    assert_eq!(bus.publish(stored, keyed("1", None, "k")).await.unwrap().position.seq, 2);
    assert_eq!(
        bus.history(&room, request(HistoryRange::Latest)).await.unwrap().lineage.epoch,
        Epoch::NONE
    );
}

#[tokio::test]
async fn a_refused_wait_for_replicas_is_unknown() {
    let server = RedisServer::start();
    let (bus, mut listener) = as_user(&server).await;
    let room = room("a");
    listener.open(&room).await;
    server.command(&["ACL", "SETUSER", "app", "-wait"]);
    let careful = Publication { retention: Retention { replicas: 1, ..RETENTION }, ..json("1") };
    assert_eq!(bus.publish(room.clone(), careful).await, Err(PublishError::Unknown));
    assert_eq!(texts(&listener.up_to(&room, 1).await.messages), ["1"], "for it is stored");
}

#[tokio::test]
async fn reading_leaves_no_key() {
    let server = RedisServer::start();
    let (bus, mut listener) = node(&server).await;
    for number in 0..100 {
        for range in [HistoryRange::Latest, HistoryRange::After(0), HistoryRange::Before(7)] {
            let history = bus.history(&room(&format!("r{number}")), request(range)).await.unwrap();
            assert_eq!((history.lineage.epoch, history.last), (Epoch::NONE, 0));
        }
    }
    assert_eq!(room_keys(&server), [""; 0]);
    listener.open(&room("r0")).await;
    assert_eq!(room_keys(&server), [keys_of("r0").meta], "a join opens the room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_to_store_the_layout_is_connected() {
    for (name, refuse, accept) in REFUSALS {
        let server = RedisServer::with(&["--enable-protected-configs", "yes"]);
        refuse(&server);
        let (bus, _listener) = node(&server).await;
        eventually(name, async || bus.health().ready()).await;
        accept(&server);
    }
}
