//! Where rooms are: a client's request, and one answer for each room.

use std::rc::Rc;

use roomcast_bus::{ReadError, RoomOutline};
use roomcast_protocol::{Epoch, ErrorCode, PresenceCounts, RequestId, RoomName, ServerFrame};

use super::Worker;
use super::join_lookups::marks_of;
use super::requests::{BusAnswer, Requester};
use crate::connection::{Connection, RequestRate};
use crate::permit::{Denial, RoomAction};

impl Worker {
    /// A client asks where rooms are; all of them count as one read.
    pub(super) fn room_info(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        rooms: Vec<RoomName>,
    ) {
        if let Err(excess) = self.take_request(connection, RequestRate::Read) {
            let first = rooms.first().filter(|_| rooms.len() == 1);
            return self.refuse_above(connection, id, first, excess);
        }
        for room in rooms {
            if let Err(Denial { code, message }) =
                self.decide(connection, &room, RoomAction::ReadHistory)
            {
                self.refuse(connection, id, Some(&room), (code, &message));
                continue;
            }
            let to = self.begin_request(connection, id);
            let namespace = self.settings.borrow().namespace_of(&room).clone();
            let age = namespace.receipts.map(|rules| rules.age);
            let user = connection.user.clone().filter(|_| age.is_some());
            let sees_members = self.decide(connection, &room, RoomAction::SeeMembers).is_ok();
            let (bus, answers) = (self.bus.clone(), self.answers.clone());
            tokio::task::spawn_local(async move {
                let kept = (namespace.retention, age.unwrap_or_default());
                let counting = async {
                    // Without numbers the rest is worth telling.
                    if sees_members { bus.presence_counts(&room).await.ok() } else { None }
                };
                let (outline, counts) =
                    tokio::join!(bus.outline(&room, user.as_ref(), kept), counting);
                let outcome = outline.map(|outline| (outline, counts));
                // The worker may have ended meanwhile.
                let _ = answers.send(BusAnswer::Room { to, room, outcome });
            });
        }
    }

    /// Answers with `room` or `error`.
    pub(super) fn answer_room_info(
        &self,
        to: Requester,
        room: RoomName,
        outcome: Result<(RoomOutline, Option<PresenceCounts>), ReadError>,
    ) {
        let Some(connection) = self.end_request(to) else { return };
        match outcome {
            Ok((outline, counts)) => {
                let keeps = self.settings.borrow().namespace_of(&room).receipts.is_some();
                let marks = (keeps && connection.user.is_some()).then(|| marks_of(&outline));
                // A room that only was joined is as one that does not exist.
                let was_published = outline.last > 0;
                connection.send(&ServerFrame::Room {
                    id: to.id,
                    room,
                    epoch: if was_published { outline.epoch } else { Epoch::NONE },
                    seq: outline.last,
                    counts,
                    marks,
                    time: was_published.then_some(outline.time),
                });
            }
            Err(ReadError::Unavailable) => {
                let reason = (ErrorCode::BusUnavailable, "the bus does not answer; try again");
                self.refuse(&connection, to.id, Some(&room), reason);
            }
        }
        self.write_soon(&connection);
    }
}
