//! Users' own rooms and receipts over several nodes: what one device confirms the others know, and
//! what is confirmed outlives nodes and a Redis that was away.

use crate::support::{
    Backend, Cluster, Process, TestClient, cluster_node, eventually, is_ready, plain, room,
};
use roomcast_protocol::{
    ClientFrame, Encoding, ErrorCode, JoinRoom, Position, Publish, ReadMarks, ServerFrame,
};
use roomcast_testkit::{Proxy, RedisServer};
use serde_json::json;

fn key() -> (Backend, [String; 2]) {
    let shop = Backend::new("shop");
    let settings = shop.settings("publish read admin");
    (shop, settings)
}

async fn device(cluster: &Cluster, node: usize, user: &str) -> TestClient {
    cluster.nodes[node].user(Encoding::Json, user).await
}

async fn confirm(client: &mut TestClient, name: &str, at: Position) -> ServerFrame {
    let id = Some(client.next_id());
    let (room, Position { epoch, seq }) = (room(name), at);
    client.ask(&ClientFrame::Received { id, room, epoch, seq, read: true }).await
}

async fn joined(client: &mut TestClient, name: &str) -> (Position, Option<bool>, ReadMarks) {
    let id = client.next_id();
    let rooms = vec![JoinRoom { ..plain(name) }];
    match client.ask(&ClientFrame::Join { id: Some(id), rooms }).await {
        ServerFrame::Joined { epoch, seq, recovered, marks, .. } => {
            (Position { epoch, seq }, recovered, marks.unwrap())
        }
        other => panic!("joined was expected, not {other:?}"),
    }
}

