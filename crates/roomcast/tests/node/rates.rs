//! The rates of a connection: what is above one is refused with a time to wait, and nothing else is.

use std::time::Duration;

use crate::support::{Opcode, RawClient, TestClient, TestNode, eventually, plain, room};
use roomcast_protocol::{
    ClientFrame, Encoding, ErrorCode, HistoryQuery, JoinRoom, Position, Publish, RequestId,
    ServerFrame,
};

const NO_EXEMPTION: &str = "limits.exempt_networks=none";

/// What came of so many requests: granted, and refused as `rate_limited`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    granted: usize,
    limited: usize,
}

/// Sends all frames before it waits for an answer to each.
async fn outcome(client: &mut TestClient, frames: Vec<ClientFrame>) -> Outcome {
    let ids: Vec<RequestId> = frames.iter().map(|frame| frame.id().unwrap()).collect();
    for frame in &frames {
        client.send(frame).await;
    }
    let mut outcome = Outcome::default();
    for id in ids {
        match client.answer(id).await {
            ServerFrame::Error {
                code: ErrorCode::RateLimited, retry_after_ms, message, ..
            } => {
                assert!(retry_after_ms.unwrap() > 0 && message.contains("limit"));
                outcome.limited += 1;
            }
            ServerFrame::Error { code, message, .. } => panic!("{code:?}: {message}"),
            _ => outcome.granted += 1,
        }
    }
    outcome
}

fn joins(client: &mut TestClient, names: impl IntoIterator<Item = String>) -> Vec<ClientFrame> {
    let join = |name: String| {
        let id = Some(client.next_id());
        ClientFrame::Join { id, rooms: vec![plain(&name)] }
    };
    names.into_iter().map(join).collect()
}

fn publishes(client: &mut TestClient, names: impl IntoIterator<Item = String>) -> Vec<ClientFrame> {
    names.into_iter().map(|name| ClientFrame::Publish(client.publication(&name, "1"))).collect()
}

#[tokio::test]
async fn each_kind_of_request_has_its_rate() {
    let settings = [
        NO_EXEMPTION,
        "limits.joins=2",
        "limits.reads=2",
        "namespaces.default.publish_rate=1",
        "namespaces.default.publish_burst=3",
        "namespaces.free.publish_rate=0",
    ];
    let node = TestNode::start(&settings).await;
    let mut client = node.json().await;
    let names = |prefix: &'static str| (0..20).map(move |n| format!("{prefix}{n}"));
    let reads = |client: &mut TestClient| -> Vec<ClientFrame> {
        let read = |_| {
            let (room, limit) = (room("a"), 1);
            let id = Some(client.next_id());
            ClientFrame::History(HistoryQuery { id, room, after: None, before: None, limit })
        };
        (0..20).map(read).collect()
    };
    for (limit, frames) in [
        ("joins", joins(&mut client, names("r"))),
        ("reads", reads(&mut client)),
        ("publish_rate", publishes(&mut client, names("a"))),
    ] {
        let Outcome { granted, limited } = outcome(&mut client, frames).await;
        assert!(granted >= 2 && limited >= 1, "{limit}: {granted} {limited}");
        let label = format!("limit=\"{limit}\"");
        assert_eq!(node.scrape().await.with("roomcast_limits_total", &label), limited as f64);
    }
    let free = publishes(&mut client, (0..20).map(|_| "free:a".to_owned()));
    assert_eq!(outcome(&mut client, free).await, Outcome { granted: 20, limited: 0 });
    node.stop().await;
}

