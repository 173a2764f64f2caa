//! Members that stall while they read history.

use std::sync::Arc;

use roomcast_protocol::Lineage;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use super::*;
use crate::hub::{HubCommand, HubHandle, QueuedBytes, WorkerEvent};
use crate::permit::ListInterest;
use crate::room_log::{Batch, Budget, RoomLog};
use crate::tests::{EPOCH, at, connection, entry, room_name, settings, worker};

/// More than the sockets of both ends hold.
const MESSAGE: usize = 8 << 20;

fn asked(commands: &mut mpsc::Receiver<HubCommand>) -> Option<Seq> {
    match commands.try_recv() {
        Ok(HubCommand::Backfill { after, .. }) => Some(after),
        Ok(other) => panic!("unexpected {other:?}"),
        Err(_) => None,
    }
}

#[tokio::test]
async fn a_member_that_stalls_in_history_holds_no_page() {
    let (hub, mut commands) = HubHandle::new();
    let worker = worker(settings(&[]), hub);
    let (connection, client) = connection(1).await;
    let room = worker.room_or_ask(&room_name());
    assert!(matches!(commands.try_recv(), Ok(HubCommand::Attach { .. })));
    let (log, lineage) = (RoomLog::new(at(20)), Arc::new(Lineage::new(EPOCH)));
    let (number, slow, held) = (1, 0, QueuedBytes::default());
    let name = room_name();
    worker.take_in(WorkerEvent::Attached { room: name, number, log, lineage, slow, held });
    worker.enter(&connection, &room, (MemberReader::Waiting(at(10)), ListInterest::No));
    assert_eq!(asked(&mut commands), Some(10));

    let entries = (11..=20).map(|seq| entry(seq, if seq < 15 { MESSAGE } else { 9 })).collect();
    let batch = Arc::new(Batch::new(room_name(), at(10), entries, &Budget::default()));
    let page =
        |from| BackfillPage { epoch: EPOCH, from, to: 20, start: from, batch: Some(batch.clone()) };
    worker.take_in(WorkerEvent::Backfill {
        room: room_name(),
        answer: BackfillAnswer::Page(page(10)),
    });
    while worker.turn() {}
    assert!(connection.is_blocked());
    assert_eq!(Arc::strong_count(&batch), 1, "only the test holds it");
    assert_eq!(asked(&mut commands), None, "nothing is read for it while it stalls");

    // It goes on where it was, as often as it stalls.
    let (mut position, mut sink) = (10, vec![0; 1 << 20]);
    let is_in_log = || matches!(room.state.borrow().members.at(0).reader, MemberReader::Log(_));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_in_log() {
        assert!(Instant::now() < deadline, "stuck at {position}");
        tokio::time::sleep(Duration::from_millis(1)).await;
        while client.try_read(&mut sink).is_ok_and(|count| count > 0) {}
        connection.unblock();
        worker.write(&connection);
        while worker.turn() {}
        if let Some(after) = asked(&mut commands) {
            assert!(after >= position, "{after} after {position}");
            position = after;
            let answer = BackfillAnswer::Page(page(10));
            worker.take_in(WorkerEvent::Backfill { room: room_name(), answer });
        }
    }
    assert!(position > 10, "it stalled once at least");
}
