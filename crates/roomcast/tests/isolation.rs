//! P6: a slow, dead or hostile connection costs a stated bound; the others do not feel it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use roomcast_protocol::{CloseCode, Encoding, Position, Seq, ServerFrame};
use support::{
    Follow, Incoming, RawClient, SHORT_LOG, TestClient, TestNode, eventually, get, soon,
};
use tokio_tungstenite::tungstenite::Message;

/// Small kernel buffers and a short log: a member that does not read falls behind soon.
fn tight(more: &[&'static str]) -> Vec<&'static str> {
    let usual = ["limits.send_buffer=4KiB", "namespaces.default.history_size=5000"];
    [&SHORT_LOG[..], &usual, more].concat()
}

/// The node's budget is smaller than what a reader may lag.
const TINY_BUDGET: [&str; 2] = ["limits.send_buffer=4KiB", "limits.log_bytes=1MiB"];

/// Publishes in step with the members that read: the next message when all have the last one.
async fn in_step(members: &mut [(TestClient, Follow)], payload: &str, count: Seq) {
    for _ in 0..count {
        let (publisher, follow) = &mut members[0];
        let name = follow.room.clone();
        let seq = publisher.publish(&name, payload).await.seq;
        for (member, follow) in &mut *members {
            follow.until(member, seq).await;
        }
    }
}

async fn readers(node: &TestNode, name: &str) -> Vec<(TestClient, Follow)> {
    let mut readers = Vec::new();
    for encoding in [Encoding::Json, Encoding::MsgPack, Encoding::Json] {
        let mut reader = node.user(encoding, "reader").await;
        let joined = reader.join(name).await;
        readers.push((reader, Follow::new(name, joined)));
    }
    readers
}

async fn stalled(node: &TestNode, name: &str, count: usize) -> Vec<(TestClient, Follow)> {
    join_all((0..count).map(async |n| {
        let mut client = TestClient::narrow(node.address(), Encoding::ALL[n % 2]).await;
        let joined = client.join(name).await;
        (client, Follow::new(name, joined))
    }))
    .await
}

/// A payload of so many KiB.
fn kib(count: usize) -> String {
    format!("\"{:>1$}\"", 1, count * 1024 - 2)
}

#[tokio::test]
async fn members_that_stop_reading_are_closed_and_resume() {
    let node = TestNode::start(&tight(&[])).await;
    let mut readers = readers(&node, "busy").await;
    let stalled = stalled(&node, "busy", 10).await;
    in_step(&mut readers, &kib(2), 200).await;
    node.until("roomcast_slow_total", |count| count == 10.0).await;

    // What they had been sent comes first, in order; then the code that says: resume.
    let closed = stalled.into_iter().map(|(mut client, mut follow)| async move {
        loop {
            match client.incoming().await {
                Incoming::Frame(frame) => follow.take(&frame),
                Incoming::Ping => {}
                Incoming::Closed(code, _) => break assert_eq!(code, CloseCode::Slow.code()),
                Incoming::Gone => panic!("gone without a close at {:?}", follow.at),
            }
        }
        follow
    });
    let follows = join_all(closed).await;
    assert_eq!(node.scrape().await.with("roomcast_members", "namespace=\"default\""), 3.0);
    let resumed = follows.into_iter().enumerate().map(|(n, mut follow)| {
        let address = node.address();
        async move {
            assert_eq!(follow.gaps, []);
            let mut client = TestClient::connect(address, Encoding::ALL[n % 2], "").await;
            let joined = client.resume("busy", follow.at).await;
            assert_eq!((joined.at, joined.recovered), (follow.at, Some(true)));
            follow.until(&mut client, 200).await;
            assert_eq!(follow.messages, (1..=200).collect::<Vec<_>>());
        }
    });
    join_all(resumed).await;
    drop(readers);
    node.stop().await;
}

#[tokio::test]
async fn where_the_namespace_says_so_they_are_told_of_the_gap() {
    let node = TestNode::start(&tight(&["namespaces.default.slow=conflate"])).await;
    let mut readers = readers(&node, "prices").await;
    let stalled = stalled(&node, "prices", 6).await;
    in_step(&mut readers, &kib(2), 300).await;
    assert!(node.scrape().await.with("roomcast_slow_total", "action=\"conflated\"") >= 6.0);
    assert_eq!(node.scrape().await.with("roomcast_slow_total", "action=\"closed\""), 0.0);
    let read = stalled.into_iter().map(|(mut client, mut follow)| async move {
        follow.until(&mut client, 300).await;
        assert!(!follow.gaps.is_empty(), "it was conflated");
        let missing: Seq = follow.gaps.iter().map(|(from, to)| to - from + 1).sum();
        assert_eq!(missing + follow.messages.len() as Seq, 300);
        (client, follow)
    });
    // They are members still, and go on with the next message.
    let mut awake = join_all(read).await;
    awake.append(&mut readers);
    in_step(&mut awake, "1", 20).await;
    drop(awake);
    node.stop().await;
}

/// Two hundred members that never read, and 16 MB published: what the node grows by is bounded by
/// the log and one frame for each, not by what they missed.
#[tokio::test]
async fn stalled_members_cost_a_bound_each() {
    let node = TestNode::start(&tight(&["namespaces.default.slow=conflate"])).await;
    let mut readers = readers(&node, "flood").await;
    let stalled = stalled(&node, "flood", 200).await;
    in_step(&mut readers, &kib(16), 20).await;
    let resident = async || node.scrape().await.sum("process_resident_memory_bytes");
    let before = resident().await;
    in_step(&mut readers, &kib(16), 980).await;
    let grown = resident().await - before;
    assert!(grown < 32e6, "grew by {grown} bytes for 200 members that missed 16 MB each");
    // A log of 64 KiB in two encodings, and what stalled members hold of older batches.
    node.until("roomcast_log_bytes", |bytes| bytes > 0.0 && bytes < 16e6).await;
    drop((readers, stalled));
    node.until("roomcast_members", |count| count == 0.0).await;
    node.stop().await;
}

/// The node's budget takes a room's messages from under a reader that is not slow by its own
/// measure: it catches up from history, without loss.
#[tokio::test]
async fn an_evicted_reader_catches_up_from_history() {
    let history = "namespaces.default.history_size=5000";
    let node = TestNode::start(&[&TINY_BUDGET[..], &[history]].concat()).await;
    let mut readers = readers(&node, "tight").await;
    let stalled = stalled(&node, "tight", 6).await;
    in_step(&mut readers, &kib(16), 150).await;
    let read = stalled.into_iter().map(|(mut client, mut follow)| async move {
        follow.until(&mut client, 150).await;
        assert_eq!(follow.gaps, []);
        (client, follow)
    });
    let mut awake = join_all(read).await;
    let scrape = node.scrape().await;
    assert!(scrape.sum("roomcast_catchup_reads_total") > 0.0, "it was evicted");
    assert_eq!(scrape.sum("roomcast_slow_total"), 0.0);
    awake.append(&mut readers);
    in_step(&mut awake, "1", 20).await;
    drop(awake);
    node.stop().await;
}

/// The same without history: the gap names what was taken.
#[tokio::test]
async fn an_evicted_reader_without_history_is_told_of_the_gap() {
    let history = "namespaces.default.history_size=0";
    let node = TestNode::start(&[&TINY_BUDGET[..], &[history]].concat()).await;
    let mut readers = readers(&node, "tight").await;
    let stalled = stalled(&node, "tight", 6).await;
    in_step(&mut readers, &kib(16), 150).await;
    let read = stalled.into_iter().map(|(mut client, mut follow)| async move {
        follow.until(&mut client, 150).await;
        assert!(!follow.gaps.is_empty(), "nothing was in history");
        (client, follow)
    });
    let mut awake = join_all(read).await;
    assert!(node.scrape().await.with("roomcast_gaps_total", "cause=\"budget\"") >= 6.0);
    awake.append(&mut readers);
    in_step(&mut awake, "1", 20).await;
    drop(awake);
    node.stop().await;
}

/// Who asks and never reads is not read any further: its answers are bounded, and when it reads
/// at last, every one is there.
#[tokio::test]
async fn who_takes_no_answers_is_not_read() {
    const ALL: u64 = 20_000;
    let settings = ["limits.send_buffer=4KiB", "limits.control_bytes=4KiB"];
    let node = TestNode::start(&settings).await;
    let mut others = readers(&node, "calm").await;
    let hostile = TestClient::narrow(node.address(), Encoding::Json).await;
    let (mut sink, mut answers) = hostile.socket.split();
    let asking = tokio::spawn(async move {
        for id in 1..=ALL {
            let ping = format!("{{\"type\":\"ping\",\"id\":{id}}}");
            sink.feed(Message::text(ping)).await.unwrap();
        }
        sink.flush().await.unwrap();
        sink
    });
    let handled = async || node.scrape().await.with("roomcast_frames_in_total", "type=\"ping\"");
    eventually("some pings", async || handled().await >= 100.0).await;
    in_step(&mut others, &kib(1), 50).await;
    // Time itself is the subject: meanwhile a node that reads on would have read everything.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let read = handled().await;
    assert!(read < ALL as f64 / 4.0, "{read} of {ALL} were handled, though no answer was taken");
    for expected in 1..=ALL {
        let answer = soon("an answer", answers.next()).await.unwrap().unwrap();
        match ServerFrame::decode(Encoding::Json, &answer.into_data()).unwrap() {
            ServerFrame::Pong { id, .. } => assert_eq!(id, Some(expected)),
            other => panic!("{other:?}"),
        }
    }
    drop((answers, others));
    drop(soon("the last ping", asking).await.unwrap());
    node.stop().await;
}

/// Messages that begin and do not end are bounded together: above the bound one is asked to come
/// back later. What was done before counts for nothing.
#[tokio::test]
async fn unfinished_messages_are_bounded_together() {
    let small = ["limits.inbound_bytes=64KiB", "node.workers=1"];
    let node = TestNode::start(&[&SHORT_LOG[..], &small].concat()).await;
    let mut others = readers(&node, "calm").await;
    let mut greedy = Vec::new();
    for _ in 0..3 {
        let mut client = RawClient::upgraded(node.address(), "").await;
        // The header of a text frame of 60,000 bytes, and half of them.
        client.write(&[0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0]).await;
        client.write(&[b' '; 30_000]).await;
        greedy.push(client);
    }
    node.until("roomcast_bytes_in_total", |bytes| bytes > 90_000.0).await;
    let mut codes = Vec::new();
    for mut client in greedy {
        // The others' messages may end.
        client.write(&[b' '; 30_000]).await;
        codes.push(loop {
            let frame = client.frame().await.expect("an error or a close");
            if let Some(code) = frame.close_code() {
                break code;
            }
            if String::from_utf8(frame.payload).unwrap().contains("bad_frame") {
                break 0;
            }
        });
    }
    codes.sort_unstable();
    assert_eq!(codes, [0, 0, CloseCode::TryAgain.code()]);
    in_step(&mut others, &kib(1), 20).await;
    drop(others);
    node.stop().await;
}

/// A client whose writes never end at a message's end is not taken for one that never finishes.
#[tokio::test]
async fn a_stream_of_whole_messages_is_not_an_unfinished_one() {
    let small = ["limits.inbound_bytes=64KiB", "limits.message_deadline=300ms"];
    let node = TestNode::start(&[&SHORT_LOG[..], &small].concat()).await;
    let mut client = RawClient::upgraded(node.address(), "").await;
    let text = format!("{{\"type\":\"ping\",\"pad\":\"{}\"}}", "x".repeat(1000));
    let frame = support::frame(0x81, text.as_bytes());
    // Each write ends in the middle of a frame; all together take longer than the deadline and are
    // more than the bound.
    client.write(&frame[..500]).await;
    let begun = std::time::Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_millis(1200) || count < 200 {
        client.write(&[&frame[500..], &frame[..500]].concat()).await;
        count += 1;
        loop {
            let answer = client.frame().await.expect("the connection lasts");
            assert_eq!(answer.close_code(), None, "after {count} messages");
            if answer.is(support::Opcode::Text)
                && answer.payload.windows(6).any(|w| w == b"\"pong\"")
            {
                break;
            }
        }
    }
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn a_full_node_says_so_and_has_room_again() {
    let node = TestNode::start(&["limits.connections=3"]).await;
    let mut clients = vec![node.json().await, node.msgpack().await, node.json().await];
    let refused = get(node.address(), "/ws").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.body.contains("\"full\""), "{}", refused.body);
    clients[0].publish("still", "1").await;
    drop(clients.pop());
    eventually("room for another", async || get(node.address(), "/ws").await.status == 426).await;
    clients.push(node.json().await);
    assert_eq!(clients[2].publish("still", "2").await.seq, 2);
    let scrape = node.scrape().await;
    assert!(scrape.with("roomcast_connections_refused_total", "reason=\"limit\"") >= 1.0);
    drop(clients);
    node.stop().await;
}

/// Members that are cut off while a frame is half written are out of the room at once.
#[tokio::test]
async fn who_leaves_in_mid_frame_leaves_nothing_behind() {
    let node = TestNode::start(&tight(&[])).await;
    let mut readers = readers(&node, "frame").await;
    let stalled = stalled(&node, "frame", 10).await;
    in_step(&mut readers, &kib(16), 3).await;
    // Reset with a frame half written and more owed.
    for (client, follow) in stalled {
        assert_eq!(follow.at, Position { seq: 0, ..follow.at });
        let socket = client.socket.into_inner();
        socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
    node.until("roomcast_members", |count| count == 3.0).await;
    in_step(&mut readers, &kib(1), 20).await;
    drop(readers);
    node.stop().await;
}
