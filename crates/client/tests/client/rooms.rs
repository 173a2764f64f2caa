//! Rooms over lost connections: nothing twice, every hole named.

use roomcast_client::{Client, JoinOptions, PublishFailure};
use roomcast_protocol::Encoding;
use serde_json::json;

use crate::node::{EPOCH, Node, join, lobby, message, soon, told};

#[tokio::test]
async fn a_dropped_connection_is_resumed_where_it_stood() {
    let node = Node::start().await;
    let client = node.client();
    join(&client).await;
    let mut link = node.accept().await;
    let first = link.admit(4).await;
    assert!(first.get("since").is_none(), "{first}");
    let query = link.query.clone();
    link.tell(5).await;
    link.tell(6).await;
    for expected in ["joined 4 None", "message 5", "message 6"] {
        assert_eq!(told(&client).await, expected);
    }
    drop(link);

    let mut link = node.accept().await;
    let again = query.replace("attempt=1", "attempt=2&tries=1");
    assert_eq!(link.query, again, "the same client, again");
    let again = link.admit(6).await;
    assert_eq!(again["since"], json!({"epoch": EPOCH, "seq": 6}));
    link.tell(6).await;
    link.tell(7).await;
    for expected in ["joined 6 Some(true)", "message 7"] {
        assert_eq!(told(&client).await, expected);
    }
}

#[tokio::test]
async fn messagepack_says_the_same() {
    let node = Node::start().await;
    let mut options = node.options();
    options.encoding = Encoding::MsgPack;
    let client = Client::connect(options).unwrap();
    join(&client).await;
    let mut link = node.accept().await;
    link.admit(4).await;
    link.tell(5).await;
    for expected in ["joined 4 None", "message 5"] {
        assert_eq!(told(&client).await, expected);
    }
    let pending = client.start_publish(message("x", None)).await.unwrap();
    assert_eq!(link.expect("publish").await["data"], "x");
    drop(link);
    assert_eq!(soon("the outcome", pending).await, Err(PublishFailure::Unknown));
    assert_eq!(node.accept().await.admit(5).await["since"], json!({"epoch": EPOCH, "seq": 5}));
}

#[tokio::test]
async fn gaps_and_resets_are_told_and_moved_along() {
    let node = Node::start().await;
    let client = node.client();
    join(&client).await;
    let mut link = node.accept().await;
    link.admit(4).await;
    link.send(json!({"type": "gap", "room": "lobby", "from": 5, "to": 9})).await;
    link.tell(10).await;
    let reset = json!({
        "type": "reset", "room": "lobby", "epoch": "00000000000000e2", "seq": 1, "lost": 9,
    });
    link.send(reset).await;
    for expected in ["joined 4 None", "gap 5-9", "message 10", "reset 1 lost 9"] {
        assert_eq!(told(&client).await, expected);
    }
    drop(link);
    let again = node.accept().await.admit(1).await;
    assert_eq!(again["since"], json!({"epoch": "00000000000000e2", "seq": 1}));
}

#[tokio::test]
async fn history_is_asked_for_once_and_leaving_ends_it() {
    let node = Node::start().await;
    let client = node.client();
    let options = JoinOptions { history: Some(3), ..JoinOptions::default() };
    client.join(lobby(), options).await.unwrap();
    let mut link = node.accept().await;
    assert_eq!(link.admit(0).await["history"], 3);
    assert_eq!(told(&client).await, "joined 0 None");
    drop(link);
    let mut link = node.accept().await;
    assert!(link.admit(0).await.get("history").is_none());
    assert_eq!(told(&client).await, "joined 0 Some(true)");
    client.leave(lobby()).await.unwrap();
    let leave = link.expect("leave").await;
    link.send(json!({"type": "left", "id": leave["id"], "room": "lobby"})).await;
    assert_eq!(told(&client).await, "left");
}

#[tokio::test]
async fn a_slow_application_loses_nothing() {
    let node = Node::start().await;
    let mut options = node.options();
    options.events = 1;
    let client = Client::connect(options).unwrap();
    join(&client).await;
    let mut link = node.accept().await;
    let admitted = tokio::spawn(async move {
        link.admit(0).await;
        for seq in 1..=5000 {
            link.tell(seq).await;
        }
        link
    });
    assert_eq!(told(&client).await, "joined 0 None");
    for seq in 1..=5000 {
        assert_eq!(told(&client).await, format!("message {seq}"));
    }
    soon("the node's end", admitted).await.unwrap();
}
