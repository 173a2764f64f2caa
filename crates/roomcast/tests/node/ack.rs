//! P3: `ack` tells the message's own position; a key stores once; `if_seq` holds or stores nothing.

use crate::support::{TestClient, TestNode, foreign, text};
use roomcast_protocol::{
    ClientFrame, Encoding, ErrorCode, Position, Publish, PublishKey, ServerFrame,
};

#[tokio::test]
async fn an_ack_tells_the_messages_position_and_time() {
    let node = TestNode::start(&[]).await;
    for encoding in Encoding::ALL {
        let name = encoding.as_str();
        let mut client = node.user(encoding, "ann").await;
        let joined = client.join(name).await;
        for n in 1..=20 {
            let publish = client.publication(name, "1");
            let id = publish.id.unwrap();
            match client.ask(&ClientFrame::Publish(publish)).await {
                ServerFrame::Ack { id: known, room, epoch, seq, time } => {
                    assert_eq!((known, room.as_str()), (id, name));
                    assert_eq!((epoch, seq), (joined.at.epoch, n));
                    let message = client.message(name).await;
                    assert_eq!((message.seq, message.time), (seq, time));
                    assert_eq!(message.connection, Some(client.id));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn a_key_is_stored_once() {
    let node = TestNode::start(&[]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    let joined = ann.join("keys").await;
    let keyed = |publish: Publish| Publish { key: Some(key("k")), ..publish };

    let first = keyed(ann.publication("keys", "{\"n\":1}"));
    let first = ann.try_publish(first).await.unwrap();
    assert_eq!(first, Position { seq: 1, ..joined.at });
    let again = keyed(ann.publication("keys", "{\"n\":1}"));
    assert_eq!(ann.try_publish(again).await, Ok(first), "the same ack");
    let other = keyed(ann.publication("keys", "{\"n\":2}"));
    assert_eq!(ann.try_publish(other).await, Err(ErrorCode::KeyConflict));

    // From another connection of the same user it is the same key …
    let mut second = node.user(Encoding::Json, "ann").await;
    let again = keyed(second.publication("keys", "{\"n\":1}"));
    assert_eq!(second.try_publish(again).await, Ok(first));
    // … and another one's key is another key, as is one in another room.
    let mut bob = node.user(Encoding::Json, "bob").await;
    let his = keyed(bob.publication("keys", "{\"n\":1}"));
    assert_eq!(bob.try_publish(his).await.unwrap().seq, 2);
    let elsewhere = keyed(ann.publication("keys2", "{\"n\":3}"));
    assert_eq!(ann.try_publish(elsewhere).await.unwrap().seq, 1);

    let stored = ann.messages("keys", 2).await;
    assert_eq!(stored.iter().map(|m| m.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(ann.publish("keys", "4").await.seq, 3, "nothing was stored twice");
    drop((ann, second, bob));
    node.stop().await;
}

/// Connections without a user: a key is their client's, or that of all that have no client.
#[tokio::test]
async fn without_a_user_a_key_belongs_to_the_client() {
    let node = TestNode::start(&["namespaces.default.keys_per_user=2"]).await;
    let address = node.address();
    let publish = async |query: &str, k: &str, json: &str| {
        let mut client = TestClient::connect(address, Encoding::Json, query).await;
        let publish = Publish { key: Some(key(k)), ..client.publication("keys", json) };
        client.try_publish(publish).await.map(|at| at.seq)
    };
    assert_eq!(publish("client=tab-1", "k", "1").await, Ok(1));
    assert_eq!(publish("client=tab-1&attempt=2", "k", "1").await, Ok(1), "it came back");
    assert_eq!(publish("client=tab-2", "k", "1").await, Ok(2));
    assert_eq!(publish("user=tab-1", "k", "1").await, Ok(3), "a user of a client's name");
    assert_eq!(publish("user=tab-1&client=tab-2", "k", "1").await, Ok(3));
    assert_eq!(publish("", "k", "1").await, Ok(4));
    assert_eq!(publish("", "k", "2").await, Err(ErrorCode::KeyConflict), "another nameless one");
    // Each has its own window.
    assert_eq!(publish("client=tab-1", "k2", "1").await, Ok(5));
    assert_eq!(publish("client=tab-1", "k3", "1").await, Err(ErrorCode::Overloaded));
    assert_eq!(publish("client=tab-1", "k", "1").await, Ok(1), "and is known in it");
    assert_eq!(publish("client=tab-2", "k3", "1").await, Ok(6));
    node.stop().await;
}

/// Twenty retries that race each other still store one message.
#[tokio::test]
async fn racing_retries_store_once() {
    let node = TestNode::start(&[]).await;
    let mut member = node.json().await;
    member.join("race").await;
    let mut retries = Vec::new();
    for n in 0..20 {
        let mut client = node.user(Encoding::ALL[0], "ann").await;
        retries.push(tokio::spawn(async move {
            let publish = Publish { key: Some(key("once")), ..client.publication("race", "1") };
            let position = client.try_publish(publish).await;
            (n, position)
        }));
    }
    for retry in retries {
        let (n, position) = retry.await.unwrap();
        assert_eq!(position.unwrap().seq, 1, "retry {n}");
    }
    assert_eq!(member.publish("race", "2").await.seq, 2, "one was stored");
    assert_eq!(member.messages("race", 2).await.len(), 2);
    drop(member);
    node.stop().await;
}

#[tokio::test]
async fn if_seq_holds_or_nothing_is_stored() {
    let node = TestNode::start(&[]).await;
    let mut client = node.msgpack().await;
    let start = client.join("cas").await.at;
    let expecting = |at: Position, publish: Publish| Publish { if_seq: Some(at), ..publish };

    let first = expecting(start, client.publication("cas", "1"));
    let first = client.try_publish(first).await.unwrap();
    assert_eq!(first.seq, 1);
    for wrong in [start, Position { seq: 2, ..start }, foreign(1)] {
        let publish = expecting(wrong, client.publication("cas", "2"));
        assert_eq!(client.try_publish(publish).await, Err(ErrorCode::SeqConflict), "{wrong:?}");
    }
    let second = expecting(first, client.publication("cas", "3"));
    assert_eq!(client.try_publish(second).await.unwrap().seq, 2);
    let stored = client.messages("cas", 2).await;
    assert_eq!(stored.iter().map(|m| text(&m.data)).collect::<Vec<_>>(), ["1", "3"]);

    // Of many that expect the same, exactly one is stored.
    let at = Position { seq: 2, ..start };
    let ids: Vec<_> = (0..10)
        .map(|n| {
            let publish = expecting(at, client.publication("cas", &n.to_string()));
            (publish.id.unwrap(), publish)
        })
        .collect();
    for (_, publish) in &ids {
        client.send(&ClientFrame::Publish(publish.clone())).await;
    }
    let mut stored = 0;
    for (id, _) in ids {
        match client.answer(id).await {
            ServerFrame::Ack { seq, .. } => {
                assert_eq!(seq, 3);
                stored += 1;
            }
            ServerFrame::Error { code: ErrorCode::SeqConflict, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stored, 1);
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn without_an_id_only_errors_are_told() {
    let node = TestNode::start(&["namespaces.default.message_bytes=16"]).await;
    for encoding in Encoding::ALL {
        let mut client = node.user(encoding, "ann").await;
        let name = encoding.as_str();
        for (json, k) in [("1", "a"), ("1", "a"), ("2", "a"), ("\"too long for this room\"", "b")] {
            let publish = client.publication(name, json);
            let publish = Publish { id: None, key: Some(key(k)), ..publish };
            client.send(&ClientFrame::Publish(publish)).await;
        }
        let mut codes = Vec::new();
        for _ in 0..2 {
            match client.frame().await {
                ServerFrame::Error { id: None, room: Some(room), code, .. } => {
                    assert_eq!(room.as_str(), name);
                    codes.push(code);
                }
                other => panic!("{other:?}"),
            }
        }
        codes.sort_by_key(|code| code.as_str());
        assert_eq!(codes, [ErrorCode::KeyConflict, ErrorCode::TooLarge]);
        // The ack of this one is the first.
        assert_eq!(client.publish(name, "3").await.seq, 2);
        assert_eq!(client.ping().await, []);
    }
    node.stop().await;
}

fn key(key: &str) -> PublishKey {
    PublishKey::parse(key).unwrap()
}