/// The next move of another device: received and read.
async fn moved(client: &mut TestClient) -> (u64, u64) {
    loop {
        match client.frame().await {
            ServerFrame::Received { id: None, seq, read, .. } => return (seq, read),
            ServerFrame::Message { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn fifty_devices_on_three_nodes_get_a_notification() {
    let (shop, settings) = key();
    let settings = settings.each_ref().map(String::as_str);
    let cluster = Cluster::start(3, &settings).await;
    cluster.all_ready().await;
    let mut devices = Vec::new();
    for number in 0..50 {
        let mut one = device(&cluster, number % 3, "ann").await;
        one.join("@me").await;
        devices.push(one);
    }
    let mut away = device(&cluster, 0, "ann").await;
    let at = away.join("@me").await.at;
    drop(away);
    let path = "/v1/users/ann/messages";
    let (status, ack) = shop.post(cluster.nodes[1].address(), path, json!({"data": "hi"})).await;
    assert_eq!((status, &ack["seq"]), (200, &json!(1)));
    for one in &mut devices {
        assert_eq!(one.message("@me").await.seq, 1);
    }
    // It arrives on return, on whichever node; and what one confirms all know.
    let mut back = device(&cluster, 2, "ann").await;
    let (begun, recovered, marks) = joined(&mut back, "@me").await;
    assert_eq!((begun.seq, recovered, marks.unread), (at.seq, Some(true), 1));
    assert_eq!(back.message("@me").await.seq, 1);
    confirm(&mut back, "@me", Position { seq: 1, ..begun }).await;
    for one in &mut devices {
        assert_eq!(moved(one).await, (1, 1));
    }
    drop(devices);
    let mut last = device(&cluster, 1, "ann").await;
    let (begun, recovered, marks) = joined(&mut last, "@me").await;
    let expected = ReadMarks { received: 1, read: 1, unread: 0 };
    assert_eq!((begun.seq, recovered, marks), (1, Some(true), expected));
    cluster.stop().await;
}

#[tokio::test]
async fn an_author_learns_of_readers_on_other_nodes() {
    let cluster = Cluster::start(2, &["namespaces.chat.receipts=true"]).await;
    cluster.all_ready().await;
    let mut author = device(&cluster, 0, "eve").await;
    let publish = Publish { receipts: true, ..author.publication("chat:1", "1") };
    let at = author.try_publish(publish).await.unwrap();
    for name in ["ann", "bob"] {
        let mut reader = device(&cluster, 1, name).await;
        reader.join("chat:1").await;
        confirm(&mut reader, "chat:1", at).await;
    }
    let mut told = (0, 0);
    while told != (2, 2) {
        match author.frame().await {
            ServerFrame::Receipts { seq, received, read, .. } => {
                assert_eq!(seq, at.seq);
                assert!(received >= told.0 && read >= told.1);
                told = (received, read);
            }
            other => panic!("{other:?}"),
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn redis_away_answers_and_keeps_what_was_confirmed() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port()).await;
    let node = cluster_node(&proxy.redis_url(), 0, &["namespaces.chat.receipts=true"]).await;
    eventually("ready", async || is_ready(&node).await).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    ann.join("chat:1").await;
    let at = ann.publish("chat:1", "1").await;
    confirm(&mut ann, "chat:1", at).await;
    ann.leave("chat:1").await;
    ann.join("chat:1").await;
    proxy.refuse();
    proxy.cut();
    match confirm(&mut ann, "chat:1", at).await {
        ServerFrame::Error { code, .. } => assert_eq!(code, ErrorCode::BusUnavailable),
        other => panic!("{other:?}"),
    }
    let mut bob = node.user(Encoding::Json, "bob").await;
    let id = bob.next_id();
    let rooms = vec![plain("chat:2")];
    match bob.ask(&ClientFrame::Join { id: Some(id), rooms }).await {
        ServerFrame::Error { code, .. } => assert_eq!(code, ErrorCode::BusUnavailable),
        other => panic!("{other:?}"),
    }
    proxy.pass();
    eventually("ready again", async || is_ready(&node).await).await;
    let mut back = node.user(Encoding::Json, "ann").await;
    let (_, recovered, marks) = joined(&mut back, "chat:1").await;
    let expected = ReadMarks { received: 1, read: 1, unread: 0 };
    assert_eq!((recovered, marks), (Some(true), expected));
    node.stop().await;
}

#[tokio::test]
async fn while_redis_is_away_a_node_answers_for_its_own_and_keeps_its_members() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port()).await;
    let (shop, settings) = key();
    let settings = [&settings[0], &settings[1], "users.auto_join=true"];
    let node = cluster_node(&proxy.redis_url(), 1, &settings).await;
    eventually("ready", async || is_ready(&node).await).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    match ann.frame().await {
        ServerFrame::Joined { id: None, room, .. } => assert_eq!(room.as_str(), "@me"),
        other => panic!("{other:?}"),
    }
    ann.join("club:1").await;
    proxy.refuse();
    proxy.cut();
    // A join that would take the place of the membership fails: the membership is as before.
    let id = ann.next_id();
    match ann.ask(&ClientFrame::Join { id: Some(id), rooms: vec![plain("@me")] }).await {
        ServerFrame::Error { code, .. } => assert_eq!(code, ErrorCode::BusUnavailable),
        other => panic!("{other:?}"),
    }
    let path = "/v1/users/ann/connections";
    let (status, answer) = shop.get(node.address(), path).await;
    assert_eq!((status, &answer["silent"]), (200, &json!([])), "{answer}");
    assert_eq!(answer["connections"][0]["connection"], json!(ann.id.to_string()));
    let member = format!("/v1/rooms/club:1/members/{}", ann.id);
    let put = shop.send(node.address(), ("PUT", &member), "", "").await;
    assert_eq!(put.status, 204, "{}", put.body);
    assert_eq!(shop.delete(node.address(), &member).await, 204);
    match ann.frame().await {
        ServerFrame::Left { id: None, room, .. } => assert_eq!(room.as_str(), "club:1"),
        other => panic!("{other:?}"),
    }
    let nobody = "/v1/rooms/club:1/members/00000000000000ff";
    assert_eq!(shop.delete(node.address(), nobody).await, 404);
    // A join of its own that waits is no membership yet: the backend gets no 204 for it.
    let id = ann.next_id();
    ann.send(&ClientFrame::Join { id: Some(id), rooms: vec![plain("club:2")] }).await;
    let member = format!("/v1/rooms/club:2/members/{}", ann.id);
    let put = async || shop.send(node.address(), ("PUT", &member), "", "").await.status;
    let status = put().await;
    assert!(matches!(status, 503 | 504), "{status}");
    proxy.pass();
    eventually("ready again", async || is_ready(&node).await).await;
    eventually("it is joined", async || put().await == 204).await;
    let mut is_joined = false;
    while !is_joined {
        match ann.frame().await {
            ServerFrame::Joined { room, .. } => is_joined = room.as_str() == "club:2",
            ServerFrame::Error { room, .. } => assert_eq!(room.unwrap().as_str(), "club:2"),
            other => panic!("{other:?}"),
        }
    }
    let path = "/v1/users/ann/messages";
    eventually("it is stored", async || {
        shop.post(node.address(), path, json!({"data": 1})).await.0 == 200
    })
    .await;
    assert_eq!(ann.message("@me").await.seq, 1);
    // Now it takes the membership's place.
    let (begun, ..) = joined(&mut ann, "@me").await;
    assert_eq!(begun.seq, 0);
    assert_eq!(ann.message("@me").await.seq, 1);
    node.stop().await;
}

#[tokio::test]
async fn a_backend_finds_and_moves_connections_on_all_nodes() {
    let (shop, settings) = key();
    let settings = settings.each_ref().map(String::as_str);
    let cluster = Cluster::start(2, &settings).await;
    cluster.all_ready().await;
    let mut ids = Vec::new();
    let mut devices = Vec::new();
    for number in 0..4 {
        let one = device(&cluster, number % 2, "ann").await;
        ids.push(one.id.to_string());
        devices.push(one);
    }
    let _other = device(&cluster, 0, "bob").await;
    let path = "/v1/users/ann/connections";
    let asks = cluster.nodes[0].address();
    let listed = async || {
        let (status, answer) = shop.get(asks, path).await;
        assert_eq!((status, &answer["silent"]), (200, &json!([])), "{answer}");
        let rows = answer["connections"].as_array().unwrap().clone();
        let mut found: Vec<(String, String)> = rows
            .iter()
            .map(|row| {
                assert!(row["since"].as_u64().unwrap() > 0 && row["active"].as_u64().unwrap() > 0);
                (row["connection"].as_str().unwrap().into(), row["node"].as_str().unwrap().into())
            })
            .collect();
        found.sort();
        found
    };
    let mut expected: Vec<(String, String)> =
        ids.iter().enumerate().map(|(at, id)| (id.clone(), format!("n{}", at % 2))).collect();
    expected.sort();
    eventually("all are listed", async || listed().await == expected).await;

    // A connection of the other node joins and leaves.
    let member = format!("/v1/rooms/club:1/members/{}", ids[1]);
    let put = async |path: &str, body: &str| shop.send(asks, ("PUT", path), "", body).await.status;
    assert_eq!(put(&member, "{}").await, 204);
    match devices[1].frame().await {
        ServerFrame::Joined { id: None, room, .. } => assert_eq!(room.as_str(), "club:1"),
        other => panic!("{other:?}"),
    }
    assert_eq!(put(&member, "").await, 204, "also for a member");
    assert_eq!(shop.delete(asks, &member).await, 204);
    match devices[1].frame().await {
        ServerFrame::Left { id: None, room, .. } => assert_eq!(room.as_str(), "club:1"),
        other => panic!("{other:?}"),
    }
    assert_eq!(shop.delete(asks, &member).await, 204, "also for none");
    let nobody = "/v1/rooms/club:1/members/00000000000000ff";
    assert_eq!(put(nobody, "{}").await, 404);
    assert_eq!(shop.delete(asks, nobody).await, 404);
    assert_eq!(put(&member, r#"{"since": 7}"#).await, 400);

    // A signal reaches the devices that joined.
    devices[3].join("@me").await;
    let signal = json!({"event": "ring", "data": 1});
    let (status, _) = shop.post(asks, "/v1/users/ann/signals", signal).await;
    assert_eq!(status, 204);
    match devices[3].frame().await {
        ServerFrame::Signal { room, event, user, connection, .. } => {
            assert_eq!((room.as_str(), event.as_str()), ("@me", "ring"));
            assert_eq!((user, connection), (None, None));
        }
        other => panic!("{other:?}"),
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_that_stands_still_is_named() {
    let redis = RedisServer::start();
    let (shop, settings) = key();
    let texts = settings.each_ref().map(String::as_str);
    let node = cluster_node(&redis.url(), 0, &texts).await;
    let process = Process::serve(&["--redis-url", &redis.url(), "--node-id", "n9"]);
    process.ready(200).await;
    eventually("ready", async || is_ready(&node).await).await;
    let address = process.address().await;
    let away = TestClient::connect(address, Encoding::Json, "user=ann").await;
    let path = "/v1/users/ann/connections";
    let silent = async || {
        let (_, answer) = shop.get(node.address(), path).await;
        (answer["connections"].as_array().unwrap().len(), answer["silent"].clone())
    };
    eventually("it answers", async || silent().await == (1, json!([]))).await;
    process.signal("-STOP");
    assert_eq!(silent().await, (0, json!(["n9"])));
    let member = format!("/v1/rooms/a/members/{}", away.id);
    let status = shop.send(node.address(), ("PUT", &member), "", "{}").await.status;
    assert_eq!(status, 504);
    process.signal("-CONT");
    eventually("it answers again", async || silent().await == (1, json!([]))).await;
    // One that ends is not waited for.
    drop(away);
    process.stop().await;
    eventually("it is gone", async || silent().await == (0, json!([]))).await;
    node.stop().await;
}
