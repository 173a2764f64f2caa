//! P5 over several nodes: who comes back to another node with its position receives what it
//! missed, once, as far as history reaches; a crowd that comes back costs Redis one read a room.

use std::time::Duration;

use crate::support::{
    Call, Cluster, Follow, Persistent, TestClient, TestNode, cluster_node, eventually, is_ready,
    note_calls, noted_calls, plain, publish_of, room, soon,
};
use futures_util::future::join_all;
use roomcast_client::{Client, Event, JoinOptions, Options};
use roomcast_protocol::{ClientFrame, Data, Encoding, Position, PublishKey, ServerFrame};
use roomcast_testkit::{Proxy, RedisServer};

#[tokio::test]
async fn a_member_cut_in_mid_burst_goes_on_at_another_node() {
    let cluster = Cluster::start(3, &[]).await;
    let mut publishers = Vec::new();
    for node in 0..3 {
        let client = cluster.client(node, Encoding::ALL[node % 2]).await;
        publishers.push(Persistent::start(client, "burst", &format!("p{node}")));
    }
    let mut members = Vec::new();
    for encoding in Encoding::ALL {
        let mut member = cluster.client(0, encoding).await;
        let follow = Follow::new("burst", member.join("burst").await);
        members.push((encoding, member, follow));
    }
    for cut in 1..=6 {
        for (encoding, member, follow) in &mut members {
            let enough = follow.at.seq + 50;
            follow.until(member, enough).await;
            // What the kernel and the node still hold for it is lost with the connection.
            *member = cluster.client(cut % 3, *encoding).await;
            let joined = member.resume("burst", follow.at).await;
            assert_eq!((joined.at, joined.recovered), (follow.at, Some(true)));
        }
    }
    let mut last = 0;
    for publisher in publishers {
        let outcomes = publisher.finish().await;
        assert_eq!(outcomes.refused, []);
        last = last.max(outcomes.acked.last().unwrap().0.seq);
    }
    for (_, member, follow) in &mut members {
        follow.until(member, last).await;
        assert_eq!(follow.gaps, []);
        assert_eq!(member.ping().await, []);
    }
    drop(members);
    cluster.stop().await;
}

/// The other node never had the room: it tells from Redis alone what history no longer has.
#[tokio::test]
async fn beyond_history_another_node_names_what_is_missing() {
    let short = ["namespaces.default.history_size=20", "namespaces.default.repair_window=16"];
    let cluster = Cluster::start(2, &short).await;
    let mut publisher = cluster.client(0, Encoding::Json).await;
    let start = publisher.join("short").await.at;
    for n in 1..=200 {
        assert_eq!(publisher.publish("short", &n.to_string()).await.seq, n);
    }
    for (encoding, since) in Encoding::ALL.into_iter().zip([5, 179]) {
        let mut member = cluster.client(1, encoding).await;
        let joined = member.resume("short", Position { seq: since, ..start }).await;
        assert_eq!((joined.at.seq, joined.recovered), (since, Some(false)));
        let mut follow = Follow::new("short", joined);
        follow.until(&mut member, 200).await;
        assert_eq!(follow.gaps, [(since + 1, 180)]);
        assert_eq!(follow.messages, (181..=200).collect::<Vec<_>>());
        assert_eq!(member.ping().await, []);
    }
    // One message younger, and nothing is missing.
    let mut member = cluster.client(1, Encoding::Json).await;
    let joined = member.resume("short", Position { seq: 180, ..start }).await;
    assert_eq!(joined.recovered, Some(true));
    let mut follow = Follow::new("short", joined);
    follow.until(&mut member, 200).await;
    assert_eq!(follow.gaps, []);
    // A position that no node ever gave in this epoch.
    let mut member = cluster.client(1, Encoding::Json).await;
    let joined = member.resume("short", Position { seq: 300, ..start }).await;
    assert_eq!(joined.recovered, Some(false));
    match member.frame().await {
        ServerFrame::Reset { epoch, seq: 200, .. } => assert_eq!(epoch, start.epoch),
        other => panic!("{other:?}"),
    }
    drop((member, publisher));
    cluster.stop().await;
}

