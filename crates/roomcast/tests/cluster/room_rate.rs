//! `room_publish_rate` bounds a room's messages over all nodes, connections and backends together.

use std::time::{Duration, Instant};

use crate::support::{Backend, Cluster};
use futures_util::future::join_all;
use roomcast_protocol::{ClientFrame, Encoding, ErrorCode, ServerFrame};
use serde_json::json;

const RATE: usize = 5;

#[tokio::test]
async fn a_room_s_rate_holds_over_all_nodes() {
    let shop = Backend::new("shop");
    let key = shop.settings("publish");
    let rate = format!("namespaces.default.room_publish_rate={RATE}");
    let settings = [
        key[0].as_str(),
        &key[1],
        &rate,
        "namespaces.default.publish_rate=0",
        "limits.exempt_networks=none",
    ];
    let cluster = Cluster::start(2, &settings).await;
    cluster.all_ready().await;
    let mut clients = Vec::new();
    for node in [0, 1, 0, 1] {
        clients.push(cluster.client(node, Encoding::Json).await);
    }
    let begun = Instant::now();
    let (mut stored, mut refused) = (0, 0);
    let mut asked = Vec::new();
    for client in &mut clients {
        for _ in 0..10 {
            let publish = client.publication("busy", "1");
            asked.push(publish.id.unwrap());
            client.send(&ClientFrame::Publish(publish)).await;
        }
    }
    for (number, id) in asked.into_iter().enumerate() {
        match clients[number / 10].answer(id).await {
            ServerFrame::Ack { .. } => stored += 1,
            ServerFrame::Error {
                code: ErrorCode::RateLimited, retry_after_ms, message, ..
            } => {
                assert!(retry_after_ms.is_some_and(|ms| ms > 0 && ms < 1_000));
                assert!(message.contains("room_publish_rate"), "{message}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let most = |passed: Duration| RATE * (2 + passed.as_secs() as usize);
    assert!(stored >= RATE && stored <= most(begun.elapsed()), "{stored} of 40");
    let mut counted = 0.0;
    for node in &cluster.nodes {
        let scrape = node.scrape().await;
        counted += scrape.with("roomcast_limits_total", "limit=\"room_publish_rate\"");
    }
    assert_eq!(counted, f64::from(refused));
    assert_eq!(clients[0].publish("quiet", "1").await.seq, 1, "another room");

    // Backends too.
    let body = json!({"data": 1}).to_string();
    let (address, path) = (cluster.nodes[0].address(), "/v1/rooms/backend/messages");
    let post = |_| shop.send(address, ("POST", path), "", &body);
    let answers = join_all((0..60).map(post)).await;
    let (stored, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(stored.len() >= RATE && !refused.is_empty(), "{} of 60", stored.len());
    for answer in refused {
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
        assert!(answer.body.contains("rate_limited"), "{}", answer.body);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn exempt_clients_have_no_room_rate() {
    let settings = ["namespaces.default.room_publish_rate=1", "namespaces.default.publish_rate=0"];
    let cluster = Cluster::start(1, &settings).await;
    cluster.all_ready().await;
    let mut client = cluster.client(0, Encoding::Json).await;
    for seq in 1..=20 {
        assert_eq!(client.publish("a", "1").await.seq, seq);
    }
    cluster.stop().await;
}
