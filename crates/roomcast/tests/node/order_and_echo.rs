//! P1: every member of a room sees its messages in ascending seq, with the same content; only the
//! author sees its own ones differently. Payloads pass byte for byte.

use crate::support::{TestClient, TestNode, plain, publish_of, room, seqs, text};
use bytes::Bytes;
use roomcast_protocol::{
    ClientFrame, Data, Encoding, ErrorCode, EventName, Position, Publish, PublishKey, ServerFrame,
};

#[tokio::test]
async fn members_in_both_encodings_see_the_same() {
    let node = TestNode::start(&[]).await;
    let mut clients = Vec::new();
    for n in 0..6 {
        let encoding = Encoding::ALL[n % 2];
        clients.push(node.user(encoding, &format!("u{n}")).await);
    }
    for client in &mut clients {
        assert_eq!(client.join("lobby").await.at.seq, 0);
    }
    // All publish at once; who is first does not matter.
    for n in 0..120 {
        let client = &mut clients[n % 6];
        let publish = client.publication("lobby", &format!("[{n}]"));
        client.send(&ClientFrame::Publish(publish)).await;
    }
    let mut seen = Vec::new();
    for client in &mut clients {
        let mut messages = Vec::new();
        while messages.len() < 120 {
            match client.frame().await {
                ServerFrame::Message { message, .. } => messages.push(message),
                ServerFrame::Ack { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seqs(&messages), (1..=120).collect::<Vec<_>>());
        let content = messages.iter().map(|m| {
            let user = m.user.as_ref().unwrap().as_str().to_owned();
            (m.seq, m.time, user, m.connection.unwrap(), text(&m.data))
        });
        seen.push(content.collect::<Vec<_>>());
    }
    assert!(seen.iter().all(|one| *one == seen[0]));
    assert!(seen[0].windows(2).all(|two| two[0].1 <= two[1].1), "time never decreases");
    let of_third: Vec<_> = seen[0].iter().filter(|one| one.2 == "u2").collect();
    assert!(of_third.iter().all(|one| one.3 == clients[2].id));
    let expected: Vec<_> = (0..20).map(|n| format!("[{}]", n * 6 + 2)).collect();
    assert_eq!(of_third.iter().map(|one| one.4.clone()).collect::<Vec<_>>(), expected);
    drop(clients);
    node.stop().await;
}

#[tokio::test]
async fn what_follows_a_join_on_its_connection_comes_after_it() {
    let node = TestNode::start(&[]).await;
    for n in 0..50 {
        let name = format!("new-{n}");
        let mut client = node.user(Encoding::Json, "ann").await;
        // The join waits for the room to open; the publish must not overtake it.
        let id = client.next_id();
        let join = ClientFrame::Join { id: Some(id), rooms: vec![plain(&name)] };
        let publish = Publish { id: None, ..client.publication(&name, "1") };
        client.send(&join).await;
        client.send(&ClientFrame::Publish(publish)).await;
        let ServerFrame::Joined { seq, .. } = client.answer(id).await else { panic!() };
        assert_eq!(seq, 0);
        assert_eq!(client.message(&name).await.seq, 1);
    }
    node.stop().await;
}

#[tokio::test]
async fn only_the_author_sees_its_key_and_may_spare_itself_the_echo() {
    let node = TestNode::start(&[]).await;
    for encoding in Encoding::ALL {
        let name = encoding.as_str();
        let mut author = node.user(encoding, "ann").await;
        // Another connection of the same user is another connection.
        let mut others =
            [node.user(encoding, "ann").await, node.json().await, node.msgpack().await];
        author.join(name).await;
        for other in &mut others {
            other.join(name).await;
        }
        let keyed = Publish {
            key: Some(PublishKey::parse("k-1").unwrap()),
            event: Some(EventName::parse("note").unwrap()),
            ..author.publication(name, "1")
        };
        let silent = Publish { echo: false, ..author.publication(name, "2") };
        let both = Publish {
            key: Some(PublishKey::parse("k-3").unwrap()),
            echo: false,
            ..author.publication(name, "3")
        };
        let last = author.publication(name, "4");
        for publish in [keyed, silent, both, last] {
            author.try_publish(publish).await.unwrap();
        }
        let own = author.messages(name, 2).await;
        assert_eq!(seqs(&own), [1, 4]);
        assert_eq!(own[0].key.as_ref().unwrap().as_str(), "k-1");
        assert_eq!(own[1].key, None);
        assert_eq!(author.ping().await, [], "nothing else came to the author");
        for other in &mut others {
            let messages = other.messages(name, 4).await;
            assert_eq!(seqs(&messages), [1, 2, 3, 4]);
            assert!(messages.iter().all(|m| m.key.is_none()), "a key is its author's own");
            assert_eq!(messages[0].event.as_ref().unwrap().as_str(), "note");
        }
    }
    node.stop().await;
}

/// It does not matter whether the author was a member yet when it published, or is one again.
#[tokio::test]
async fn an_author_is_known_before_and_after_its_membership() {
    let node = TestNode::start(&[]).await;
    for encoding in Encoding::ALL {
        let name = encoding.as_str();
        let mut author = node.user(encoding, "ann").await;
        let keyed = |publish: Publish, key: &str| Publish {
            key: Some(PublishKey::parse(key).unwrap()),
            ..publish
        };
        // The room is new to the node: the join waits for its log, and the publishes for the join.
        author.send(&ClientFrame::Join { id: Some(70), rooms: vec![plain(name)] }).await;
        let silent = Publish { echo: false, id: None, ..author.publication(name, "1") };
        author.send(&ClientFrame::Publish(silent)).await;
        let own = keyed(author.publication(name, "2"), "k-2");
        author.send(&ClientFrame::Publish(Publish { id: None, ..own })).await;
        let ServerFrame::Joined { epoch, seq, .. } = author.answer(70).await else { panic!() };
        // What a connection publishes after its own join comes after it.
        assert_eq!(seq, 0, "{encoding:?}");
        let message = author.message(name).await;
        assert_eq!((message.seq, message.key.is_some()), (2, true), "{encoding:?}");

        author.leave(name).await;
        let silent = Publish { echo: false, ..author.publication(name, "3") };
        author.try_publish(silent).await.unwrap();
        let own = keyed(author.publication(name, "4"), "k-4");
        author.try_publish(own).await.unwrap();
        author.resume(name, Position { epoch, seq: 0 }).await;
        let again = author.messages(name, 2).await;
        assert_eq!(seqs(&again), [2, 4], "{encoding:?}");
        assert!(again.iter().all(|message| message.key.is_some()));
    }
    node.stop().await;
}

/// What an author wrote in JSON reaches JSON readers as it was written.
#[tokio::test]
async fn json_passes_byte_for_byte() {
    let node = TestNode::start(&[]).await;
    let (mut author, mut reader, mut other) =
        (node.json().await, node.json().await, node.msgpack().await);
    for client in [&mut author, &mut reader, &mut other] {
        client.join("bytes").await;
    }
    let payloads = [
        "{ \"b\" : 1 ,\n\t\"a\":2, \"a\" : 3 }",
        "9007199254740993",
        "-0",
        "1.0",
        "1e2",
        "0.10",
        "\"\\u00e9\\ud83d\\ude00\\/\"",
        "\"é😀\"",
        "[\r\n]",
        "null",
        "\"\\ud800\"",
        "{\"\":{\"$bin\":\"AQI=\"}}",
        "123456789012345678901234567890",
    ];
    for payload in payloads {
        let frame = format!("{{\"data\":{payload},\"room\":\"bytes\" , \"type\":\"publish\"}}");
        author.send_bytes(frame.into_bytes()).await;
    }
    for payload in payloads {
        for client in [&mut author, &mut reader] {
            let message = client.message("bytes").await;
            assert_eq!(message.data, Data::Json(Bytes::from_static(payload.as_bytes())));
        }
        let Data::MsgPack(_) = other.message("bytes").await.data else {
            panic!("a MessagePack reader gets MessagePack")
        };
    }
    drop((author, reader, other));
    node.stop().await;
}

#[tokio::test]
async fn the_other_encoding_gets_it_transcoded() {
    let node = TestNode::start(&[]).await;
    let (mut json, mut msgpack) = (node.json().await, node.msgpack().await);
    json.join("both").await;
    msgpack.join("both").await;

    // {"n": uint 64, "x": bin, 7: float 32} with widths longer than necessary.
    let wide = b"\xde\x00\x03\xa1n\xcf\x00\x20\x00\x00\x00\x00\x00\x01\xd9\x01x\xc5\x00\x02\x01\xff\x07\xca\x3f\xc0\x00\x00";
    let data = Data::msgpack(Bytes::from_static(wide)).unwrap();
    msgpack.send(&ClientFrame::Publish(publish_of("both", data.clone()))).await;
    assert_eq!(msgpack.message("both").await.data, data);
    let expected = r#"{"n":9007199254740993,"x":{"$bin":"Af8="},"7":1.5}"#;
    assert_eq!(json.message("both").await.data, Data::Json(expected.into()));

    json.publish("both", r#"{"$bin":"Af8="}"#).await;
    json.publish("both", r#"[-1, 300, 0.5, {"$bin":"?"}]"#).await;
    assert_eq!(msgpack.message("both").await.data, Data::MsgPack(b"\xc4\x02\x01\xff"[..].into()));
    let list = b"\x94\xff\xcd\x01\x2c\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00\x81\xa4$bin\xa1?";
    assert_eq!(msgpack.message("both").await.data, Data::MsgPack(list[..].into()));
    drop((json, msgpack));
    node.stop().await;
}

#[tokio::test]
async fn a_join_of_several_rooms_is_answered_for_each() {
    let node = TestNode::start(&[]).await;
    let mut client = node.json().await;
    client.publish("r2", "0").await;
    let rooms = ["r1", "r2", "r3"];
    let joins = rooms.map(plain).to_vec();
    client.send(&ClientFrame::Join { id: Some(77), rooms: joins }).await;
    let mut answered = Vec::new();
    for _ in rooms {
        match client.frame().await {
            ServerFrame::Joined { id: Some(77), room, seq, .. } => {
                answered.push((room.as_str().to_owned(), seq));
            }
            other => panic!("{other:?}"),
        }
    }
    answered.sort();
    assert_eq!(answered, [("r1".into(), 0), ("r2".into(), 1), ("r3".into(), 0)]);
    let mut other = node.msgpack().await;
    for name in rooms {
        other.publish(name, &format!("{name:?}")).await;
    }
    let mut got = Vec::new();
    for _ in rooms {
        match client.frame().await {
            ServerFrame::Message { room, message } => {
                assert_eq!(text(&message.data), format!("{:?}", room.as_str()));
                got.push(room.as_str().to_owned());
            }
            other => panic!("{other:?}"),
        }
    }
    got.sort();
    assert_eq!(got, rooms);
    drop((client, other));
    node.stop().await;
}

/// After `left` nothing of that room comes, though a busy publisher goes on.
#[tokio::test]
async fn after_left_nothing_of_that_room_comes() {
    let node = TestNode::start(&[]).await;
    let mut publisher = node.json().await;
    let busy = tokio::spawn(async move {
        for n in 0..2000 {
            publisher.send(&ClientFrame::Publish(publish_of("busy", number(n)))).await;
            if n % 50 == 0 {
                publisher.ping().await;
            }
        }
    });
    let mut member = node.json().await;
    for _ in 0..20 {
        let joined = member.join("busy").await;
        let first = member.message("busy").await;
        assert_eq!(first.seq, joined.at.seq + 1);
        let id = member.next_id();
        member.send(&ClientFrame::Leave { id: Some(id), room: room("busy") }).await;
        loop {
            match member.frame().await {
                ServerFrame::Message { .. } => {}
                ServerFrame::Left { id: known, room, reason } => {
                    assert_eq!((known, room.as_str(), reason), (Some(id), "busy", None));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(member.ping().await, []);
        if busy.is_finished() {
            break;
        }
    }
    busy.abort();
    drop(member);
    node.stop().await;
}

#[tokio::test]
async fn publishing_needs_no_membership() {
    let node = TestNode::start(&[]).await;
    let (mut outsider, mut member) = (node.msgpack().await, node.json().await);
    member.join("open").await;
    assert_eq!(outsider.publish("open", "\"hi\"").await.seq, 1);
    assert_eq!(text(&member.message("open").await.data), "\"hi\"");
    assert_eq!(outsider.ping().await, []);
    let id = outsider.next_id();
    let answer = outsider.ask(&ClientFrame::Leave { id: Some(id), room: room("open") }).await;
    assert!(matches!(answer, ServerFrame::Error { code: ErrorCode::NotJoined, .. }), "{answer:?}");
    drop((outsider, member));
    node.stop().await;
}

/// A connection in many rooms gets each in order, whatever the mixture.
#[tokio::test]
async fn many_rooms_share_one_connection() {
    let node = TestNode::start(&[]).await;
    let mut member = node.json().await;
    let names: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
    for name in &names {
        member.join(name).await;
    }
    let mut publishers: Vec<TestClient> = vec![node.json().await, node.msgpack().await];
    for n in 0..600 {
        let publisher = &mut publishers[n % 2];
        publisher.send(&ClientFrame::Publish(publish_of(&names[n % 20], number(n)))).await;
    }
    let mut next = [0; 20];
    for _ in 0..600 {
        let ServerFrame::Message { room, message } = member.frame().await else { panic!() };
        let index: usize = room.as_str()[1..].parse().unwrap();
        next[index] += 1;
        assert_eq!(message.seq, next[index]);
    }
    assert_eq!(next, [30; 20]);
    drop((member, publishers));
    node.stop().await;
}

fn number(n: usize) -> Data {
    Data::json(n.to_string()).unwrap()
}
