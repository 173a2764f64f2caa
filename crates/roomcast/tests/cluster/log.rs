//! What the program tells its operator while Redis fails under load: each thing in one line, and
//! nothing over and over.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::support::{Persistent, Process, TestClient, Watcher};
use roomcast_protocol::Encoding;
use roomcast_testkit::RedisServer;
use serde_json::Value;

const ROOMS: [&str; 3] = ["a", "b", "c"];
const AWAY: &str = "Redis is away; publishes fail until it is back";

/// What a log says: how often each message came, and how many rooms those lines named together.
fn summary(log: &[Value]) -> BTreeMap<&str, (usize, u64)> {
    let mut counts: BTreeMap<_, (usize, u64)> = BTreeMap::new();
    for line in log {
        let (lines, rooms) = counts.entry(line["message"].as_str().unwrap()).or_default();
        *lines += 1;
        *rooms += line["rooms"].as_u64().unwrap_or(0);
    }
    counts
}

#[tokio::test]
async fn the_log_tells_each_thing_once() {
    let mut redis = RedisServer::start();
    let node = Process::serve(&["--redis-url", &redis.url()]);
    let address = node.address().await;
    node.ready(200).await;
    // The first try may come before Redis was reached, the next a second later.
    node.until("this node has a lease", 1).await;
    let watcher = TestClient::connect(address, Encoding::MsgPack, "").await;
    let mut watcher = Watcher::join(watcher, &ROOMS).await;
    let publisher = TestClient::connect(address, Encoding::Json, "").await;
    let mut publisher = Persistent::start(publisher, "a", "p");
    publisher.more(20).await;

    // Killed, and back empty.
    redis.kill();
    node.until(AWAY, 1).await;
    node.ready(503).await;
    redis.restart_empty();
    node.ready(200).await;
    publisher.more(20).await;
    for room in ROOMS {
        watcher.until(room, |heard| heard.resets.len() == 1).await;
    }

    // Stopped, and back with all it had.
    redis.pause();
    node.until(AWAY, 2).await;
    node.ready(503).await;
    redis.resume();
    node.ready(200).await;
    publisher.more(20).await;

    let outcomes = publisher.finish().await;
    let (last, _) = outcomes.acked.last().unwrap();
    watcher.up_to("a", *last).await;
    drop(watcher);
    let log = node.stop().await;
    let mut told = summary(&log);
    let mut take = |message| told.remove(message).unwrap_or_default();
    let draining = [
        "draining: not ready, still taking connections",
        "draining: telling every client when to move",
    ];
    for once in
        ["file descriptors", "listening", "reached Redis", "stopped"].into_iter().chain(draining)
    {
        assert_eq!(take(once).0, 1, "{once}: {log:#?}");
    }
    for per_fault in ["lost Redis", AWAY, "reconnected to Redis"] {
        assert_eq!(take(per_fault).0, 2, "{per_fault}: {log:#?}");
    }
    // One line for each of two connections; a stopped server may keep them.
    let (lost, _) = take("lost the subscriptions");
    assert!((2..=4).contains(&lost), "{log:#?}");
    assert_eq!(take("reconnected the subscriptions").0, lost, "{log:#?}");
    // One line at the start, and one for each fault that outlasts the lease.
    let (leases, _) = take("this node has a lease");
    assert!((1..=3).contains(&leases), "{log:#?}");
    // Rooms are told in numbers, at most one line for a connection and second.
    let (lines, rooms) = take("rooms went on in a new epoch");
    assert!(lines <= 3 && rooms == ROOMS.len() as u64, "{log:#?}");
    let (lines, rooms) = take("repaired rooms");
    assert!(lines <= 6 && rooms >= ROOMS.len() as u64, "{log:#?}");
    assert!(told.is_empty(), "nothing else: {told:?}");
}

/// Where Redis refuses it, the program ends at once, says why, and fails.
#[test]
fn a_redis_that_refuses_is_told_and_fails() {
    let redis = RedisServer::start();
    redis.command(&["CONFIG", "SET", "requirepass", "geheim"]);
    let url = redis.url();
    let output = Command::new(env!("CARGO_BIN_EXE_roomcast"))
        .args(["serve", "--listen", "127.0.0.1:0", "--redis-url", &url])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("the node did not start"), "{told}");
    assert!(told.contains("NOAUTH"), "{told}");
    assert!(told.contains(&redis.port().to_string()), "{told}");
}
