//! Slow, half-closed and oversized clients in each phase of a connection: each is let go, and a node
//! whose time goes to others notices nothing.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::support::{Backend, Opcode, RawClient, TestNode, UPGRADE, eventually, frame};
use roomcast_protocol::CloseCode;

/// What a half-closed socket may take to be let go, as `docs/security.md` says.
const LET_GO: Duration = Duration::from_secs(5);

async fn serves(node: &TestNode) {
    let mut client = node.json().await;
    client.join("served").await;
    client.publish("served", "1").await;
}

/// Sends bytes one by one until the node has ended the socket; what it said.
async fn drip(mut client: RawClient, bytes: Vec<u8>) -> String {
    // Each byte comes well within the time-out. Time itself is the subject here.
    for byte in bytes {
        client.write(&[byte]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.rest().await
}

#[tokio::test]
async fn a_slow_client_is_let_go_in_each_phase() {
    let shop = Backend::new("shop");
    let [hash, scopes] = shop.settings("publish");
    let settings = [
        "http.header_timeout=400ms",
        "http.body_timeout=400ms",
        "limits.message_deadline=400ms",
        &hash,
        &scopes,
    ];
    let node = TestNode::start(&settings).await;
    let client = async || RawClient::connect(node.address()).await;
    let head = drip(client().await, UPGRADE.repeat(2).into_bytes()[..100].to_vec()).await;
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");

    let mut body = client().await;
    let request = format!(
        "POST /v1/batch HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 100\r\n\r\n",
        shop.presented()
    );
    body.write(request.as_bytes()).await;
    let body = drip(body, vec![b'{'; 50]).await;
    assert!(body.starts_with("HTTP/1.1 408") && body.contains("timeout"), "{body}");

    // A client need not send a first frame: it stays.
    let mut silent = RawClient::upgraded(node.address(), "").await;
    silent.frame().await.expect("connected");
    let mut message = RawClient::upgraded(node.address(), "").await;
    message.frame().await.expect("connected");
    let long = frame(0x80 | Opcode::Text as u8, &[b' '; 200]);
    for byte in &long[..40] {
        message.write(&[*byte]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(message.closed().await, Some(CloseCode::Policy.code()));
    silent.send(0x80 | Opcode::Ping as u8, b"still here").await;
    let mut answer = silent.frame().await.expect("an answer");
    if answer.is(Opcode::Ping) {
        // Heartbeats are spread: the first one may come at any time.
        answer = silent.frame().await.expect("an answer");
    }
    assert!(answer.is(Opcode::Pong), "{answer:?}");
    serves(&node).await;
    drop(silent);
    node.stop().await;
}

/// The PROXY protocol's head is in the time of the request's.
#[tokio::test]
async fn a_slow_head_of_a_proxy_is_let_go() {
    let settings = [
        "http.proxy_protocol=true",
        "http.trusted_proxies=127.0.0.0/8",
        "http.header_timeout=400ms",
        "http.metrics_listen=127.0.0.1:0",
    ];
    let node = TestNode::start(&settings).await;
    let slow = RawClient::connect(node.address()).await;
    let line = b"PROXY TCP4 198.51.100.7 10.0.0.1 40000 443\r\n";
    assert_eq!(drip(slow, line[..40].to_vec()).await, "");
    let mut good = RawClient::connect(node.address()).await;
    good.write(&[&line[..], UPGRADE.as_bytes(), b"\r\n"].concat()).await;
    assert_eq!(good.response().await.status, 101);
    drop(good);
    node.stop().await;
}

/// A client that closes its sending side and stays is let go, before and after the handshake,
/// whether or not it reads, and is out of its rooms.
#[tokio::test]
async fn a_half_closed_socket_is_let_go() {
    let node = TestNode::start(&[]).await;
    let mut before = RawClient::connect(node.address()).await;
    before.write(b"GET /ws HTTP/1.1\r\n").await;
    let nothing = RawClient::connect(node.address()).await;
    let mut after = RawClient::upgraded(node.address(), "").await;
    after.send_text(r#"{"type":"join","id":1,"rooms":[{"room":"a"}]}"#).await;
    while let Some(frame) = after.frame().await {
        if String::from_utf8_lossy(&frame.payload).contains("joined") {
            break;
        }
    }
    let mut within = RawClient::upgraded(node.address(), "").await;
    within.write(&frame(0x80 | Opcode::Text as u8, &[b' '; 200])[..40]).await;
    let mut deaf = RawClient::upgraded(node.address(), "").await;
    deaf.socket.shutdown().await.unwrap();
    for mut client in [before, nothing, after, within] {
        client.socket.shutdown().await.unwrap();
        timeout(LET_GO, client.ended()).await.expect("let go");
    }
    node.until("roomcast_members", |count| count == 0.0).await;
    // The one that reads nothing is gone all the same.
    node.until("roomcast_connections", |count| count == 0.0).await;
    serves(&node).await;
    drop(deaf);
    node.stop().await;
}

#[tokio::test]
async fn heads_above_the_bound_are_answered_431() {
    let node = TestNode::start(&[]).await;
    let long = "a".repeat(64 * 1024);
    let many = "X-A: b\r\n".repeat(5_000);
    let rows = [
        format!("{UPGRADE}Cookie: {long}\r\n\r\n"),
        format!("{UPGRADE}X-{long}: b\r\n\r\n"),
        format!("{UPGRADE}{many}\r\n"),
        // Without an end: it is not waited for.
        format!("{UPGRADE}Cookie: {long}"),
    ];
    for request in rows {
        let mut client = RawClient::connect(node.address()).await;
        client.write(request.as_bytes()).await;
        assert_eq!(client.response().await.status, 431, "{}", &request[..300]);
        client.ended().await;
    }
    let mut client = RawClient::connect(node.address()).await;
    client.write(format!("GET /{long} HTTP/1.1\r\nHost: node\r\n\r\n").as_bytes()).await;
    let status = client.response().await.status;
    assert!([414, 431].contains(&status), "{status}");
    serves(&node).await;
    node.stop().await;
}

/// UTF-8 is checked to the last byte of a long text, in one frame and in fragments.
#[tokio::test]
async fn a_byte_that_is_no_utf8_late_in_a_long_text_ends_it() {
    let node = TestNode::start(&[]).await;
    let mut text = vec![b' '; 1_000_000];
    text[999_998] = 0xff;
    for size in [text.len(), 1_000, 65_536] {
        let mut client = RawClient::upgraded(node.address(), "").await;
        let mut first = Opcode::Text as u8;
        for (number, piece) in text.chunks(size).enumerate() {
            let fin = if (number + 1) * size >= text.len() { 0x80 } else { 0 };
            client.send(fin | first, piece).await;
            first = Opcode::Continue as u8;
        }
        assert_eq!(client.closed().await, Some(CloseCode::BadUtf8.code()), "fragments of {size}");
    }
    serves(&node).await;
    node.stop().await;
}

/// Sockets that are only held keep no scrape from the metrics' own address.
#[tokio::test]
async fn held_sockets_keep_no_scrape_out() {
    let node = TestNode::start(&["http.metrics_listen=127.0.0.1:0"]).await;
    let apart = node.node.metrics_address().expect("an address of its own");
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(RawClient::connect(apart).await);
    }
    node.scrape().await;
    // The oldest made room.
    held[0].ended().await;
    let mut ended = 0;
    for client in &held {
        let peeked = client.socket.try_read(&mut [0; 1]);
        ended += usize::from(matches!(peeked, Ok(0)));
    }
    assert!(ended >= 100, "{ended} of 200");
    drop(held);
    eventually("a scrape", async || node.scrape().await.sum("roomcast_build_info") == 1.0).await;
    node.stop().await;
}
