//! P10: whatever a client sends over its connection is answered by an error frame or a close code,
//! as `docs/protocol.md` says, and harms nobody else.

use std::time::Duration;

use crate::support::{self, Incoming, RawClient, TestClient, TestNode, plain, room};
use roomcast_protocol::{
    ClientFrame, CloseCode, Encoding, ErrorCode, JoinRoom, RequestId, ServerFrame,
};

/// Proves that the node still serves others.
async fn serves(node: &TestNode) {
    for encoding in Encoding::ALL {
        let mut other = TestClient::connect(node.address(), encoding, "").await;
        other.join("others").await;
        let seq = other.publish("others", "1").await.seq;
        assert_eq!(other.message("others").await.seq, seq);
    }
}

/// One frame, and the error that answers it: id, room, code, and a part of the message.
type Row<'a> = (&'a [u8], Option<RequestId>, Option<&'a str>, ErrorCode, &'a str);

async fn check_rows(client: &mut TestClient, rows: &[Row<'_>]) {
    for &(bytes, id, room, code, part) in rows {
        client.send_bytes(bytes.to_vec()).await;
        let shown = String::from_utf8_lossy(bytes);
        match client.frame().await {
            ServerFrame::Error { id: i, room: r, code: c, message, .. } => {
                let got = (i, r.as_ref().map(|room| room.as_str()), c);
                assert_eq!(got, (id, room, code), "{shown}: {message}");
                assert!(message.contains(part), "{shown}: {message}");
            }
            other => panic!("{shown}: {other:?}"),
        }
    }
    assert_eq!(client.ping().await, [], "one answer each");
}

#[tokio::test]
async fn frames_in_json_that_cannot_be_read() {
    use ErrorCode::{BadFrame, BadRoom, UnknownType};
    let node = TestNode::start(&[]).await;
    let long = format!(r#"{{"type":"leave","id":7,"room":"{}"}}"#, "a".repeat(129));
    let deep = format!(
        r#"{{"type":"publish","id":8,"room":"a","data":{}{}}}"#,
        "[".repeat(65),
        "]".repeat(65)
    );
    let rows: &[Row<'_>] = &[
        (b"", None, None, BadFrame, "cannot read the frame"),
        (b"{", None, None, BadFrame, "cannot read the frame"),
        (b"[]", None, None, BadFrame, "a map of fields"),
        (b"7", None, None, BadFrame, "a map of fields"),
        (br#"{"type":"ping"} {}"#, None, None, BadFrame, "trailing"),
        (br#"{"type":"ping","id":1,"id":2}"#, Some(1), None, BadFrame, "appears twice"),
        (b"{}", None, None, BadFrame, "`type` is missing"),
        (br#"{"type":7}"#, None, None, BadFrame, "`type` must be a string"),
        (br#"{"type":"shout","id":3}"#, Some(3), None, UnknownType, "shout"),
        (br#"{"type":"ping","id":0}"#, None, None, BadFrame, "`id` must be"),
        (br#"{"type":"ping","id":1.0}"#, None, None, BadFrame, "`id` must be"),
        (br#"{"type":"ping","id":9007199254740992}"#, None, None, BadFrame, "`id` must be"),
        (br#"{"type":"join","id":4}"#, Some(4), None, BadFrame, "`room` is missing"),
        (br#"{"type":"join","id":5,"room":1}"#, Some(5), None, BadFrame, "`room` must be"),
        (br#"{"type":"join","id":5,"rooms":[]}"#, Some(5), None, BadFrame, "1 to 1024"),
        (
            br#"{"type":"join","id":5,"room":"a","since":{"seq":1}}"#,
            Some(5),
            Some("a"),
            BadFrame,
            "`since.epoch`",
        ),
        (
            br#"{"type":"join","id":5,"room":"a","history":1001}"#,
            Some(5),
            Some("a"),
            BadFrame,
            "`history`",
        ),
        (br#"{"type":"publish","id":6,"room":"a"}"#, Some(6), Some("a"), BadFrame, "`data`"),
        (
            br#"{"type":"publish","id":6,"room":"a","data":1,"echo":"no"}"#,
            Some(6),
            Some("a"),
            BadFrame,
            "`echo`",
        ),
        (
            br#"{"type":"publish","room":"a","data":1,"if_seq":3}"#,
            None,
            Some("a"),
            BadFrame,
            "`epoch` is missing",
        ),
        (
            br#"{"type":"history","room":"a","after":1,"before":2}"#,
            None,
            Some("a"),
            BadFrame,
            "exclude each other",
        ),
        (br#"{"type":"leave","room":""}"#, None, None, BadRoom, "must not be empty"),
        (br#"{"type":"leave","room":"a b"}"#, None, None, BadRoom, "no blanks"),
        (br#"{"type":"join","id":2,"room":"$system"}"#, Some(2), None, BadRoom, "reserved"),
        (long.as_bytes(), Some(7), None, BadRoom, "at most 128 bytes"),
        (deep.as_bytes(), Some(8), Some("a"), BadFrame, "64 levels"),
    ];
    // A list is one frame: one bad entry refuses all of it.
    let list: &[Row<'_>] = &[(
        br#"{"type":"join","id":9,"rooms":[{"room":"a"},{"room":"b c"}]}"#,
        Some(9),
        None,
        BadRoom,
        "no blanks",
    )];
    for rows in [rows, list] {
        let mut client = node.json().await;
        check_rows(&mut client, rows).await;
        assert_eq!(client.join("a").await.recovered, None, "nothing of it had an effect");
    }
    let scrape = node.scrape().await;
    assert_eq!(scrape.with("roomcast_frames_in_total", "type=\"bad\""), 27.0);
    assert_eq!(scrape.with("roomcast_errors_total", "code=\"bad_room\""), 5.0);
    serves(&node).await;
    node.stop().await;
}

#[tokio::test]
async fn frames_in_messagepack_that_cannot_be_read() {
    use ErrorCode::{BadFrame, UnknownType};
    let node = TestNode::start(&[]).await;
    let mut client = node.msgpack().await;
    let rows: &[Row<'_>] = &[
        (b"", None, None, BadFrame, "ends early"),
        (b"\x90", None, None, BadFrame, "no map"),
        (b"\xc1", None, None, BadFrame, "0xc1"),
        (b"\x81\xa4type\xa4ping\xc0", None, None, BadFrame, "bytes follow"),
        (b"\x81\xa4type\xa4pin", None, None, BadFrame, "ends early"),
        (b"\x81\x01\x01", None, None, BadFrame, "must be a string"),
        (b"\x81\xa4type\xdb\xff\xff\xff\xff", None, None, BadFrame, "ends early"),
        (b"\x82\xa4type\xa5shout\xa2id\x03", Some(3), None, UnknownType, "shout"),
        (b"\x82\xa4type\xa4ping\xa2id\xcb\x3f\xf0\0\0\0\0\0\0", None, None, BadFrame, "`id`"),
        (
            b"\x84\xa4type\xa7publish\xa2id\x04\xa4room\xa1a\xa4data\x81\x90\x01",
            Some(4),
            Some("a"),
            BadFrame,
            "map key",
        ),
        (b"{\"type\":\"ping\"}", None, None, BadFrame, ""),
    ];
    check_rows(&mut client, rows).await;
    drop(client);
    serves(&node).await;
    node.stop().await;
}

#[tokio::test]
async fn requests_that_cannot_be_granted() {
    use ErrorCode::{AlreadyJoined, NotJoined, TooLarge, TooManyRooms};
    let settings = ["limits.rooms_per_connection=3", "namespaces.default.message_bytes=100"];
    for encoding in Encoding::ALL {
        let node = TestNode::start(&settings).await;
        let mut client = node.user(encoding, "ann").await;
        let code = async |client: &mut TestClient, frame: ClientFrame| {
            let name = "a".to_owned();
            match client.ask(&frame).await {
                ServerFrame::Error { room, code, retry_after_ms: None, .. } => {
                    (room.map_or(name, |room| room.as_str().to_owned()), code)
                }
                other => panic!("{frame:?}: {other:?}"),
            }
        };
        let join = |id, rooms: &[&str]| ClientFrame::Join {
            id: Some(id),
            rooms: rooms.iter().map(|name| plain(name)).collect(),
        };
        let leave = |id, name: &str| ClientFrame::Leave { id: Some(id), room: room(name) };
        assert_eq!(code(&mut client, leave(90, "a")).await, ("a".into(), NotJoined));
        client.join("a").await;
        assert_eq!(code(&mut client, join(91, &["a"])).await, ("a".into(), AlreadyJoined));
        // Two joins that race are one join and one error, whatever the order of their answers.
        client.send(&join(92, &["b", "b"])).await;
        let mut answers = [client.answer(92).await, client.answer(92).await];
        answers.sort_by_key(|answer| matches!(answer, ServerFrame::Error { .. }));
        assert!(matches!(answers[0], ServerFrame::Joined { .. }), "{answers:?}");
        assert!(
            matches!(answers[1], ServerFrame::Error { code: AlreadyJoined, .. }),
            "{answers:?}"
        );
        client.join("c").await;
        assert_eq!(code(&mut client, join(93, &["d"])).await, ("d".into(), TooManyRooms));
        client.leave("c").await;
        client.join("d").await;

        // 98 letters and two quotes are 100 bytes in JSON, one more is too much.
        let letters = |count: usize| format!("\"{}\"", "x".repeat(count));
        client.publish("a", &letters(98)).await;
        let large = client.publication("a", &letters(110));
        let answer = client.ask(&ClientFrame::Publish(large)).await;
        let ServerFrame::Error { code: TooLarge, message, .. } = answer else {
            panic!("{answer:?}")
        };
        assert!(message.ends_with("namespace allows 100"), "{message}");
        assert_eq!(client.message("a").await.seq, 1);
        client.leave("a").await;
        assert_eq!(code(&mut client, leave(94, "a")).await, ("a".into(), NotJoined));
        node.json().await.publish("b", "1").await;
        assert_eq!(client.message("b").await.seq, 1);
        drop(client);
        serves(&node).await;
        node.stop().await;
    }
}

#[tokio::test]
async fn frames_this_node_does_not_serve() {
    let node = TestNode::start(&[]).await;
    for encoding in Encoding::ALL {
        let mut client = node.user(encoding, "ann").await;
        client.join("a").await;
        let status = Some(roomcast_protocol::PresenceStatus::Away);
        let frames = [
            ClientFrame::Members { id: Some(52), room: room("a"), page: None },
            ClientFrame::Presence { id: Some(53), room: room("a"), info: None, status },
        ];
        for frame in frames {
            let answer = client.ask(&frame).await;
            assert!(
                matches!(answer, ServerFrame::Error { code: ErrorCode::Unsupported, .. }),
                "{answer:?}"
            );
        }
        // Options of a join for what comes later are taken without effect.
        let info = Some(roomcast_protocol::Data::json("1").unwrap());
        client.join_with(JoinRoom { presence: true, info, ..plain("b") }).await;
        assert_eq!(client.ping().await, []);
    }
    node.stop().await;
}

/// Broken frames are told one by one; who sends nothing else is ended.
#[tokio::test]
async fn too_many_broken_frames_end_the_connection() {
    let node = TestNode::start(&[]).await;
    let mut client = node.json().await;
    for _ in 0..32 {
        client.send_bytes(b"?".to_vec()).await;
    }
    for _ in 0..32 {
        let frame = client.frame().await;
        assert!(matches!(frame, ServerFrame::Error { code: ErrorCode::BadFrame, .. }), "{frame:?}");
    }
    assert_eq!(client.closed().await, CloseCode::Policy.code());
    let scrape = node.scrape().await;
    assert_eq!(scrape.with("roomcast_errors_total", "code=\"bad_frame\""), 32.0);
    drop(client);
    serves(&node).await;
    node.stop().await;
}

#[tokio::test]
async fn the_wrong_kind_of_frame_ends_the_connection() {
    let node = TestNode::start(&[]).await;
    let ping = br#"{"type":"ping"}"#;
    let mut json = RawClient::upgraded(node.address(), "").await;
    json.send(0x82, ping).await;
    assert_eq!(json.closed().await, Some(CloseCode::Unsupported.code()));
    let mut msgpack = RawClient::msgpack(node.address()).await;
    msgpack.send(0x81, ping).await;
    assert_eq!(msgpack.closed().await, Some(CloseCode::Unsupported.code()));
    drop((json, msgpack));
    serves(&node).await;
    node.stop().await;
}

/// Broken framing, each with the code that answers it.
#[tokio::test]
async fn broken_framing_ends_the_connection() {
    let node =
        TestNode::start(&["limits.message_bytes=4KiB", "namespaces.default.message_bytes=1KiB"])
            .await;
    let long_ping = support::frame(0x89, &[0; 126]);
    let rows: &[(&str, &[u8], CloseCode)] = &[
        ("not masked", b"\x81\x02{}", CloseCode::Protocol),
        ("RSV1", b"\xc1\x82\0\0\0\0{}", CloseCode::Protocol),
        ("RSV2", b"\xa1\x82\0\0\0\0{}", CloseCode::Protocol),
        ("RSV3", b"\x91\x82\0\0\0\0{}", CloseCode::Protocol),
        ("reserved data opcode", b"\x83\x80\0\0\0\0", CloseCode::Protocol),
        ("reserved control opcode", b"\x8b\x80\0\0\0\0", CloseCode::Protocol),
        ("fragmented ping", b"\x09\x80\0\0\0\0", CloseCode::Protocol),
        ("ping of 126 bytes", &long_ping, CloseCode::Protocol),
        ("continuation of nothing", b"\x80\x80\0\0\0\0", CloseCode::Protocol),
        (
            "new message within a message",
            b"\x01\x81\0\0\0\0{\x81\x81\0\0\0\0}",
            CloseCode::Protocol,
        ),
        ("close of one byte", b"\x88\x81\0\0\0\0\x03", CloseCode::Protocol),
        ("bad UTF-8", b"\x81\x84\0\0\0\0{\xff\xfe}", CloseCode::BadUtf8),
        ("UTF-8 cut off", b"\x81\x82\0\0\0\0\"\xc3", CloseCode::BadUtf8),
        ("4,097 bytes", b"\x81\xfe\x10\x01\0\0\0\0", CloseCode::TooBig),
        ("2^63 bytes", b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", CloseCode::TooBig),
        ("2^62 bytes", b"\x81\xff\x40\0\0\0\0\0\0\0\0\0\0\0", CloseCode::TooBig),
    ];
    let mut failed = Vec::new();
    for &(what, bytes, code) in rows {
        let mut client = RawClient::upgraded(node.address(), "").await;
        client.write(bytes).await;
        let got = client.closed().await;
        if got != Some(code.code()) {
            failed.push((what, got, code));
        }
        client.ended().await;
    }
    assert!(failed.is_empty(), "{failed:?}");
    // Too big in parts as well.
    let mut client = RawClient::upgraded(node.address(), "").await;
    client.send(0x01, &[b' '; 4000]).await;
    client.send(0x00, &[b' '; 4000]).await;
    assert_eq!(client.closed().await, Some(CloseCode::TooBig.code()));
    let scrape = node.scrape().await;
    assert_eq!(scrape.with("roomcast_connections_closed_total", "reason=\"bad_utf8\""), 2.0);
    assert!(scrape.with("roomcast_connections_closed_total", "reason=\"protocol\"") >= 10.0);
    drop(client);
    serves(&node).await;
    node.stop().await;
}

/// What RFC 6455 allows is served: fragments with pings between them, an empty first fragment,
/// masks, and frames cut anywhere.
#[tokio::test]
async fn unusual_framing_is_served() {
    let node = TestNode::start(&[]).await;
    let mut client = RawClient::upgraded(node.address(), "").await;
    assert!(client.frame().await.unwrap().is(support::Opcode::Text), "connected");
    client.send(0x01, b"").await;
    client.send(0x89, b"mid").await;
    client.send(0x00, br#"{"type":"pi"#).await;
    client.send(0x80, br#"ng","id":7}"#).await;
    let pong = client.frame().await.unwrap();
    assert_eq!((pong.first, &pong.payload[..]), (0x8a, &b"mid"[..]));
    let answer = String::from_utf8(client.frame().await.unwrap().payload).unwrap();
    assert!(answer.contains("\"pong\"") && answer.contains("\"id\":7"), "{answer}");
    for byte in support::frame(0x81, br#"{"type":"ping","id":8}"#) {
        client.write(&[byte]).await;
    }
    let answer = String::from_utf8(client.frame().await.unwrap().payload).unwrap();
    assert!(answer.contains("\"id\":8"), "{answer}");
    // A Close is answered with its own code, then the node ends the socket.
    client.send(0x88, &1000u16.to_be_bytes()).await;
    assert_eq!(client.frame().await.unwrap().close_code(), Some(1000));
    client.ended().await;
    node.until("roomcast_connections", |count| count == 0.0).await;
    let closed = "roomcast_connections_closed_total";
    assert_eq!(node.scrape().await.with(closed, "reason=\"client\""), 1.0);
    drop(client);
    node.stop().await;
}

/// A message that begins and never ends has a deadline.
#[tokio::test]
async fn a_message_that_never_ends_is_ended() {
    let node = TestNode::start(&["limits.message_deadline=300ms"]).await;
    let mut cut = RawClient::upgraded(node.address(), "").await;
    cut.write(b"\x81\xfe\x01\x00\0\0\0\0{").await;
    let mut fragments = RawClient::msgpack(node.address()).await;
    fragments.send(0x02, b"\x81").await;
    let mut header = RawClient::upgraded(node.address(), "").await;
    header.write(b"\x81").await;
    for client in [&mut cut, &mut fragments, &mut header] {
        assert_eq!(client.closed().await, Some(CloseCode::Policy.code()));
    }
    // One that is only slow between messages is not.
    let mut idle = node.json().await;
    idle.ping().await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    idle.ping().await;
    serves(&node).await;
    drop((cut, fragments, header, idle));
    node.stop().await;
}

/// A client that ends in whatever way is out of its rooms at once.
#[tokio::test]
async fn every_end_is_an_end() {
    let node = TestNode::start(&[]).await;
    let mut members = Vec::new();
    for encoding in [Encoding::Json, Encoding::MsgPack, Encoding::Json] {
        let mut member = node.user(encoding, "ann").await;
        member.join("end").await;
        members.push(member);
    }
    let [mut polite, cut, reset] = <[TestClient; 3]>::try_from(members).ok().unwrap();
    polite.socket.close(None).await.unwrap();
    assert!(matches!(polite.incoming().await, Incoming::Closed(..) | Incoming::Gone));
    drop(cut);
    let socket = reset.socket.into_inner();
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
    node.until("roomcast_members", |count| count == 0.0).await;
    node.until("roomcast_connections", |count| count == 0.0).await;
    let closed = "roomcast_connections_closed_total";
    let scrape = node.scrape().await;
    assert_eq!(scrape.with(closed, "reason=\"client\""), 1.0);
    assert_eq!(scrape.with(closed, "reason=\"gone\""), 2.0);
    drop(polite);
    serves(&node).await;
    node.stop().await;
}