/// Signals have their rate also in rooms that the connection is not in: a flood of them costs answers.
#[tokio::test]
async fn signals_have_a_rate_of_their_own() {
    let node = TestNode::start(&[NO_EXEMPTION, "namespaces.default.signal_rate=2"]).await;
    let mut client = node.json().await;
    let signals: Vec<_> = (0..20)
        .map(|_| {
            let event = roomcast_protocol::EventName::parse("e").unwrap();
            ClientFrame::Signal { id: Some(client.next_id()), room: room("a"), event, data: None }
        })
        .collect();
    for signal in &signals {
        client.send(signal).await;
    }
    let mut limited = 0;
    for _ in &signals {
        match client.frame().await {
            ServerFrame::Error { code: ErrorCode::RateLimited, retry_after_ms, .. } => {
                assert!(retry_after_ms.is_some());
                limited += 1;
            }
            ServerFrame::Error { code: ErrorCode::NotJoined, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=18).contains(&limited), "{limited}");
    let counted = node.scrape().await.with("roomcast_limits_total", "limit=\"signal_rate\"");
    assert_eq!(counted, f64::from(limited));
    node.stop().await;
}

#[tokio::test]
async fn each_room_of_a_join_counts_and_is_answered() {
    let node = TestNode::start(&[NO_EXEMPTION, "limits.joins=3"]).await;
    let mut client = node.json().await;
    let rooms: Vec<JoinRoom> = (0..12).map(|n| plain(&format!("r{n}"))).collect();
    let id = client.next_id();
    client.send(&ClientFrame::Join { id: Some(id), rooms }).await;
    let (mut joined, mut limited) = (0, Vec::new());
    for _ in 0..12 {
        match client.frame().await {
            ServerFrame::Joined { .. } => joined += 1,
            ServerFrame::Error { room, code: ErrorCode::RateLimited, .. } => limited.push(room),
            other => panic!("{other:?}"),
        }
    }
    limited.sort();
    limited.dedup();
    assert!(joined >= 3 && !limited.is_empty() && joined + limited.len() == 12, "{limited:?}");
    node.stop().await;
}

/// A client that returns with all of its rooms is not slowed; what is beyond the rooms that it may
/// be in counts.
#[tokio::test]
async fn joins_with_since_are_free_as_often_as_there_may_be_rooms() {
    let settings =
        [NO_EXEMPTION, "limits.joins=1", "limits.frames=10", "limits.rooms_per_connection=60"];
    let node = TestNode::start(&settings).await;
    let mut client = node.json().await;
    let since = Some(roomcast_protocol::Since::Position(Position::START));
    let mut resumes: Vec<ClientFrame> = Vec::new();
    for n in 0..60 {
        let rooms = vec![JoinRoom { since, ..plain(&format!("r{n}")) }];
        resumes.push(ClientFrame::Join { id: Some(client.next_id()), rooms });
    }
    assert_eq!(outcome(&mut client, resumes).await, Outcome { granted: 60, limited: 0 });
    for n in 0..5 {
        client.leave(&format!("r{n}")).await;
    }
    let mut again = Vec::new();
    for n in 0..5 {
        let rooms = vec![JoinRoom { since, ..plain(&format!("r{n}")) }];
        again.push(ClientFrame::Join { id: Some(client.next_id()), rooms });
    }
    let Outcome { granted, limited } = outcome(&mut client, again).await;
    assert!(granted >= 1 && limited >= 1, "{granted} {limited}");
    node.stop().await;
}

#[tokio::test]
async fn publishes_may_begin_so_many_rooms() {
    let node = TestNode::start(&[NO_EXEMPTION, "limits.created_rooms=5"]).await;
    let mut client = node.json().await;
    client.publish("old", "1").await;
    let mut created = 1;
    for n in 0..12 {
        let publish = client.publication(&format!("r{n}"), "1");
        match client.try_publish(publish).await {
            Ok(position) => created += usize::from(position.seq == 1),
            Err(code) => assert_eq!(code, ErrorCode::RateLimited),
        }
    }
    assert!((5..=6).contains(&created), "{created}");
    // Rooms that exist go on: one that it published in, and one that it is in.
    assert_eq!(client.publish("old", "2").await.seq, 2);
    let mut other = node.json().await;
    other.publish("others", "1").await;
    client.join("others").await;
    assert_eq!(client.publish("others", "2").await.seq, 2);
    node.stop().await;
}

#[tokio::test]
async fn frames_above_the_rate_are_refused_one_by_one() {
    let node = TestNode::start(&[NO_EXEMPTION, "limits.frames=20"]).await;
    let mut client = node.json().await;
    let mut pings = Vec::new();
    for _ in 0..120 {
        pings.push(ClientFrame::Ping { id: Some(client.next_id()) });
    }
    let Outcome { granted, limited } = outcome(&mut client, pings).await;
    assert!(granted >= 20 && limited >= 1, "{granted} {limited}");
    // It goes on after a while.
    let mut client = client;
    eventually("a ping is answered again", async || {
        let ping = ClientFrame::Ping { id: Some(client.next_id()) };
        tokio::time::sleep(Duration::from_millis(100)).await;
        matches!(client.ask(&ping).await, ServerFrame::Pong { .. })
    })
    .await;
    node.stop().await;
}

/// A ping above the rate gets no pong, a fragment refuses its whole message, a Close is obeyed.
#[tokio::test]
async fn control_frames_and_fragments_count() {
    let node = TestNode::start(&[NO_EXEMPTION, "limits.frames=10"]).await;
    let mut client = RawClient::upgraded(node.address(), "").await;
    client.frame().await.unwrap();
    let mut bytes = Vec::new();
    for _ in 0..60 {
        bytes.extend(crate::support::frame(0x80 | Opcode::Ping as u8, b"x"));
    }
    // In fragments: all frames of the burst are gone.
    bytes.extend(crate::support::frame(Opcode::Text as u8, b"{\"type\":\"ping\","));
    bytes.extend(crate::support::frame(0x80, b"\"id\":7}"));
    bytes.extend(crate::support::frame(0x80 | Opcode::Close as u8, &1000_u16.to_be_bytes()));
    client.write(&bytes).await;
    let (mut pongs, mut texts) = (0, Vec::new());
    loop {
        let frame = client.frame().await.unwrap();
        if frame.is(Opcode::Pong) {
            pongs += 1;
        } else if frame.is(Opcode::Text) {
            texts.push(String::from_utf8(frame.payload).unwrap());
        } else if frame.is(Opcode::Close) {
            assert_eq!(frame.close_code(), Some(1000));
            break;
        }
    }
    assert!((10..60).contains(&pongs), "{pongs}");
    let refused = |text: &&String| text.contains("\"rate_limited\"") && text.contains("\"id\":7");
    assert_eq!(texts.iter().filter(refused).count(), 1, "{texts:?}");
    node.stop().await;
}

#[tokio::test]
async fn what_has_no_number_is_answered_once_a_second() {
    let node = TestNode::start(&[
        NO_EXEMPTION,
        "namespaces.default.publish_rate=1",
        "namespaces.default.publish_burst=1",
    ])
    .await;
    let mut client = node.json().await;
    let bytes = client.publication("a", "1").data;
    for _ in 0..30 {
        client
            .send(&ClientFrame::Publish(Publish {
                ..crate::support::publish_of("a", bytes.clone())
            }))
            .await;
    }
    let errors = client.ping().await.into_iter();
    let errors = errors.filter(|frame| matches!(frame, ServerFrame::Error { .. })).count();
    assert!((1..15).contains(&errors), "{errors}");
    node.stop().await;
}

#[tokio::test]
async fn this_machine_is_exempt_and_a_reload_changes_rates() {
    let mut node = TestNode::start(&["node.id=n", "limits.joins=1", "limits.frames=1"]).await;
    let mut client = node.json().await;
    let frames = joins(&mut client, (0..30).map(|n| format!("r{n}")));
    assert_eq!(outcome(&mut client, frames).await, Outcome { granted: 30, limited: 0 });
    let bound = ["node.id=n", NO_EXEMPTION, "limits.joins=1"];
    node.node.reload(&TestNode::config(&bound)).await;
    // Workers take it over within moments, for connections to come.
    let mut bound = None;
    eventually("a client that is bound", async || {
        let mut client = TestClient::connect(node.address(), Encoding::MsgPack, "").await;
        let frames = joins(&mut client, (0..30).map(|n| format!("s{n}")));
        let is_bound = outcome(&mut client, frames).await.limited > 0;
        bound = Some(client);
        is_bound
    })
    .await;
    let mut client = bound.unwrap();
    node.node.reload(&TestNode::config(&["node.id=n", NO_EXEMPTION, "limits.joins=0"])).await;
    eventually("no limit any more", async || {
        let frames = joins(&mut client, (0..2).map(|n| format!("t{n}")));
        let all = outcome(&mut client, frames).await;
        for n in 0..all.granted {
            client.leave(&format!("t{n}")).await;
        }
        all == Outcome { granted: 2, limited: 0 }
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn a_node_holds_so_many_rooms() {
    let node = TestNode::start(&["limits.node_rooms=2"]).await;
    let (mut one, mut other) = (node.json().await, node.json().await);
    one.join("a").await;
    one.join("b").await;
    let id = Some(one.next_id());
    match one.ask(&ClientFrame::Join { id, rooms: vec![plain("c")] }).await {
        ServerFrame::Error { code: ErrorCode::Overloaded, retry_after_ms, .. } => {
            assert!(retry_after_ms.is_some());
        }
        other => panic!("{other:?}"),
    }
    other.join("b").await;
    let label = "limit=\"node_rooms\"";
    assert_eq!(node.scrape().await.with("roomcast_limits_total", label), 1.0);
    node.stop().await;
}
