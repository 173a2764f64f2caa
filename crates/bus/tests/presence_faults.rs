//! Presence while Redis is away, refuses writes, loses data, fails over, or its rooms move.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use roomcast_bus::RedisOptions;
use roomcast_protocol::RoomName;
use roomcast_testkit::{RedisCluster, RedisServer, Sentinels};
use support::presence::*;
use support::*;
use tokio::time::sleep;

/// Members of two nodes in some rooms.
struct Scene {
    nodes: [PresenceNode; 2],
    rooms: Vec<RoomName>,
}

impl Scene {
    async fn start(options: RedisOptions) -> Self {
        Self::of(options, (0..12).map(|n| room(&format!("r{n}"))).collect()).await
    }

    async fn of(options: RedisOptions, rooms: Vec<RoomName>) -> Self {
        let one = PresenceNode::redis(options.clone()).await;
        let two = PresenceNode::redis(options).await;
        for room in &rooms {
            one.open(room).await;
            two.open(room).await;
            for (id, user) in [(1, "ann"), (2, "bob")] {
                one.enter(room, member(id, user)).await;
            }
            for (id, user) in [(3, "bob"), (4, "cem"), (5, "")] {
                two.enter(room, member(id, user)).await;
            }
        }
        let scene = Self { nodes: [one, two], rooms };
        scene.agrees(&TRUTH).await;
        scene
    }

    /// Every node's list, and the last numbers that it heard.
    async fn agrees(&self, truth: &[&str]) {
        let truth: Vec<String> = truth.iter().map(|entry| (*entry).to_owned()).collect();
        for room in &self.rooms {
            for node in &self.nodes {
                node.lists(room, &truth).await;
                let count = truth.len() as u64;
                node.until(room, |heard| heard.counts.count == count).await;
            }
        }
    }

    fn nobody_left(&self) {
        for room in &self.rooms {
            for node in &self.nodes {
                let heard = node.heard(room);
                let left = heard.words.iter().filter(|word| word.starts_with('-')).count();
                assert_eq!(left, 0, "{room}: {heard:?}");
            }
        }
    }

    fn was_silent(&self) {
        for room in &self.rooms {
            for node in &self.nodes {
                assert_eq!(node.heard(room).words, ["+ann", "+bob", "+cem"], "{room}");
            }
        }
    }

    /// A change reaches all nodes.
    async fn goes_on(&self) {
        for room in &self.rooms {
            self.nodes[0].enter(room, member(9, "dee")).await;
        }
        self.agrees(&[":5", "ann:1", "bob:2", "bob:3", "cem:4", "dee:9"]).await;
    }
}

