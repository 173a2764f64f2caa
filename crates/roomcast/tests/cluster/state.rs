//! State rooms over several nodes: every node shows the same state; what a node missed, and what Redis
//! lost, ends in the truth for each of its members.

use std::collections::BTreeMap;

use roomcast_protocol::{Encoding, Position, Publish, StateKey};
use roomcast_testkit::{Proxy, RedisServer};

use crate::support::{Cluster, SHORT_LOG, StateMap, StateValues, TestClient, cluster_node, text};

const STATE: &str = "namespaces.default.state=true";
// Not `board:…`: there the demo keeps 60 points of each key.
const ROOM: &str = "cards:1";

fn set(client: &mut TestClient, key: &str, json: &str) -> Publish {
    Publish { state_key: StateKey::parse(key).ok(), ..client.publication(ROOM, json) }
}

/// Publishes, and notes it in the truth.
async fn tell(client: &mut TestClient, truth: &mut StateValues, publish: Publish) -> Position {
    let key = publish.state_key.as_ref().map_or("", |key| key.as_str()).to_owned();
    let (value, removes) = (text(&publish.data), publish.remove);
    let at = client.try_publish(publish).await.unwrap();
    match removes {
        true => drop(truth.remove(&key)),
        false => drop(truth.insert(key, (at.seq, value))),
    }
    at
}

/// Changes of some keys, removals among them; where the room is then.
async fn churn(client: &mut TestClient, truth: &mut StateValues, count: usize) -> Position {
    let mut at = None;
    for number in 0..count {
        let key = format!("k{}", (number * 7) % 20);
        let publish = set(client, &key, &format!("\"{number:>200}\""));
        let publish = Publish { remove: number % 9 == 8, ..publish };
        at = Some(tell(client, truth, publish).await);
    }
    at.unwrap()
}

/// A member and its map, at the end of the room.
async fn member(cluster: &Cluster, node: usize, encoding: Encoding) -> (TestClient, StateMap) {
    let mut client = cluster.client(node, encoding).await;
    let mut map = StateMap::new(ROOM);
    map.join(&mut client).await;
    map.until(&mut client, 0).await;
    (client, map)
}

#[tokio::test]
async fn every_node_shows_the_same_state() {
    let cluster = Cluster::start(3, &[STATE]).await;
    let mut truth = StateValues::new();
    let mut writer = cluster.client(0, Encoding::Json).await;
    let mut members = Vec::new();
    for node in 0..2 {
        members.push(member(&cluster, node, Encoding::ALL[node % 2]).await);
    }
    let at = churn(&mut writer, &mut truth, 200).await;
    // A node that did not have the room, and one that did.
    members.push(member(&cluster, 2, Encoding::Json).await);
    members.push(member(&cluster, 1, Encoding::Json).await);
    let end = churn(&mut writer, &mut truth, 50).await;
    assert_eq!(end.epoch, at.epoch);
    for (client, map) in &mut members {
        map.until(client, end.seq).await;
        assert_eq!(map.values, truth);
        assert!(map.conflated.is_empty() && map.snapshots == 1);
    }
    drop((members, writer));
    cluster.stop().await;
}

#[tokio::test]
async fn an_expired_value_is_removed_once_by_all_nodes() {
    let cluster = Cluster::start(3, &[STATE]).await;
    let mut members = Vec::new();
    for node in 0..3 {
        members.push(member(&cluster, node, Encoding::Json).await);
    }
    let mut writer = cluster.client(0, Encoding::Json).await;
    const KEYS: u64 = 20;
    for number in 0..KEYS {
        let publish = set(&mut writer, &format!("k{number}"), "1");
        let publish = Publish { ttl_ms: Some(100), ..publish };
        writer.try_publish(publish).await.unwrap();
    }
    for (client, map) in &mut members {
        map.until(client, 2 * KEYS).await;
        assert_eq!((map.shown().as_str(), map.removals.len() as u64), ("", KEYS));
    }
    // Nothing follows: no node removes what another one has removed.
    let publish = set(&mut writer, "end", "1");
    let last = writer.try_publish(publish).await;
    assert_eq!(last.unwrap().seq, 2 * KEYS + 1);
    assert!(cluster.sum("roomcast_state_expired_total").await >= KEYS as f64);
    drop((members, writer));
    cluster.stop().await;
}

