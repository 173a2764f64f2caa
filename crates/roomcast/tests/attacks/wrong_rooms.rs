//! Rooms that a token does not open: whatever a user is called, and however a room is named.

use roomcast_protocol::{ClientFrame, Encoding, ErrorCode, ServerFrame};

use crate::support::auth::{GUARDED, token};
use crate::support::{TestClient, TestNode, plain};

async fn refused(client: &mut TestClient, room: &str) -> bool {
    let id = Some(client.next_id());
    let join = ClientFrame::Join { id, rooms: vec![plain(room)] };
    match client.ask(&join).await {
        ServerFrame::Joined { .. } => false,
        ServerFrame::Error { code: ErrorCode::Forbidden, message, .. } => {
            assert!(message.contains("join"), "{message}");
            true
        }
        other => panic!("{room}: {other:?}"),
    }
}

#[tokio::test]
async fn a_users_name_is_no_pattern() {
    let node = TestNode::start(&GUARDED).await;
    let rooms = r#","rooms":{"own:{sub}:*":["join"],"exact":["join"]}"#;
    let rows = [
        ("alice", ["own:alice:a", "exact"], ["own:bob:a", "own:alice", "exactly"]),
        ("*", ["own:*:a", "exact"], ["own:bob:a", "own:a", "exact*"]),
        ("{sub}", ["own:{sub}:a", "exact"], ["own:bob:a", "own:{sub}", "{sub}"]),
        ("a:*", ["own:a:*:b", "exact"], ["own:a:b:c", "own:a:x", "*"]),
    ];
    for (user, open, closed) in rows {
        let mut client = node.with_token(Encoding::Json, &token(user, rooms)).await;
        for room in open {
            assert!(!refused(&mut client, room).await, "{user} in {room}");
        }
        for room in closed {
            assert!(refused(&mut client, room).await, "{user} in {room}");
        }
    }
    node.stop().await;
}

/// Names that look alike are others: nothing is decoded, folded or cut before it is compared.
#[tokio::test]
async fn a_room_is_its_name_to_the_byte() {
    let node = TestNode::start(&GUARDED).await;
    let rooms = r#","rooms":{"private:alice":["join"],"open:*":["join"]}"#;
    let mut client = node.with_token(Encoding::MsgPack, &token("alice", rooms)).await;
    for room in [
        "private:Alice",
        "PRIVATE:alice",
        "private:alice/",
        "private:alice:",
        "private%3Aalice",
        "private:al\u{131}ce",
        "private:alic\u{435}",
        "open",
        "Open:a",
        "ope",
        "*",
        "open/../private:bob",
    ] {
        assert!(refused(&mut client, room).await, "{room}");
    }
    assert!(!refused(&mut client, "open:../private:bob").await, "a name without meaning");
    node.stop().await;
}
