//! Users' own rooms and the room of all connections: backends publish there, devices follow, resume
//! and confirm.

use crate::support::auth::{GUARDED, token};
use crate::support::{Backend, Joined, TestClient, TestNode, plain, room, text};
use roomcast_protocol::{
    ClientFrame, Encoding, ErrorCode, JoinRoom, Position, ReadMarks, ServerFrame, Since,
};
use serde_json::json;

/// A node with one key that opens everything, and further settings.
async fn start(settings: &[&str]) -> (TestNode, Backend) {
    let shop = Backend::new("shop");
    let key = shop.settings("publish read admin");
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    (TestNode::start(&[&key[..], settings].concat()).await, shop)
}

/// Joins; what the node answers.
async fn ask_join(client: &mut TestClient, join: JoinRoom) -> ServerFrame {
    let id = client.next_id();
    client.ask(&ClientFrame::Join { id: Some(id), rooms: vec![join] }).await
}

/// Joins; the answer's position, `recovered` and marks.
async fn joined(client: &mut TestClient, join: JoinRoom) -> (Joined, Option<ReadMarks>) {
    match ask_join(client, join).await {
        ServerFrame::Joined { epoch, seq, recovered, marks, .. } => {
            (Joined { at: Position { epoch, seq }, recovered }, marks)
        }
        other => panic!("joined was expected, not {other:?}"),
    }
}

async fn confirm(client: &mut TestClient, name: &str, at: Position, read: bool) -> ServerFrame {
    let id = Some(client.next_id());
    let (room, Position { epoch, seq }) = (room(name), at);
    client.ask(&ClientFrame::Received { id, room, epoch, seq, read }).await
}

#[track_caller]
fn check_received(frame: &ServerFrame, expected: (u64, u64)) {
    match frame {
        ServerFrame::Received { seq, read, .. } => assert_eq!((*seq, *read), expected),
        other => panic!("received was expected, not {other:?}"),
    }
}

#[track_caller]
fn check_error(frame: &ServerFrame, expected: ErrorCode) {
    match frame {
        ServerFrame::Error { code, .. } => assert_eq!(*code, expected, "{frame:?}"),
        other => panic!("{expected:?} was expected, not {other:?}"),
    }
}

fn marks(received: u64, read: u64, unread: u64) -> Option<ReadMarks> {
    Some(ReadMarks { received, read, unread })
}

#[tokio::test]
async fn a_device_that_returns_gets_what_its_user_has_not_confirmed() {
    let (node, shop) = start(&[]).await;
    let path = "/v1/users/ann/messages";
    for n in 1..=3 {
        let (status, ack) = shop.post(node.address(), path, json!({"data": n})).await;
        assert_eq!((status, &ack["seq"]), (200, &json!(n)));
    }
    let mut phone = node.user(Encoding::Json, "ann").await;
    // Nothing is confirmed: all that is kept follows.
    let (begun, told) = joined(&mut phone, plain("@me")).await;
    assert_eq!((begun.at.seq, begun.recovered, told), (0, Some(true), marks(0, 0, 3)));
    for n in 1..=3 {
        assert_eq!(phone.message("@me").await.seq, n);
    }
    let epoch = begun.at.epoch;
    let at = |seq| Position { epoch, seq };
    check_received(&confirm(&mut phone, "@me", at(2), false).await, (2, 0));
    check_received(&confirm(&mut phone, "@me", at(1), true).await, (2, 1));

    let mut laptop = node.user(Encoding::MsgPack, "ann").await;
    let (begun, told) = joined(&mut laptop, plain("@me")).await;
    assert_eq!((begun.at, begun.recovered, told), (at(2), Some(true), marks(2, 1, 2)));
    assert_eq!(text(&laptop.message("@me").await.data), "3");
    // The other devices learn of it, without an id; the one that confirmed gets its answer only.
    check_received(&confirm(&mut laptop, "@me", at(99), true).await, (3, 3));
    match phone.frame().await {
        ServerFrame::Received { id, room, epoch: of, seq, read } => {
            assert_eq!((id, room.as_str(), of, seq, read), (None, "@me", epoch, 3, 3));
        }
        other => panic!("{other:?}"),
    }
    let mut other = node.user(Encoding::Json, "ann").await;
    let (begun, told) = joined(&mut other, plain("@me")).await;
    assert_eq!((begun.at, begun.recovered, told), (at(3), Some(true), marks(3, 3, 0)));
    // A position of its own wins, and `history` begins as it says.
    other.leave("@me").await;
    let since = Some(Since::Position(at(1)));
    let (begun, told) = joined(&mut other, JoinRoom { since, ..plain("@me") }).await;
    assert_eq!((begun.at, begun.recovered, told), (at(1), Some(true), marks(3, 3, 0)));
    other.messages("@me", 2).await;
    other.leave("@me").await;
    let (begun, _) = joined(&mut other, JoinRoom { history: Some(1), ..plain("@me") }).await;
    assert_eq!((begun.at, begun.recovered), (at(2), None));
    check_error(
        &confirm(&mut other, "@me", Position { epoch: roomcast_protocol::Epoch(7), seq: 1 }, true)
            .await,
        ErrorCode::SeqConflict,
    );
    node.stop().await;
}

