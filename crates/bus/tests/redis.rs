//! What only the bus over Redis promises: several nodes, lost pushes, lost data, lost servers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roomcast_bus::{
    Bus, HistoryRange, Publication, PublishError, RedisFault, RedisOptions, RedisStartError,
    Retention,
};
use roomcast_metrics::Metrics;
use roomcast_protocol::{Position, RoomName};
use roomcast_testkit::{Proxy, RedisServer};
use support::*;
use tokio::time::Instant;

fn options(server: &RedisServer) -> RedisOptions {
    RedisOptions::new(server.url())
}

async fn node(server: &RedisServer) -> (Bus, Listener) {
    redis_bus(options(server)).await
}

fn integer(value: &redis::Value) -> i64 {
    match value {
        redis::Value::Int(number) => *number,
        other => panic!("{other:?}"),
    }
}

/// Publishes until it works again.
async fn publish_again(bus: &Bus, room: &RoomName, text: &str) -> Position {
    let deadline = Instant::now() + SOON;
    loop {
        match bus.publish(room.clone(), json(text)).await {
            Ok(ack) => return ack.position,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn two_nodes_hear_the_same() {
    let server = RedisServer::start();
    let (a, mut at_a) = node(&server).await;
    let (b, mut at_b) = node(&server).await;
    let room = room("chat:1");
    let (lineage, _) = at_a.open(&room).await;
    assert_eq!(at_b.open(&room).await, (lineage, 0));
    for number in 0..200 {
        let bus = if number % 2 == 0 { &a } else { &b };
        bus.submit(room.clone(), json(&number.to_string()), Box::new(|_| {}));
    }
    let heard = at_a.up_to(&room, 200).await.messages.clone();
    assert_eq!(at_b.up_to(&room, 200).await.messages, heard);
    let history = b.history(&room, request(HistoryRange::After(0))).await.unwrap();
    assert_eq!(history.messages, heard);
}

#[tokio::test]
async fn health_follows_the_probe() {
    let mut server = RedisServer::start();
    let (bus, mut listener) = node(&server).await;
    listener.open(&room("a")).await;
    eventually("ready", async || bus.health().ready()).await;
    server.kill();
    eventually("not ready", async || !bus.health().ready()).await;
    server.restart_empty();
    eventually("ready again", async || bus.health().ready()).await;
}

#[tokio::test]
async fn killed_subscribers_miss_nothing() {
    const COUNT: u64 = 600;
    let server = RedisServer::start();
    let (bus, mut listener) = node(&server).await;
    let rooms: Vec<_> = (0..20).map(|n| room(&format!("r{n}"))).collect();
    for room in &rooms {
        listener.open(room).await;
    }
    for number in 1..=COUNT {
        for room in &rooms {
            bus.submit(room.clone(), json(&number.to_string()), Box::new(|_| {}));
        }
        if number % 150 == 0 {
            server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let expected: Vec<_> = (1..=COUNT).map(|n| n.to_string()).collect();
    for room in &rooms {
        let heard = listener.up_to(room, COUNT).await;
        assert_eq!(texts(&heard.messages), expected, "{room}");
        assert_eq!((heard.gaps.len(), heard.resets.len()), (0, 0));
    }
}

#[tokio::test]
async fn a_lost_tail_is_found_without_another_push() {
    let server = RedisServer::start();
    let never = Duration::from_secs(3600);
    let (bus, mut listener) = redis_bus(RedisOptions { sweep: never, ..options(&server) }).await;
    let room = room("a");
    listener.open(&room).await;
    bus.publish(room.clone(), json("1")).await.unwrap();
    listener.up_to(&room, 1).await;
    // The node is cut off while the room goes on, and nothing follows after its return.
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    bus.publish(room.clone(), json("2")).await.unwrap();
    assert_eq!(listener.up_to(&room, 2).await.seqs(), [1, 2]);
}

#[tokio::test]
async fn the_sweep_finds_what_no_push_told() {
    let server = RedisServer::start();
    let (bus, mut listener) =
        redis_bus(RedisOptions { sweep: Duration::from_secs(1), ..options(&server) }).await;
    let room = room("a");
    listener.open(&room).await;
    bus.publish(room.clone(), json("1")).await.unwrap();
    // Stored, but pushed to nobody: as if the push had been lost on its way.
    let entry = server.command(&["XRANGE", &keys_of("a").stream, "-", "+"]);
    let redis::Value::Array(entries) = entry else { panic!("{entry:?}") };
    let payload = format!("{entries:?}");
    assert!(payload.contains("1-0"), "{payload}");
    server.command(&["COPY", &keys_of("a").stream, "copy"]);
    let script = "local e = redis.call('XRANGE', KEYS[1], '-', '+')[1]\n\
        redis.call('XADD', KEYS[1], '2-0', unpack(e[2]))\n\
        return redis.call('HSET', KEYS[2], 'seq', '2')";
    server.command(&["EVAL", script, "2", &keys_of("a").stream, &keys_of("a").meta]);
    assert_eq!(texts(&listener.up_to(&room, 2).await.messages), ["1", "1"]);
}

#[tokio::test]
async fn what_the_stream_lost_is_told_as_a_gap() {
    let server = RedisServer::start();
    let (bus, mut listener) = node(&server).await;
    let room = room("a");
    listener.open(&room).await;
    bus.publish(room.clone(), json("1")).await.unwrap();
    listener.up_to(&room, 1).await;
    let script = "redis.call('HSET', KEYS[1], 'seq', '5')";
    server.command(&["EVAL", script, "1", &keys_of("a").meta]);
    let ack = bus.publish(room.clone(), json("6")).await.unwrap();
    assert_eq!(ack.position.seq, 6);
    let heard = listener.up_to(&room, 6).await;
    assert_eq!((heard.gaps.as_slice(), heard.seqs()), (&[(2, 5)][..], vec![1, 6]));
}

#[tokio::test]
async fn an_empty_restart_resets_every_room_and_loses_nothing_in_silence() {
    let mut server = RedisServer::start();
    let (bus, mut listener) = node(&server).await;
    let rooms: Vec<_> = (0..30).map(|n| room(&format!("r{n}"))).collect();
    for room in &rooms {
        listener.open(room).await;
        bus.publish(room.clone(), json("1")).await.unwrap();
        listener.up_to(room, 1).await;
    }
    server.restart_empty();
    for room in &rooms {
        // No publish is needed for the reset to be told.
        let heard = listener.until(room, |heard| !heard.resets.is_empty()).await;
        assert_eq!(heard.resets, [(0, 1)]);
        let lineage = heard.lineage.clone().unwrap();
        let position = publish_again(&bus, room, "2").await;
        assert_eq!(position, Position { epoch: lineage.epoch, seq: 1 });
        assert_eq!(texts(&listener.up_to(room, 1).await.messages), ["1", "2"]);
    }
}

#[tokio::test]
async fn a_server_stopped_for_five_seconds_costs_no_message() {
    let server = RedisServer::start();
    let (bus, mut listener) = node(&server).await;
    let room = room("a");
    listener.open(&room).await;
    bus.publish(room.clone(), json("1")).await.unwrap();
    eventually("ready", async || bus.health().ready()).await;
    server.pause();
    let stopped = Instant::now();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let mut submitted = 0;
    while stopped.elapsed() < Duration::from_secs(5) {
        let (outcomes, begun) = (outcomes.clone(), Instant::now());
        submitted += 1;
        bus.submit(
            room.clone(),
            json(&format!("paused {submitted}")),
            Box::new(move |outcome| outcomes.lock().unwrap().push((outcome, begun.elapsed()))),
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!bus.health().ready());
    // Known to be away by now: an answer at once.
    let begun = Instant::now();
    let refused = bus.publish(room.clone(), json("away")).await;
    assert_eq!(refused, Err(PublishError::Unavailable));
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
    server.resume();
    let position = publish_again(&bus, &room, "back").await;
    eventually("every outcome", async || outcomes.lock().unwrap().len() == submitted).await;
    let outcomes = outcomes.lock().unwrap().clone();
    for (outcome, took) in &outcomes {
        assert!(*took < Duration::from_millis(2500), "{outcome:?} after {took:?}");
    }
    let refused = outcomes.iter().filter(|(o, _)| *o == Err(PublishError::Unavailable)).count();
    assert!(refused > 20, "{refused} of {submitted} failed at once");
    let heard = listener.up_to(&room, position.seq).await;
    assert_eq!((heard.gaps.len(), heard.resets.len()), (0, 0));
    let history = bus.history(&room, request(HistoryRange::After(0))).await.unwrap();
    assert_eq!(heard.messages, history.messages);
    // What was refused for sure is nowhere, and nothing is there twice.
    let stored = texts(&heard.messages);
    assert!(!stored.contains(&"away".to_owned()));
    let mut once = stored.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), stored.len(), "{stored:?}");
    eventually("ready again", async || bus.health().ready()).await;
}

#[tokio::test]
async fn another_life_forks_the_epoch_and_keeps_the_sequence() {
    let server = RedisServer::start();
    let (bus, mut listener) = node(&server).await;
    let room = room("a");
    let (old, _) = listener.open(&room).await;
    for text in ["1", "2", "3"] {
        bus.publish(room.clone(), json(text)).await.unwrap();
    }
    listener.up_to(&room, 3).await;
    // As after a promotion: the data has another life, and the last write is missing.
    let script = "redis.call('HSET', KEYS[1], 'life', 'another', 'seq', '2')\n\
        redis.call('XDEL', KEYS[2], '3-0')\n\
        return redis.call('XSETID', KEYS[2], '2-0')";
    server.command(&["EVAL", script, "2", &keys_of("a").meta, &keys_of("a").stream]);
    let ack = bus.publish(room.clone(), json("3b")).await.unwrap();
    assert_eq!(ack.position.seq, 3);
    assert_ne!(ack.position.epoch, old.epoch);
    let heard = listener.until(&room, |heard| heard.messages.len() == 4).await;
    assert_eq!(heard.resets, [(2, 1)]);
    assert_eq!(texts(&heard.messages), ["1", "2", "3", "3b"]);
    let (lineage, last) = bus.standing(&room).await.unwrap();
    assert_eq!((lineage.ancestors.as_slice(), last), (&[(old.epoch, 2)][..], 3));
    assert!(lineage.admits(Position { epoch: old.epoch, seq: 2 }, last));
    assert!(!lineage.admits(Position { epoch: old.epoch, seq: 3 }, last));
    let again = bus.publish(room.clone(), json("4")).await.unwrap();
    assert_eq!(again.position, Position { epoch: lineage.epoch, seq: 4 }, "it forks once");
}

#[tokio::test]
async fn an_unknown_outcome_is_asked_again_under_the_same_number() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let (bus, mut listener) = redis_bus(RedisOptions::new(proxy.redis_url())).await;
    let room = room("a");
    listener.open(&room).await;
    proxy.swallow_answers();
    let publishing = tokio::spawn({
        let (bus, room) = (bus.clone(), room.clone());
        async move { bus.publish(room, json("once")).await }
    });
    // The group is stored and its answer lost; then the connection breaks.
    let stored = async || integer(&server.command(&["XLEN", &keys_of("a").stream])) == 1;
    eventually("it is stored", stored).await;
    proxy.pass();
    proxy.cut();
    let ack = publishing.await.unwrap().unwrap();
    assert_eq!(ack.position.seq, 1);
    let next = publish_again(&bus, &room, "next").await;
    assert_eq!(next.seq, 2, "stored once");
    assert_eq!(texts(&listener.up_to(&room, 2).await.messages), ["once", "next"]);
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_is_told_so_in_time() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let (bus, _listener) = redis_bus(RedisOptions::new(proxy.redis_url())).await;
    proxy.swallow_answers();
    let begun = Instant::now();
    let outcome = bus.publish(room("a"), json("1")).await;
    assert_eq!(outcome, Err(PublishError::Unknown));
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    proxy.pass();
    assert!(publish_again(&bus, &room("a"), "2").await.seq >= 2, "the first was stored");
}

#[test]
fn every_submission_is_answered_even_when_the_runtime_ends() {
    let server = RedisServer::start();
    let answers = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (bus, feeds) =
        runtime.block_on(async { Bus::redis(options(&server), Metrics::new().bus).await.unwrap() });
    let submit = || {
        let answers = answers.clone();
        let reply = Box::new(move |_| {
            answers.fetch_add(1, Ordering::SeqCst);
        });
        bus.submit(room("a"), json("1"), reply);
    };
    (0..300).for_each(|_| submit());
    server.pause();
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    drop(runtime);
    submit();
    server.resume();
    assert_eq!(answers.load(Ordering::SeqCst), 301);
    drop(feeds);
}

#[tokio::test]
async fn too_much_waiting_is_refused_and_surely_not_stored() {
    let server = RedisServer::start();
    let (bus, _listener) = node(&server).await;
    let room = room("a");
    bus.publish(room.clone(), json("0")).await.unwrap();
    server.pause();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2000 {
        let outcomes = outcomes.clone();
        let reply = Box::new(move |outcome| outcomes.lock().unwrap().push(outcome));
        bus.submit(room.clone(), json("1"), reply);
    }
    let count = |wanted: Result<(), PublishError>| {
        let outcomes = outcomes.lock().unwrap();
        outcomes.iter().filter(|outcome| outcome.map(drop) == wanted).count()
    };
    eventually("overload", async || count(Err(PublishError::Overloaded)) >= 700).await;
    server.resume();
    eventually("the rest", async || outcomes.lock().unwrap().len() == 2000).await;
    let stored = count(Ok(())) as u64;
    assert_eq!(count(Err(PublishError::Unknown)), 0);
    assert_eq!(bus.standing(&room).await.unwrap().1, stored + 1);
}

#[tokio::test]
async fn every_key_has_an_end() {
    let server = RedisServer::start();
    let linger = Duration::from_millis(500);
    let (bus, mut listener) = redis_bus(RedisOptions { linger, ..options(&server) }).await;
    let retention = Retention { history_age: Duration::from_millis(100), ..RETENTION };
    let published = room("p{u}b%");
    listener.open(&published).await;
    listener.open(&room("never")).await;
    let publication = Publication { retention, ..keyed("1", None, "k") };
    bus.publish(published.clone(), publication).await.unwrap();
    bus.standing(&room("looked-at")).await.unwrap();
    assert_eq!(room_keys(&server).len(), 5);
    listener.feeds.close(&published);
    listener.feeds.close(&room("never"));
    eventually("only the published room", async || room_keys(&server).len() == 3).await;
    // The key's window holds the rest, so its end is read, not awaited.
    for key in room_keys(&server) {
        assert!(key.starts_with("{roomcast:") && key.contains("}:p%7Bu%7Db%25:"), "{key}");
        let ttl = integer(&server.command(&["PTTL", &key]));
        assert!((1..=240_000).contains(&ttl), "{key} ends in {ttl} ms");
    }
}

#[tokio::test]
async fn an_open_room_outlives_its_linger() {
    let server = RedisServer::start();
    let options = RedisOptions {
        linger: Duration::from_secs(6),
        sweep: Duration::from_secs(1),
        ..options(&server)
    };
    let (bus, mut listener) = redis_bus(options).await;
    let opened = listener.open(&room("held")).await;
    let ttl = || integer(&server.command(&["PTTL", &keys_of("held").meta]));
    eventually("it came close to its end", async || ttl() < 4400).await;
    eventually("it was touched", async || ttl() > 4600).await;
    assert_eq!(bus.standing(&room("held")).await.unwrap(), opened, "and not begun anew");
}

#[tokio::test]
async fn many_nodes_leave_no_trail_in_a_room() {
    let server = RedisServer::start();
    let (bus, _listener) = node(&server).await;
    let room = room("a");
    let old = "1 0000000000000001 1000 1 a";
    let mut command = vec!["HSET".to_owned(), keys_of("a").meta];
    (0..80).for_each(|n| command.extend([format!("g:{n:016x}"), old.to_owned()]));
    bus.standing(&room).await.unwrap();
    server.command(&command.iter().map(String::as_str).collect::<Vec<_>>());
    bus.publish(room.clone(), json("1")).await.unwrap();
    let fields = integer(&server.command(&["HLEN", &keys_of("a").meta]));
    assert!(fields < 16, "{fields} fields");
}

#[tokio::test]
async fn a_stream_keeps_its_window_and_drops_the_old() {
    let server = RedisServer::start();
    let (bus, _listener) = node(&server).await;
    let room = room("a");
    let retention = Retention {
        history_size: 5,
        history_age: Duration::from_millis(10),
        repair_window: 50,
        replicas: 0,
        keys_per_user: 10_000,
        keys_per_room: 250_000,
    };
    let length = || integer(&server.command(&["XLEN", &keys_of("a").stream]));
    let publish = async || {
        let publication = Publication { retention, ..json("1") };
        bus.publish(room.clone(), publication).await.unwrap();
    };
    for _ in 0..400 {
        publish().await;
    }
    assert!((50..=260).contains(&length()), "{} entries", length());
    eventually("the old are dropped, the window stays", async || {
        publish().await;
        length() <= 60
    })
    .await;
    assert!(length() >= 50);
}

#[tokio::test]
async fn a_redis_that_would_lose_rooms_is_refused() {
    let server = RedisServer::with(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]);
    let started = Bus::redis(options(&server), Metrics::new().bus).await;
    let at = format!("127.0.0.1:{}", server.port());
    let fault = RedisFault::Eviction("allkeys-lru".to_owned());
    assert_eq!(started.err(), Some(RedisStartError::Server { at, fault }));
}

#[tokio::test]
async fn memory_full_is_an_answer_and_stores_nothing() {
    let server = RedisServer::start();
    let (bus, _listener) = node(&server).await;
    let room = room("a");
    bus.publish(room.clone(), json("1")).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = bus.publish(room.clone(), json("2")).await;
    assert_eq!(full, Err(PublishError::Unavailable));
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(publish_again(&bus, &room, "3").await.seq, 2);
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let server = RedisServer::start();
    let (bus, mut listener) = node(&server).await;
    let room = room("a");
    listener.open(&room).await;
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(bus.publish(room.clone(), json("1")).await.unwrap().position.seq, 1);
    server.command(&["SCRIPT", "FLUSH"]);
    let history = bus.history(&room, request(HistoryRange::Latest)).await.unwrap();
    assert_eq!(texts(&history.messages), ["1"]);
}

#[tokio::test]
async fn killed_command_connections_store_everything_once_and_in_order() {
    const COUNT: usize = 3000;
    let server = RedisServer::start();
    let (bus, mut listener) = node(&server).await;
    let room = room("a");
    listener.open(&room).await;
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    for number in 0..COUNT {
        let outcomes = outcomes.clone();
        let reply = Box::new(move |outcome| outcomes.lock().unwrap().push(outcome));
        bus.submit(room.clone(), json(&number.to_string()), reply);
        if number % 500 == 250 {
            server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        }
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    eventually("every outcome", async || outcomes.lock().unwrap().len() == COUNT).await;
    let failed: Vec<_> =
        outcomes.lock().unwrap().iter().filter_map(|outcome| outcome.err()).collect();
    assert_eq!(failed, [], "a broken connection is mended within the deadline");
    let expected: Vec<_> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(texts(&listener.up_to(&room, COUNT as u64).await.messages), expected);
}

#[tokio::test]
async fn a_hot_room_travels_in_groups() {
    let server = RedisServer::start();
    let metrics = Metrics::new().bus;
    let (bus, feeds) = Bus::redis(options(&server), metrics.clone()).await.unwrap();
    let mut listener = Listener::new(feeds);
    let room = room("hot");
    listener.open(&room).await;
    server.command(&["CONFIG", "RESETSTAT"]);
    for _ in 0..1000 {
        bus.submit(room.clone(), json("1"), Box::new(|_| {}));
    }
    listener.up_to(&room, 1000).await;
    assert!(metrics.groups.get() <= 20, "{} groups", metrics.groups.get());
    assert!(metrics.pushes.get() <= 20, "{} pushes", metrics.pushes.get());
}

#[tokio::test]
async fn flushed_data_is_noticed_by_the_sweep() {
    let server = RedisServer::start();
    let sweep = Duration::from_secs(1);
    let (bus, mut listener) = redis_bus(RedisOptions { sweep, ..options(&server) }).await;
    let room = room("a");
    listener.open(&room).await;
    bus.publish(room.clone(), json("1")).await.unwrap();
    listener.up_to(&room, 1).await;
    server.command(&["FLUSHALL"]);
    let heard = listener.until(&room, |heard| !heard.resets.is_empty()).await;
    assert_eq!((heard.resets.as_slice(), heard.at), (&[(0, 1)][..], 0));
}

#[tokio::test]
async fn three_nodes_agree_through_every_fault_that_keeps_the_data() {
    const ROUNDS: usize = 24;
    let server = RedisServer::start();
    let rooms: Vec<_> = (0..10).map(|n| room(&format!("r{n}"))).collect();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let (bus, mut listener) = node(&server).await;
        for room in &rooms {
            listener.open(room).await;
        }
        nodes.push((bus, listener));
    }
    let acked = Arc::new(Mutex::new(Vec::new()));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut submitted = 0;
    for round in 0..ROUNDS {
        match round % 4 {
            1 => drop(server.command(&["CLIENT", "KILL", "TYPE", "pubsub"])),
            2 => drop(server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])),
            3 => server.pause(),
            _ => {}
        }
        for (at, (bus, _)) in nodes.iter().enumerate() {
            for room in &rooms {
                submitted += 1;
                let (acked, answered) = (acked.clone(), answered.clone());
                let (text, name) = (format!("\"{round}.{at}\""), room.clone());
                let reply = {
                    let text = text.clone();
                    Box::new(move |outcome: Result<roomcast_bus::PublishAck, PublishError>| {
                        answered.fetch_add(1, Ordering::SeqCst);
                        if let Ok(ack) = outcome {
                            acked.lock().unwrap().push((name, ack.position, text));
                        }
                    })
                };
                bus.submit(room.clone(), json(&text), reply);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        if round % 4 == 3 {
            server.resume();
        }
    }
    eventually("every outcome", async || answered.load(Ordering::SeqCst) == submitted).await;
    let acked = acked.lock().unwrap().clone();
    assert!(acked.len() > submitted / 2, "{} of {submitted}", acked.len());
    for room in &rooms {
        let history = nodes[0].0.history(room, request(HistoryRange::After(0))).await.unwrap();
        assert_eq!(history.messages.len() as u64, history.last);
        for (_, listener) in &mut nodes {
            let heard = listener.up_to(room, history.last).await;
            assert_eq!(heard.messages, history.messages);
            assert_eq!((heard.gaps.len(), heard.resets.len()), (0, 0));
        }
        let stored = texts(&history.messages);
        for (_, position, text) in acked.iter().filter(|(name, ..)| name == room) {
            assert_eq!(&stored[position.seq as usize - 1], text, "what was acked stands there");
        }
        let mut once = stored.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), stored.len(), "nothing is stored twice");
    }
}
