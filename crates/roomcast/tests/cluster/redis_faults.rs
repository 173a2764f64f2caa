//! P2, P3, P8 and P10 while Redis fails under load: killed and empty, stopped, its pushes cut, or
//! out of one node's reach. No message is lost in silence, nobody waits for ever, and health says
//! what is so.

use std::collections::HashSet;
use std::time::Duration;

use crate::support::{
    Cluster, Follow, Heard, Outcomes, Persistent, TestClient, TestNode, Watcher, cluster_node,
    eventually, is_ready, plain,
};
use roomcast_protocol::{ClientFrame, Encoding, ErrorCode, JoinRoom, Position, ServerFrame};
use roomcast_testkit::{Proxy, RedisServer};
use tokio::time::{Instant, sleep_until};

const NODES: usize = 3;
const ROOMS: [&str; 2] = ["a", "chat:b"];
/// No publish waits longer for its answer: 2 s for Redis, and what a busy machine adds.
const BOUND: Duration = Duration::from_millis(3500);

/// A member of both rooms on each node in each encoding, and a publisher for each room and node.
struct Load {
    watchers: Vec<Watcher>,
    publishers: Vec<(&'static str, Persistent)>,
}

impl Load {
    async fn start(nodes: &[TestNode]) -> Self {
        let (mut watchers, mut publishers) = (Vec::new(), Vec::new());
        for node in nodes {
            for encoding in Encoding::ALL {
                let client = TestClient::connect(node.address(), encoding, "").await;
                watchers.push(Watcher::join(client, &ROOMS).await);
            }
        }
        for (at, node) in nodes.iter().enumerate() {
            for room in ROOMS {
                let encoding = Encoding::ALL[at % 2];
                let client = TestClient::connect(node.address(), encoding, "").await;
                let name = format!("{room} from {at}").replace(' ', "-");
                publishers.push((room, Persistent::start(client, room, &name)));
            }
        }
        Self { watchers, publishers }
    }

    /// Waits until every publisher has got so many more acks.
    async fn more(&mut self, count: usize) {
        for (_, publisher) in &mut self.publishers {
            publisher.more(count).await;
        }
    }

