//! P10: a panic in one connection's task ends that connection only; it is counted, and its rooms
//! go on without it. Release builds take no faults.

use std::time::Duration;

use crate::support::{self, TestClient, TestNode, eventually, get};
use roomcast_gateway::InjectedFault;
use roomcast_protocol::{ClientFrame, CloseCode, Encoding, EventName, Publish};

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let fault = InjectedFault::PanicOnEvent("fatal".into());
    let node = TestNode::start_with(&["node.workers=1"], fault).await;
    let mut others: Vec<TestClient> = vec![node.json().await, node.msgpack().await];
    for other in &mut others {
        other.join("lobby").await;
    }
    for (n, encoding) in Encoding::ALL.into_iter().enumerate() {
        let mut unlucky = node.user(encoding, "ann").await;
        unlucky.join("lobby").await;
        unlucky.join("own").await;
        assert_eq!(node.scrape().await.sum("roomcast_members"), 4.0);
        let event = Some(EventName::parse("fatal").unwrap());
        let publish = Publish { event, ..unlucky.publication("lobby", "1") };
        unlucky.send(&ClientFrame::Publish(publish)).await;
        assert_eq!(unlucky.closed().await, CloseCode::Internal.code());
        node.until("roomcast_members", |count| count == 2.0).await;
        let scrape = node.scrape().await;
        assert_eq!(scrape.sum("roomcast_panics_total"), n as f64 + 1.0);
        assert_eq!(scrape.sum("roomcast_rooms"), 1.0);
        drop(unlucky);
        node.until("roomcast_connections", |count| count == 2.0).await;
        eventually("the end counted", async || {
            let scrape = node.scrape().await;
            let closed = "roomcast_connections_closed_total";
            scrape.with(closed, "reason=\"internal\"") == n as f64 + 1.0
        })
        .await;

        // Everybody else goes on, on the same worker; so does the one that comes back.
        let mut back = node.user(encoding, "ann").await;
        back.join("lobby").await;
        let seq = back.publish("lobby", "2").await.seq;
        assert_eq!(seq, n as u64 + 1, "what panicked was not stored");
        for other in others.iter_mut().chain([&mut back]) {
            assert_eq!(other.message("lobby").await.seq, seq);
            assert_eq!(other.ping().await, []);
        }
        drop(back);
        node.until("roomcast_members", |count| count == 2.0).await;
    }
    assert_eq!(get(node.address(), "/health/live").await.status, 200);
    drop(others);
    node.stop().await;
}

/// The node ends in time after a panic, too.
#[tokio::test]
async fn members_in_mid_frame_of_a_panic_are_served() {
    let node =
        TestNode::start_with(&["node.workers=1"], InjectedFault::PanicOnEvent("fatal".into()))
            .await;
    let mut member = node.json().await;
    member.join("room").await;
    let mut unlucky = node.json().await;
    unlucky.join("room").await;
    // One read: two messages, the fatal one, and one after it that is never handled.
    let event = Some(EventName::parse("fatal").unwrap());
    let frames = [None, None, event, None].map(|event| {
        let publish = Publish { event, ..unlucky.publication("room", "1") };
        let mut text = Vec::new();
        ClientFrame::Publish(publish).encode(Encoding::Json, &mut text);
        support::frame(0x81, &text)
    });
    let socket = unlucky.socket.get_mut();
    tokio::io::AsyncWriteExt::write_all(socket, &frames.concat()).await.unwrap();
    assert_eq!(unlucky.closed().await, CloseCode::Internal.code());
    assert_eq!(member.messages("room", 2).await.len(), 2);
    tokio::time::timeout(Duration::from_secs(5), member.ping()).await.unwrap();
    drop((member, unlucky));
    node.stop().await;
}
