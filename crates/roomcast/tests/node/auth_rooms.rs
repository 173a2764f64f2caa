//! What a connection may do in a room: by its token, by the room's own token, by the policy.

use crate::support::auth::{GUARDED, now, token, token_until};
use crate::support::{TestClient, TestNode, plain};
use roomcast_protocol::{ClientFrame, Encoding, ErrorCode, HistoryQuery, JoinRoom, ServerFrame};

/// A claim `room` with these capabilities.
fn pass(user: &str, room: &str, can: &str) -> String {
    token(user, &format!(r#","room":"{room}","can":[{can}]"#))
}

async fn join(client: &mut TestClient, room: &str, token: String) -> ServerFrame {
    let id = Some(client.next_id());
    let rooms = vec![JoinRoom { token: Some(token.into()), ..plain(room) }];
    client.ask(&ClientFrame::Join { id, rooms }).await
}

#[track_caller]
fn assert_refused(answer: &ServerFrame, expected: ErrorCode, part: &str) {
    match answer {
        ServerFrame::Error { code, message, .. } if *code == expected => {
            assert!(message.contains(part), "{message}");
        }
        other => panic!("{expected:?} was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn each_action_needs_its_capability() {
    let node = TestNode::start(&GUARDED).await;
    let all = r#","rooms":{"*":["join","publish","history"]}"#;
    let mut author = node.with_token(Encoding::Json, &token("author", all)).await;
    author.join("chat").await;
    let first = author.publish("chat", "1").await;
    author.publish("chat", "2").await;
    let reader = token("reader", r#","rooms":{"chat":["join"]}"#);
    let mut reader = node.with_token(Encoding::MsgPack, &reader).await;
    let id = Some(reader.next_id());
    let with_history = JoinRoom { history: Some(1), ..plain("chat") };
    let refused = reader.ask(&ClientFrame::Join { id, rooms: vec![with_history] }).await;
    assert_refused(&refused, ErrorCode::Forbidden, "\"history\"");
    // Coming back needs no more than `join`, for what was published a moment ago.
    let joined = reader.resume("chat", first).await;
    assert_eq!(joined.recovered, Some(true));
    assert_eq!(reader.message("chat").await.seq, first.seq + 1);
    let publish = reader.publication("chat", "3");
    assert_eq!(reader.try_publish(publish).await, Err(ErrorCode::Forbidden));
    let id = Some(reader.next_id());
    let room = plain("chat").room;
    let query = HistoryQuery { id, room, after: None, before: None, limit: 5 };
    let refused = reader.ask(&ClientFrame::History(query)).await;
    assert_refused(&refused, ErrorCode::Forbidden, "\"history\"");
    drop((author, reader));
    node.stop().await;
}

#[tokio::test]
async fn a_rooms_own_token_lets_in_and_gives_more() {
    let node = TestNode::start(&GUARDED).await;
    let own = token("alice", r#","rooms":{"open":["join"]}"#);
    let mut alice = node.with_token(Encoding::Json, &own).await;
    for (presented, code, part) in [
        (pass("alice", "other", r#""join""#), ErrorCode::BadToken, "another room"),
        (pass("bob", "den", r#""join""#), ErrorCode::BadToken, "another user"),
        (pass("alice", "den", r#""publish""#), ErrorCode::Forbidden, "\"join\""),
        (own.clone(), ErrorCode::BadToken, "`room`"),
        (token_until(1, "alice", r#","room":"den","can":["join"]"#), ErrorCode::BadToken, "`exp`"),
        ("x".to_owned(), ErrorCode::BadToken, "JWT"),
    ] {
        assert_refused(&join(&mut alice, "den", presented).await, code, part);
    }
    let entered = join(&mut alice, "den", pass("alice", "den", r#""join""#)).await;
    assert!(matches!(entered, ServerFrame::Joined { .. }), "{entered:?}");
    let publish = alice.publication("den", "1");
    assert_eq!(alice.try_publish(publish).await, Err(ErrorCode::Forbidden));

    // Another token replaces the first, and is answered by `joined` at the member's position.
    let more = pass("alice", "den", r#""join","publish""#);
    let ServerFrame::Joined { seq, .. } = join(&mut alice, "den", more).await else { panic!() };
    assert_eq!(seq, 0);
    assert_eq!(alice.publish("den", "1").await.seq, 1);
    assert_eq!(alice.message("den").await.seq, 1);

    // What it gave goes with the membership.
    alice.leave("den").await;
    let publish = alice.publication("den", "2");
    assert_eq!(alice.try_publish(publish).await, Err(ErrorCode::Forbidden));
    let id = Some(alice.next_id());
    let again = alice.ask(&ClientFrame::Join { id, rooms: vec![plain("den")] }).await;
    assert_refused(&again, ErrorCode::Forbidden, "\"join\"");
    drop(alice);
    node.stop().await;
}

/// Even where the claims allow `join`: the membership was made by the room's token.
#[tokio::test]
async fn a_membership_ends_with_the_rooms_token() {
    let node = TestNode::start(&[&GUARDED[..], &["auth.leeway=0"]].concat()).await;
    let own = token("alice", r#","rooms":{"*":["join"]}"#);
    let mut alice = node.with_token(Encoding::MsgPack, &own).await;
    alice.join("stays").await;
    let exp = now() + 2;
    let short = token_until(exp, "alice", r#","room":"den","can":["join"]"#);
    let entered = join(&mut alice, "den", short).await;
    assert!(matches!(entered, ServerFrame::Joined { .. }), "{entered:?}");
    match alice.frame().await {
        ServerFrame::Left { id: None, room, reason } => {
            assert_eq!((room.as_str(), &*reason.unwrap()), ("den", "expired"));
        }
        other => panic!("{other:?}"),
    }
    assert!(now() >= exp);
    alice.join("den").await;
    drop(alice);
    node.stop().await;
}

/// A reload judges the rooms that are joined already.
#[tokio::test]
async fn a_stricter_policy_puts_members_out() {
    let open = ["node.id=n", "namespaces.hall.allow_join=user"];
    let mut node = TestNode::start(&[&GUARDED[..], &open].concat()).await;
    let mut guest = node.with_token(Encoding::Json, &token("guest", "")).await;
    let own = token("owner", r#","rooms":{"hall:*":["join","publish"]}"#);
    let mut owner = node.with_token(Encoding::Json, &own).await;
    guest.join("hall:1").await;
    owner.join("hall:1").await;
    let strict = ["node.id=n", "namespaces.hall.allow_publish=user"];
    node.node.reload(&TestNode::config(&[&GUARDED[..], &strict].concat())).await;
    match guest.frame().await {
        ServerFrame::Left { id: None, room, reason } => {
            assert_eq!((room.as_str(), &*reason.unwrap()), ("hall:1", "forbidden"));
        }
        other => panic!("{other:?}"),
    }
    owner.publish("hall:1", "1").await;
    owner.message("hall:1").await;
    drop((guest, owner));
    node.stop().await;
}

/// Another token of a room may be sent before the first one's join is answered; a `leave` takes both
/// back.
#[tokio::test]
async fn a_rooms_token_replaces_one_that_waits() {
    let node = TestNode::start(&GUARDED).await;
    let own = token("alice", r#","rooms":{}"#);
    let mut alice = node.with_token(Encoding::Json, &own).await;
    let tokens = [r#""join""#, r#""join","publish""#].map(|can| pass("alice", "den", can));
    let joins = tokens.map(|token| {
        let rooms = vec![JoinRoom { token: Some(token.into()), ..plain("den") }];
        ClientFrame::Join { id: Some(alice.next_id()), rooms }
    });
    for join in &joins {
        alice.send(join).await;
    }
    for join in &joins {
        let answer = alice.answer(join.id().unwrap()).await;
        assert!(matches!(answer, ServerFrame::Joined { .. }), "{answer:?}");
    }
    alice.publish("den", "1").await;
    alice.leave("den").await;

    for join in &joins {
        alice.send(join).await;
    }
    let leave = ClientFrame::Leave { id: Some(alice.next_id()), room: plain("den").room };
    alice.send(&leave).await;
    let _joined_or_cancelled = (
        alice.answer(joins[0].id().unwrap()).await,
        alice.answer(joins[1].id().unwrap()).await,
        alice.answer(leave.id().unwrap()).await,
    );
    let publish = alice.publication("den", "2");
    assert_eq!(alice.try_publish(publish).await, Err(ErrorCode::Forbidden));
    drop(alice);
    node.stop().await;
}
