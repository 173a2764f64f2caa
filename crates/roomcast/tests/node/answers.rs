//! P9: every request is answered, once. Bursts of requests that overtake one another, over a few
//! rooms, while the bus is there, slow, and away.

use std::collections::HashMap;

use crate::support::{Incoming, TestClient, TestNode, foreign, frame, id_of, plain, room};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use roomcast_protocol::{
    ClientFrame, Encoding, ErrorCode, HistoryQuery, JoinRoom, RequestId, ServerFrame, Since,
};
use roomcast_testkit::RedisServer;
use tokio::io::AsyncWriteExt;

/// What a client may ask for, in one of a few rooms.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Join,
    /// Two rooms by one request: an answer for each.
    JoinTwo,
    /// With a position that no node ever gave: the bus is asked.
    Resume,
    Leave,
    Publish,
    /// More than the namespace allows.
    PublishLarge,
    History,
    Ping,
}

impl Ask {
    /// How many answers it gets.
    fn answers(self) -> usize {
        if let Self::JoinTwo = self { 2 } else { 1 }
    }

    fn frame(self, client: &mut TestClient, name: usize) -> (RequestId, ClientFrame) {
        let (id, name) = (client.next_id(), ["a", "b", "c"][name]);
        let joins = |joins: Vec<JoinRoom>| ClientFrame::Join { id: Some(id), rooms: joins };
        let large = format!("\"{}\"", "x".repeat(3000));
        let publish = |data: &str, client: &mut TestClient| {
            let publish = client.publication(name, data);
            (publish.id.unwrap(), ClientFrame::Publish(publish))
        };
        match self {
            Self::Join => (id, joins(vec![plain(name)])),
            Self::JoinTwo => (id, joins(vec![plain(name), plain("d")])),
            Self::Resume => {
                let since = Some(foreign(7));
                (id, joins(vec![JoinRoom { since: since.map(Since::Position), ..plain(name) }]))
            }
            Self::Leave => (id, ClientFrame::Leave { id: Some(id), room: room(name) }),
            Self::Publish => publish("1", client),
            Self::PublishLarge => publish(&large, client),
            Self::History => {
                let room = room(name);
                let query =
                    HistoryQuery { id: Some(id), room, after: None, before: None, limit: 5 };
                (id, ClientFrame::History(query))
            }
            Self::Ping => (id, ClientFrame::Ping { id: Some(id) }),
        }
    }
}

fn asks() -> impl Strategy<Value = Vec<(Ask, usize)>> {
    let ask = prop_oneof![
        4 => Just(Ask::Join),
        1 => Just(Ask::JoinTwo),
        1 => Just(Ask::Resume),
        4 => Just(Ask::Leave),
        2 => Just(Ask::Publish),
        1 => Just(Ask::PublishLarge),
        1 => Just(Ask::History),
        1 => Just(Ask::Ping),
    ];
    prop::collection::vec((ask, 0..3usize), 1..60)
}

/// Sends these in one write, and reads until each is answered; then proves that nothing else comes.
async fn check_burst(client: &mut TestClient, asks: &[(Ask, usize)]) {
    let mut waiting: HashMap<RequestId, usize> = HashMap::new();
    let mut bytes = Vec::new();
    for &(ask, name) in asks {
        let (id, asked) = ask.frame(client, name);
        waiting.insert(id, ask.answers());
        let mut payload = Vec::new();
        asked.encode(client.encoding, &mut payload);
        let first = if client.encoding == Encoding::Json { 0x81 } else { 0x82 };
        bytes.extend(frame(first, &payload));
    }
    client.socket.get_mut().write_all(&bytes).await.unwrap();
    while !waiting.is_empty() {
        note(client, &mut waiting, asks).await;
    }
    // What was answered twice would come before this.
    let id = client.next_id();
    client.send(&ClientFrame::Ping { id: Some(id) }).await;
    waiting.insert(id, 1);
    while !waiting.is_empty() {
        note(client, &mut waiting, asks).await;
    }
}

