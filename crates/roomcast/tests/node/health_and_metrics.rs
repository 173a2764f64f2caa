//! P8, and the families of `docs/metrics.md` that a node alone produces: they move with what
//! happens, and gauges come back to zero.

use crate::support::{RawClient, SHORT_LOG, Scrape, TestNode, foreign, get, plain, room};
use roomcast_protocol::{
    ClientFrame, Encoding, HistoryQuery, JoinRoom, Position, Publish, PublishKey,
};

#[tokio::test]
async fn a_node_tells_that_it_lives_and_is_ready() {
    let node = TestNode::start(&[]).await;
    let live = get(node.address(), "/health/live").await;
    assert_eq!((live.status, &*live.body), (200, r#"{"live":true}"#));
    let ready = get(node.address(), "/health/ready").await;
    assert_eq!((ready.status, &*ready.body), (200, r#"{"ready":true,"reasons":[]}"#));
    for response in [&live, &ready] {
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    let metrics = get(node.address(), "/metrics").await;
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let scrape = Scrape::parse(&metrics.body);
    assert_eq!(scrape.sum("roomcast_build_info"), 1.0);
    assert_eq!(scrape.sum("roomcast_bus_up"), 1.0);
    assert_eq!(scrape.sum("roomcast_bus_subscribed"), 1.0);
    let page = get(node.address(), "/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    node.stop().await;
}

#[tokio::test]
async fn metrics_may_have_an_address_of_their_own() {
    let node = TestNode::start(&["http.metrics_listen=127.0.0.1:0"]).await;
    let apart = node.node.metrics_address().expect("an address of its own");
    assert_ne!(apart, node.address());
    assert_eq!(get(node.address(), "/metrics").await.status, 404);
    assert_eq!(get(apart, "/metrics").await.status, 200);
    assert_eq!(get(apart, "/health/ready").await.status, 200);
    assert_eq!(get(node.address(), "/health/ready").await.status, 200);
    assert_eq!(get(apart, "/ws").await.status, 404);
    assert_eq!(get(apart, "/").await.status, 404);
    assert_eq!(node.scrape().await.sum("roomcast_build_info"), 1.0);
    node.stop().await;
}

/// Families that a node alone moves in the scenario below. The others belong to Redis, to faults,
/// or to other tests: slow members, panics, budgets.
const MOVED: [&str; 27] = [
    "roomcast_build_info",
    "roomcast_descriptor_limit",
    "roomcast_worker_last_tick_timestamp_seconds",
    "process_resident_memory_bytes",
    "roomcast_connections",
    "roomcast_connections_opened_total",
    "roomcast_connections_closed_total",
    "roomcast_connections_refused_total",
    "roomcast_connection_duration_seconds_count",
    "roomcast_handshake_seconds_count",
    "roomcast_frames_in_total",
    "roomcast_frame_seconds_count",
    "roomcast_messages_in_total",
    "roomcast_messages_out_total",
    "roomcast_bytes_in_total",
    "roomcast_bytes_out_total",
    "roomcast_writes_total",
    "roomcast_passes_total",
    "roomcast_errors_total",
    "roomcast_publish_ack_seconds_count",
    "roomcast_delivery_seconds_count",
    "roomcast_delivery_stage_seconds_count",
    "roomcast_rooms",
    "roomcast_members",
    "roomcast_gaps_total",
    "roomcast_resumes_total",
    "roomcast_catchup_reads_total",
];

#[tokio::test]
async fn every_family_moves_with_what_happens() {
    let history = ["namespaces.default.history_size=20", "namespaces.chat.history_size=10"];
    let node = TestNode::start(&[&SHORT_LOG[..], &history].concat()).await;
    let mut json = node.user(Encoding::Json, "ann").await;
    let mut msgpack = node.user(Encoding::MsgPack, "bob").await;
    let start = json.join("lobby").await.at;
    msgpack.join("lobby").await;
    msgpack.join("chat:1").await;
    let big = format!("\"{:>8190}\"", 1);
    for _ in 0..100 {
        json.publish("lobby", &big).await;
        json.message("lobby").await;
        msgpack.message("lobby").await;
    }

    // A resume with a gap, one of another life, one that misses nothing.
    let mut back = node.user(Encoding::Json, "eve&client=abc&attempt=2").await;
    for since in [Position { seq: 1, ..start }, foreign(3), Position { seq: 100, ..start }] {
        back.resume("lobby", since).await;
        back.leave("lobby").await;
    }
    back.join_with(JoinRoom { history: Some(5), ..plain("lobby") }).await;
    let query =
        HistoryQuery { id: Some(900), room: room("lobby"), after: None, before: None, limit: 5 };
    back.ask(&ClientFrame::History(query)).await;
    back.send_bytes(b"?".to_vec()).await;
    for (json_text, id) in [("1", 901), ("2", 902)] {
        let key = Some(PublishKey::parse("k").unwrap());
        let publish = Publish { key, id: Some(id), ..back.publication("lobby", json_text) };
        let _ack_or_conflict = back.try_publish(publish).await;
    }
    assert_eq!(get(node.address(), "/nothing").await.status, 404);
    let mut refused = RawClient::connect(node.address()).await;
    refused.write(b"POST /ws HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(refused.response().await.status, 405);
    back.socket.close(None).await.unwrap();
    back.closed().await;
    node.until("roomcast_connections_closed_total", |count| count == 1.0).await;

    let scrape = node.scrape().await;
    let still: Vec<_> = MOVED.into_iter().filter(|name| scrape.sum(name) <= 0.0).collect();
    assert!(still.is_empty(), "these did not move: {still:?}");
    let is =
        |name, label: &str, value| assert_eq!(scrape.with(name, label), value, "{name} {label}");
    is("roomcast_connections", "encoding=\"json\"", 1.0);
    is("roomcast_connections", "encoding=\"msgpack\"", 1.0);
    is("roomcast_connections_opened_total", "kind=\"first\"", 2.0);
    is("roomcast_connections_opened_total", "kind=\"returning\"", 1.0);
    is("roomcast_connections_closed_total", "reason=\"client\"", 1.0);
    is("roomcast_connections_refused_total", "reason=\"not_found\"", 1.0);
    is("roomcast_connections_refused_total", "reason=\"method\"", 1.0);
    is("roomcast_frames_in_total", "type=\"publish\"", 102.0);
    is("roomcast_frames_in_total", "type=\"join\"", 7.0);
    is("roomcast_frames_in_total", "type=\"leave\"", 3.0);
    is("roomcast_frames_in_total", "type=\"history\"", 1.0);
    is("roomcast_frames_in_total", "type=\"bad\"", 1.0);
    is("roomcast_errors_total", "code=\"bad_frame\"", 1.0);
    is("roomcast_errors_total", "code=\"key_conflict\"", 1.0);
    is("roomcast_resumes_total", "outcome=\"gap\"", 1.0);
    is("roomcast_resumes_total", "outcome=\"reset\"", 1.0);
    is("roomcast_resumes_total", "outcome=\"recovered\"", 1.0);
    is("roomcast_gaps_total", "cause=\"history\"", 1.0);
    is("roomcast_rooms", "namespace=\"chat\"", 1.0);
    is("roomcast_rooms", "namespace=\"default\"", 2.0);
    is("roomcast_members", "namespace=\"chat\"", 1.0);
    is("roomcast_members", "namespace=\"default\"", 2.0);
    assert_eq!(scrape.sum("roomcast_messages_in_total"), 102.0);
    assert_eq!(scrape.sum("roomcast_delivery_seconds_count"), 202.0);
    assert!(scrape.sum("roomcast_publish_ack_seconds_count") >= 101.0);
    for stage in ["bus", "hub", "pass"] {
        let label = format!("stage=\"{stage}\"");
        let count = scrape.with("roomcast_delivery_stage_seconds_count", &label);
        assert!(count > 0.0, "stage {stage}");
    }
    // 100 and 1 to each of the two, and what the third was sent.
    assert!(scrape.sum("roomcast_messages_out_total") >= 202.0);

    drop((json, msgpack));
    for gauge in ["roomcast_connections", "roomcast_members", "roomcast_rooms"] {
        node.until(gauge, |count| count == 0.0).await;
    }
    // Swept every few seconds.
    node.until("roomcast_log_bytes", |bytes| bytes > 0.0).await;
    node.until("roomcast_log_batches", |batches| batches > 0.0).await;
    node.stop().await;
}

/// A room that everybody left gives its memory back after it lingered.
#[tokio::test]
async fn rooms_that_everybody_left_are_forgotten() {
    let node = TestNode::start(&["limits.room_linger=0ms"]).await;
    let mut clients = Vec::new();
    for n in 0..20 {
        let mut client = node.user(Encoding::ALL[n % 2], "ann").await;
        client.join(&format!("room-{n}")).await;
        client.publish(&format!("room-{n}"), &format!("\"{:>20000}\"", 1)).await;
        clients.push(client);
    }
    node.until("roomcast_log_bytes", |bytes| bytes >= 20.0 * 20_000.0).await;
    drop(clients);
    node.until("roomcast_log_bytes", |bytes| bytes == 0.0).await;
    node.until("roomcast_log_batches", |batches| batches == 0.0).await;
    let scrape = node.scrape().await;
    assert_eq!(scrape.sum("roomcast_connections"), 0.0);
    node.stop().await;
}
