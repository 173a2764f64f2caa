//! What rooms in memory keep, for how long, and what they refuse.

use std::time::Duration;

use roomcast_protocol::{Data, PublishKey};

use super::*;
use crate::api::{HistoryRange, KEY_WINDOW, Retention};

const RETENTION: Retention = Retention {
    history_size: 3,
    history_age: Duration::from_secs(600),
    repair_window: 5,
    replicas: 0,
    keys_per_user: 10_000,
    keys_per_room: 250_000,
};
const MINUTE: u64 = 60_000;

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn publication(bytes: usize) -> Publication {
    Publication {
        user: None,
        client: None,
        api_key: None,
        connection: None,
        event: None,
        key: None,
        if_seq: None,
        state: None,
        echo: true,
        traceparent: None,
        data: Data::Json(vec![b'1'; bytes].into()),
        retention: RETENTION,
        info: None,
        keys_age: std::time::Duration::ZERO,
        room_rate: 0,
    }
}

fn keyed(key: &str) -> Publication {
    Publication { key: Some(PublishKey::parse(key).unwrap()), ..publication(1) }
}

/// Looks as often as the feeds would, until nothing is due any more.
fn settle(rooms: &mut MemoryRooms, now: u64) {
    while rooms.expire(now).is_some_and(|due| due <= now) {}
}

#[test]
fn every_room_is_forgotten_in_time() {
    let mut rooms = MemoryRooms::new(1 << 20);
    for number in 0..200 {
        let published = room(&format!("p{number}"));
        rooms.publish(published.clone(), keyed("k"), 0).unwrap();
        rooms.standing(&room(&format!("s{number}")), 0);
    }
    settle(&mut rooms, 5 * MINUTE);
    assert_eq!(rooms.rooms.len(), 200, "rooms without publications expire in minutes");
    settle(&mut rooms, 9 * MINUTE);
    assert_eq!(rooms.rooms.len(), 200, "messages are kept for their age");
    settle(&mut rooms, 11 * MINUTE);
    assert_eq!(rooms.standing(&room("p0"), 11 * MINUTE).1, 1, "the seq outlives the messages");
    settle(&mut rooms, 30 * MINUTE);
    assert_eq!((rooms.rooms.len(), rooms.expiries.len()), (0, 0));
}

#[test]
fn reading_keeps_nothing() {
    let mut rooms = MemoryRooms::new(1 << 20);
    let request = HistoryRequest {
        range: HistoryRange::Latest,
        limit: 10,
        max_bytes: 1 << 20,
        retention: RETENTION,
    };
    for number in 0..200 {
        let history = rooms.history(&room(&format!("r{number}")), request, 0);
        assert_eq!((history.lineage.epoch, history.last, history.more), (Epoch::NONE, 0, false));
    }
    assert_eq!((rooms.rooms.capacity(), rooms.expiries.len()), (0, 0));
}

#[test]
fn an_open_room_keeps_its_epoch_and_drops_its_messages() {
    let mut rooms = MemoryRooms::new(1 << 20);
    let name = room("a");
    rooms.open(name.clone(), 0);
    rooms.publish(name.clone(), publication(1), 0).unwrap();
    let before = rooms.standing(&name, 0);
    settle(&mut rooms, 60 * MINUTE);
    assert_eq!(rooms.standing(&name, 60 * MINUTE), before);
    let request = HistoryRequest {
        range: HistoryRange::Latest,
        limit: 10,
        max_bytes: 1 << 20,
        retention: Retention { history_age: Duration::MAX, ..RETENTION },
    };
    assert!(rooms.history(&name, request, 60 * MINUTE).messages.is_empty());
    rooms.close(&name, 60 * MINUTE);
    settle(&mut rooms, 120 * MINUTE);
    assert!(rooms.rooms.is_empty());
}

#[test]
fn a_key_is_forgotten_after_its_window() {
    let mut rooms = MemoryRooms::new(1 << 20);
    let window = KEY_WINDOW.as_millis() as u64;
    let mut publish = |now| rooms.publish(room("a"), keyed("k"), now).unwrap().position.seq;
    assert_eq!(
        [publish(0), publish(window - 1), publish(window), publish(window + 1)],
        [1, 1, 2, 2]
    );
}

#[test]
fn messages_are_kept_to_the_larger_of_history_and_repair() {
    let mut rooms = MemoryRooms::new(1 << 20);
    for _ in 0..9 {
        rooms.publish(room("a"), publication(1), 0).unwrap();
    }
    let request = HistoryRequest {
        range: HistoryRange::After(0),
        limit: 100,
        max_bytes: 1 << 20,
        retention: Retention { history_size: 100, ..RETENTION },
    };
    let history = rooms.history(&room("a"), request, 0);
    let seqs: Vec<_> = history.messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, [5, 6, 7, 8, 9]);
}

#[test]
fn feeds_that_nobody_polls_refuse_rather_than_grow() {
    // Ten payloads, and what the messages hold beside them.
    let mut rooms = MemoryRooms::new(1_010_000);
    rooms.open(room("a"), 0);
    let fill = |_: &u32| rooms.publish(room("a"), publication(100_000), 0).is_ok();
    let stored = (0..100).filter(fill).count();
    assert_eq!(stored, 11);
    assert_eq!(
        rooms.publish(room("b"), publication(1), 0),
        Err(PublishError::Overloaded),
        "the bound is the node's"
    );
    let events = rooms.pending.take();
    assert_eq!(events.len(), 2, "opened, then one event with all messages");
    assert!(rooms.publish(room("a"), publication(1), 0).is_ok());
}
