//! Signals and typing on one node: who gets them, when typing ends, what is above the rate.

use std::time::Duration;

use crate::support::{TestClient, TestNode, room};
use roomcast_protocol::{ClientFrame, Data, Encoding, ErrorCode, EventName, ServerFrame};
use tokio::time::{Instant, timeout};

fn signal(name: &str, event: &str, json: &str) -> ClientFrame {
    let data = Some(Data::json(json.as_bytes().to_vec()).unwrap());
    ClientFrame::Signal {
        id: None,
        room: room(name),
        event: EventName::parse(event).unwrap(),
        data,
    }
}

fn typing(name: &str, active: bool) -> ClientFrame {
    ClientFrame::Typing { id: None, room: room(name), active }
}

/// The next signal or word about typing, in short.
async fn next(client: &mut TestClient) -> String {
    match client.frame().await {
        ServerFrame::Signal { user, event, data, .. } => {
            let mut text = Vec::new();
            data.unwrap().write_json(&mut text);
            let user = user.map_or("?".to_owned(), |user| user.to_string());
            format!("{user} {event} {}", String::from_utf8(text).unwrap())
        }
        ServerFrame::Typing { user, connection, active, .. } => {
            let user = user.map(|user| user.to_string());
            let who = user.or(connection.map(|id| id.to_string())).unwrap();
            format!("{who} {}", if active { "writes" } else { "stopped" })
        }
        other => panic!("{other:?}"),
    }
}

