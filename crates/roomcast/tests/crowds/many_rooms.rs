//! A connection may be in as many rooms as the configuration allows at most, hears all of them, and
//! is refused in one more.

use crate::support::{TestClient, TestNode, plain};
use roomcast_protocol::{ClientFrame, ErrorCode, MAX_JOIN_ROOMS, ServerFrame};

/// The most that `limits.rooms_per_connection` takes: one more than 16 bits can count.
const MAX_ROOMS: usize = 65_536;

fn name(number: usize) -> String {
    format!("r{number}")
}

/// Joins rooms from a number on, as many as one frame takes; how many of them were refused.
async fn join_from(client: &mut TestClient, number: usize) -> usize {
    let rooms = (number..number + MAX_JOIN_ROOMS).map(|number| plain(&name(number))).collect();
    let id = Some(client.next_id());
    client.send(&ClientFrame::Join { id, rooms }).await;
    let mut refused = 0;
    for _ in 0..MAX_JOIN_ROOMS {
        match client.frame().await {
            ServerFrame::Joined { .. } => {}
            ServerFrame::Error { code: ErrorCode::TooManyRooms, .. } => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    refused
}

#[tokio::test]
async fn as_many_rooms_as_the_configuration_allows() {
    let settings = [
        "limits.rooms_per_connection=65536",
        "limits.control_bytes=16MiB",
        "node.workers=1",
        "heartbeat.interval=1h",
    ];
    let node = TestNode::start(&settings).await;
    let mut member = node.json().await;
    for number in (0..MAX_ROOMS).step_by(MAX_JOIN_ROOMS) {
        assert_eq!(join_from(&mut member, number).await, 0, "from room {number} on");
    }
    assert_eq!(join_from(&mut member, MAX_ROOMS).await, MAX_JOIN_ROOMS, "one too many");

    let mut author = node.json().await;
    for number in [0, 5, 32_768, 65_500, MAX_ROOMS - 1] {
        author.publish(&name(number), "1").await;
        assert_eq!(member.message(&name(number)).await.seq, 1);
    }
    member.leave(&name(7)).await;
    assert_eq!(join_from(&mut member, MAX_ROOMS).await, MAX_JOIN_ROOMS - 1, "one place is free");
    author.publish(&name(MAX_ROOMS), "1").await;
    assert_eq!(member.message(&name(MAX_ROOMS)).await.seq, 1);

    drop(member);
    node.until("roomcast_rooms", |rooms| rooms == 0.0).await;
    node.stop().await;
}
