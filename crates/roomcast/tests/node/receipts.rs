//! Receipts of ordinary rooms, what a room tells of itself, and joins by time or with conditions.

use crate::support::{Backend, TestClient, TestNode, plain, room};
use roomcast_protocol::{
    ClientFrame, Encoding, Epoch, ErrorCode, JoinRoom, Position, Publish, ReadMarks, ServerFrame,
    Since,
};
use serde_json::json;

const RECEIPTS: &str = "namespaces.chat.receipts=true";

async fn start(settings: &[&str]) -> (TestNode, Backend) {
    let shop = Backend::new("shop");
    let key = shop.settings("publish read admin");
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    (TestNode::start(&[&key[..], settings].concat()).await, shop)
}

async fn ask_join(client: &mut TestClient, join: JoinRoom) -> ServerFrame {
    let id = client.next_id();
    client.ask(&ClientFrame::Join { id: Some(id), rooms: vec![join] }).await
}

async fn confirm(client: &mut TestClient, name: &str, at: Position, read: bool) -> ServerFrame {
    let id = Some(client.next_id());
    let (room, Position { epoch, seq }) = (room(name), at);
    client.ask(&ClientFrame::Received { id, room, epoch, seq, read }).await
}

/// Where a room is: epoch, seq, marks and time.
async fn info(client: &mut TestClient, name: &str) -> (Epoch, u64, Option<ReadMarks>, Option<u64>) {
    let id = Some(client.next_id());
    match client.ask(&ClientFrame::Room { id, rooms: vec![room(name)] }).await {
        ServerFrame::Room { epoch, seq, marks, time, .. } => (epoch, seq, marks, time),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_error(frame: &ServerFrame, expected: ErrorCode) {
    match frame {
        ServerFrame::Error { code, .. } => assert_eq!(*code, expected, "{frame:?}"),
        other => panic!("{expected:?} was expected, not {other:?}"),
    }
}

/// Waits until an author is told of these numbers; each tells at least as much as the one before.
async fn told(author: &mut TestClient, of: u64, expected: (u64, u64)) {
    let mut before = (0, 0);
    while before != expected {
        match author.frame().await {
            ServerFrame::Receipts { seq, received, read, .. } if seq == of => {
                assert!((received, read) != before && received >= before.0 && read >= before.1);
                before = (received, read);
            }
            ServerFrame::Message { .. } | ServerFrame::Receipts { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_author_learns_how_many_have_its_message() {
    let (node, shop) = start(&[RECEIPTS]).await;
    let mut readers = Vec::new();
    for name in ["ann", "bob"] {
        let mut reader = node.user(Encoding::Json, name).await;
        reader.join("chat:1").await;
        readers.push(reader);
    }
    // The author is no member.
    let mut author = node.user(Encoding::MsgPack, "eve").await;
    let mut at = author.publish("chat:1", "1").await;
    for seq in 2..=3 {
        let publish = Publish { receipts: true, ..author.publication("chat:1", "1") };
        at = author.try_publish(publish).await.unwrap();
        assert_eq!(at.seq, seq);
    }
    for reader in &mut readers {
        reader.messages("chat:1", 3).await;
        confirm(reader, "chat:1", at, false).await;
    }
    told(&mut author, 3, (2, 0)).await;
    confirm(&mut readers[0], "chat:1", Position { seq: 2, ..at }, true).await;
    told(&mut author, 2, (2, 1)).await;
    let (status, counts) = shop.get(node.address(), "/v1/rooms/chat:1/receipts?seq=2").await;
    let epoch = at.epoch.to_string();
    let expected = json!({"room": "chat:1", "epoch": epoch, "seq": 2, "received": 2, "read": 1});
    assert_eq!((status, counts), (200, expected));
    for (path, status, code) in [
        ("/v1/rooms/chat:1/receipts", 400, "bad_query"),
        ("/v1/rooms/other/receipts?seq=1", 400, "unsupported"),
    ] {
        let (answered, problem) = shop.get(node.address(), path).await;
        assert_eq!((answered, &problem["code"]), (status, &json!(code)), "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn receipts_need_a_member_with_a_user_in_a_room_that_keeps_them() {
    let (node, _) = start(&[RECEIPTS, "namespaces.chat.receipts_users=1"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    let at = ann.publish("chat:1", "1").await;
    check_error(&confirm(&mut ann, "chat:1", at, true).await, ErrorCode::NotJoined);
    check_error(&confirm(&mut ann, "other", at, true).await, ErrorCode::Unsupported);
    let publish = Publish { receipts: true, ..ann.publication("other", "1") };
    assert_eq!(ann.try_publish(publish).await, Err(ErrorCode::Unsupported));
    let mut anyone = node.json().await;
    anyone.join("chat:1").await;
    check_error(&confirm(&mut anyone, "chat:1", at, true).await, ErrorCode::Forbidden);
    ann.join("chat:1").await;
    confirm(&mut ann, "chat:1", at, true).await;
    let mut bob = node.user(Encoding::Json, "bob").await;
    bob.join("chat:1").await;
    check_error(&confirm(&mut bob, "chat:1", at, true).await, ErrorCode::Overloaded);
    node.stop().await;
}

#[tokio::test]
async fn a_join_begins_after_what_its_user_confirmed() {
    let (node, _) = start(&[RECEIPTS]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    let first = ann.publish("chat:1", "1").await;
    // Nothing confirmed: at the end, as everywhere.
    match ask_join(&mut ann, plain("chat:1")).await {
        ServerFrame::Joined { seq, recovered, marks, .. } => {
            let expected = ReadMarks { received: 0, read: 0, unread: 1 };
            assert_eq!((seq, recovered, marks), (1, None, Some(expected)));
        }
        other => panic!("{other:?}"),
    }
    for _ in 0..3 {
        ann.publish("chat:1", "1").await;
    }
    ann.messages("chat:1", 3).await;
    confirm(&mut ann, "chat:1", Position { seq: 2, ..first }, true).await;
    ann.leave("chat:1").await;
    match ask_join(&mut ann, plain("chat:1")).await {
        ServerFrame::Joined { seq, recovered, marks, .. } => {
            let expected = ReadMarks { received: 2, read: 2, unread: 2 };
            assert_eq!((seq, recovered, marks), (2, Some(true), Some(expected)));
        }
        other => panic!("{other:?}"),
    }
    ann.messages("chat:1", 2).await;
    // A connection without a user joins as everywhere.
    let mut anyone = node.json().await;
    match ask_join(&mut anyone, plain("chat:1")).await {
        ServerFrame::Joined { seq, recovered, marks, .. } => {
            assert_eq!((seq, recovered, marks), (4, None, None));
        }
        other => panic!("{other:?}"),
    }
    node.stop().await;
}

#[tokio::test]
async fn a_room_tells_where_it_is() {
    let (node, shop) = start(&[RECEIPTS, "namespaces.club.presence=counts"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    // Neither asking nor joining is a publish.
    assert_eq!(info(&mut ann, "other").await, (Epoch::NONE, 0, None, None));
    ann.join("other").await;
    assert_eq!(info(&mut ann, "other").await, (Epoch::NONE, 0, None, None));
    let none = json!({"room": "other", "epoch": "0000000000000000", "seq": 0});
    assert_eq!(shop.get(node.address(), "/v1/rooms/other").await, (200, none));
    let at = ann.publish("chat:1", "1").await;
    ann.publish("chat:1", "1").await;
    ann.join("chat:1").await;
    confirm(&mut ann, "chat:1", at, true).await;
    let (epoch, seq, marks, time) = info(&mut ann, "chat:1").await;
    let expected = ReadMarks { received: 1, read: 1, unread: 1 };
    assert_eq!((epoch, seq, marks), (at.epoch, 2, Some(expected)));
    let (status, told) = shop.get(node.address(), "/v1/rooms/chat:1").await;
    let epoch = epoch.to_string();
    let expected = json!({"room": "chat:1", "epoch": epoch, "seq": 2, "time": time.unwrap()});
    assert_eq!((status, told), (200, expected));
    // With presence its members count.
    let mut bob = node.user(Encoding::Json, "bob").await;
    bob.join("club:1").await;
    let (status, told) = shop.get(node.address(), "/v1/rooms/club:1").await;
    assert_eq!((status, &told["count"], &told["users"]), (200, &json!(1), &json!(1)), "{told}");
    let id = Some(ann.next_id());
    match ann.ask(&ClientFrame::Room { id, rooms: vec![room("club:1")] }).await {
        ServerFrame::Room { counts: Some(counts), .. } => assert_eq!(counts.count, 1),
        other => panic!("{other:?}"),
    }
    // Several at once: one answer each.
    let id = ann.next_id();
    let rooms = vec![room("chat:1"), room("other"), room("@me")];
    ann.send(&ClientFrame::Room { id: Some(id), rooms }).await;
    let mut seqs = Vec::new();
    for _ in 0..3 {
        match ann.answer(id).await {
            ServerFrame::Room { room, seq, .. } => seqs.push((room.to_string(), seq)),
            other => panic!("{other:?}"),
        }
    }
    seqs.sort();
    let expected = [("@me", 0), ("chat:1", 2), ("other", 0)];
    assert_eq!(seqs, expected.map(|(name, seq)| (name.to_owned(), seq)));
    node.stop().await;
}

#[tokio::test]
async fn a_strict_join_has_no_gap() {
    let (node, _) = start(&["namespaces.short.history_size=2"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    let first = ann.publish("short:1", "1").await;
    for _ in 0..5 {
        ann.publish("short:1", "1").await;
    }
    let join =
        |since: Position| JoinRoom { since: Some(since.into()), strict: true, ..plain("short:1") };
    check_error(&ask_join(&mut ann, join(first)).await, ErrorCode::Unrecoverable);
    let stranger = Position { epoch: Epoch(7), seq: 1 };
    check_error(&ask_join(&mut ann, join(stranger)).await, ErrorCode::Unrecoverable);
    match ask_join(&mut ann, join(Position { seq: 4, ..first })).await {
        ServerFrame::Joined { recovered, .. } => assert_eq!(recovered, Some(true)),
        other => panic!("{other:?}"),
    }
    let seqs: Vec<u64> = ann.messages("short:1", 2).await.iter().map(|one| one.seq).collect();
    assert_eq!(seqs, [5, 6]);
    node.stop().await;
}

#[tokio::test]
async fn a_join_begins_with_the_messages_of_a_time() {
    let (node, _) = start(&["namespaces.short.history_size=2"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    for name in ["all", "short:1"] {
        for _ in 0..6 {
            ann.publish(name, "1").await;
        }
    }
    ann.join_with(JoinRoom { history: Some(10), ..plain("all") }).await;
    let messages = ann.messages("all", 6).await;
    ann.leave("all").await;
    let at = |name: &str, time| JoinRoom { since: Some(Since::Time(time)), ..plain(name) };
    for message in &messages {
        let joined = ann.join_with(at("all", message.time)).await;
        let first = messages.iter().position(|other| other.time >= message.time).unwrap();
        assert_eq!((joined.at.seq, joined.recovered), (first as u64, Some(true)));
        ann.messages("all", messages.len() - first).await;
        ann.leave("all").await;
    }
    // A time to come begins at the end; one before the first has all.
    let joined = ann.join_with(at("all", messages[5].time + 600_000)).await;
    assert_eq!((joined.at.seq, joined.recovered), (6, Some(true)));
    ann.leave("all").await;
    let joined = ann.join_with(at("all", 0)).await;
    assert_eq!((joined.at.seq, joined.recovered), (0, Some(true)));
    ann.messages("all", 6).await;
    // What is not kept is named.
    let joined = ann.join_with(at("short:1", 0)).await;
    assert_eq!((joined.at.seq, joined.recovered), (0, Some(false)));
    match ann.frame().await {
        ServerFrame::Gap { from, to, .. } => assert_eq!((from, to), (1, 4)),
        other => panic!("{other:?}"),
    }
    ann.messages("short:1", 2).await;
    node.stop().await;
}
