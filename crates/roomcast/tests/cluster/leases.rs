//! Leases over real processes: a node that is killed, or is stopped for long, counts as dead once; a
//! stopped Redis makes no incarnation dead that is in use.

use std::collections::BTreeMap;

use roomcast_protocol::Encoding;
use roomcast_testkit::RedisServer;

use super::support::{Process, Scrape, TestClient, eventually, get};

/// What a node logs whose lease another one marked while it was in use.
const COUNTED_AS_DEAD: &str = "this node counted as dead; it goes on as another one";

async fn scrape(node: &Process) -> Scrape {
    Scrape::parse(&get(node.address().await, "/metrics").await.body)
}

/// Waits until a node sees so many live and dead incarnations.
async fn sees(node: &Process, live: f64, dead: f64) {
    let what = format!("{live} live and {dead} dead");
    eventually(&what, async || {
        let scrape = scrape(node).await;
        let leases = |state| scrape.with("roomcast_leases", state);
        (leases("state=\"live\""), leases("state=\"dead\"")) == (live, dead)
    })
    .await;
}

/// The connections that all leases name.
fn leased_connections(redis: &RedisServer) -> u64 {
    let keys: Vec<String> = redis.ask(&["KEYS", "{roomcast:*}:leases"]).unwrap();
    let fields: Vec<(String, String)> = redis.ask(&["HGETALL", &keys[0]]).unwrap();
    let live = fields.iter().filter(|(field, _)| !field.starts_with("dead:"));
    live.map(|(_, value)| value.split(' ').nth(1).unwrap().parse::<u64>().unwrap()).sum()
}

/// The counter of each lease.
fn advances(redis: &RedisServer) -> BTreeMap<String, u64> {
    let keys: Vec<String> = redis.ask(&["KEYS", "{roomcast:*}:leases"]).unwrap();
    let fields: Vec<(String, String)> = redis.ask(&["HGETALL", &keys[0]]).unwrap();
    let live = fields.into_iter().filter(|(field, _)| !field.starts_with("dead:"));
    let counter = |value: &str| value.split(' ').next().unwrap().parse().unwrap();
    live.map(|(node, value)| (node, counter(&value))).collect()
}

fn marks(nodes: &[&Process]) -> usize {
    let marked = |node: &&Process| {
        let log = node.log();
        log.iter().filter(|line| line["message"] == "a node is dead: its lease stopped").count()
    };
    nodes.iter().map(marked).sum()
}

#[tokio::test]
async fn a_node_that_ends_or_stands_still_is_marked_once_and_redis_alone_kills_none() {
    let redis = RedisServer::start();
    let url = format!("--redis-url={}", redis.url());
    let [first, second, third] = [(); 3].map(|()| Process::serve(&[&url]));
    for node in [&first, &second, &third] {
        sees(node, 3.0, 0.0).await;
    }
    let _client = TestClient::connect(first.address().await, Encoding::Json, "").await;
    eventually("a lease names its connections", async || leased_connections(&redis) == 1).await;

    third.signal("-KILL");
    for node in [&first, &second] {
        sees(node, 2.0, 1.0).await;
    }
    assert_eq!(marks(&[&first, &second]), 1, "one of them marks it");

    second.signal("-STOP");
    sees(&first, 1.0, 2.0).await;
    second.signal("-CONT");
    second.until("this node has a lease", 2).await;
    for node in [&first, &second] {
        sees(node, 2.0, 2.0).await;
    }

    redis.pause();
    for node in [&first, &second] {
        eventually("no probe for longer than a judge needs", async || {
            scrape(node).await.sum("roomcast_bus_probe_age_seconds") > 7.0
        })
        .await;
    }
    redis.resume();
    // Both go on under the lives that they had, and after as many advances as a judge needs none of
    // them is marked.
    let counters = advances(&redis);
    eventually("advances enough to judge", async || {
        let now = advances(&redis);
        counters.iter().all(|(node, counter)| now.get(node).is_some_and(|it| *it >= counter + 8))
    })
    .await;
    // The second hears of its own death once, after its stop.
    for (node, deaths) in [(&first, 0), (&second, 1)] {
        sees(node, 2.0, 2.0).await;
        let log = node.log();
        let heard = log.iter().filter(|line| line["message"] == COUNTED_AS_DEAD).count();
        assert_eq!(heard, deaths, "{log:?}");
    }
    assert_eq!(marks(&[&first, &second]), 2);
}