#[tokio::test]
async fn all_devices_of_a_user_get_a_message_and_no_others() {
    let (node, shop) = start(&[]).await;
    let mut devices = Vec::new();
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let mut device = node.user(encoding, "ann").await;
        device.join("@me").await;
        devices.push(device);
    }
    let mut bob = node.user(Encoding::Json, "bob").await;
    bob.join("@me").await;
    let body = json!({"users": ["ann", "bob", "b b", "eve"], "data": {"n": 1}, "event": "note"});
    let (status, answer) = shop.post(node.address(), "/v1/users/messages", body).await;
    assert_eq!(status, 200, "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["seq"], &results[3]["seq"]), (4, &json!(1), &json!(1)));
    assert_eq!(results[2]["code"], "bad_body");
    for device in devices.iter_mut().chain([&mut bob]) {
        let message = device.message("@me").await;
        assert_eq!((message.seq, text(&message.data).as_str()), (1, r#"{"n":1}"#));
    }
    let many: Vec<String> = (0..1001).map(|n| format!("u{n}")).collect();
    let body = json!({"users": many, "data": 1});
    let (status, problem) = shop.post(node.address(), "/v1/users/messages", body).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
    let (_, page) = shop.get(node.address(), "/v1/users/eve/messages").await;
    assert_eq!(page["messages"][0]["event"], "note");
    node.stop().await;
}

#[tokio::test]
async fn everybody_reads_the_room_of_all_and_only_backends_write_there() {
    let (node, shop) = start(&[]).await;
    let mut anyone = node.json().await;
    anyone.join("@all").await;
    let (status, _) =
        shop.post(node.address(), "/v1/rooms/@all/messages", json!({"data": "hello"})).await;
    assert_eq!(status, 200);
    assert_eq!(anyone.message("@all").await.seq, 1);
    let publish = anyone.publication("@all", "1");
    assert_eq!(anyone.try_publish(publish).await, Err(ErrorCode::Forbidden));
    let mut ann = node.user(Encoding::Json, "ann").await;
    ann.join("@me").await;
    let publish = ann.publication("@me", "1");
    assert_eq!(ann.try_publish(publish).await, Err(ErrorCode::Forbidden));
    // Without a user there is no own room.
    check_error(&ask_join(&mut anyone, plain("@me")).await, ErrorCode::Forbidden);
    let at = Position::START;
    check_error(&confirm(&mut anyone, "@me", at, true).await, ErrorCode::Forbidden);
    check_error(&confirm(&mut ann, "@all", at, true).await, ErrorCode::Unsupported);
    for name in ["@other", "$all", "$user:ann"] {
        anyone.send_bytes(format!(r#"{{"type":"join","id":9000,"room":"{name}"}}"#).into()).await;
        check_error(&anyone.answer(9000).await, ErrorCode::BadRoom);
        let path = format!("/v1/rooms/{name}/messages");
        let (status, problem) = shop.post(node.address(), &path, json!({"data": 1})).await;
        assert_eq!((status, &problem["code"]), (400, &json!("bad_room")));
    }
    let (status, problem) = shop.get(node.address(), "/v1/rooms/@me/messages").await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad_room")));
    node.stop().await;
}

#[tokio::test]
async fn a_token_opens_its_users_own_room_without_a_capability() {
    let (node, shop) = start(&GUARDED).await;
    let mut ann = node.with_token(Encoding::Json, &token("ann", "")).await;
    ann.join("@me").await;
    ann.join("@all").await;
    let (status, _) = shop.post(node.address(), "/v1/users/ann/messages", json!({"data": 1})).await;
    assert_eq!(status, 200);
    assert_eq!(ann.message("@me").await.seq, 1);
    let id = ann.next_id();
    let query = format!(r#"{{"type":"history","id":{id},"room":"@me"}}"#);
    ann.send_bytes(query.into()).await;
    match ann.answer(id).await {
        ServerFrame::History { room, messages, .. } => {
            assert_eq!((room.as_str(), messages.len()), ("@me", 1));
        }
        other => panic!("{other:?}"),
    }
    node.stop().await;
}

#[tokio::test]
async fn the_own_room_is_joined_by_itself_where_that_is_set() {
    let (node, shop) = start(&["users.auto_join=true"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    match ann.frame().await {
        ServerFrame::Joined { id, room, recovered, .. } => {
            assert_eq!((id, room.as_str(), recovered), (None, "@me", Some(true)));
        }
        other => panic!("{other:?}"),
    }
    shop.post(node.address(), "/v1/users/ann/messages", json!({"data": 1})).await;
    assert_eq!(ann.message("@me").await.seq, 1);
    // The client's own join replaces it, and begins where the user is; a second one is refused.
    let (begun, _) = joined(&mut ann, plain("@me")).await;
    assert_eq!((begun.at.seq, begun.recovered), (0, Some(true)));
    assert_eq!(ann.message("@me").await.seq, 1);
    check_error(&ask_join(&mut ann, plain("@me")).await, ErrorCode::AlreadyJoined);
    node.stop().await;
}

#[tokio::test]
async fn a_refused_join_leaves_the_membership_that_came_by_itself() {
    let (node, shop) = start(&["users.auto_join=true"]).await;
    let post = async |data: u64| {
        let path = "/v1/users/ann/messages";
        assert_eq!(shop.post(node.address(), path, json!({ "data": data })).await.0, 200);
    };
    post(1).await;
    let strict = JoinRoom {
        since: Some(Since::Position(crate::support::foreign(9))),
        strict: true,
        ..plain("@me")
    };
    // One client waits for the membership, the other one asks at once: it may wait still.
    for (waits, last) in [(true, 1), (false, 2)] {
        let mut ann = node.user(Encoding::Json, "ann").await;
        let mut begun = match waits {
            true => Some(ann.frame().await),
            false => None,
        };
        check_error(&ask_join(&mut ann, strict.clone()).await, ErrorCode::Unrecoverable);
        // The membership has begun, before or after that, and goes on.
        let mut seen = 0;
        while begun.is_none() || seen < last {
            match ann.frame().await {
                frame @ ServerFrame::Joined { id: None, .. } => begun = Some(frame),
                ServerFrame::Message { message, .. } => seen = message.seq,
                other => panic!("{other:?}"),
            }
        }
        let Some(ServerFrame::Joined { id: None, epoch, .. }) = begun else { panic!("{begun:?}") };
        post(2).await;
        assert_eq!(ann.message("@me").await.seq, last + 1);
        let at = Position { epoch, seq: 0 };
        check_received(&confirm(&mut ann, "@me", at, false).await, (0, 0));
        // Another one replaces it as the first one would have, and a third is refused.
        let (again, _) = joined(&mut ann, JoinRoom { history: Some(1), ..plain("@me") }).await;
        assert_eq!(again.at.seq, last);
        assert_eq!(ann.message("@me").await.seq, last + 1);
        check_error(&ask_join(&mut ann, plain("@me")).await, ErrorCode::AlreadyJoined);
        ann.leave("@me").await;
        check_error(&confirm(&mut ann, "@me", at, false).await, ErrorCode::NotJoined);
    }
    node.stop().await;
}

#[tokio::test]
async fn own_rooms_have_no_presence_typing_or_state() {
    let (node, _) = start(&[
        "namespaces.default.presence=events",
        "namespaces.default.state=true",
        "namespaces.default.receipts=true",
    ])
    .await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    for name in ["@me", "@all"] {
        ann.join(name).await;
        for frame in [
            r#"{"type":"members","id":900,"room":"ROOM"}"#,
            r#"{"type":"presence","id":900,"room":"ROOM","status":"away"}"#,
            r#"{"type":"typing","id":900,"room":"ROOM"}"#,
            r#"{"type":"state","id":900,"room":"ROOM"}"#,
        ] {
            ann.send_bytes(frame.replace("ROOM", name).into()).await;
            check_error(&ann.answer(900).await, ErrorCode::Unsupported);
        }
        let signal = r#"{"type":"signal","id":901,"room":"ROOM","event":"e"}"#;
        ann.send_bytes(signal.replace("ROOM", name).into()).await;
        check_error(&ann.answer(901).await, ErrorCode::Forbidden);
    }
    node.stop().await;
}

#[tokio::test]
async fn messages_carry_what_their_authors_show() {
    let (node, shop) = start(&[
        GUARDED[0],
        GUARDED[1],
        "namespaces.default.author_info=true",
        "namespaces.default.allow_join=user",
        "namespaces.default.allow_publish=user",
        "namespaces.plain.author_info=false",
    ])
    .await;
    let named = token("ann", r#","info":{"name":"Ann"}"#);
    let mut reader = node.with_token(Encoding::MsgPack, &token("bob", "")).await;
    reader.join("a").await;
    reader.join("plain:1").await;
    let mut ann = node.with_token(Encoding::Json, &named).await;
    ann.publish("a", "1").await;
    let info = |message: &roomcast_protocol::Message| message.info.as_ref().map(text);
    // Of its token, as it is no member.
    assert_eq!(info(&*reader.message("a").await).as_deref(), Some(r#"{"name":"Ann"}"#));
    let shown = Some(roomcast_protocol::Data::json(r#"{"name":"A."}"#).unwrap());
    ann.join_with(JoinRoom { info: shown.clone(), ..plain("a") }).await;
    ann.join_with(JoinRoom { info: shown, ..plain("plain:1") }).await;
    ann.publish("a", "2").await;
    assert_eq!(info(&*reader.message("a").await).as_deref(), Some(r#"{"name":"A."}"#));
    ann.publish("plain:1", "3").await;
    assert_eq!(info(&*reader.message("plain:1").await), None);
    let (_, page) = shop.get(node.address(), "/v1/rooms/a/messages").await;
    assert_eq!(page["messages"][1]["info"], json!({"name": "A."}));
    // Another token's info is shown where the author gave none of its own.
    ann.join("b").await;
    reader.join("b").await;
    let token = token("ann", r#","info":{"name":"Anna"}"#).into();
    let id = Some(ann.next_id());
    match ann.ask(&ClientFrame::Refresh { id, token }).await {
        ServerFrame::Refreshed { .. } => {}
        other => panic!("{other:?}"),
    }
    ann.publish("b", "4").await;
    assert_eq!(info(&*reader.message("b").await).as_deref(), Some(r#"{"name":"Anna"}"#));
    ann.publish("a", "5").await;
    assert_eq!(info(&*reader.message("a").await).as_deref(), Some(r#"{"name":"A."}"#));
    node.stop().await;
}
