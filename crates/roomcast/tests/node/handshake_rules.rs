//! The letter of RFC 6455 (sections 4.2 and 7.4), RFC 9110 and RFC 9112: one row for each rule of
//! a request's head, as bytes on a socket.

use crate::support::{self, RawClient, Response, TestNode};
use tokio::io::AsyncReadExt;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const HEAD: [&str; 5] =
    ["Host: node", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", KEY];

async fn ask(node: &TestNode, request: &str) -> Response {
    let mut client = RawClient::connect(node.address()).await;
    client.write(request.as_bytes()).await;
    client.response().await
}

/// A correct handshake but for these lines, which take the place of those of the same name; a name
/// alone leaves its line out.
fn handshake(line: &str, instead: &[&str]) -> String {
    let name = |line: &str| line.split(':').next().unwrap().to_ascii_lowercase();
    let replaced = |head: &&str| instead.iter().any(|other| name(other) == name(head));
    let kept = HEAD.iter().filter(|head| !replaced(head)).copied();
    let given = instead.iter().copied().filter(|line| line.contains(':'));
    let lines = given.chain(kept).map(|line| format!("{line}\r\n")).collect::<String>();
    format!("{line}\r\n{lines}\r\n")
}

const GET: &str = "GET /ws HTTP/1.1";
const LEFT_OUT: [&str; 5] =
    ["Host", "Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"];

#[tokio::test]
async fn every_rule_of_the_handshake_has_its_status() {
    let node = TestNode::start(&[]).await;
    let [no_host, no_connection, no_upgrade, no_version, no_key] = LEFT_OUT;
    let two_keys = [KEY, "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw=="];
    let rows: &[(u16, &str, &[&str])] = &[
        (101, GET, &[]),
        // RFC 9110, section 5.3: a list may come in several lines; 5.6.1: with empty members.
        (101, GET, &["Connection: keep-alive", "Connection: Upgrade"]),
        (101, GET, &["Connection: keep-alive,\tUPGRADE ,,"]),
        (101, GET, &["Upgrade: h2c, websocket"]),
        (101, GET, &["Upgrade: h2c", "Upgrade: WebSocket"]),
        (101, GET, &["upgrade:\t WEBSOCKET \t"]),
        (400, GET, &["Connection: keep-alive"]),
        (400, GET, &["Connection: Upgrades"]),
        (400, GET, &["Connection: keep-alive Upgrade"]),
        (400, GET, &[no_connection]),
        // Without an upgrade to WebSocket, the answer is what one would get.
        (426, GET, &[no_upgrade]),
        (426, GET, &["Upgrade: h2c"]),
        (426, GET, &["Upgrade: websocket/13"]),
        // RFC 6455, section 4.2.1 and 4.4; 11.3.5: the version is sent once.
        (426, GET, &["Sec-WebSocket-Version: 8"]),
        (426, GET, &["Sec-WebSocket-Version: 14"]),
        (426, GET, &["Sec-WebSocket-Version: 013"]),
        (426, GET, &["Sec-WebSocket-Version: 13, 8"]),
        (400, GET, &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"]),
        (400, GET, &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"]),
        (400, GET, &[no_version]),
        // Section 11.3.1: the key is sent once, and is 16 bytes.
        (101, GET, &["Sec-WebSocket-Key:   dGhlIHNhbXBsZSBub25jZQ== "]),
        (400, GET, &two_keys),
        (400, GET, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"]),
        (400, GET, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA"]),
        (400, GET, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"]),
        (400, GET, &["Sec-WebSocket-Key: dGhl!HNhbXBsZSBub25jZQ=="]),
        (400, GET, &[no_key]),
        // The method is GET, the version of HTTP at least 1.1.
        (405, "POST /ws HTTP/1.1", &["Content-Length: 0"]),
        (405, "get /ws HTTP/1.1", &[]),
        (426, "GET /ws HTTP/1.0", &[]),
        (426, "GET /ws HTTP/1.0", &[no_host]),
        // A body's bytes would be taken for frames.
        (101, GET, &["Content-Length: 0"]),
        (400, GET, &["Content-Length: 5"]),
        (400, GET, &["Transfer-Encoding: chunked"]),
        (400, GET, &["Content-Length: 1", "Content-Length: 2"]),
        (400, GET, &["Content-Length: -1"]),
        (400, "GET /ws HTTP/1.0", &["Transfer-Encoding: chunked"]),
        (400, GET, &["Transfer-Encoding: gzip"]),
        // RFC 9112, section 3.2: the forms of a target, and Host.
        (101, "GET http://node/ws HTTP/1.1", &[]),
        (101, "GET http://other:80/ws?user=ann HTTP/1.1", &[]),
        (404, "GET * HTTP/1.1", &[]),
        (101, GET, &["Host: node:8080"]),
        (101, GET, &["Host: [::1]:8080"]),
        (101, GET, &["host: "]),
        (400, GET, &[no_host]),
        (400, GET, &["Host: node", "Host: node"]),
        (400, GET, &["Host: node", "Host: other"]),
        (400, "GET /ws HTTP/1.0", &["Host: node", "Host: other"]),
        (400, GET, &["Host: node, other"]),
        (400, GET, &["Host: user@node"]),
        (400, GET, &["Host: node:port"]),
        (400, GET, &["Host: http://node"]),
        // Section 5.1 and 5.2: no blank before the colon, no folded line.
        (400, GET, &["Upgrade : websocket"]),
        (400, GET, &["Connection: keep-alive,\r\n Upgrade"]),
    ];
    let mut failed = Vec::new();
    for &(status, line, instead) in rows {
        let response = ask(&node, &handshake(line, instead)).await;
        let names_version = response.header("sec-websocket-version") == Some("13")
            && response.header("upgrade") == Some("websocket")
            && response.header("connection") == Some("upgrade");
        if response.status != status || (status == 426 && !names_version) {
            failed.push((status, line, instead, response));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    // An answer to HEAD has no body, whatever its length says.
    let mut client = RawClient::connect(node.address()).await;
    client.write(handshake("HEAD /ws HTTP/1.1", &[]).as_bytes()).await;
    let mut begin = [0; 12];
    support::soon("an answer", client.socket.read_exact(&mut begin)).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 400");
    drop(client);
    node.stop().await;
}

/// RFC 9112, section 3.2, holds whatever is asked for, and wherever.
#[tokio::test]
async fn every_route_wants_exactly_one_host() {
    let node = TestNode::start(&["http.metrics_listen=127.0.0.1:0"]).await;
    let monitor = node.node.metrics_address().unwrap();
    let mut refused = 0.0;
    for (address, paths) in [
        (node.address(), &["/", "/ws", "/health/live", "/health/ready", "/metrics", "/none"][..]),
        (monitor, &["/health/live", "/health/ready", "/metrics", "/none"]),
    ] {
        for path in paths {
            for hosts in ["", "Host: a\r\nHost: b\r\n", "Host: a b\r\n"] {
                let mut client = RawClient::connect(address).await;
                client.write(format!("GET {path} HTTP/1.1\r\n{hosts}\r\n").as_bytes()).await;
                let response = client.response().await;
                assert_eq!(response.status, 400, "{path} {hosts:?}");
                assert!(response.body.contains("\"bad_request\""), "{path}: {}", response.body);
                refused += f64::from(u8::from(address == node.address()));
            }
            let mut client = RawClient::connect(address).await;
            client.write(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await;
            assert_ne!(client.response().await.status, 400, "{path} in HTTP/1.0");
        }
    }
    let label = "reason=\"bad_request\"";
    let counted = node.scrape().await.with("roomcast_connections_refused_total", label);
    assert_eq!(counted, refused);
    node.stop().await;
}

/// RFC 6455, section 7.4: what must not be sent as a close code is answered as the protocol's
/// description says, reason and all, and counted so.
#[tokio::test]
async fn a_bad_close_code_breaks_the_protocol() {
    let node = TestNode::start(&[]).await;
    let codes = [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
    for code in codes {
        let mut client = RawClient::upgraded(node.address(), "").await;
        assert!(client.frame().await.is_some(), "connected");
        client.send(0x88, &[&code.to_be_bytes()[..], b"why"].concat()).await;
        let close = client.frame().await.unwrap();
        assert_eq!(close.payload, [&1002_u16.to_be_bytes()[..], b"protocol"].concat(), "{code}");
        client.ended().await;
    }
    node.until("roomcast_connections", |count| count == 0.0).await;
    let closed = node.scrape().await;
    let count = closed.with("roomcast_connections_closed_total", "reason=\"protocol\"");
    assert_eq!(count, codes.len() as f64);
    node.stop().await;
}