/// A node whose pushes are late meets a member that has seen more than the node has.
#[tokio::test]
async fn a_position_beyond_the_nodes_feed_is_honoured() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port()).await;
    let ahead = cluster_node(&redis.url(), 0, &[]).await;
    let behind = cluster_node(&proxy.redis_url(), 1, &[]).await;
    let mut stayer = behind.json().await;
    let mut stayed = Follow::new("late", stayer.join("late").await);
    let mut publisher = ahead.json().await;
    let mut follow = Follow::new("late", publisher.join("late").await);
    publisher.publish("late", "1").await;
    stayed.until(&mut stayer, 1).await;

    proxy.swallow_answers();
    for n in 2..=10 {
        publisher.publish("late", &n.to_string()).await;
    }
    follow.until(&mut publisher, 10).await;
    let mut member = behind.msgpack().await;
    let id = member.next_id();
    let mut join = plain("late");
    join.since = Some(follow.at.into());
    member.send(&ClientFrame::Join { id: Some(id), rooms: vec![join] }).await;
    assert_eq!(member.ping().await, [], "the node cannot know yet");
    proxy.pass();
    proxy.cut();
    match member.answer(id).await {
        ServerFrame::Joined { epoch, seq, recovered, .. } => {
            assert_eq!((Position { epoch, seq }, recovered), (follow.at, Some(true)));
        }
        other => panic!("{other:?}"),
    }
    publisher.publish("late", "11").await;
    follow.until(&mut member, 11).await;
    stayed.until(&mut stayer, 11).await;
    assert_eq!((stayed.gaps, follow.gaps), (vec![], vec![]));
    drop((stayer, member, publisher));
    ahead.stop().await;
    behind.stop().await;
}

/// Redis goes away while a member reads history, for longer than a page is tried for: the member
/// waits, and then receives what its join has promised.
#[tokio::test]
async fn a_member_in_mid_history_waits_for_redis() {
    const LAST: u64 = 300;
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port()).await;
    let whole = cluster_node(&redis.url(), 0, &[]).await;
    let alone = cluster_node(&proxy.redis_url(), 1, &["limits.send_buffer=64KiB"]).await;
    let mut publisher = whole.json().await;
    let start = publisher.join("deep").await.at;
    publisher.leave("deep").await;
    // More than sockets hold for a member that does not read.
    let text = format!("\"{}\"", "x".repeat(16_000));
    for seq in 1..=LAST {
        assert_eq!(publisher.publish("deep", &text).await.seq, seq);
    }
    let mut member = TestClient::narrow(alone.address(), Encoding::Json).await;
    let joined = member.resume("deep", start).await;
    assert_eq!((joined.at, joined.recovered), (start, Some(true)));
    let mut follow = Follow::new("deep", joined);
    proxy.refuse();
    proxy.cut();
    eventually("the node is not ready", async || !is_ready(&alone).await).await;
    let reads = async || alone.scrape().await.sum("roomcast_catchup_reads_total");
    // A page is tried eight times.
    let enough = reads().await + 10.0;
    tokio::select! {
        () = follow.until(&mut member, LAST) => panic!("history came without Redis"),
        () = eventually("reads that fail", async || reads().await >= enough) => {}
    }
    proxy.pass();
    follow.until(&mut member, LAST).await;
    assert_eq!(follow.gaps, []);
    drop((member, publisher));
    whole.stop().await;
    alone.stop().await;
}

const STORM_ROOMS: usize = 5;
const STORM_CLIENTS: usize = 200;

