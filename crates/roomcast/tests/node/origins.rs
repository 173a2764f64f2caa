//! Which pages may reach a node, what they are told, and how a foreign page is kept out.

use crate::support::{RawClient, Response, TestNode};

const WS: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Sends a request with these headers, each with its line end.
async fn ask(node: &TestNode, line: &str, headers: &str) -> Response {
    let mut client = RawClient::connect(node.address()).await;
    client.write(format!("{line} HTTP/1.1\r\n{headers}\r\n").as_bytes()).await;
    client.response().await
}

/// The status of an upgrade, of the same without upgrade, and of the page.
async fn statuses(node: &TestNode, host: &str, origin: &str) -> [u16; 3] {
    let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
    let headers = format!("Host: {host}\r\n{origin}");
    [
        ask(node, "GET /ws", &format!("{headers}{WS}")).await.status,
        ask(node, "GET /ws", &headers).await.status,
        ask(node, "GET /", &headers).await.status,
    ]
}

#[tokio::test]
async fn without_a_list_only_local_pages_reach_an_open_node() {
    let node = TestNode::start(&[]).await;
    for (host, origin, expected) in [
        ("localhost:8080", "", [101, 426, 200]),
        ("localhost:8080", "http://localhost:8080", [101, 426, 200]),
        ("localhost:8080", "http://127.0.0.1:3000", [101, 426, 200]),
        ("192.0.2.7", "http://192.0.2.7", [101, 426, 200]),
        ("192.0.2.7", "http://192.0.2.8", [403, 403, 403]),
        ("localhost:8080", "https://evil.example", [403, 403, 403]),
        ("localhost:8080", "null", [403, 403, 403]),
        // DNS rebinding: the name of the attacker's page leads to this node.
        ("evil.example", "http://evil.example", [403, 403, 403]),
        ("evil.example", "", [101, 426, 403]),
    ] {
        assert_eq!(statuses(&node, host, origin).await, expected, "{host} {origin}");
    }
    let refused = ask(&node, "GET /ws", "Host: a.example\r\nOrigin: https://b.example\r\n").await;
    let body: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(body["code"], "bad_origin");
    for named in ["a.example", "https://b.example", "http.origins"] {
        assert!(body["detail"].as_str().unwrap().contains(named), "{body}");
    }
    assert_eq!(refused.header("access-control-allow-origin"), None);
    let scrape = node.scrape().await;
    let counted = scrape.with("roomcast_connections_refused_total", "reason=\"bad_origin\"");
    assert_eq!(counted, 14.0);
    node.stop().await;
}

#[tokio::test]
async fn with_a_list_only_the_list_counts() {
    let list = "http.origins=https://app.example.com https://*.example.org";
    let node = TestNode::start(&[list]).await;
    for (host, origin, expected) in [
        ("node.example", "https://app.example.com", [101, 426, 200]),
        ("node.example", "https://a.b.example.org", [101, 426, 200]),
        ("node.example", "https://example.org", [403, 403, 403]),
        ("node.example", "http://app.example.com", [403, 403, 403]),
        ("node.example", "https://app.example.com:8443", [403, 403, 403]),
        ("node.example", "https://node.example", [403, 403, 403]),
        ("localhost", "http://localhost", [403, 403, 403]),
        ("node.example", "", [101, 426, 200]),
    ] {
        assert_eq!(statuses(&node, host, origin).await, expected, "{host} {origin}");
    }
    let all = TestNode::start(&["http.origins=*"]).await;
    assert_eq!(statuses(&all, "a.example", "https://b.example").await, [101, 426, 200]);
    all.stop().await;
    node.stop().await;
}

#[tokio::test]
async fn pages_may_read_why_they_are_refused() {
    let node = TestNode::start(&["http.origins=https://app.example.com"]).await;
    let allowed = "Host: node\r\nOrigin: https://app.example.com\r\n";
    let foreign = "Host: node\r\nOrigin: https://evil.example\r\n";
    for (path, status) in [("/ws?user=", 400), ("/health/live", 200), ("/health/ready", 200)] {
        let answer = ask(&node, &format!("GET {path}"), allowed).await;
        assert_eq!(answer.status, status);
        let header = |name| answer.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("access-control-allow-origin"), "https://app.example.com", "{path}");
        assert_eq!(header("access-control-expose-headers"), "retry-after");
        assert_eq!(header("vary"), "origin");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "no cookie is taken");
    }
    let asks = "Access-Control-Request-Method: GET\r\n";
    for path in ["/ws", "/health/ready"] {
        let answer = ask(&node, &format!("OPTIONS {path}"), &format!("{allowed}{asks}")).await;
        assert_eq!(answer.status, 204, "{path}");
        let header = |name| answer.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("access-control-allow-origin"), "https://app.example.com");
        assert_eq!(header("access-control-allow-headers"), "authorization, content-type");
        assert_eq!(header("access-control-allow-methods"), "get, head");
    }
    assert_eq!(ask(&node, "OPTIONS /ws", &format!("{foreign}{asks}")).await.status, 403);
    // Health and metrics never check: the page is not let read the answer.
    for line in ["OPTIONS /health/live", "GET /health/live", "GET /metrics"] {
        let answer = ask(&node, line, foreign).await;
        assert!(matches!(answer.status, 200 | 204), "{line}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{line}");
    }
    assert_eq!(ask(&node, "OPTIONS /metrics", allowed).await.status, 405);
    assert_eq!(ask(&node, "OPTIONS /", allowed).await.status, 405);
    node.stop().await;
}

#[tokio::test]
async fn the_list_changes_at_a_reload() {
    let mut node = TestNode::start(&["node.id=n"]).await;
    let page = ("node.example", "https://app.example.com");
    assert_eq!(statuses(&node, page.0, page.1).await, [403, 403, 403]);
    let new = TestNode::config(&["node.id=n", "http.origins=https://app.example.com"]);
    node.node.reload(&new).await;
    crate::support::eventually("the list is in force", async || {
        statuses(&node, page.0, page.1).await == [101, 426, 200]
    })
    .await;
    node.stop().await;
}