const TRUTH: [&str; 5] = [":5", "ann:1", "bob:2", "bob:3", "cem:4"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_redis_stands_still_nobody_leaves() {
    let server = RedisServer::start();
    let scene = Scene::start(RedisOptions::new(server.url())).await;
    for pause in [4, 12] {
        server.pause();
        sleep(Duration::from_secs(pause)).await;
        server.resume();
        scene.agrees(&TRUTH).await;
    }
    // Long enough to judge and reap.
    sleep(Duration::from_secs(9)).await;
    scene.was_silent();
    scene.agrees(&TRUTH).await;
    scene.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_redis_refuses_writes_nobody_leaves() {
    let server = RedisServer::start();
    let scene = Scene::start(RedisOptions::new(server.url())).await;
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    for room in &scene.rooms {
        // What happens meanwhile is written afterwards.
        scene.nodes[1].left(room, 4);
        drop(scene.nodes[1].enter_by(room, member(6, "cem"), POLICY).await);
    }
    sleep(Duration::from_secs(12)).await;
    scene.agrees(&TRUTH).await;
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    scene.agrees(&[":5", "ann:1", "bob:2", "bob:3", "cem:6"]).await;
    scene.nobody_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_registered_again_where_redis_lost_them() {
    let mut server = RedisServer::start();
    let scene = Scene::start(RedisOptions::new(server.url())).await;
    server.kill();
    // One leaves while Redis is away.
    scene.rooms.iter().for_each(|room| scene.nodes[1].left(room, 4));
    server.restart_empty();
    scene.agrees(&[":5", "ann:1", "bob:2", "bob:3"]).await;
    for room in &scene.rooms {
        for node in &scene.nodes {
            node.until(room, |heard| heard.times("!") >= 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restored_redis_has_too_much_is_removed() {
    let mut server = RedisServer::start();
    let scene = Scene::start(RedisOptions::new(server.url())).await;
    // This room is empty when the data comes back.
    let left = room("left");
    scene.nodes[1].open(&left).await;
    scene.nodes[1].enter(&left, member(8, "fay")).await;
    server.command(&["SAVE"]);
    scene.nodes[1].left(&left, 8);
    scene.nodes[1].bus.presence_flush(SOON).await;
    for room in &scene.rooms {
        scene.nodes[1].left(room, 4);
        scene.nodes[0].enter(room, member(7, "eve")).await;
    }
    scene.agrees(&[":5", "ann:1", "bob:2", "bob:3", "eve:7"]).await;
    // It comes back with what it saved: cem is there again, and eve is not.
    server.kill();
    server.restart();
    scene.agrees(&[":5", "ann:1", "bob:2", "bob:3", "eve:7"]).await;
    scene.nodes[0].lists(&left, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_keeps_everybody() {
    let mut sentinels = Sentinels::with(1, None);
    let scene = Scene::start(RedisOptions::new(sentinels.url())).await;
    tokio::task::block_in_place(|| sentinels.failover());
    scene.agrees(&TRUTH).await;
    scene.nobody_left();
    scene.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_moves_while_members_come_and_go() {
    let cluster = RedisCluster::start(3, 0);
    let one = room("chat:0");
    let scene = Scene::of(RedisOptions::new(cluster.url()), vec![one.clone()]).await;
    let key = keys_of(one.as_str()).meta;
    let slot = cluster.slot_of(&key);
    let target = (cluster.owner_of(slot) + 1) % 3;
    let on_its_way = cluster.begin_move(slot, target);
    scene.nodes[0].enter(&one, member(6, "eve")).await;
    tokio::task::block_in_place(|| cluster.move_keys(&on_its_way));
    scene.nodes[1].enter(&one, member(7, "fay")).await;
    scene.nodes[0].left(&one, 6);
    tokio::task::block_in_place(|| cluster.finish_move(on_its_way));
    scene.agrees(&[":5", "ann:1", "bob:2", "bob:3", "cem:4", "fay:7"]).await;
    scene.goes_on_with(&one).await;
}

impl Scene {
    async fn goes_on_with(&self, room: &RoomName) {
        self.nodes[1].left(room, 7);
        self.agrees(&TRUTH).await;
        self.goes_on().await;
        for node in &self.nodes {
            let heard = node.heard(room);
            assert!(heard.times("-ann") + heard.times("-bob") + heard.times("-cem") == 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_follow_a_changed_list_of_servers() {
    let (a, b) = (RedisServer::start(), RedisServer::start());
    let options = |version: u64, servers: &[&RedisServer]| {
        let urls: Vec<_> = servers.iter().map(|server| server.url()).collect();
        RedisOptions { version, ..RedisOptions::new(urls.join(" ")) }
    };
    let scene = Scene::start(options(1, &[&a])).await;
    let both = options(2, &[&a, &b]);
    for node in &scene.nodes {
        node.bus.change_servers(&both).await.unwrap();
    }
    scene.agrees(&TRUTH).await;
    scene.goes_on().await;
    let moved: Vec<String> = b.ask(&["KEYS", "*}:r*:p"]).unwrap();
    assert!(!moved.is_empty() && moved.len() < scene.rooms.len(), "{moved:?}");
}