/// Clients that come back all at once to a node that has none of their rooms.
#[tokio::test]
async fn a_crowd_that_returns_costs_redis_one_read_a_room() {
    let cluster = Cluster::start(2, &[]).await;
    let mut publisher = cluster.client(0, Encoding::Json).await;
    let mut starts = Vec::new();
    for at in 0..STORM_ROOMS {
        let name = format!("storm:{at}");
        starts.push((publisher.join(&name).await.at, name.clone()));
        for n in 0..100 {
            publisher.publish(&name, &n.to_string()).await;
        }
    }
    let clients = (0..STORM_CLIENTS).map(|n| cluster.client(1, Encoding::ALL[n % 2]));
    let clients = join_all(clients).await;
    note_calls(&cluster.redis);
    let returns = clients.into_iter().enumerate().map(|(n, mut client)| {
        let (start, name) = &starts[n % STORM_ROOMS];
        let since = Position { seq: (n / STORM_ROOMS) as u64 % 20, ..*start };
        async move {
            let joined = client.resume(name, since).await;
            assert_eq!((joined.at, joined.recovered), (since, Some(true)));
            let mut follow = Follow::new(name, joined);
            follow.until(&mut client, 100).await;
            assert_eq!(follow.gaps, []);
            client
        }
    });
    let clients = soon("everybody's return", join_all(returns)).await;
    let node = cluster.nodes[1].scrape().await;
    let pages = node.sum("roomcast_catchup_reads_total");
    let histories = node.with("roomcast_bus_commands_total", "command=\"history\"");
    assert_eq!((pages, histories), (STORM_ROOMS as f64, STORM_ROOMS as f64));
    let calls = noted_calls(&cluster.redis);
    let of_each = [Call::Standing, Call::Page];
    let expected =
        starts.iter().flat_map(|(_, name)| of_each.map(|call| ((name.clone(), call), 1)));
    assert_eq!(calls, expected.collect());
    drop((clients, publisher));
    cluster.stop().await;
}

/// What the application of a Rust client sees while its node is stopped.
#[tokio::test]
async fn the_rust_client_goes_on_when_its_node_is_stopped() {
    let mut cluster = Cluster::start(3, &[]).await;
    let urls: Vec<_> =
        (cluster.nodes.iter()).map(|node| format!("ws://{}/ws", node.address())).collect();
    let connect = |encoding| {
        let mut options = Options { encoding, ..Options::new(urls.clone()) };
        options.backoff.max = Duration::from_secs(1);
        Client::connect(options).unwrap()
    };
    let reader = connect(Encoding::MsgPack);
    reader.join(room("moving"), JoinOptions::default()).await.unwrap();
    let mut served_by = None;
    loop {
        match soon("an event", reader.next()).await.unwrap() {
            Event::Connected { node, .. } => served_by = Some(node),
            Event::Joined { position, .. } => break assert_eq!(position.seq, 0),
            other => panic!("{other:?}"),
        }
    }
    let writer = connect(Encoding::Json);
    let acks = tokio::spawn(async move {
        let mut acked = Vec::new();
        for n in 0..400 {
            let data = Data::json(n.to_string()).unwrap();
            let key = Some(PublishKey::parse(&format!("k{n}")).unwrap());
            let ack =
                writer.publish(roomcast_protocol::Publish { key, ..publish_of("moving", data) });
            acked.push(soon("an ack", ack).await.unwrap());
        }
        writer.close().await;
        acked
    });
    let (mut at, mut resumes) = (0, 0);
    while at < 400 {
        match soon("an event", reader.next()).await.unwrap() {
            Event::Message { position, message, .. } => {
                assert_eq!(position.seq, at + 1);
                at = message.seq;
                if at == 100 {
                    let by_id =
                        |node: &TestNode| Some(&node.node.config().node.id) == served_by.as_ref();
                    let index = cluster.nodes.iter().position(by_id).unwrap();
                    cluster.nodes.remove(index).stop().await;
                }
            }
            Event::Disconnected { .. } => {}
            Event::Connected { node, .. } => assert_ne!(Some(node), served_by),
            Event::Joined { position, recovered, .. } => {
                assert_eq!((position.seq, recovered), (at, Some(true)));
                resumes += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(resumes, 1);
    let acked = acks.await.unwrap();
    let seqs: Vec<_> = acked.iter().map(|ack| ack.position.seq).collect();
    assert_eq!(seqs, (1..=400).collect::<Vec<_>>(), "each was stored once");
    reader.close().await;
    for node in &cluster.nodes {
        eventually("ready", async || is_ready(node).await).await;
    }
    cluster.stop().await;
}
