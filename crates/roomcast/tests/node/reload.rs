//! A running node takes over what a new configuration changes, for rooms and connections that are
//! there already, and says what waits for a restart.

use crate::support::{SHORT_LOG, TestNode, eventually, get, plain};
use roomcast_gateway::config::SlowPolicy;
use roomcast_protocol::{ClientFrame, Encoding, ErrorCode, JoinRoom, RoomName, ServerFrame};

#[tokio::test]
async fn policies_and_limits_change_for_rooms_that_run() {
    let mut node = TestNode::start(&["node.id=n"]).await;
    let mut member = node.user(Encoding::Json, "ann").await;
    for name in ["lobby", "chat:1", "chat:2"] {
        member.join(name).await;
    }
    for n in 0..20 {
        member.publish("chat:1", &n.to_string()).await;
        member.publish("lobby", "\"a text of more than sixteen bytes\"").await;
    }
    for _ in 0..40 {
        assert!(matches!(member.frame().await, ServerFrame::Message { .. }));
    }

    let new = TestNode::config(&[
        "node.id=n",
        "namespaces.chat.message_bytes=16",
        "namespaces.chat.history_size=3",
        "limits.rooms_per_connection=3",
        "limits.connections=3",
    ]);
    let differences = node.node.config().differences(&new);
    assert_eq!(differences.need_restart, [""; 0]);
    assert!(differences.reloadable.contains(&"limits.connections".to_owned()));
    node.node.reload(&new).await;
    assert_eq!(node.node.config(), &new);

    // Workers take it over on their own threads, within moments.
    eventually("the new limit of data", async || {
        let long = member.publication("chat:1", "\"a text of more than sixteen bytes\"");
        member.try_publish(long).await == Err(ErrorCode::TooLarge)
    })
    .await;
    let id = Some(member.next_id());
    match member.ask(&ClientFrame::Join { id, rooms: vec![plain("one-more")] }).await {
        ServerFrame::Error { code: ErrorCode::TooManyRooms, .. } => {}
        other => panic!("{other:?}"),
    }
    // Members stay, in rooms of either namespace, and are counted under the new one.
    member.ping().await;
    let seq = member.publish("lobby", "\"a text of more than sixteen bytes\"").await.seq;
    assert_eq!(member.message("lobby").await.seq, seq);
    let scrape = node.scrape().await;
    assert_eq!(scrape.with("roomcast_members", "namespace=\"chat\""), 2.0);
    assert_eq!(scrape.with("roomcast_rooms", "namespace=\"chat\""), 2.0);
    assert_eq!(scrape.with("roomcast_members", "namespace=\"default\""), 1.0);

    let mut late = node.user(Encoding::MsgPack, "bob").await;
    let at = late.join("chat:1").await.at;
    late.leave("chat:1").await;
    let joined = late.join_with(JoinRoom { history: Some(50), ..plain("chat:1") }).await;
    assert_eq!(joined.at.seq, at.seq - 3);
    // The socket that was scraped with has gone by now.
    let third = node.json().await;
    let refused = get(node.address(), "/ws").await;
    assert_eq!(refused.status, 503, "three connections and this one: {refused:?}");
    drop((member, late, third));
    node.until("roomcast_members", |count| count == 0.0).await;
    node.stop().await;
}

/// `insecure` takes effect at a start only, so a reload may not lean on it.
#[tokio::test]
async fn a_reload_opens_no_node_that_others_reach() {
    let everywhere = ["node.id=n", "http.listen=0.0.0.0:0"];
    let secret = "auth.hs_secret=a-secret-of-thirty-two-bytes-or-more";
    let mut node = TestNode::start(&[&everywhere[..], &[secret]].concat()).await;
    let open = TestNode::config(&[&everywhere[..], &["insecure=true"]].concat());
    node.node.reload(&open).await;
    assert_eq!(get(node.address(), "/ws").await.status, 401);
    assert!(!node.node.config().insecure);
    node.stop().await;
}

#[tokio::test]
async fn what_needs_a_restart_is_told_and_left() {
    let mut node = TestNode::start(&["node.id=keeps"]).await;
    let settings = [
        "node.id=other",
        "heartbeat.interval=3s",
        "http.header_timeout=5s",
        "namespaces.default.slow=conflate",
    ];
    let new = TestNode::config(&[&SHORT_LOG[..], &settings].concat());
    let need_restart = node.node.config().differences(&new).need_restart;
    assert_eq!(need_restart, ["heartbeat.interval", "http.header_timeout", "node.id"]);
    node.node.reload(&new).await;
    let config = node.node.config();
    assert_eq!(config.node.id.as_str(), "keeps");
    assert_eq!(config.heartbeat.interval.as_secs(), 25);
    assert_eq!(config.http.header_timeout.as_secs(), 10);
    assert_eq!(config.limits.lag_bytes, 64 * 1024);
    let lobby = RoomName::parse("lobby").unwrap();
    assert_eq!(config.namespaces.of(&lobby).1.slow, SlowPolicy::Conflate);
    // The same is still told the next time: it still waits.
    assert_eq!(node.node.config().differences(&new).need_restart, need_restart);
    let client = node.json().await;
    match &client.connected {
        ServerFrame::Connected { node, heartbeat, .. } => {
            assert_eq!((node.as_str(), heartbeat.interval_ms), ("keeps", 25_000));
        }
        other => panic!("{other:?}"),
    }
    drop(client);
    node.stop().await;
}
