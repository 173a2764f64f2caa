//! When a join that waits is shown to others, and which numbers it waits for.

use std::sync::Arc;

use roomcast_protocol::{JoinRoom, Lineage};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::*;
use crate::hub::HubHandle;
use crate::room::MemberReader;
use crate::room_log::{Cursor, RoomLog};
use crate::tests::{EPOCH, at, connection, enter, room_name, settings, worker};

/// A worker with a room that has presence and one member, and a connection that may join.
struct Scene {
    worker: Worker,
    room: Rc<Room>,
    joining: Rc<Connection>,
    _sockets: [TcpStream; 2],
}

impl Scene {
    async fn new() -> Self {
        let (hub, _) = HubHandle::new();
        let worker = worker(settings(&["namespaces.default.presence=counts"]), hub);
        let room = worker.room_or_ask(&room_name());
        let lineage = Arc::new(Lineage::new(EPOCH));
        room.state.borrow_mut().attach(RoomLog::new(at(0)), lineage, 0);
        let (member, one) = connection(1).await;
        enter(&member, &room, MemberReader::Log(Cursor { batch: 0, frame: 0 }));
        let (joining, two) = connection(2).await;
        Self { worker, room, joining, _sockets: [one, two] }
    }

    fn join(&self, join: JoinRoom) -> Option<JoinPresence> {
        self.worker.join(&self.joining, None, join, None);
        self.room.state.borrow().pending.first().map(|pending| pending.presence)
    }

    fn numbers(&self, number: u64, counts: Option<PresenceCounts>) {
        self.worker.take_numbers(&self.room, (self.joining.id, number), counts);
    }

    fn is_shown(&self) -> bool {
        self.room.state.borrow_mut().people.get_mut(self.joining.id).is_some()
    }

    /// The enter that the member is to read the list again after.
    fn late(&self) -> Option<u64> {
        self.room.state.borrow_mut().people.get_mut(self.joining.id).and_then(|shown| shown.late)
    }

    fn is_member(&self) -> bool {
        self.joining.membership_in(self.room.id).is_some()
    }
}

#[tokio::test]
async fn a_join_waits_for_its_own_numbers() {
    let test = async {
        let scene = Scene::new().await;
        let join = || match scene.join(JoinRoom::new(room_name())) {
            Some(JoinPresence::Asked(number)) => number,
            other => panic!("{other:?}"),
        };
        let first = join();
        scene.worker.leave(&scene.joining, None, room_name());
        let second = join();
        scene.numbers(first, None);
        assert!(!scene.is_member(), "that was the answer to the join before");
        let late = Instant::now() + 2 * NUMBERS_TIMEOUT;
        assert!(!scene.worker.end_waits_for_numbers(late, 10));
        assert!(scene.is_member());
        scene.numbers(first, Some(PresenceCounts::default()));
        assert_eq!(scene.late(), Some(second));
        scene.numbers(second, Some(PresenceCounts::default()));
        assert_eq!(scene.late(), None);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_strict_join_is_shown_once_it_is_not_refused() {
    let test = async {
        let scene = Scene::new().await;
        let strict = |seq| JoinRoom {
            since: Some(at(seq).into()),
            strict: true,
            ..JoinRoom::new(room_name())
        };
        assert_eq!(scene.join(strict(7)), Some(JoinPresence::Undecided));
        assert!(!scene.is_shown());
        scene.worker.take_standing(&scene.room, Ok((Lineage::new(EPOCH), 0)));
        assert!(scene.room.state.borrow().pending.is_empty() && !scene.is_member());

        let Some(JoinPresence::Asked(number)) = scene.join(strict(0)) else { panic!("not shown") };
        assert!(scene.is_shown() && !scene.is_member());
        scene.numbers(number, Some(PresenceCounts::default()));
        assert!(scene.is_member());
    };
    LocalSet::new().run_until(test).await;
}
