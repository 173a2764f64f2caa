//! Compression on a node with rooms: who gets it, what is compressed and how often, and that inflated
//! bytes are bound as all others are.

use serde_json::{Value, json};

use crate::support::{OFFER, Opcode, RawClient, RawFrame, TestNode, deflate, eventually, inflate};

const ON: &str = "http.deflate=true";
const RSV1: u8 = 0x40;
const TEXT: u8 = 0x81;
const MSGPACK: &str = "Sec-WebSocket-Protocol: roomcast.v1.msgpack\r\n";

fn payload(frame: &RawFrame) -> Vec<u8> {
    if frame.first & RSV1 == 0 { frame.payload.clone() } else { inflate(&frame.payload) }
}

fn is_compressed(frame: &RawFrame) -> bool {
    frame.first & RSV1 != 0
}

/// A JSON client.
struct Member {
    raw: RawClient,
}

impl Member {
    /// One in the room, whose handshake had these headers.
    async fn join(node: &TestNode, headers: &str, room: &str) -> Self {
        let raw = RawClient::upgraded(node.address(), headers).await;
        let mut member = Self { raw };
        member.send(&json!({ "type": "join", "id": 1, "room": room })).await;
        member.frame_of("joined").await;
        member
    }

    async fn send(&mut self, frame: &Value) {
        self.raw.send_text(&frame.to_string()).await;
    }

    async fn send_compressed(&mut self, frame: &Value) {
        self.raw.send(TEXT | RSV1, &deflate(frame.to_string().as_bytes())).await;
    }

    /// The next frame of this type: as it came, and what it says.
    async fn frame_of(&mut self, kind: &str) -> (RawFrame, Value) {
        loop {
            let frame = self.raw.frame().await.unwrap();
            let said: Value = serde_json::from_slice(&payload(&frame)).unwrap();
            if said["type"] == kind {
                return (frame, said);
            }
        }
    }
}

fn publish(room: &str, data: &str) -> Value {
    json!({ "type": "publish", "id": 2, "room": room, "data": data })
}

#[tokio::test]
async fn it_is_off_by_default_and_taken_over_by_a_reload() {
    let mut node = TestNode::start(&["node.id=n"]).await;
    let answer = async |address| {
        let mut client = RawClient::connect(address).await;
        let head = format!("{}{OFFER}\r\n", crate::support::UPGRADE);
        client.write(head.as_bytes()).await;
        let response = client.response().await;
        assert_eq!(response.status, 101);
        response.header("sec-websocket-extensions").map(str::to_owned)
    };
    assert_eq!(answer(node.address()).await, None);
    let mut before = Member::join(&node, OFFER, "room").await;
    before.raw.send(TEXT | RSV1, &deflate(b"{}")).await;
    assert_eq!(before.raw.closed().await, Some(1002));

    node.node.reload(&TestNode::config(&["node.id=n", ON])).await;
    let address = node.address();
    let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    eventually("the reload", async || answer(address).await.as_deref() == Some(expected)).await;
    node.stop().await;
}

/// Members with and without compression, in both encodings, are told the same; a message is compressed
/// once for each encoding, however many members share it.
#[tokio::test]
async fn a_message_is_compressed_once_for_all_members_that_take_it() {
    let node = TestNode::start(&[ON, "node.workers=1"]).await;
    let mut author = Member::join(&node, "", "room").await;
    let mut plain = Member::join(&node, "", "room").await;
    let count = async || {
        let scrape = node.scrape().await;
        let of =
            |size: &str| scrape.with("roomcast_deflated_bytes_total", &format!("size=\"{size}\""));
        (of("plain"), of("compressed"))
    };
    let long = "a message that says the same again and again; ".repeat(10);
    author.send(&publish("room", &long)).await;
    let (frame, said) = plain.frame_of("message").await;
    assert!(!is_compressed(&frame) && said["data"] == long);
    assert_eq!(count().await, (0.0, 0.0), "without members that take it nothing is compressed");

    let mut members = Vec::new();
    for _ in 0..5 {
        members.push(Member::join(&node, OFFER, "room").await);
    }
    let mut binary = RawClient::upgraded(node.address(), &format!("{OFFER}{MSGPACK}")).await;
    // {"type": "join", "id": 1, "room": "room"}
    let join = b"\x83\xa4type\xa4join\xa2id\x01\xa4room\xa4room";
    binary.send(0x82, join).await;
    while !binary.frame().await.unwrap().payload.windows(6).any(|six| six == b"joined") {}

    author.send(&publish("room", &long)).await;
    let (uncompressed, _) = plain.frame_of("message").await;
    let mut frames = Vec::new();
    for member in &mut members {
        let (frame, said) = member.frame_of("message").await;
        assert!(is_compressed(&frame) && said["data"] == long);
        assert_eq!(payload(&frame), uncompressed.payload);
        frames.push(frame);
    }
    assert!(frames.iter().all(|frame| frame == &frames[0]));
    let packed = binary.frame().await.unwrap();
    assert!(packed.is(Opcode::Binary) && is_compressed(&packed));
    assert!(inflate(&packed.payload).windows(long.len()).any(|part| part == long.as_bytes()));

    let (plain_bytes, packed_bytes) =
        (uncompressed.payload.len() + inflate(&packed.payload).len(), frames[0].payload.len());
    let expected = (plain_bytes as f64, (packed_bytes + packed.payload.len()) as f64);
    eventually("each was compressed once", async || count().await == expected).await;
    drop((author, plain, members, binary));
    node.stop().await;
}

