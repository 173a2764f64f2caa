//! P2 after a fault of Redis: from its end to the last repaired room of a node that missed messages
//! in 200 rooms. The figure is printed; a bound that a slow machine keeps as well is held.

use std::time::{Duration, Instant};

use crate::support::{Cluster, TestClient, Watcher, cluster_node};
use roomcast_protocol::{Encoding, Position};
use roomcast_testkit::{Proxy, RedisServer};
use tokio::time::sleep;

const ROOMS: usize = 200;
/// One connection may be in 128 rooms.
const ROOMS_EACH: usize = 100;
/// Messages in each room that one node misses.
const MISSED: usize = 3;
const FAULTS: usize = 2;
/// How long the node is cut off, so that it tries again as seldom as it ever does.
const CUT: Duration = Duration::from_secs(4);
/// How long Redis stands still after that.
const STILL: Duration = Duration::from_secs(2);
/// Promised are 2 s; the rest is for a machine that does much else.
const BOUND: Duration = Duration::from_secs(6);

/// Two nodes that share 200 rooms; the way of the second to Redis can be cut.
struct Scene {
    cluster: Cluster,
    proxy: Proxy,
    publisher: TestClient,
    names: Vec<String>,
    /// Members at the second node, each with its part of the rooms.
    members: Vec<Watcher>,
    _others: Vec<Watcher>,
}

impl Scene {
    async fn start() -> Self {
        let redis = RedisServer::start();
        let proxy = Proxy::start(redis.port()).await;
        let nodes = vec![
            cluster_node(&redis.url(), 0, &[]).await,
            cluster_node(&proxy.redis_url(), 1, &[]).await,
        ];
        let cluster = Cluster { redis, nodes };
        cluster.all_ready().await;
        let names: Vec<String> = (0..ROOMS).map(|room| format!("repair:{room}")).collect();
        let [mut others, mut members] = [Vec::new(), Vec::new()];
        for part in names.chunks(ROOMS_EACH) {
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            let client = cluster.client(0, Encoding::Json).await;
            others.push(Watcher::join(client, &part).await);
            let client = cluster.client(1, Encoding::MsgPack).await;
            members.push(Watcher::join(client, &part).await);
        }
        let publisher = cluster.client(0, Encoding::Json).await;
        Self { cluster, proxy, publisher, names, members, _others: others }
    }

    /// A message in every room; where each then stands.
    async fn publish(&mut self) -> Vec<Position> {
        let mut ends = Vec::new();
        for name in &self.names {
            ends.push(self.publisher.publish(name, "\"missed\"").await);
        }
        ends
    }

    /// Cuts the second node off and publishes what it misses; where the rooms then stand.
    async fn cut(&mut self) -> Vec<Position> {
        let over = sleep(CUT);
        self.proxy.refuse();
        self.proxy.cut();
        let mut ends = Vec::new();
        for _ in 0..MISSED {
            ends = self.publish().await;
        }
        over.await;
        ends
    }

    /// Waits until the second node's members have everything, whole; how long that takes.
    async fn repaired(&mut self, ends: &[Position]) -> Duration {
        let begun = Instant::now();
        for (room, (name, end)) in self.names.iter().zip(ends).enumerate() {
            let heard = self.members[room / ROOMS_EACH].up_to(name, *end).await;
            heard.is_whole();
        }
        begun.elapsed()
    }

    async fn stop(self) {
        assert_eq!(self.cluster.sum("roomcast_bus_gaps_total").await, 0.0);
        drop((self.members, self._others, self.publisher));
        self.cluster.stop().await;
    }
}

#[tokio::test]
async fn after_a_cut_the_last_room_is_repaired_soon() {
    let mut scene = Scene::start().await;
    for _ in 0..FAULTS {
        let ends = scene.cut().await;
        scene.proxy.pass();
        let took = scene.repaired(&ends).await;
        println!(">> cut: the last of {ROOMS} rooms was repaired after {took:?}");
        assert!(took < BOUND, "{took:?}");
        scene.cluster.all_ready().await;
    }
    scene.stop().await;
}

#[tokio::test]
async fn after_redis_stood_still_the_last_room_is_repaired_soon() {
    let mut scene = Scene::start().await;
    for _ in 0..FAULTS {
        let ends = scene.cut().await;
        // The node finds its way back to a server that does not answer.
        scene.cluster.redis.pause();
        scene.proxy.pass();
        sleep(STILL).await;
        scene.cluster.redis.resume();
        let took = scene.repaired(&ends).await;
        println!(">> still: the last of {ROOMS} rooms was repaired after {took:?}");
        assert!(took < BOUND, "{took:?}");
        scene.cluster.all_ready().await;
    }
    scene.stop().await;
}
