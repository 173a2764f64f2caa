//! The limit of a user's connections on a node without Redis: its own count decides.

use crate::support::auth::{GUARDED, token};
use crate::support::{RawClient, TestNode, eventually, get};
use roomcast_protocol::CloseCode;

async fn start(most: &str) -> TestNode {
    let limit = format!("limits.user_connections={most}");
    TestNode::start(&[GUARDED[0], GUARDED[1], &limit, "node.workers=2"]).await
}

async fn connect(node: &TestNode, path: &str) -> RawClient {
    let client = RawClient::try_upgrade(node.address(), path).await;
    client.unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

async fn look(node: &TestNode, path: &str) -> u16 {
    get(node.address(), path).await.status
}

#[tokio::test]
async fn a_user_has_so_many_connections() {
    let node = start("2").await;
    let ann = format!("/ws?token={}", token("ann", ""));
    let (tab, phone) = (format!("{ann}&client=tab"), format!("{ann}&client=phone"));
    let mut first = connect(&node, &tab).await;
    let mut second = connect(&node, &tab).await;
    for path in [&ann, &phone] {
        assert_eq!(look(&node, path).await, 429);
        let refusal = RawClient::try_upgrade(node.address(), path).await.err().unwrap();
        assert_eq!(refusal.status, 429);
        assert!(refusal.body.contains("too_many_connections"), "{}", refusal.body);
        assert!(refusal.header("retry-after").is_some());
    }
    // One that looks closes nothing; one that comes takes the oldest place of its client.
    assert_eq!(look(&node, &tab).await, 426);
    assert!(first.is_open().await);
    let mut third = connect(&node, &tab).await;
    assert_eq!(first.closed().await, Some(CloseCode::Replaced.code()));
    assert!(second.is_open().await && third.is_open().await);
    assert_eq!(look(&node, &format!("/ws?token={}", token("bob", ""))).await, 426);
    // Its end is counted once its client has closed the socket, too.
    drop(first);
    eventually("one was replaced", async || {
        let scrape = node.scrape().await;
        scrape.with("roomcast_connections_closed_total", "reason=\"replaced\"") == 1.0
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn places_are_given_back() {
    let node = start("3").await;
    let ann = format!("/ws?token={}", token("ann", ""));
    for _ in 0..100 {
        let mut held = Vec::new();
        // An end is counted when the node has seen it.
        eventually("three places", async || {
            held.extend(RawClient::try_upgrade(node.address(), &ann).await);
            held.len() == 3
        })
        .await;
        assert_eq!(look(&node, &ann).await, 429);
    }
    node.stop().await;
}

#[tokio::test]
async fn zero_is_no_limit_and_names_without_proof_have_none() {
    let node = start("0").await;
    let ann = format!("/ws?token={}", token("ann", ""));
    let mut open = Vec::new();
    for _ in 0..101 {
        open.push(connect(&node, &ann).await);
    }
    node.stop().await;
    let node = TestNode::start(&["limits.user_connections=1"]).await;
    let _first = connect(&node, "/ws?user=ann&client=tab").await;
    let mut second = connect(&node, "/ws?user=ann&client=tab").await;
    assert!(second.is_open().await);
    node.stop().await;
}
