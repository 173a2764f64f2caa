//! P2 and P8 where a node's subscribe connections are open and nothing comes on them any more,
//! while its commands pass: it says so in its health, gives them up within some 5 s, and repairs
//! what its members missed, who are told nothing but messages.

use std::time::{Duration, Instant};

use crate::support::{
    DeafWay, Persistent, Process, TestClient, TestNode, Watcher, cluster_node, eventually, is_ready,
};
use roomcast_protocol::Encoding;
use roomcast_testkit::RedisServer;

const ROOMS: [&str; 4] = ["a", "b", "chat:c", "chat:d"];
/// Health looks at the last 3 s (P8); what else it takes to be told so on a busy machine.
const NOT_READY: Duration = Duration::from_secs(6);
/// Four probes, one a second, that Redis took and that did not come back; and the same.
const GIVEN_UP: Duration = Duration::from_secs(9);

/// A member of all rooms in each encoding.
async fn members(address: std::net::SocketAddr) -> Vec<Watcher> {
    let mut members = Vec::new();
    for encoding in Encoding::ALL {
        let client = TestClient::connect(address, encoding, "").await;
        members.push(Watcher::join(client, &ROOMS).await);
    }
    members
}

/// A publisher in each of some rooms.
async fn publishers(node: &TestNode, rooms: &[&'static str]) -> Vec<(&'static str, Persistent)> {
    let mut publishers = Vec::new();
    for &room in rooms {
        publishers.push((room, Persistent::start(node.json().await, room, room)));
    }
    publishers
}

#[tokio::test]
async fn subscriptions_that_hear_nothing_are_given_up_and_their_rooms_repaired() {
    let redis = RedisServer::start();
    let way = DeafWay::start(redis.port()).await;
    let hearing = cluster_node(&redis.url(), 0, &[]).await;
    let deaf = Process::serve(&["--redis-url", &way.redis_url()]);
    let address = deaf.address().await;
    deaf.ready(200).await;
    let mut watchers = members(hearing.address()).await;
    watchers.extend(members(address).await);
    // Two rooms are published from one node, one from both, and one is idle meanwhile.
    let mut publishing = publishers(&hearing, &ROOMS[..2]).await;
    let client = TestClient::connect(address, Encoding::MsgPack, "").await;
    publishing.push((ROOMS[1], Persistent::start(client, ROOMS[1], "deaf")));
    let client = TestClient::connect(address, Encoding::Json, "").await;
    publishing.push((ROOMS[2], Persistent::start(client, ROOMS[2], "alone")));
    for (_, publisher) in &mut publishing {
        publisher.more(20).await;
    }

    way.deafen();
    let begun = Instant::now();
    deaf.ready(503).await;
    let not_ready = begun.elapsed();
    assert!(is_ready(&hearing).await, "the other node has no part in it");
    for (_, publisher) in &mut publishing {
        publisher.more(20).await;
    }
    let lost = deaf.until("lost the subscriptions", 2).await;
    let given_up = begun.elapsed();
    assert_eq!(lost["reason"], "probes do not come back");
    deaf.until("reconnected the subscriptions", 2).await;
    deaf.ready(200).await;
    let ready = begun.elapsed();
    println!(
        ">> not ready after {not_ready:?}, given up after {given_up:?}, ready after {ready:?}"
    );
    assert!(not_ready < NOT_READY && given_up < GIVEN_UP, "{not_ready:?}, {given_up:?}");

    let mut acked = ROOMS.map(|room| (room, Vec::new()));
    for (room, mut publisher) in publishing {
        publisher.more(20).await;
        let outcomes = publisher.finish().await;
        assert_eq!(outcomes.refused, [], "commands passed all the time");
        acked.iter_mut().find(|(known, _)| *known == room).unwrap().1.extend(outcomes.acked);
    }
    for (room, mut acked) in acked {
        acked.sort_by_key(|(position, _)| position.seq);
        let Some(&(last, _)) = acked.last() else { continue };
        for watcher in &mut watchers {
            let heard = watcher.up_to(room, last).await;
            heard.is_whole();
            assert!(heard.messages == acked, "{room} differs from what was acked");
        }
    }
    drop(watchers);
    // Each room that was published in; one line for each connection, which follows within moments.
    let repaired = || {
        let log = deaf.log();
        let rooms = log.iter().filter(|line| line["message"] == "repaired rooms");
        rooms.map(|line| line["rooms"].as_u64().unwrap()).sum::<u64>()
    };
    eventually("the log says what was repaired", async || repaired() >= 3).await;
    let log = deaf.stop().await;
    let warnings = log.iter().filter(|line| line["level"] != "INFO");
    let warnings: Vec<_> = warnings.map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(warnings, ["lost the subscriptions"; 2], "one for each connection, nothing else");
    hearing.stop().await;
}