/// That nothing but answers to `ping` comes for a while.
async fn hears_nothing(client: &mut TestClient) {
    let heard = timeout(Duration::from_millis(200), client.frame()).await;
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test]
async fn a_signal_goes_to_all_but_its_connection() {
    let node = TestNode::start(&[]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    let mut tab = node.user(Encoding::MsgPack, "ann").await;
    let mut bob = node.msgpack().await;
    for client in [&mut ann, &mut tab, &mut bob] {
        client.join("a").await;
    }
    // One is in two rooms: it is written in another way.
    bob.join("b").await;
    ann.send(&signal("a", "cursor", r#"{"x":1}"#)).await;
    for client in [&mut tab, &mut bob] {
        assert_eq!(next(client).await, r#"ann cursor {"x":1}"#);
    }
    bob.send(&signal("a", "wave", "null")).await;
    for client in [&mut ann, &mut tab] {
        assert_eq!(next(client).await, "? wave null");
    }
    for client in [&mut ann, &mut tab, &mut bob] {
        assert!(client.ping().await.is_empty());
        hears_nothing(client).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn signals_need_membership_and_wait_for_a_join() {
    let node = TestNode::start(&["namespaces.quiet.allow_signal=server"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    for frame in [
        ClientFrame::Typing { id: Some(90), room: room("a"), active: true },
        ClientFrame::Signal {
            id: Some(90),
            room: room("a"),
            event: EventName::parse("e").unwrap(),
            data: None,
        },
    ] {
        let answer = ann.ask(&frame).await;
        assert!(matches!(answer, ServerFrame::Error { code: ErrorCode::NotJoined, .. }));
    }
    let mut bob = node.user(Encoding::Json, "bob").await;
    bob.join("a").await;
    // In one go: the join is not answered when the signal comes.
    let join = ClientFrame::Join { id: Some(91), rooms: vec![crate::support::plain("a")] };
    ann.send(&join).await;
    ann.send(&signal("a", "hello", "1")).await;
    assert_eq!(next(&mut bob).await, "ann hello 1");
    ann.answer(91).await;
    ann.join("quiet:a").await;
    let typing = ClientFrame::Typing { id: Some(92), room: room("quiet:a"), active: true };
    let answer = ann.ask(&typing).await;
    assert!(matches!(answer, ServerFrame::Error { code: ErrorCode::Forbidden, .. }), "{answer:?}");
    node.stop().await;
}

#[tokio::test]
async fn typing_is_said_once_per_user_and_ends_by_itself() {
    let node = TestNode::start(&[]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    let mut tab = node.user(Encoding::Json, "ann").await;
    let mut bob = node.user(Encoding::MsgPack, "bob").await;
    let mut anonymous = node.json().await;
    for client in [&mut ann, &mut tab, &mut bob, &mut anonymous] {
        client.join("a").await;
    }
    let begun = Instant::now();
    for client in [&mut ann, &mut tab] {
        client.send(&typing("a", true)).await;
    }
    ann.send(&typing("a", true)).await;
    assert_eq!(next(&mut bob).await, "ann writes");
    assert_eq!(next(&mut bob).await, "ann stopped");
    assert!(begun.elapsed() >= Duration::from_secs(3));
    // From any device.
    ann.send(&typing("a", true)).await;
    assert_eq!(next(&mut bob).await, "ann writes");
    tab.send(&typing("a", false)).await;
    assert_eq!(next(&mut bob).await, "ann stopped");
    for client in [&mut ann, &mut tab] {
        hears_nothing(client).await;
    }
    let id = anonymous.id;
    anonymous.send(&typing("a", true)).await;
    assert_eq!(next(&mut bob).await, format!("{id} writes"));
    for _ in 0..4 {
        next(&mut anonymous).await;
    }
    hears_nothing(&mut anonymous).await;
    node.stop().await;
}

#[tokio::test]
async fn the_newest_of_conflated_signals_always_comes() {
    let node = TestNode::start(&["namespaces.default.conflate_signals=true"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    let mut bob = node.user(Encoding::Json, "bob").await;
    ann.join("a").await;
    bob.join("a").await;
    for number in 0..90 {
        ann.send(&signal("a", "cursor", &number.to_string())).await;
    }
    ann.send(&signal("a", "other", "0")).await;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last: &String| last != "ann cursor 89") || heard.len() < 3 {
        heard.push(next(&mut bob).await);
    }
    assert!(heard.contains(&"ann other 0".to_owned()), "{heard:?}");
    assert!(heard.len() < 20, "{heard:?}");
    let scrape = node.scrape().await;
    let conflated = scrape.with("roomcast_signals_total", "outcome=\"conflated\"");
    assert!(conflated as usize + heard.len() >= 91, "{conflated} {}", heard.len());
    node.stop().await;
}

#[tokio::test]
async fn a_member_that_does_not_read_loses_signals_and_no_message() {
    let node = TestNode::start(&[
        "namespaces.default.signal_rate=0",
        "limits.exempt_networks=none",
        "limits.frames=0",
        "limits.inbound_rate=0",
    ])
    .await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    let mut slow = TestClient::narrow(node.address(), Encoding::Json).await;
    ann.join("a").await;
    slow.join("a").await;
    let large = format!("\"{}\"", "x".repeat(8_000));
    let mut published = 0;
    loop {
        for _ in 0..50 {
            ann.send(&signal("a", "move", &large)).await;
        }
        ann.publish("a", &large).await;
        published += 1;
        let scrape = node.scrape().await;
        if scrape.with("roomcast_signals_total", "outcome=\"dropped\"") > 100.0 && published > 20 {
            break;
        }
        assert!(published < 2_000, "nothing was dropped");
    }
    let mut last = 0;
    while last < published {
        match slow.frame().await {
            ServerFrame::Message { message, .. } => {
                assert_eq!(message.seq, last + 1);
                last += 1;
            }
            ServerFrame::Signal { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn signals_above_the_rate_are_refused_and_counted() {
    let node =
        TestNode::start(&["namespaces.default.signal_rate=3", "limits.exempt_networks=none"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    ann.join("a").await;
    let mut limited = 0;
    for id in 100..110 {
        ann.send(&ClientFrame::Typing { id: Some(id), room: room("a"), active: true }).await;
    }
    for frame in ann.ping().await {
        assert!(matches!(frame, ServerFrame::Error { code: ErrorCode::RateLimited, .. }));
        limited += 1;
    }
    assert!((6..=7).contains(&limited), "{limited}");
    let scrape = node.scrape().await;
    let counted = scrape.with("roomcast_signals_total", "outcome=\"limited\"");
    assert_eq!(counted as usize, limited);
    node.stop().await;
}
