//! Publishes and history reads: one answer each, and a true one.

use std::time::Duration;

use roomcast_client::{Client, PublishFailure, RequestFailure};
use roomcast_protocol::{ErrorCode, HistoryQuery};
use serde_json::{Value, json};

use crate::node::{EPOCH, Node, join, lobby, message, soon};

fn ack(publish: &Value, seq: u64) -> Value {
    json!({
        "type": "ack", "id": publish["id"], "room": "lobby", "epoch": EPOCH, "seq": seq, "time": 9,
    })
}

#[tokio::test]
async fn a_publish_with_a_key_survives_its_connection() {
    let node = Node::start().await;
    let client = node.client();
    let pending = client.start_publish(message("x", Some("k"))).await.unwrap();
    let first = node.accept().await.expect("publish").await;
    let mut link = node.accept().await;
    let second = link.expect("publish").await;
    assert_eq!((&second["key"], &second["data"]), (&json!("k"), &json!("x")));
    assert_eq!(first, second);
    link.send(ack(&second, 5)).await;
    link.send(ack(&second, 6)).await;
    let ack = soon("the ack", pending).await.unwrap();
    assert_eq!((ack.position.seq, ack.time), (5, 9));
}

#[tokio::test]
async fn a_publish_without_a_key_ends_unknown() {
    let node = Node::start().await;
    let client = node.client();
    let pending = client.start_publish(message("x", None)).await.unwrap();
    node.accept().await.expect("publish").await;
    assert_eq!(soon("the outcome", pending).await, Err(PublishFailure::Unknown));
}

#[tokio::test]
async fn publishes_keep_their_order_and_get_their_own_answers() {
    let node = Node::start().await;
    let client = node.client();
    let mut pending = Vec::new();
    for text in ["a", "b", "c"] {
        pending.push(client.start_publish(message(text, None)).await.unwrap());
    }
    let mut link = node.accept().await;
    let mut frames = Vec::new();
    for text in ["a", "b", "c"] {
        frames.push(link.expect("publish").await);
        assert_eq!(frames.last().unwrap()["data"], text);
    }
    link.send(ack(&frames[2], 3)).await;
    let refusal = json!({
        "type": "error", "id": frames[1]["id"], "room": "lobby", "code": "forbidden",
        "message": "no",
    });
    link.send(refusal).await;
    link.send(ack(&frames[0], 1)).await;
    let outcomes = [pending.remove(0), pending.remove(0), pending.remove(0)];
    let mut seqs = Vec::new();
    for outcome in outcomes {
        seqs.push(soon("an outcome", outcome).await.map(|ack| ack.position.seq));
    }
    let (code, message) = (ErrorCode::Forbidden, "no".into());
    let refused = PublishFailure::Refused { code, message, retry_after: None };
    assert_eq!(seqs, [Ok(1), Err(refused), Ok(3)]);
}

#[tokio::test]
async fn a_publish_above_the_limit_is_not_sent() {
    let node = Node::start().await;
    let client = node.client();
    let large = client.start_publish(message(&"x".repeat(5000), None)).await.unwrap();
    let small = client.start_publish(message("x", None)).await.unwrap();
    let mut link = node.accept().await;
    let frame = link.expect("publish").await;
    assert_eq!(frame["data"], "x");
    link.send(ack(&frame, 1)).await;
    let failure = soon("the outcome", large).await.unwrap_err();
    assert!(matches!(failure, PublishFailure::TooLarge { limit: 4096, .. }), "{failure:?}");
    assert!(soon("the ack", small).await.is_ok());
}

#[tokio::test]
async fn an_application_that_reads_nothing_gets_its_answers_and_its_end() {
    let node = Node::start().await;
    let mut options = node.options();
    (options.events, options.request_timeout) = (1, Duration::from_millis(100));
    let client = Client::connect(options).unwrap();
    join(&client).await;
    let mut link = node.accept().await;
    link.admit(0).await;
    for seq in 1..=20 {
        link.tell(seq).await;
    }
    let pending = client.start_publish(message("x", None)).await.unwrap();
    let publish = link.expect("publish").await;
    link.send(ack(&publish, 21)).await;
    assert_eq!(soon("the outcome", pending).await, Err(PublishFailure::Unknown));
    soon("closing", client.close()).await;
}

#[tokio::test]
async fn history_is_read_and_asked_again() {
    let node = Node::start().await;
    let client = node.client();
    let query = HistoryQuery { id: None, room: lobby(), after: Some(2), before: None, limit: 2 };
    let asking = client.clone();
    let read = tokio::spawn(async move { asking.history(query).await });
    node.accept().await.expect("history").await;
    let mut link = node.accept().await;
    let asked = link.expect("history").await;
    assert_eq!((&asked["after"], &asked["limit"]), (&json!(2), &json!(2)));
    let message = |seq: u64| json!({"seq": seq, "time": 1, "data": seq});
    let answer = json!({
        "type": "history", "id": asked["id"], "room": "lobby", "epoch": EPOCH,
        "messages": [message(3), message(4)], "more": true,
    });
    link.send(answer).await;
    let page = soon("the page", read).await.unwrap().unwrap();
    assert_eq!(page.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), [3, 4]);
    assert_eq!((page.end.unwrap().seq, page.more), (4, true));
    client.close().await;
    let query = HistoryQuery { id: None, room: lobby(), after: None, before: None, limit: 2 };
    assert_eq!(client.history(query).await, Err(RequestFailure::Closed));
}
