//! What is done with members that fall off the log together, some for their own lag and some for
//! the node's memory budget.

use std::sync::Arc;

use roomcast_protocol::Lineage;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::connection::Connection;
use crate::hub::{HubCommand, HubHandle, QueuedBytes};
use crate::room_log::{Batch, Budget, Cursor, RoomLog};
use crate::tests::{EPOCH, at, connection, enter, entry, room_name, settings, worker};

/// Batches in the log before anybody falls off, of two messages each.
const BATCHES: u64 = 8;

fn log() -> RoomLog {
    let mut log = RoomLog::new(at(0));
    for batch in 0..BATCHES {
        let entries = vec![entry(2 * batch + 1, 9), entry(2 * batch + 2, 9)];
        log.append(Arc::new(Batch::new(room_name(), log.end(), entries, &Budget::default())));
    }
    log
}

/// Members of a room, each of which reads at the start of one of these batches.
struct Scene {
    worker: Worker,
    room: Rc<Room>,
    asked: mpsc::Receiver<HubCommand>,
    members: Vec<(Rc<Connection>, TcpStream)>,
}

impl Scene {
    async fn new(readers: &[u64], policy: &str) -> Self {
        let (hub, mut asked) = HubHandle::new();
        let settings = settings(&[&format!("namespaces.default.slow={policy}")]);
        let worker = worker(settings, hub);
        let room = worker.room_or_ask(&room_name());
        assert!(matches!(asked.try_recv(), Ok(HubCommand::Attach { number: 1, .. })));
        let lineage = Arc::new(Lineage::new(EPOCH));
        room.state.borrow_mut().attach(log(), lineage, 0);
        let mut members = Vec::new();
        for (id, &batch) in (0..).zip(readers) {
            let (connection, socket) = connection(id).await;
            enter(&connection, &room, MemberReader::Log(Cursor { batch, frame: 0 }));
            members.push((connection, socket));
        }
        Self { worker, room, asked, members }
    }

    /// The worker's queue was full meanwhile: it gets the log again, which begins at batch `all`
    /// by now. Before batch `slow` members are slow.
    fn attach_again(&self, slow: u64, all: u64) {
        let mut log = log();
        log.trim(all);
        let lineage = Arc::new(Lineage::new(EPOCH));
        let (room, held) = (room_name(), QueuedBytes::default());
        self.worker.take_in(WorkerEvent::Attached { room, number: 1, log, lineage, slow, held });
    }

    /// Where each member reads, as text; `None` if it left.
    fn readers(&self) -> Vec<Option<String>> {
        let state = self.room.state.borrow();
        let reader = |(connection, _): &(Rc<Connection>, _)| {
            let (_, slot) = connection.membership_in(self.room.id)?;
            let member = state.members.at(slot);
            assert!(member.connection.as_ref().is_some_and(|own| Rc::ptr_eq(own, connection)));
            Some(match &member.reader {
                MemberReader::Log(cursor) => format!("batch {}", cursor.batch),
                MemberReader::Waiting(position) => format!("waits at {}", position.seq),
                MemberReader::Page { .. } => "page".to_owned(),
            })
        };
        self.members.iter().map(reader).collect()
    }
}

/// Who leaves moves the last member to its slot, so nobody may be judged by a slot after that.
#[tokio::test]
async fn closing_the_slow_disturbs_nobody_who_was_evicted_with_them() {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let mut scene = Scene::new(&[0, 3, 7, 1, 4, 2], "close").await;
            scene.attach_again(2, 5);
            let left = [None, Some("waits at 6"), Some("batch 7"), None];
            let rest = [Some("waits at 8"), Some("waits at 4")];
            let expected: Vec<_> =
                left.iter().chain(&rest).map(|at| at.map(str::to_owned)).collect();
            assert_eq!(scene.readers(), expected);
            assert_eq!(scene.room.state.borrow().members.len(), 4);
            let open: Vec<_> = scene.members.iter().map(|(own, _)| own.is_open()).collect();
            assert_eq!(open, [false, true, true, false, true, true]);
            let slow = &scene.worker.metrics.delivery.slow;
            assert_eq!(slow[SlowAction::Closed].get(), 2);
            // The oldest of those who wait is read for, once.
            let asked = scene.asked.try_recv();
            assert!(matches!(asked, Ok(HubCommand::Backfill { after: 4, .. })), "{asked:?}");
            assert!(scene.asked.try_recv().is_err());
        })
        .await;
}

#[tokio::test]
async fn the_slow_of_a_conflating_room_go_to_its_end_and_the_evicted_wait() {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let scene = Scene::new(&[0, 3, 7], "conflate").await;
            scene.attach_again(2, 5);
            let expected = ["batch 8", "waits at 6", "batch 7"];
            assert_eq!(scene.readers(), expected.map(|at| Some(at.to_owned())));
            assert!(scene.members.iter().all(|(connection, _)| connection.is_open()));
        })
        .await;
}
