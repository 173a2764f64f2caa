//! A worker's queue that is full.

use super::*;
use crate::room_log::Floor;

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn trim(room: &RoomName) -> WorkerEvent {
    WorkerEvent::Trim { room: room.clone(), floor: Floor { slow: 0, all: 0 } }
}

/// Takes up to `count` events out of the queue; their rooms.
fn take(queue: &mut mpsc::Receiver<WorkerEvent>, count: usize) -> Vec<RoomName> {
    let events = std::iter::from_fn(|| queue.try_recv().ok()).take(count);
    let rooms = events.map(|event| match event {
        WorkerEvent::Trim { room, .. } => room,
        other => panic!("unexpected {other:?}"),
    });
    rooms.collect()
}

fn unmarked(sender: &mut WorkerQueue) -> Vec<RoomName> {
    sender.unmark().into_iter().map(|(room, _)| room).collect()
}

#[test]
fn a_full_queue_marks_the_room_and_no_other() {
    let (events, mut queue) = worker_queue();
    let mut sender = WorkerQueue::new(events);
    let (first, second, third) = (room("first"), room("second"), room("third"));
    for _ in 0..QUEUE_EVENTS {
        assert_eq!(sender.send(&first, trim(&first)), Sent::Fine);
    }
    assert!(!sender.is_marked());
    assert_eq!(sender.send(&second, trim(&second)), Sent::Marked);
    assert_eq!(sender.send(&second, trim(&second)), Sent::Fine, "marked once");
    assert!(sender.is_marked());

    // With space again, other rooms go on and the marked one waits.
    assert_eq!(take(&mut queue, 2).len(), 2);
    assert_eq!(sender.send(&second, trim(&second)), Sent::Fine);
    assert_eq!(sender.send(&third, trim(&third)), Sent::Fine);
    assert_eq!(sender.send(&first, trim(&first)), Sent::Fine);
    assert!(sender.unmark().is_empty(), "half of the queue stays for the others");
    let rooms = take(&mut queue, QUEUE_EVENTS);
    assert_eq!(rooms.len(), QUEUE_EVENTS);
    assert!(!rooms.contains(&second), "nothing of a marked room is sent");

    assert_eq!(unmarked(&mut sender), std::slice::from_ref(&second));
    assert!(!sender.is_marked());
    assert_eq!(sender.send(&second, trim(&second)), Sent::Fine);
    assert_eq!(take(&mut queue, QUEUE_EVENTS), [second]);
}

#[test]
fn marked_rooms_come_back_as_the_queue_has_space() {
    let (events, mut queue) = worker_queue();
    let mut sender = WorkerQueue::new(events);
    let full = room("full");
    for _ in 0..QUEUE_EVENTS {
        assert_eq!(sender.send(&full, trim(&full)), Sent::Fine);
    }
    let others: Vec<RoomName> = (0..20).map(|n| room(&format!("room-{n}"))).collect();
    for other in &others {
        assert_eq!(sender.send(other, trim(other)), Sent::Marked);
    }
    take(&mut queue, QUEUE_EVENTS / 2 + 5);
    let mut back = unmarked(&mut sender);
    assert_eq!(back.len(), 5);
    take(&mut queue, QUEUE_EVENTS);
    back.extend(unmarked(&mut sender));
    back.sort();
    let mut expected = others;
    expected.sort();
    assert_eq!(back, expected, "each once");
}

#[test]
fn a_room_that_was_let_go_is_not_marked() {
    let (events, _queue) = worker_queue();
    let mut sender = WorkerQueue::new(events);
    let full = room("full");
    while sender.send(&full, trim(&full)) == Sent::Fine {}
    sender.forget(&full);
    assert!(!sender.is_marked());
}

#[test]
fn a_worker_that_has_ended_marks_nothing() {
    let (events, queue) = worker_queue();
    let mut sender = WorkerQueue::new(events);
    drop(queue);
    assert_eq!(sender.send(&room("any"), trim(&room("any"))), Sent::Fine);
    assert!(!sender.is_marked());
}

#[test]
fn a_queue_holds_so_many_bytes_or_one_event() {
    let (events, mut queue) = worker_queue();
    let mut sender = WorkerQueue::new(events);
    let rooms: Vec<RoomName> = (0..4).map(|n| room(&format!("room-{n}"))).collect();
    let send = |sender: &mut WorkerQueue, room: &RoomName, bytes| {
        let room = room.clone();
        sender.send_log(&room, (bytes, 1000), |held| {
            let floor = Floor { slow: 0, all: 0 };
            let (batch, lineage) = (crate::tests::batch(9), None);
            let (number, appended) = (0, tokio::time::Instant::now());
            let room = room.clone();
            WorkerEvent::Append { room, number, batch, floor, lineage, appended, held }
        })
    };
    assert_eq!(send(&mut sender, &rooms[0], 5000), Sent::Fine, "one event, whatever it holds");
    assert_eq!(send(&mut sender, &rooms[1], 10), Sent::Marked);
    assert!(queue.try_recv().is_ok());
    assert_eq!(send(&mut sender, &rooms[2], 600), Sent::Fine);
    assert_eq!(send(&mut sender, &rooms[2], 400), Sent::Fine);
    assert_eq!(send(&mut sender, &rooms[3], 1), Sent::Marked);
    assert_eq!(sender.send(&rooms[0], trim(&rooms[0])), Sent::Fine, "what holds nothing is sent");
    while queue.try_recv().is_ok() {}
    assert_eq!(send(&mut sender, &rooms[0], 1000), Sent::Fine, "what was refused holds nothing");
}
