//! P10 before there is a connection: every request is answered with a status, nobody holds a socket
//! for long, and the node serves on.

use std::time::Duration;

use crate::support::{self, RawClient, Response, TestNode, eventually, get};

/// Sends a request and returns the answer.
async fn ask(node: &TestNode, request: &str) -> Response {
    let mut client = RawClient::connect(node.address()).await;
    client.write(request.as_bytes()).await;
    client.response().await
}

/// A handshake with these request line and headers besides `Host`.
fn request(line: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nHost: node\r\n{headers}\r\n")
}

const UPGRADE: [&str; 4] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn but(left_out: usize, instead: &'static str) -> Vec<&'static str> {
    let mut headers = UPGRADE.to_vec();
    headers[left_out] = instead;
    headers
}

fn besides(header: &'static str) -> Vec<&'static str> {
    [&UPGRADE[..], &[header]].concat()
}

#[tokio::test]
async fn every_request_is_answered_with_its_status() {
    let node = TestNode::start(&[]).await;
    let long = format!("GET /ws?user={}", "a".repeat(129));
    let rows: Vec<(&str, Vec<&str>, u16, &str)> = vec![
        ("GET /nothing", UPGRADE.to_vec(), 404, "not_found"),
        ("GET /ws/", UPGRADE.to_vec(), 404, "not_found"),
        ("POST /ws", vec!["Content-Length: 0"], 405, "method_not_allowed"),
        ("DELETE /metrics", vec![], 405, "method_not_allowed"),
        ("GET /ws", vec![], 426, "upgrade_required"),
        ("GET /ws?user=ann", vec![], 426, "upgrade_required"),
        // Asked without upgrade, the answer is what an upgrade would get.
        ("GET /ws?user=", vec![], 400, "bad_query"),
        ("GET /ws", vec!["Sec-WebSocket-Protocol: chat"], 400, "unknown_subprotocol"),
        ("GET /ws", besides("Sec-WebSocket-Protocol: chat, mqtt"), 400, "unknown_subprotocol"),
        (
            "GET /ws",
            besides("Sec-WebSocket-Protocol: roomcast.v2.json"),
            400,
            "unknown_subprotocol",
        ),
        ("GET /ws?user=", UPGRADE.to_vec(), 400, "bad_query"),
        ("GET /ws?user=a+b", UPGRADE.to_vec(), 400, "bad_query"),
        ("GET /ws?user=%zz", UPGRADE.to_vec(), 400, "bad_query"),
        ("GET /ws?user=%ff", UPGRADE.to_vec(), 400, "bad_query"),
        ("GET /ws?client=a%20b", UPGRADE.to_vec(), 400, "bad_query"),
        ("GET /ws?attempt=x", UPGRADE.to_vec(), 400, "bad_query"),
        (&long, UPGRADE.to_vec(), 400, "bad_query"),
        ("GET /ws", but(3, "X-Nothing: 1"), 400, "bad_handshake"),
        ("GET /ws", but(3, "Sec-WebSocket-Key: short"), 400, "bad_handshake"),
        ("GET /ws", but(2, "Sec-WebSocket-Version: 8"), 426, "bad_handshake"),
    ];
    let mut failed = Vec::new();
    for (line, headers, status, code) in rows {
        let response = ask(&node, &request(line, &headers)).await;
        let problem = response.header("content-type") == Some("application/problem+json");
        let body = format!("\"code\":\"{code}\"");
        if response.status != status || !problem || !response.body.contains(&body) {
            failed.push((line.to_owned(), headers, status, response));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    let allow = ask(&node, &request("POST /ws", &["Content-Length: 0"])).await;
    assert_eq!(allow.header("allow"), Some("get, head"));
    let scrape = node.scrape().await;
    for reason in ["bad_request", "subprotocol", "not_found", "method"] {
        let label = format!("reason=\"{reason}\"");
        assert!(scrape.with("roomcast_connections_refused_total", &label) > 0.0, "{reason}");
    }
    assert_eq!(scrape.sum("roomcast_connections_opened_total"), 0.0);
    serves(&node).await;
    node.stop().await;
}

#[tokio::test]
async fn the_subprotocol_is_chosen_and_echoed() {
    let node = TestNode::start(&[]).await;
    for (offered, chosen) in [
        (None, None),
        (Some("Sec-WebSocket-Protocol: roomcast.v1.json"), Some("roomcast.v1.json")),
        (Some("Sec-WebSocket-Protocol: roomcast.v1.msgpack"), Some("roomcast.v1.msgpack")),
        (
            Some("Sec-WebSocket-Protocol: chat, roomcast.v1.msgpack, roomcast.v1.json"),
            Some("roomcast.v1.msgpack"),
        ),
    ] {
        let headers = offered.map_or(UPGRADE.to_vec(), besides);
        let mut client = RawClient::connect(node.address()).await;
        client.write(request("GET /ws?user=ann", &headers).as_bytes()).await;
        let response = client.response().await;
        assert_eq!(response.status, 101, "{offered:?}");
        assert_eq!(response.header("sec-websocket-protocol"), chosen);
        // From RFC 6455 section 1.3.
        let accept = response.header("sec-websocket-accept");
        assert_eq!(accept, Some("s3pplmbitxaq9kygzzhzrbk+xoo="));
        let first = client.frame().await.unwrap();
        let is_binary = chosen == Some("roomcast.v1.msgpack");
        assert_eq!(first.is(support::Opcode::Binary), is_binary);
    }
    node.stop().await;
}

/// Frames that come in one packet with the handshake are not lost.
#[tokio::test]
async fn the_client_may_send_before_it_is_greeted() {
    let node = TestNode::start(&[]).await;
    let mut client = RawClient::connect(node.address()).await;
    let early = support::frame(0x81, br#"{"type":"ping","id":5}"#);
    client.write(&[request("GET /ws", &UPGRADE).as_bytes(), &early].concat()).await;
    assert_eq!(client.response().await.status, 101);
    let first = String::from_utf8(client.frame().await.unwrap().payload).unwrap();
    assert!(first.contains("\"connected\""), "{first}");
    let second = String::from_utf8(client.frame().await.unwrap().payload).unwrap();
    assert!(second.contains("\"pong\"") && second.contains("\"id\":5"), "{second}");
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn what_is_no_http_is_ended() {
    let node = TestNode::start(&[]).await;
    let head = format!("GET /ws HTTP/1.1\r\nHost: node\r\nX-Long: {}\r\n\r\n", "a".repeat(20_000));
    let garbage: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        head.as_bytes(),
    ];
    for bytes in garbage {
        let mut client = RawClient::connect(node.address()).await;
        client.write(bytes).await;
        client.ended().await;
    }
    let reason = "reason=\"bad_request\"";
    let refused = node.scrape().await.with("roomcast_connections_refused_total", reason);
    assert!(refused >= 3.0, "{refused}");
    serves(&node).await;
    node.stop().await;
}

/// Whoever does not finish a request's head holds a socket no longer than `http.header_timeout`.
#[tokio::test]
async fn a_head_that_never_ends_is_ended() {
    let node = TestNode::start(&["http.header_timeout=300ms"]).await;
    let silent = RawClient::connect(node.address()).await;
    let mut half = RawClient::connect(node.address()).await;
    half.write(b"GET /ws HTTP/1.1\r\nHost: node\r\n").await;
    let mut drip = RawClient::connect(node.address()).await;
    let dripping = tokio::spawn(async move {
        // Byte by byte, each well within the time-out. Time itself is the subject here.
        for byte in request("GET /ws", &UPGRADE).bytes().take(50) {
            drip.write(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drip.ended().await;
    });
    for mut client in [silent, half] {
        client.ended().await;
    }
    support::soon("the end of the slow head", dripping).await.unwrap();
    let scrape = node.scrape().await;
    assert_eq!(scrape.with("roomcast_connections_refused_total", "reason=\"timeout\""), 3.0);
    assert_eq!(scrape.sum("roomcast_connections_opened_total"), 0.0);
    serves(&node).await;
    node.stop().await;
}

/// One socket serves several requests, and an upgrade after them.
#[tokio::test]
async fn sockets_may_be_used_again_for_http() {
    let node = TestNode::start(&[]).await;
    let mut client = RawClient::connect(node.address()).await;
    for _ in 0..3 {
        client.write(request("GET /health/live", &[]).as_bytes()).await;
        assert_eq!(client.response().await.status, 200);
    }
    client.write(request("GET /ws", &UPGRADE).as_bytes()).await;
    assert_eq!(client.response().await.status, 101);
    assert!(client.frame().await.is_some());
    drop(client);
    eventually("the end of the connection", async || {
        node.scrape().await.sum("roomcast_connections") == 0.0
    })
    .await;
    node.stop().await;
}

async fn serves(node: &TestNode) {
    assert_eq!(get(node.address(), "/ws").await.status, 426);
    let mut client = node.json().await;
    client.join("served").await;
    client.publish("served", "1").await;
}
