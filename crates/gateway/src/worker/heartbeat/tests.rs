//! The wheel: every connection has its turn once in every round.

use std::collections::HashMap;

use super::*;
use crate::tests::connection;

/// One round; how often each connection had its turn, by id.
fn round(wheel: &mut Wheel) -> HashMap<u64, usize> {
    let mut turns = HashMap::new();
    for _ in 0..SLOTS {
        for connection in wheel.turn() {
            *turns.entry(connection.id.0).or_default() += 1;
        }
    }
    turns
}

fn held(wheel: &Wheel) -> usize {
    wheel.slots.iter().map(Vec::len).sum()
}

#[tokio::test]
async fn every_connection_has_its_turn_once_a_round() {
    let mut wheel = Wheel::new(Duration::from_secs(25));
    assert_eq!(wheel.period() * SLOTS as u32, Duration::from_secs(25));
    let mut all = Vec::new();
    for id in 0..40 {
        let (connection, client) = connection(id).await;
        wheel.add(&connection);
        all.push((connection, client));
    }
    let expected: HashMap<u64, usize> = (0..40).map(|id| (id, 1)).collect();
    for _ in 0..3 {
        assert_eq!(round(&mut wheel), expected);
    }
    let used = wheel.slots.iter().filter(|slot| !slot.is_empty()).count();
    assert!(used > 10, "40 connections stand in {used} slots of {SLOTS}");
}

#[tokio::test]
async fn connections_that_ended_are_forgotten() {
    let mut wheel = Wheel::new(Duration::from_secs(1));
    let (gone, _a) = connection(1).await;
    let (closed, _b) = connection(2).await;
    let (open, _c) = connection(3).await;
    for connection in [&gone, &closed, &open] {
        wheel.add(connection);
    }
    drop(gone);
    closed.close(CloseCode::Normal);
    assert_eq!(round(&mut wheel), HashMap::from([(3, 1)]));
    assert_eq!(held(&wheel), 1);
}
