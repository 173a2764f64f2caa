//! Presence while nodes die, stop for a while and come back, and while their commands are late.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use roomcast_bus::{PresencePolicy, RedisOptions};
use roomcast_metrics::PresenceChangeKind;
use roomcast_protocol::RoomName;
use roomcast_testkit::{Direction, Proxy, ProxyFault, RedisServer};
use support::presence::*;
use support::*;
use tokio::time::{Instant, sleep};

/// A death is seen within this, and the judges of a busy machine may be late.
const DEATH: Duration = Duration::from_secs(30);

fn rooms(count: usize) -> Vec<RoomName> {
    (0..count).map(|n| room(&format!("r{n}"))).collect()
}

async fn nodes<const N: usize>(server: &RedisServer) -> [PresenceNode; N] {
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(PresenceNode::redis(RedisOptions::new(server.url())).await);
    }
    nodes.try_into().unwrap_or_else(|_| unreachable!())
}

async fn open_all(nodes: &[&PresenceNode], rooms: &[RoomName]) {
    for node in nodes {
        for room in rooms {
            node.open(room).await;
        }
    }
}

/// Keys of presence, in short.
fn presence_keys(server: &RedisServer, pattern: &str) -> Vec<String> {
    let mut keys: Vec<String> = server.ask(&["KEYS", pattern]).unwrap();
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_nodes_users_leave_once_on_every_node() {
    let server = RedisServer::start();
    let [one, two, three] = nodes::<3>(&server).await;
    let rooms = rooms(40);
    open_all(&[&one, &two, &three], &rooms).await;
    for (n, room) in rooms.iter().enumerate() {
        let n = n as u64;
        one.enter(room, member(1000 + n, "ann")).await;
        // Bob is on two nodes, cem on the one that dies, and dee comes back in time.
        two.enter(room, member(2000 + n, "bob")).await;
        for (at, user) in [(3000, "bob"), (4000, "cem"), (5000, "dee"), (6000, "")] {
            three.enter(room, member(at + n, user)).await;
        }
    }
    drop(three);
    for (n, room) in rooms.iter().enumerate() {
        one.enter(room, member(7000 + n as u64, "dee")).await;
    }
    let deadline = Instant::now() + DEATH;
    for room in &rooms {
        for node in [&one, &two] {
            while node.heard(room).times("-cem") == 0 || node.heard(room).counts.count != 3 {
                assert!(Instant::now() < deadline, "{room}: {:?}", node.heard(room));
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    for (n, room) in rooms.iter().enumerate() {
        let n = n as u64;
        let expected = [("ann", 1000 + n), ("bob", 2000 + n), ("dee", 7000 + n)];
        let expected = expected.map(|(user, id)| format!("{user}:{id:x}"));
        for node in [&one, &two] {
            node.lists(room, &expected).await;
            let heard = node.heard(room);
            assert_eq!(heard.words, ["+ann", "+bob", "+cem", "+dee", "-cem"], "{room}");
        }
    }
    let left =
        |node: &PresenceNode| node.metrics.bus.presence_changes[PresenceChangeKind::Left].get();
    assert_eq!(left(&one) + left(&two), rooms.len() as u64, "each was announced by one node");
    // Nothing of the dead one is left but marks that end.
    let gone = async || {
        let writers = presence_keys(&server, "*}:presence");
        let ids: BTreeSet<String> = writers
            .iter()
            .flat_map(|key| server.ask::<Vec<String>>(&["SMEMBERS", key]).unwrap())
            .collect();
        ids.len() == 2
    };
    eventually("the partitions forget it", gone).await;
    for key in presence_keys(&server, "*}:presence:*") {
        assert!(server.ask::<i64>(&["PTTL", &key]).unwrap() > 0, "{key} has an end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_goes_on_when_its_node_dies() {
    let server = RedisServer::start();
    let [one, two] = nodes::<2>(&server).await;
    let room = room("a");
    open_all(&[&one, &two], std::slice::from_ref(&room)).await;
    let policy = PresencePolicy { grace: Duration::from_secs(12), ..POLICY };
    two.enter_by(&room, member(1, "ann"), policy).await.await.unwrap();
    two.ended(&room, 1);
    two.bus.presence_flush(SOON).await;
    drop(two);
    let deadline = Instant::now() + DEATH;
    while one.heard(&room).times("-ann") == 0 {
        assert!(Instant::now() < deadline, "{:?}", one.heard(&room));
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(one.heard(&room).words, ["+ann", "-ann"]);
    assert_eq!(one.list(&room).await, [""; 0]);
}

/// R: graces that run for long keep no other room's members: those of a dead node are out at once. A
/// room that is found while they run is cleared after them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_graces_hold_no_other_room_up() {
    let server = RedisServer::start();
    let [one, two] = nodes::<2>(&server).await;
    let (rooms, short) = (rooms(60), room("short"));
    open_all(&[&one, &two], &rooms).await;
    open_all(&[&one, &two], std::slice::from_ref(&short)).await;
    let grace = |seconds| PresencePolicy { grace: Duration::from_secs(seconds), ..POLICY };
    for (n, room) in rooms.iter().enumerate() {
        two.enter_by(room, member(n as u64, "ann"), grace(300)).await.await.unwrap().unwrap();
    }
    two.enter_by(&short, member(99, "bob"), grace(20)).await.await.unwrap().unwrap();
    let names = keys_of("short");
    let writers = names.presence.replace(":short:p", ":presence");
    let dead: Vec<String> = server.ask(&["SMEMBERS", &writers]).unwrap();
    drop(two);
    let deadline = Instant::now() + DEATH;
    for room in rooms.iter().chain([&short]) {
        while one.heard(room).counts.count > 0 {
            assert!(Instant::now() < deadline, "{room}: {:?}", one.heard(room));
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(one.heard(room).counts.users, 1, "its grace runs");
    }
    let index = format!("{writers}:{}", dead[0]);
    let _: u64 = server.ask(&["ZADD", &index, "1", "found"]).unwrap();
    while one.heard(&short).times("-bob") == 0 {
        assert!(Instant::now() < deadline, "{:?}", one.heard(&short));
        sleep(Duration::from_millis(20)).await;
    }
    let is_gone = async || {
        let listed: Vec<String> = server.ask(&["ZRANGE", &index, "0", "-1"]).unwrap();
        let known: u64 = server.ask(&["SISMEMBER", &writers, &dead[0]]).unwrap();
        listed == [""] && known == 0
    };
    eventually("nothing of it is left there", is_gone).await;
}

/// A node on a thread of its own, which can be stopped.
struct FrozenNode {
    node: PresenceNode,
    runtime: tokio::runtime::Runtime,
}

impl FrozenNode {
    async fn start(server: &RedisServer) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let options = RedisOptions::new(server.url());
        let node = runtime.spawn(PresenceNode::redis(options)).await.unwrap();
        Self { node, runtime }
    }

    /// Stops all that the node does for so long.
    async fn freeze(&self, pause: Duration) {
        let (sender, frozen) = mpsc::channel();
        self.runtime.spawn(async move {
            std::thread::sleep(pause);
            let _ = sender.send(());
        });
        tokio::task::block_in_place(|| frozen.recv().unwrap());
    }

    fn end(self) {
        self.runtime.shutdown_background();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_node_that_stops_briefly_loses_nobody_and_one_that_stops_long_comes_back() {
    let server = RedisServer::start();
    let [one, two] = nodes::<2>(&server).await;
    let three = FrozenNode::start(&server).await;
    let rooms = rooms(20);
    open_all(&[&one, &two, &three.node], &rooms).await;
    for (n, room) in rooms.iter().enumerate() {
        one.enter(room, member(1000 + n as u64, "ann")).await;
        three.node.enter(room, member(2000 + n as u64, "bob")).await;
        three.node.enter(room, member(3000 + n as u64, "cem")).await;
    }
    three.freeze(Duration::from_secs(3)).await;
    sleep(Duration::from_secs(3)).await;
    for room in &rooms {
        for node in [&one, &two, &three.node] {
            assert_eq!(node.heard(room).words, ["+ann", "+bob", "+cem"]);
        }
    }
    three.freeze(Duration::from_secs(15)).await;
    for (n, room) in rooms.iter().enumerate() {
        let n = n as u64;
        let expected = [("ann", 1000 + n), ("bob", 2000 + n), ("cem", 3000 + n)];
        let expected = expected.map(|(user, id)| format!("{user}:{id:x}"));
        for node in [&one, &two, &three.node] {
            node.lists(room, &expected).await;
            node.until(room, |heard| heard.counts.count == 3).await;
        }
        for node in [&one, &two] {
            let heard = node.heard(room);
            assert_eq!((heard.times("-bob"), heard.times("+bob")), (1, 2), "{heard:?}");
            assert_eq!((heard.times("-ann"), heard.times("+ann")), (0, 1));
        }
    }
    three.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_given_up_leaves_no_ghost() {
    const ROUNDS: u64 = 10;
    const ROOMS: usize = 20;
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let node = PresenceNode::redis(RedisOptions::new(proxy.redis_url())).await;
    let [watcher] = nodes::<1>(&server).await;
    let rooms = rooms(ROOMS);
    open_all(&[&node, &watcher], &rooms).await;
    for round in 0..ROUNDS {
        for (n, room) in rooms.iter().enumerate() {
            let id = round * 1000 + n as u64;
            // Half of the rounds begin with rooms that this node is in.
            if round % 2 == 0 {
                node.enter(room, member(id + 500, "bob")).await;
            }
        }
        proxy.set_toward(Direction::ToServer, ProxyFault::Hold);
        for (n, room) in rooms.iter().enumerate() {
            let id = round * 1000 + n as u64;
            drop(node.enter_by(room, member(id, "ann"), POLICY).await);
        }
        // Longer than an answer is waited for.
        sleep(Duration::from_millis(700)).await;
        for (n, room) in rooms.iter().enumerate() {
            let id = round * 1000 + n as u64;
            node.left(room, id);
            node.left(room, id + 500);
        }
        proxy.pass();
        node.bus.presence_flush(SOON).await;
        for room in &rooms {
            let counts = watcher.bus.presence_counts(room).await.unwrap();
            assert_eq!((counts.count, counts.users), (0, 0), "a ghost in {room}, round {round}");
        }
    }
    sleep(Duration::from_secs(1)).await;
    for room in &rooms {
        let counts = watcher.bus.presence_counts(room).await.unwrap();
        assert_eq!((counts.count, counts.users), (0, 0), "a ghost in {room}");
        assert_eq!(watcher.list(room).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifteen_thousand_members_come_and_die() {
    const CROWD: u64 = 15_000;
    let server = RedisServer::start();
    let [one, two] = nodes::<2>(&server).await;
    let room = room("big");
    open_all(&[&one, &two], std::slice::from_ref(&room)).await;
    one.enter(&room, member(1, "ann")).await;
    let mut entering = Vec::new();
    for id in 0..CROWD {
        entering.push(two.enter_by(&room, member(100 + id, &format!("u{id}")), POLICY).await);
    }
    for entered in entering {
        assert!(entered.await.unwrap().is_some());
    }
    one.until(&room, |heard| heard.counts.count == CROWD + 1).await;
    let list = one.bus.presence_list(&room, None).await.unwrap();
    assert_eq!((list.entries.len() as u64, list.counts.users), (CROWD + 1, CROWD + 1));
    server.command(&["SLOWLOG", "RESET"]);
    drop(two);
    let deadline = Instant::now() + DEATH;
    while one.heard(&room).counts.users != 1 {
        assert!(Instant::now() < deadline, "{:?}", one.heard(&room).counts);
        sleep(Duration::from_millis(50)).await;
    }
    one.lists(&room, &["ann:1".into()]).await;
    let left = one.metrics.bus.presence_changes[PresenceChangeKind::Left].get();
    assert_eq!(left, CROWD, "each once");
}
