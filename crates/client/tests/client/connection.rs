//! When a client comes back, where, and when it does not.

use futures_util::future::join as both;
use roomcast_client::{Client, ClientClosed, Event, FirstTry, JoinOptions, Options};
use serde_json::json;

use crate::node::{Node, join, lobby, message, soon, told};

#[tokio::test]
async fn a_hint_moves_the_client_once_it_is_connected_elsewhere_and_has_its_answers() {
    let (old, new) = (Node::start().await, Node::start().await);
    let mut options = old.options();
    options.urls.push(new.url());
    let client = Client::connect(options).unwrap();
    join(&client).await;
    let mut link = old.accept().await;
    link.admit(4).await;
    assert_eq!(told(&client).await, "joined 4 None");
    let pending = client.start_publish(message("x", None)).await.unwrap();
    let publish = link.expect("publish").await;
    link.send(json!({"type": "reconnect", "after_ms": 0, "reason": "drain"})).await;
    let mut next = new.accept().await;
    link.tell(5).await;
    assert_eq!(told(&client).await, "message 5", "it keeps receiving");
    let ack = json!({
        "type": "ack", "id": publish["id"], "room": "lobby", "epoch": "00000000000000e1",
        "seq": 5, "time": 2,
    });
    link.send(ack).await;
    assert_eq!(soon("the ack", pending).await.unwrap().position.seq, 5);
    assert_eq!(link.expect_close().await, 1000);
    assert_eq!(next.admit(5).await["since"]["seq"], 5);
    assert_eq!(told(&client).await, "joined 5 Some(true)");
}

#[tokio::test]
async fn codes_that_say_stop_are_obeyed() {
    let node = Node::start().await;
    let client = node.client();
    node.accept().await.close(1012).await;
    node.accept().await.close(4500).await;
    assert_eq!(told(&client).await, "closed Some(4500)");
    assert_eq!(soon("the end", client.next()).await, None);
    let late = soon("the answer", client.join(lobby(), JoinOptions::default())).await;
    assert_eq!(late, Err(ClientClosed));
}

#[tokio::test]
async fn statuses_that_may_pass_are_waited_out() {
    let node = Node::start().await;
    let client = node.client();
    node.refuse("503 Service Unavailable").await;
    node.refuse("404 Not Found").await;
    node.refuse("403 Forbidden").await;
    assert_eq!(told(&client).await, "closed None");
}

#[tokio::test]
async fn a_silent_node_is_left() {
    let node = Node::start().await;
    let client = node.client();
    let heartbeat = json!({"interval_ms": 20, "timeout_ms": 60});
    // Kept open: only its silence can tell that it is dead.
    let _silent = node.accept_with(heartbeat).await;
    let link = node.accept().await;
    assert!(link.query.contains("attempt=2"), "{}", link.query);
    let mut reasons = Vec::new();
    while reasons.len() < 3 {
        match soon("an event", client.next()).await {
            Some(Event::Connected { attempt, .. }) => reasons.push(format!("connected {attempt}")),
            Some(Event::Disconnected { reason, .. }) => reasons.push(reason.into()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reasons, ["connected 1", "nothing was heard from the node", "connected 2"]);
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_is_no_silent_loss() {
    let node = Node::start().await;
    let client = node.client();
    join(&client).await;
    let mut link = node.accept().await;
    link.admit(4).await;
    link.send(json!({"type": "message", "room": "lobby", "seq": "five"})).await;
    let mut link = node.accept().await;
    assert_eq!(link.admit(4).await["since"]["seq"], 4);
    link.send(json!({"type": "from_a_later_version", "x": 1})).await;
    link.tell(5).await;
    for expected in ["joined 4 None", "joined 4 Some(true)", "message 5"] {
        assert_eq!(told(&client).await, expected);
    }
}

#[tokio::test]
async fn a_first_failure_ends_a_client_that_asked_for_it() {
    let node = Node::start().await;
    let mut options = Options::new([node.url()]);
    options.first_try = FirstTry::Fail;
    drop(node);
    let client = Client::connect(options).unwrap();
    assert_eq!(told(&client).await, "closed None");
}

#[tokio::test]
async fn closing_says_goodbye_and_so_does_dropping() {
    let node = Node::start().await;
    let client = node.client();
    let mut link = node.accept().await;
    connected(&client).await;
    let (code, ()) = both(link.expect_close(), soon("closing", client.close())).await;
    assert_eq!(code, 1000);
    let client = node.client();
    let mut link = node.accept().await;
    connected(&client).await;
    drop(client);
    assert_eq!(link.expect_close().await, 1000);
}

async fn connected(client: &Client) {
    let event = soon("a connection", client.next()).await;
    assert!(matches!(event, Some(Event::Connected { .. })), "{event:?}");
}
