//! Hostile clients that are bound by the limits: what each is answered, and that others go on.

use crate::support::{
    Opcode, RawClient, TestClient, TestNode, UPGRADE, eventually, frame, publish_of, seqs,
};
use roomcast_protocol::{ClientFrame, CloseCode, Data, Encoding, ErrorCode, ServerFrame};

/// Two members that are not attacked, with a room of their own.
struct Bystanders {
    author: TestClient,
    reader: TestClient,
}

impl Bystanders {
    async fn of(node: &TestNode) -> Self {
        let mut reader = node.msgpack().await;
        reader.join("quiet").await;
        Self { author: node.json().await, reader }
    }

    /// Messages go through as before.
    async fn go_on(&mut self) {
        let first = self.author.publish("quiet", "1").await.seq;
        self.author.publish("quiet", "2").await;
        let messages = self.reader.messages("quiet", 2).await;
        assert_eq!(seqs(&messages), [first, first + 1]);
    }
}

/// A node whose limits hold for this machine too; what comes as `X-Forwarded-For` is another client.
async fn node() -> TestNode {
    let settings = ["limits.exempt_networks=none", "http.trusted_proxies=127.0.0.0/8"];
    TestNode::start(&settings).await
}

async fn attacker(node: &TestNode) -> RawClient {
    let mut client = RawClient::upgraded(node.address(), "X-Forwarded-For: 203.0.113.1\r\n").await;
    client.frame().await.expect("connected");
    client
}

/// Writes copies of these bytes until the node has ended the connection; its code.
async fn flood(node: &TestNode, bytes: &[u8], most: usize) -> Option<u16> {
    let (mut from, mut to) = attacker(node).await.socket.into_split();
    let chunk = bytes.repeat(1_000);
    let writing = tokio::spawn(async move {
        for _ in 0..most / 1_000 {
            if tokio::io::AsyncWriteExt::write_all(&mut to, &chunk).await.is_err() {
                break;
            }
        }
        to
    });
    let mut seen = Vec::new();
    // A reset is an end too: the node does not read what is left.
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut from, &mut seen);
    let _either_way = crate::support::soon("the end", reading).await;
    drop(writing.await);
    // The Close is the last frame: two bytes of code and its reason.
    let reason = CloseCode::RateLimited.reason().as_bytes();
    let at = seen.windows(reason.len()).rposition(|window| window == reason)?;
    let code = seen.get(at.checked_sub(2)?..at)?;
    Some(u16::from_be_bytes([code[0], code[1]]))
}

#[tokio::test]
async fn floods_of_frames_end_with_4003() {
    let node = node().await;
    let mut others = Bystanders::of(&node).await;
    let tiny = frame(0x80 | Opcode::Text as u8, br#"{"type":"ping"}"#);
    let ping = frame(0x80 | Opcode::Ping as u8, b"");
    let fragment = frame(Opcode::Continue as u8, b"a");
    for (what, bytes) in [("tiny frames", tiny), ("pings", ping)] {
        assert_eq!(flood(&node, &bytes, 1_000_000).await, Some(4003), "{what}");
        others.go_on().await;
    }
    let mut client = attacker(&node).await;
    client.send(Opcode::Text as u8, b"\"").await;
    client.write(&fragment.repeat(10_000)).await;
    assert_eq!(client.closed().await, Some(4003), "fragments");
    others.go_on().await;
    let closed = node.scrape().await.with("roomcast_limits_total", "action=\"closed\"");
    assert_eq!(closed, 3.0);
    node.stop().await;
}

#[tokio::test]
async fn bytes_above_their_rate_end_with_4003() {
    let settings = [
        "limits.exempt_networks=none",
        "limits.inbound_rate=16KiB",
        "limits.message_bytes=16KiB",
        "namespaces.default.message_bytes=16KiB",
    ];
    let node = TestNode::start(&settings).await;
    let mut others = Bystanders::of(&node).await;
    let mut client = RawClient::upgraded(node.address(), "").await;
    let large = format!("{{\"type\":\"ping\",\"pad\":\"{}\"}}", "a".repeat(15_000));
    client.write(&frame(0x80 | Opcode::Text as u8, large.as_bytes()).repeat(40)).await;
    assert_eq!(client.closed().await, Some(4003));
    others.go_on().await;
    node.stop().await;
}

#[tokio::test]
async fn floods_of_requests_are_refused_while_others_go_on() {
    let node = TestNode::start(&[
        "limits.exempt_networks=none",
        "limits.frames=0",
        "namespaces.default.publish_rate=10",
    ])
    .await;
    let mut others = Bystanders::of(&node).await;
    let mut client = TestClient::connect(node.address(), Encoding::Json, "").await;
    let last = ClientFrame::Ping { id: Some(1_000_000) };
    for flood in ["publishes", "rooms", "joins"] {
        for n in 0..2_000 {
            let name = if flood == "publishes" { "a".to_owned() } else { format!("{flood}{n}") };
            let id = Some(client.next_id());
            let data = Data::json("1").unwrap();
            client
                .send(&match flood {
                    "joins" => ClientFrame::Join { id, rooms: vec![crate::support::plain(&name)] },
                    _ => ClientFrame::Publish(roomcast_protocol::Publish {
                        id,
                        ..publish_of(&name, data)
                    }),
                })
                .await;
        }
        client.send(&last).await;
        let (mut granted, mut limited) = (0, 0);
        loop {
            match client.frame().await {
                ServerFrame::Pong { .. } => break,
                ServerFrame::Error { code: ErrorCode::RateLimited, .. } => limited += 1,
                ServerFrame::Error { code: ErrorCode::TooManyRooms, .. } => limited += 1,
                ServerFrame::Ack { .. } | ServerFrame::Joined { .. } => granted += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(limited > 1_000, "{flood}: {granted} {limited}");
        others.go_on().await;
    }
    node.stop().await;
}

#[tokio::test]
async fn a_flood_of_reconnects_from_one_address_leaves_others_in() {
    let settings = [
        "limits.exempt_networks=none",
        "http.trusted_proxies=127.0.0.0/8",
        "limits.address_handshakes=5",
    ];
    let node = TestNode::start(&settings).await;
    let upgrade = async |address: &str| {
        let mut client = RawClient::connect(node.address()).await;
        let head = format!("{UPGRADE}X-Forwarded-For: {address}\r\n\r\n");
        client.write(head.as_bytes()).await;
        client.response().await.status
    };
    let mut refused = 0;
    for _ in 0..200 {
        refused += usize::from(upgrade("203.0.113.1").await == 429);
    }
    assert!(refused > 0);
    eventually("the flood is refused", async || upgrade("203.0.113.1").await == 429).await;
    assert_eq!(upgrade("203.0.113.2").await, 101);
    node.stop().await;
}
