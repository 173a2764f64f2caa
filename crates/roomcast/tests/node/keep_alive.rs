//! P6 and P10 on a socket that is kept for several requests: it lasts as long as its requests go
//! on, each stage within its limit, and a body confuses nothing.

use crate::support::{RawClient, Scrape, TestNode, UPGRADE, eventually, get};

const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: node\r\n\r\n";

const LAST: &str = "GET /health/live HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";

/// Sends a request on a socket that is kept, and returns the status.
async fn status(client: &mut RawClient, request: &str) -> u16 {
    client.write(request.as_bytes()).await;
    client.response().await.status
}

fn refused(scrape: &Scrape, reason: &str) -> f64 {
    scrape.with("roomcast_connections_refused_total", &format!("reason=\"{reason}\""))
}

#[tokio::test]
async fn one_socket_serves_any_number_of_requests() {
    let node = TestNode::start(&[]).await;
    let mut client = RawClient::connect(node.address()).await;
    for _ in 0..100 {
        for (request, expected) in [
            (LIVE, 200),
            ("GET /nothing HTTP/1.1\r\nHost: node\r\n\r\n", 404),
            ("DELETE /metrics HTTP/1.1\r\nHost: node\r\n\r\n", 405),
            ("GET /ws HTTP/1.1\r\nHost: node\r\n\r\n", 426),
        ] {
            assert_eq!(status(&mut client, request).await, expected, "{request}");
        }
    }
    // Several at once, and an upgrade behind them.
    client.write(format!("{}{UPGRADE}\r\n", LIVE.repeat(50)).as_bytes()).await;
    for _ in 0..50 {
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(client.response().await.status, 101);
    assert!(client.frame().await.is_some(), "connected");
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn a_socket_without_requests_ends_and_is_no_refusal() {
    let apart = "http.metrics_listen=127.0.0.1:0";
    let node = TestNode::start(&["http.idle_timeout=100ms", apart]).await;
    for address in [node.address(), node.node.metrics_address().unwrap()] {
        let mut client = RawClient::connect(address).await;
        assert_eq!(status(&mut client, LIVE).await, 200);
        assert!(client.ends_unanswered().await, "at {address}");
    }
    assert_eq!(refused(&node.scrape().await, "timeout"), 0.0);
    node.stop().await;
}

/// A further request's head has as much time as the first one's, whether its bytes stop or trickle.
#[tokio::test]
async fn a_later_head_that_never_ends_is_ended() {
    let settings = ["http.header_timeout=300ms", "http.idle_timeout=1h"];
    let node = TestNode::start(&settings).await;
    let mut half = RawClient::connect(node.address()).await;
    assert_eq!(status(&mut half, LIVE).await, 200);
    half.write(b"GET /health/live HTTP/1.1\r\nHost: node\r\n").await;
    assert!(half.ends_unanswered().await);

    // Empty lines are skipped before a request, but they are no request.
    let mut empty = RawClient::connect(node.address()).await;
    assert_eq!(status(&mut empty, LIVE).await, 200);
    empty.write(b"\r\n").await;
    assert!(empty.ends_unanswered().await);
    eventually("both are counted", async || refused(&node.scrape().await, "timeout") == 2.0).await;
    node.stop().await;
}

/// Sockets whose heads never end fill the bound again and again; one whose requests go on is not
/// ended to make room for them.
#[tokio::test]
async fn a_socket_that_is_used_outlives_a_flood_of_others() {
    // 37 sockets.
    let settings = ["node.workers=1", "limits.handshake_bytes=1MiB", "http.header_timeout=300s"];
    let node = TestNode::start(&settings).await;
    let mut used = RawClient::connect(node.address()).await;
    let mut unused = RawClient::connect(node.address()).await;
    assert_eq!(status(&mut unused, LIVE).await, 200);
    let mut slow = Vec::new();
    for _ in 0..20 {
        for _ in 0..10 {
            let mut client = RawClient::connect(node.address()).await;
            client.write(b"GET /ws HTTP/1.1\r\nHost: node\r\nX-Slow: ").await;
            slow.push(client);
        }
        // Sockets are accepted in their order: the answer on one more shows that all of them were.
        assert_eq!(get(node.address(), "/health/live").await.status, 200);
        assert_eq!(status(&mut used, LIVE).await, 200);
    }
    assert!(unused.ends_unanswered().await, "one that is not used makes room");
    assert!(slow[0].ends_unanswered().await);
    assert!(refused(&node.scrape().await, "limit") >= 160.0);
    let mut client = node.json().await;
    client.publish("room", "1").await;
    assert_eq!(status(&mut used, LIVE).await, 200);
    drop((used, slow, client));
    node.stop().await;
}

/// Whatever a body holds, it is never taken for a request.
#[tokio::test]
async fn a_body_is_no_request() {
    let node = TestNode::start(&[]).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: node\r\n\r\n";
    let length = hidden.len();
    let chunked = format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n");
    let rows = [
        ("GET /health/live", format!("Content-Length: {length}\r\n\r\n{hidden}"), 413),
        ("GET /metrics", format!("Transfer-Encoding: chunked\r\n\r\n{chunked}"), 413),
        ("GET /ws", format!("Content-Length: {length}\r\n\r\n{hidden}"), 426),
        ("POST /ws", format!("Content-Length: {length}\r\n\r\n{hidden}"), 405),
        ("POST /nothing", format!("Transfer-Encoding: chunked\r\n\r\n{chunked}"), 404),
        // Both lengths: the one that a proxy may have gone by is not used any more.
        (
            "GET /health/live",
            format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
            413,
        ),
        // Less than the head says: the rest would be the next request's begin.
        ("GET /health/live", format!("Content-Length: {}\r\n\r\n{hidden}", length + 9), 413),
        ("POST /ws", format!("Content-Length: {}\r\n\r\n{hidden}", 1_u64 << 40), 405),
    ];
    for (line, rest, expected) in rows {
        let mut client = RawClient::connect(node.address()).await;
        client.write(format!("{line} HTTP/1.1\r\nHost: node\r\n{rest}").as_bytes()).await;
        let response = client.response().await;
        assert_eq!(response.status, expected, "{line} {rest:?}");
        if expected == 413 {
            assert_eq!(response.header("connection"), Some("close"), "{line} {rest:?}");
        }
        // The next answer on a socket that is kept is that of the next request.
        client.write(LAST.as_bytes()).await;
        let next = client.rest().await;
        assert!(!next.contains("not_found"), "{line} {rest:?}: {next}");
        assert!(next.matches("HTTP/1.1 ").count() <= 1, "{line} {rest:?}: {next}");
    }
    // An empty body is none, however it is written, and the socket is kept.
    let mut client = RawClient::connect(node.address()).await;
    for rest in ["Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
        let request = format!("GET /health/live HTTP/1.1\r\nHost: node\r\n{rest}");
        assert_eq!(status(&mut client, &request).await, 200, "{rest:?}");
    }
    // The node does not ask for a body that it would refuse.
    let asks = "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let request = format!("GET /health/live HTTP/1.1\r\nHost: node\r\n{asks}");
    assert_eq!(status(&mut client, &request).await, 413);
    assert!(client.ends_unanswered().await);
    node.stop().await;
}
