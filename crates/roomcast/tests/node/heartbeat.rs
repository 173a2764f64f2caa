//! P6 and P10: a connection that answers no heartbeat ends, one that says nothing for the idle
//! time-out too, and the others stay.

use std::time::{Duration, Instant};

use crate::support::{Incoming, Opcode, RawClient, TestNode, soon};
use roomcast_protocol::{CloseCode, Encoding, ServerFrame};

const FAST: [&str; 2] = ["heartbeat.interval=1s", "heartbeat.missed=1"];

#[tokio::test]
async fn who_answers_no_ping_is_dead() {
    let node = TestNode::start(&FAST).await;
    let mut silent = RawClient::upgraded(node.address(), "").await;
    let begun = Instant::now();
    let mut pings = 0;
    let code = loop {
        let frame = silent.frame().await.expect("a close comes first");
        if frame.is(Opcode::Ping) {
            assert_eq!((frame.first, &frame.payload[..]), (0x89, &[][..]));
            pings += 1;
        } else if frame.is(Opcode::Close) {
            break frame.close_code();
        }
    };
    assert_eq!((code, pings), (Some(CloseCode::Dead.code()), 2));
    assert!(begun.elapsed() >= Duration::from_secs(2), "not before `timeout_ms` is over");
    silent.ended().await;
    drop(silent);
    node.until("roomcast_connections", |count| count == 0.0).await;
    let closed = "roomcast_connections_closed_total";
    assert_eq!(node.scrape().await.with(closed, "reason=\"dead\""), 1.0);
    node.stop().await;
}

/// Anything from the client shows that it lives: pongs, or frames while it ignores pings.
#[tokio::test]
async fn who_answers_stays() {
    let node = TestNode::start(&FAST).await;
    let mut member = node.msgpack().await;
    member.join("alive").await;
    let mut talker = RawClient::upgraded(node.address(), "").await;
    let talking = tokio::spawn(async move {
        let mut pings = 0;
        while pings < 3 {
            let frame = talker.frame().await.expect("it lives");
            assert_eq!(frame.close_code(), None);
            if frame.is(Opcode::Ping) {
                pings += 1;
                talker.send_text("{\"type\":\"ping\"}").await;
            }
        }
    });
    let mut pings = 0;
    while pings < 3 {
        match member.incoming().await {
            Incoming::Ping => pings += 1,
            other => panic!("{other:?}"),
        }
        // Lets the pong out.
        assert_eq!(member.ping().await, []);
    }
    soon("three pings", talking).await.unwrap();
    assert_eq!(member.publish("alive", "1").await.seq, 1);
    drop(member);
    node.stop().await;
}

/// A client that answers no ping, but speaks within the time-out that it was told, stays.
#[tokio::test]
async fn who_speaks_within_the_time_out_stays() {
    let node = TestNode::start(&FAST).await;
    let mut talker = RawClient::upgraded(node.address(), "").await;
    let begun = Instant::now();
    let mut pongs = 0;
    while pongs < 4 {
        // Time itself is the subject: well within the time-out of 2 s, beyond an interval.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        talker.send_text("{\"type\":\"ping\"}").await;
        loop {
            let frame = talker.frame().await.expect("it lives");
            assert_eq!(frame.close_code(), None, "after {:?}", begun.elapsed());
            if frame.is(Opcode::Text) && frame.payload.starts_with(b"{\"type\":\"pong\"") {
                break;
            }
        }
        pongs += 1;
    }
    drop(talker);
    node.stop().await;
}

/// Pongs and `ping` frames keep a connection alive, but only other frames keep it from being idle.
#[tokio::test]
async fn who_says_nothing_is_idle() {
    let settings = ["heartbeat.interval=1s", "limits.idle_timeout=1500ms"];
    let node = TestNode::start(&settings).await;
    let mut idle = node.json().await;
    let mut busy = node.user(Encoding::Json, "busy").await;
    let working = tokio::spawn(async move {
        for _ in 0..16 {
            busy.publish("busy", "1").await;
            // Time itself is the subject: well within the time-out.
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        busy
    });
    let begun = Instant::now();
    let mut pinging = RawClient::upgraded(node.address(), "").await;
    let code = loop {
        // Answers end once the node has closed.
        pinging.send_text("{\"type\":\"ping\"}").await;
        let frame = pinging.frame().await.expect("a close comes first");
        if frame.is(Opcode::Close) {
            break frame.close_code();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(code, Some(CloseCode::Idle.code()));
    assert_eq!(idle.closed().await, CloseCode::Idle.code());
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    let mut busy = soon("the busy one", working).await.unwrap();
    assert_eq!(busy.publish("busy", "1").await.seq, 17);
    drop(busy);
    node.stop().await;
}

#[tokio::test]
async fn the_first_frame_tells_what_to_expect() {
    let settings = [
        "node.id=node-7",
        "heartbeat.interval=5s",
        "limits.message_bytes=128KiB",
        "limits.rooms_per_connection=9",
    ];
    let node = TestNode::start(&settings).await;
    let client = node.user(Encoding::MsgPack, "al%C3%A9").await;
    match &client.connected {
        ServerFrame::Connected { user, node, time, online, heartbeat, limits, .. } => {
            assert_eq!(user.as_ref().unwrap().as_str(), "alé");
            assert_eq!(node.as_str(), "node-7");
            assert!(*time > 1_700_000_000_000);
            assert_eq!(*online, Some(1));
            assert_eq!((heartbeat.interval_ms, heartbeat.timeout_ms), (5000, 15_000));
            assert_eq!((limits.message_bytes, limits.rooms), (128 * 1024, 9));
        }
        other => panic!("{other:?}"),
    }
    drop(client);
    node.stop().await;
}
