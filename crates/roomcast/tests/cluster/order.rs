//! P1, P2 and P4 over several nodes on one Redis: every member sees every message of its rooms
//! once, in ascending seq, the same everywhere; acks name the same positions.

use std::collections::BTreeMap;

use crate::support::{Cluster, TestClient, Watcher, soon};
use futures_util::future::join_all;
use roomcast_protocol::{ClientFrame, Encoding, Position, ServerFrame};

const NODES: usize = 3;
const ROOMS: [&str; 5] = ["red", "green", "blue", "black", "chat:white"];
const PUBLISHERS: usize = 4;
/// Messages of one publisher, in bursts of `WINDOW` that are acked before the next.
const MESSAGES: usize = 192;
const WINDOW: usize = 32;

/// Publishes as fast as acks allow; returns each payload with its position.
async fn publish(mut client: TestClient, room: &str, name: usize) -> Vec<(Position, String)> {
    let mut acked = Vec::new();
    for burst in 0..MESSAGES / WINDOW {
        let mut sent = Vec::new();
        for n in 0..WINDOW {
            let payload = format!("{{\"room\":\"{room}\",\"n\":[{name},{}]}}", burst * WINDOW + n);
            let publication = client.publication(room, &payload);
            sent.push((publication.id.unwrap(), payload));
            client.send(&ClientFrame::Publish(publication)).await;
        }
        for (id, payload) in sent {
            match client.answer(id).await {
                ServerFrame::Ack { epoch, seq, .. } => {
                    acked.push((Position { epoch, seq }, payload))
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let ascending = acked.iter().map(|(position, _)| position.seq).is_sorted();
    assert!(ascending, "one connection's messages keep their order");
    acked
}

#[tokio::test]
async fn everybody_sees_the_same_on_every_node() {
    let cluster = Cluster::start(NODES, &[]).await;
    let mut members = Vec::new();
    for node in 0..NODES {
        for encoding in Encoding::ALL {
            for room in ROOMS {
                let client = cluster.client(node, encoding).await;
                members.push((vec![room], Watcher::join(client, &[room]).await));
            }
            let client = cluster.client(node, encoding).await;
            members.push((ROOMS.to_vec(), Watcher::join(client, &ROOMS).await));
        }
    }
    let mut bursts = Vec::new();
    for (at, room) in ROOMS.into_iter().enumerate() {
        for publisher in 0..PUBLISHERS {
            let encoding = Encoding::ALL[publisher % 2];
            let client = cluster.client((at + publisher) % NODES, encoding).await;
            bursts.push(async move { (room, publish(client, room, publisher).await) });
        }
    }
    let mut acked: BTreeMap<&str, Vec<(Position, String)>> = BTreeMap::new();
    for (room, positions) in soon("every ack", join_all(bursts)).await {
        acked.entry(room).or_default().extend(positions);
    }
    for positions in acked.values_mut() {
        positions.sort_by_key(|(position, _)| position.seq);
        assert_eq!(positions.len(), PUBLISHERS * MESSAGES);
    }
    for (rooms, member) in &mut members {
        for room in rooms {
            let (last, _) = acked[room].last().unwrap();
            let heard = member.up_to(room, *last).await;
            heard.is_whole();
            assert!(heard.messages == acked[room], "{room} differs from what was acked");
        }
    }
    drop(members);
    assert_eq!(cluster.sum("roomcast_bus_gaps_total").await, 0.0);
    cluster.stop().await;
}
