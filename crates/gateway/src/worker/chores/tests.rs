//! What concerns many rooms or joins at once takes many turns, and all of it is done.

use std::sync::Arc;

use roomcast_protocol::{ErrorCode, JoinRoom, Lineage, RoomName};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use super::*;
use crate::hub::{HubCommand, HubHandle, QueuedBytes, WorkerEvent};
use crate::room_log::RoomLog;
use crate::tests::{EPOCH, at, connection, settings, worker};

const ROOMS: usize = 1000;

fn name(room: usize) -> RoomName {
    RoomName::parse(&format!("r{room}")).unwrap()
}

fn join(worker: &Worker, connection: &Rc<Connection>, room: usize) {
    worker.join(connection, None, JoinRoom::new(name(room)), None);
}

/// A worker whose hub says nothing, and a connection that waits for so many rooms.
async fn scene(rooms: usize) -> (Worker, Rc<Connection>, impl Sized) {
    let (hub, commands) = HubHandle::new();
    let worker = worker(settings(&["limits.rooms_per_connection=2000"]), hub);
    let (connection, client) = connection(1).await;
    (0..rooms).for_each(|room| join(&worker, &connection, room));
    (worker, connection, (commands, client))
}

/// A worker whose hub says nothing, and so many connections that wait for one room.
async fn crowd(
    count: usize,
) -> (Worker, Vec<(Rc<Connection>, impl Sized)>, mpsc::Receiver<HubCommand>) {
    let (hub, commands) = HubHandle::new();
    let worker = worker(settings(&[]), hub);
    let mut crowd = Vec::new();
    for id in 0..count {
        crowd.push(connection(id as u64).await);
        join(&worker, &crowd[id].0, 0);
    }
    (worker, crowd, commands)
}

fn refused(worker: &Worker) -> u64 {
    worker.metrics.traffic.errors[ErrorCode::BusUnavailable].get()
}

#[tokio::test]
async fn joins_that_waited_in_vain_are_refused_in_slices() {
    let (worker, connection, _ends) = scene(ROOMS).await;
    assert!(!worker.refuse_late(Instant::now(), SLICE));
    assert_eq!(refused(&worker), 0, "it is not time");
    let late = Instant::now() + Duration::from_secs(4);
    let mut turns = 0;
    while worker.refuse_late(late, SLICE) {
        turns += 1;
        assert_eq!(refused(&worker), turns * SLICE as u64);
    }
    assert_eq!(refused(&worker), ROOMS as u64);
    assert!(connection.joining() == 0 && worker.rooms.all().is_empty());
    assert!(!worker.refuse_late(late, SLICE), "each is refused once");
}

#[tokio::test]
async fn a_crowd_that_waits_for_one_room_is_refused_in_slices_too() {
    let (worker, _crowd, _commands) = crowd(40).await;
    let late = Instant::now() + Duration::from_secs(4);
    for turn in 1..=4 {
        assert!(worker.refuse_late(late, 10), "{turn}");
        assert_eq!(refused(&worker), turn * 10);
    }
    assert!(!worker.refuse_late(late, 10));
    assert!(worker.rooms.all().is_empty());
}

/// The hub has waited in vain for a room that many want to join.
#[tokio::test]
async fn a_large_crowd_is_not_refused_at_once() {
    let (worker, crowd, mut commands) = crowd(SLICE + 40).await;
    assert!(matches!(commands.try_recv(), Ok(HubCommand::Attach { number: 1, .. })));
    worker.take_in(WorkerEvent::Refused {
        room: name(0),
        number: 1,
        code: ErrorCode::BusUnavailable,
    });
    assert_eq!(refused(&worker), 0);
    assert!(matches!(commands.try_recv(), Ok(HubCommand::Attach { number: 2, .. })));
    assert!(worker.refuse_late(Instant::now(), SLICE));
    assert_eq!(refused(&worker), SLICE as u64);
    assert!(!worker.refuse_late(Instant::now(), SLICE));
    assert_eq!(refused(&worker), crowd.len() as u64);
    assert!(matches!(commands.try_recv(), Ok(HubCommand::Detach { .. })));
    assert!(worker.rooms.all().is_empty());
}

#[tokio::test]
async fn what_is_joined_and_left_again_is_not_remembered() {
    let (worker, connection, _ends) = scene(1).await;
    for room in 1..5000 {
        join(&worker, &connection, room);
        worker.leave(&connection, None, name(room));
    }
    assert_eq!(worker.rooms.counts()[0], 1);
    assert_eq!(worker.rooms.counts()[2], 1, "it waits for no room that it left");
    assert!(worker.rooms.counts()[1] < 2000);
}

#[tokio::test]
async fn a_connection_leaves_many_rooms_in_slices() {
    let (worker, connection, _ends) = scene(ROOMS).await;
    worker.close(&connection, roomcast_protocol::CloseCode::Restart);
    let mut left = vec![connection.joining()];
    while worker.turn() {
        left.push(connection.joining());
    }
    let expected: Vec<usize> = (1..4).map(|slices| ROOMS - slices * SLICE).collect();
    assert_eq!((&left[..3], left.last()), (&expected[..], Some(&0)));
    assert!(connection.joining() == 0 && worker.rooms.all().is_empty());
    assert_eq!(worker.rooms.counts()[2], 0);
}

/// The logs come between two slices, and find that the connection which waited is closed.
#[tokio::test]
async fn rooms_whose_logs_come_while_a_connection_leaves_are_not_kept() {
    let (worker, connection, _ends) = scene(ROOMS).await;
    worker.close(&connection, roomcast_protocol::CloseCode::Restart);
    for room in 0..ROOMS {
        let (log, lineage) = (RoomLog::new(at(0)), Arc::new(Lineage::new(EPOCH)));
        let held = QueuedBytes::default();
        let (room, number, slow) = (name(room), room as u64 + 1, 0);
        worker.take_in(WorkerEvent::Attached { room, number, log, lineage, slow, held });
    }
    while worker.turn() {}
    assert!(connection.joining() == 0 && worker.rooms.all().is_empty());
}

#[tokio::test]
async fn another_configuration_comes_to_all_rooms_in_slices() {
    let (worker, _connection, _ends) = scene(ROOMS).await;
    let new = settings(&["namespaces.default.slow=conflate"]);
    let policy = |worker: &Worker| {
        let rooms = worker.rooms.all();
        let conflating =
            |room: &&Rc<Room>| room.namespace.borrow().slow == crate::config::SlowPolicy::Conflate;
        rooms.iter().filter(conflating).count()
    };
    worker.configure(Arc::new(new));
    assert_eq!(policy(&worker), 0);
    worker.turn();
    assert_eq!(policy(&worker), SLICE);
    while worker.turn() {}
    assert_eq!(policy(&worker), ROOMS);
}