/// Takes what comes next; an answer must be to something that waits for one.
async fn note(
    client: &mut TestClient,
    waiting: &mut HashMap<RequestId, usize>,
    asks: &[(Ask, usize)],
) {
    let frame = match client.incoming().await {
        Incoming::Frame(frame) => frame,
        Incoming::Ping => return,
        other => panic!("{other:?} while {waiting:?} wait of {asks:?}"),
    };
    let Some(id) = id_of(&frame) else { return };
    match waiting.get_mut(&id) {
        Some(1) => drop(waiting.remove(&id)),
        Some(left) => *left -= 1,
        None => panic!("nothing waits for {frame:?} of {asks:?}"),
    }
}

async fn check_bursts(node: &TestNode, count: usize) {
    let mut runner = TestRunner::deterministic();
    for encoding in Encoding::ALL {
        let mut client = node.user(encoding, "ann").await;
        for _ in 0..count {
            let burst = asks().new_tree(&mut runner).unwrap().current();
            check_burst(&mut client, &burst).await;
        }
    }
}

/// Messages of 2 KiB at most, and few requests at a time, so that connections are held back.
const SETTINGS: [&str; 3] = [
    "namespaces.default.message_bytes=2KiB",
    "limits.inflight_publishes=8",
    "limits.rooms_per_connection=3",
];

#[tokio::test]
async fn every_request_is_answered_once() {
    for workers in ["node.workers=1", "node.workers=2"] {
        let node = TestNode::start(&[&SETTINGS[..], &[workers]].concat()).await;
        check_bursts(&node, 150).await;
        node.stop().await;
    }
}

#[tokio::test]
async fn every_request_is_answered_once_over_redis() {
    let server = RedisServer::start();
    let url = format!("bus.redis_url={}", server.url());
    let node = TestNode::start(&[&SETTINGS[..], &[&url]].concat()).await;
    check_bursts(&node, 40).await;
    // Standing still, and away: what cannot be had is refused.
    server.pause();
    check_bursts(&node, 1).await;
    server.resume();
    check_bursts(&node, 10).await;
    node.stop().await;
}

#[tokio::test]
async fn a_join_that_is_left_is_cancelled() {
    let server = RedisServer::start();
    let url = format!("bus.redis_url={}", server.url());
    for settings in [vec![], vec![url.as_str()]] {
        let node = TestNode::start(&settings).await;
        let mut client = node.json().await;
        let ids = [client.next_id(), client.next_id(), client.next_id()];
        let texts = [
            format!(r#"{{"type":"join","id":{},"room":"r"}}"#, ids[0]),
            format!(r#"{{"type":"leave","id":{},"room":"r"}}"#, ids[1]),
            format!(r#"{{"type":"join","id":{},"room":"r"}}"#, ids[2]),
        ];
        let burst: Vec<u8> = texts.iter().flat_map(|text| frame(0x81, text.as_bytes())).collect();
        client.socket.get_mut().write_all(&burst).await.unwrap();
        match client.answer(ids[0]).await {
            ServerFrame::Error { code: ErrorCode::Cancelled, room: Some(name), .. } => {
                assert_eq!(name.as_str(), "r");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(client.answer(ids[1]).await, ServerFrame::Left { .. }));
        assert!(matches!(client.answer(ids[2]).await, ServerFrame::Joined { .. }));
        client.publish("r", "1").await;
        assert_eq!(client.message("r").await.seq, 1, "it is a member");
        drop(client);
        node.stop().await;
    }
}

/// Publishes that wait for a join and are then refused count no more: the connection is read on.
#[tokio::test]
async fn refused_publishes_hold_nobody_back() {
    let server = RedisServer::start();
    let url = format!("bus.redis_url={}", server.url());
    let node = TestNode::start(&[&SETTINGS[..], &[&url]].concat()).await;
    let mut client = node.json().await;
    let mut burst = vec![(Ask::Join, 0)];
    burst.extend([(Ask::PublishLarge, 0); 200]);
    burst.push((Ask::Ping, 0));
    check_burst(&mut client, &burst).await;
    drop(client);
    node.stop().await;
}