#[tokio::test]
async fn what_a_node_missed_ends_in_the_truth() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port()).await;
    // The stream keeps less than the node misses.
    let settings =
        [STATE, "namespaces.default.history_size=16", "namespaces.default.repair_window=16"];
    let nodes = vec![
        cluster_node(&redis.url(), 0, &settings).await,
        cluster_node(&proxy.redis_url(), 1, &settings).await,
    ];
    let cluster = Cluster { redis, nodes };
    cluster.all_ready().await;
    let mut truth = StateValues::new();
    let mut writer = cluster.client(0, Encoding::Json).await;
    churn(&mut writer, &mut truth, 40).await;
    let mut members = vec![
        member(&cluster, 1, Encoding::Json).await,
        member(&cluster, 1, Encoding::MsgPack).await,
    ];
    proxy.refuse();
    proxy.cut();
    // Redis cuts a stream in pieces of a hundred entries.
    let end = churn(&mut writer, &mut truth, 600).await;
    proxy.pass();
    for (client, map) in &mut members {
        map.until(client, end.seq).await;
        assert_eq!(map.values, truth);
        assert!(map.snapshots == 2 || !map.conflated.is_empty(), "it did miss something");
    }
    assert!(cluster.sum("roomcast_bus_gaps_total").await > 0.0);
    drop((members, writer));
    cluster.stop().await;
}

#[tokio::test]
async fn a_redis_that_lost_all_ends_in_an_empty_map() {
    let mut cluster = Cluster::start(2, &[STATE]).await;
    cluster.all_ready().await;
    let mut truth = StateValues::new();
    let mut writer = cluster.client(0, Encoding::Json).await;
    let end = churn(&mut writer, &mut truth, 30).await;
    let mut members = vec![
        member(&cluster, 0, Encoding::Json).await,
        member(&cluster, 1, Encoding::MsgPack).await,
    ];
    cluster.redis.kill();
    cluster.redis.restart_empty();
    cluster.all_ready().await;
    for (client, map) in &mut members {
        map.until_reset(client, end.epoch).await;
        assert_eq!((map.values.len(), map.snapshots), (0, 2));
    }
    let mut truth = BTreeMap::new();
    let end = churn(&mut writer, &mut truth, 30).await;
    for (client, map) in &mut members {
        map.until(client, end.seq).await;
        assert_eq!(map.values, truth);
    }
    drop((members, writer));
    cluster.stop().await;
}

#[tokio::test]
async fn slow_readers_behind_a_gap_end_in_the_truth() {
    let settings = [&SHORT_LOG[..], &[STATE]].concat();
    let cluster = Cluster::start(2, &settings).await;
    cluster.all_ready().await;
    let mut truth = StateValues::new();
    let mut writer = cluster.client(0, Encoding::Json).await;
    let mut slow = TestClient::narrow(cluster.nodes[1].address(), Encoding::Json).await;
    let mut map = StateMap::new(ROOM);
    map.join(&mut slow).await;
    map.until(&mut slow, 0).await;
    let mut end = None;
    for round in 0..3 {
        for number in 0..400 {
            let publish =
                set(&mut writer, &format!("k{}", number % 30), &format!("\"{number:>2000}\""));
            let publish = Publish { remove: number % 31 == 30, ..publish };
            end = Some(tell(&mut writer, &mut truth, publish).await);
        }
        if round < 2 {
            cluster.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
    }
    map.until(&mut slow, end.unwrap().seq).await;
    assert_eq!(map.values, truth);
    drop((slow, writer));
    cluster.stop().await;
}