    /// Ends the publishers; returns the members and, for each room, what came of its publishers
    /// together, in the order of the acks' positions.
    async fn finish(self) -> (Vec<Watcher>, Vec<(&'static str, Outcomes)>) {
        let mut rooms: Vec<_> = ROOMS.map(|room| (room, Outcomes::default())).into();
        for (room, publisher) in self.publishers {
            let outcomes = publisher.finish().await;
            let all = &mut rooms.iter_mut().find(|(known, _)| *known == room).unwrap().1;
            all.acked.extend(outcomes.acked);
            all.refused.extend(outcomes.refused);
            all.slowest = all.slowest.max(outcomes.slowest);
        }
        for (_, outcomes) in &mut rooms {
            outcomes.acked.sort_by_key(|(position, _)| position.seq);
            assert!(outcomes.slowest < BOUND, "an answer took {:?}", outcomes.slowest);
        }
        (self.watchers, rooms)
    }

    /// The same where Redis kept its data: all members were told exactly what was acked, and
    /// nothing else. Returns what came of the publishes.
    async fn finish_whole(self) -> Vec<(&'static str, Outcomes)> {
        let (mut watchers, rooms) = self.finish().await;
        for (room, outcomes) in &rooms {
            let (last, _) = outcomes.acked.last().unwrap();
            for watcher in &mut watchers {
                let heard = watcher.up_to(room, *last).await;
                heard.is_whole();
                assert!(heard.messages == outcomes.acked, "{room} differs from what was acked");
            }
            is_once(&outcomes.acked);
        }
        rooms
    }
}

/// Fails if a payload, and so a key, stands at two positions.
#[track_caller]
fn is_once(messages: &[(Position, String)]) {
    let mut seen = HashSet::new();
    let twice = messages.iter().find(|(_, payload)| !seen.insert(payload));
    assert_eq!(twice, None, "stored twice");
}

/// Joins, and returns the code of the refusal and how long it took.
async fn refused_join(client: &mut TestClient, join: JoinRoom) -> (ErrorCode, Duration) {
    let id = client.next_id();
    let begun = Instant::now();
    match client.ask(&ClientFrame::Join { id: Some(id), rooms: vec![join] }).await {
        ServerFrame::Error { code, .. } => (code, begun.elapsed()),
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

/// A member comes back to a node whose log reaches back to it: Redis is not needed.
async fn resume_in_log(node: &TestNode, room: &str, heard: &Heard) {
    let (back, last) = (heard.messages[heard.messages.len() - 5].0, heard.at);
    let mut client = node.json().await;
    let joined = client.resume(room, back).await;
    assert_eq!((joined.at, joined.recovered), (back, Some(true)));
    let mut follow = Follow::new(room, joined);
    follow.until(&mut client, last.seq).await;
    assert_eq!(follow.gaps, []);
}

#[tokio::test]
async fn redis_killed_and_back_empty() {
    let mut cluster = Cluster::start(NODES, &[]).await;
    cluster.all_ready().await;
    let mut load = Load::start(&cluster.nodes).await;
    load.more(50).await;
    cluster.redis.kill();
    cluster.none_ready().await;
    cluster.redis.restart_empty();
    cluster.all_ready().await;
    load.more(50).await;
    let (mut watchers, rooms) = load.finish().await;
    for (room, outcomes) in rooms {
        assert!(outcomes.refused.contains(&ErrorCode::BusUnavailable), "{:?}", outcomes.refused);
        let last_of = |epoch| {
            let own = outcomes.acked.iter().map(|(position, _)| position);
            own.filter(|position| position.epoch == epoch).max_by_key(|position| position.seq)
        };
        let begun = watchers[0].until(room, |heard| !heard.resets.is_empty()).await;
        let (old, new) = (begun.messages[0].0.epoch, begun.resets[0].0.epoch);
        let last = *last_of(new).expect("the new epoch has acks");
        let mut in_new: Option<Vec<(Position, String)>> = None;
        let mut in_old: Vec<(Position, String)> = Vec::new();
        for watcher in &mut watchers {
            let heard = watcher.up_to(room, last).await;
            assert_eq!(heard.gaps, []);
            let (before, after): (Vec<_>, Vec<_>) =
                heard.messages.into_iter().partition(|(position, _)| position.epoch == old);
            let reset = (Position { epoch: new, seq: 0 }, before.len() as u64);
            assert_eq!(heard.resets, [reset], "one reset, which counts what is gone");
            // What was acked of the old epoch is what those saw who saw it.
            for (position, payload) in &outcomes.acked {
                if position.epoch == old && position.seq <= before.len() as u64 {
                    assert_eq!(before[position.seq as usize - 1], (*position, payload.clone()));
                }
            }
            let shared = in_old.len().min(before.len());
            assert_eq!(in_old[..shared], before[..shared], "one order in the old epoch");
            in_old = before;
            assert!(*in_new.get_or_insert_with(|| after.clone()) == after, "in the new one too");
        }
        let acked = outcomes.acked.into_iter().filter(|(position, _)| position.epoch == new);
        assert_eq!(in_new.as_deref(), Some(&acked.collect::<Vec<_>>()[..]));
        is_once(&in_new.unwrap());
    }
    drop(watchers);
    cluster.stop().await;
}

#[tokio::test]
async fn redis_stopped_for_five_seconds() {
    let cluster = Cluster::start(NODES, &[]).await;
    cluster.all_ready().await;
    let mut load = Load::start(&cluster.nodes).await;
    load.more(50).await;
    let mut joiner = cluster.client(0, Encoding::Json).await;
    let mut stranger = cluster.client(1, Encoding::MsgPack).await;

    cluster.redis.pause();
    let over = Instant::now() + Duration::from_secs(5);
    cluster.none_ready().await;
    let heard = load.watchers[0].heard("a");
    resume_in_log(&cluster.nodes[0], "a", &heard).await;
    assert_eq!(joiner.join("a").await.recovered, None);
    // Neither a room that is not open here nor a position that Redis alone may know.
    let ahead = Position { seq: heard.at.seq + 1000, ..heard.at };
    let unknown = JoinRoom { since: Some(ahead.into()), ..plain("chat:b") };
    for join in [plain("nobody:here"), unknown] {
        let (code, took) = refused_join(&mut stranger, join).await;
        assert_eq!(code, ErrorCode::BusUnavailable);
        assert!(took < Duration::from_millis(4000), "{took:?}");
    }
    for node in &cluster.nodes {
        assert!(!is_ready(node).await);
    }
    sleep_until(over).await;
    cluster.redis.resume();
    cluster.all_ready().await;

    load.more(50).await;
    for (_, outcomes) in load.finish_whole().await {
        assert!(outcomes.refused.contains(&ErrorCode::BusUnavailable), "{:?}", outcomes.refused);
    }
    stranger.join("nobody:here").await;
    drop((joiner, stranger));
    cluster.stop().await;
}

#[tokio::test]
async fn pushes_cut_again_and_again() {
    const CUTS: usize = 8;
    let cluster = Cluster::start(NODES, &[]).await;
    cluster.all_ready().await;
    let mut load = Load::start(&cluster.nodes).await;
    let mut cuts = 0;
    // A cut between two publishes leaves nothing to repair, so some more may be needed.
    while cuts < CUTS || cluster.sum("roomcast_bus_repairs_total").await == 0.0 {
        assert!(cuts < 50 * CUTS, "no cut of {cuts} fell on a publish");
        load.more(15).await;
        cluster.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        cuts += 1;
    }
    load.more(15).await;
    for (_, outcomes) in load.finish_whole().await {
        assert_eq!(outcomes.refused, [], "publishes do not need the pushes");
    }
    assert!(cluster.sum("roomcast_bus_reconnects_total").await >= (CUTS * NODES) as f64);
    assert_eq!(cluster.sum("roomcast_bus_gaps_total").await, 0.0);
    cluster.all_ready().await;
    cluster.stop().await;
}

#[tokio::test]
async fn one_node_alone_loses_redis() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port()).await;
    let mut nodes = Vec::new();
    for number in 0..NODES - 1 {
        nodes.push(cluster_node(&redis.url(), number, &[]).await);
    }
    nodes.push(cluster_node(&proxy.redis_url(), NODES - 1, &[]).await);
    let cluster = Cluster { redis, nodes };
    let [first, second, lone] = &cluster.nodes[..] else { unreachable!() };
    cluster.all_ready().await;
    let mut load = Load::start(&cluster.nodes).await;
    load.more(30).await;
    proxy.refuse();
    proxy.cut();
    eventually("the lone node is not ready", async || !is_ready(lone).await).await;
    // The others go on, in the same rooms.
    for (_, publisher) in &mut load.publishers[..4] {
        publisher.more(50).await;
    }
    assert!(is_ready(first).await && is_ready(second).await && !is_ready(lone).await);
    for (_, publisher) in &load.publishers[4..] {
        let is_refused = async || publisher.outcomes().refused.contains(&ErrorCode::BusUnavailable);
        eventually("what waits for Redis is not refused", is_refused).await;
    }
    resume_in_log(lone, "a", &load.watchers[4].heard("a")).await;
    // A member from another node stands beyond what the lone node has.
    let there = load.watchers[0].heard("a").at;
    assert!(there.seq > load.watchers[4].heard("a").at.seq);
    let mut mover = lone.msgpack().await;
    let join = JoinRoom { since: Some(there.into()), ..plain("a") };
    assert_eq!(refused_join(&mut mover, join).await.0, ErrorCode::BusUnavailable);
    proxy.pass();
    cluster.all_ready().await;
    assert_eq!(mover.resume("a", there).await.recovered, Some(true));

    load.more(20).await;
    load.finish_whole().await;
    drop(mover);
    cluster.stop().await;
}