/// Small frames, and what is for one connection alone, are not compressed.
#[tokio::test]
async fn only_large_messages_of_rooms_are_compressed() {
    let node = TestNode::start(&[ON, "http.deflate_min=500"]).await;
    let mut member = Member::join(&node, OFFER, "room").await;
    for (length, expected) in [(300, false), (600, true)] {
        member.send(&publish("room", &"x".repeat(length))).await;
        let (frame, said) = member.frame_of("message").await;
        assert_eq!(is_compressed(&frame), expected);
        assert_eq!(said["data"].as_str().unwrap().len(), length);
    }
    member.send(&json!({ "type": "history", "id": 3, "room": "room", "limit": 10 })).await;
    let (frame, said) = member.frame_of("history").await;
    assert!(!is_compressed(&frame) && said["messages"].as_array().unwrap().len() == 2);
    // No other member gets its own version of a message, with the key.
    let mut keyed = publish("room", &"y".repeat(600));
    keyed["key"] = json!("once");
    member.send(&keyed).await;
    let (frame, said) = member.frame_of("message").await;
    assert!(!is_compressed(&frame) && said["key"] == "once");
    // What a member missed is compressed as what it gets live.
    let mut late = RawClient::upgraded(node.address(), OFFER).await;
    late.send_text("{\"type\":\"join\",\"id\":1,\"room\":\"room\",\"history\":10}").await;
    let mut bits = Vec::new();
    while bits.len() < 3 {
        let frame = late.frame().await.unwrap();
        let said: Value = serde_json::from_slice(&payload(&frame)).unwrap();
        if said["type"] == "message" {
            bits.push(is_compressed(&frame));
        }
    }
    assert_eq!(bits, [false, true, true]);
    node.stop().await;
}

#[tokio::test]
async fn compressed_requests_are_read_and_their_inflated_bytes_are_bound() {
    let settings = [
        ON,
        "limits.message_bytes=64KiB",
        "namespaces.default.message_bytes=48KiB",
        "limits.inbound_rate=100KiB",
        "limits.exempt_networks=none",
    ];
    let node = TestNode::start(&settings).await;
    let mut member = Member::join(&node, OFFER, "room").await;
    let text = "z".repeat(40_000);
    member.send_compressed(&publish("room", &text)).await;
    let (_, said) = member.frame_of("message").await;
    assert_eq!(said["data"], text);
    let inflated = node.scrape().await.with("roomcast_inflated_bytes_total", "size=\"plain\"");
    assert_eq!(inflated, publish("room", &text).to_string().len() as f64);

    // 100 KiB a second and as much at once: the third of a second is above it, in 100 bytes on the wire.
    for _ in 0..2 {
        member.send_compressed(&publish("room", &text)).await;
    }
    let (_, said) = member.frame_of("error").await;
    assert_eq!((&said["code"], &said["id"]), (&json!("rate_limited"), &json!(2)));

    // A bomb is as large as what it inflates to.
    let mut bomber = Member::join(&node, OFFER, "room").await;
    bomber.raw.send(TEXT | RSV1, &deflate(&vec![b' '; 64 * 1024 + 1])).await;
    assert_eq!(bomber.raw.closed().await, Some(1009));
    // What does not inflate is neither text nor protocol.
    let mut broken = Member::join(&node, OFFER, "room").await;
    broken.raw.send(TEXT | RSV1, &[0xff; 8]).await;
    let close = loop {
        let frame = broken.raw.frame().await.unwrap();
        if frame.is(Opcode::Close) {
            break frame;
        }
    };
    assert_eq!(close.payload, [&1007u16.to_be_bytes()[..], b"bad_deflate"].concat());
    node.until("roomcast_connections", |count| count == 1.0).await;
    let scrape = node.scrape().await;
    let closed = |reason: &str| scrape.with("roomcast_connections_closed_total", reason);
    assert_eq!((closed("reason=\"too_big\""), closed("reason=\"bad_deflate\"")), (1.0, 1.0));
    node.stop().await;
}

/// Clients that begin compressed messages and do not end them hold what they hold: inflaters count in
/// `limits.inbound_bytes`, and beyond it connections end.
#[tokio::test]
async fn messages_that_never_end_are_bound_with_their_inflaters() {
    let settings =
        [ON, "node.workers=1", "limits.message_bytes=64KiB", "limits.inbound_bytes=1MiB"];
    let node = TestNode::start(&settings).await;
    let packed = deflate(&b"an unfinished message ".repeat(40));
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = RawClient::upgraded(node.address(), OFFER).await;
        client.send(0x01 | RSV1, &packed[..packed.len() / 2]).await;
        clients.push(client);
    }
    // Each holds some 55 KiB, so that a MiB is full with fewer than half of them.
    node.until("roomcast_connections_closed_total", |count| count >= 20.0).await;
    let scrape = node.scrape().await;
    let ended = scrape.with("roomcast_connections_closed_total", "reason=\"try_again\"");
    assert!(ended >= 20.0, "{ended}");
    drop(clients);
    node.until("roomcast_connections", |count| count == 0.0).await;
    node.stop().await;
}
