//! What the bus is asked before it is known where a join begins: the position before a time, and how
//! far the user has confirmed a room with receipts.

use roomcast_bus::{ReadError, RoomOutline};
use roomcast_protocol::{ErrorCode, JoinRoom, Position, ReadMarks, RoomKind, RoomName, Since};

use super::Worker;
use super::requests::BusAnswer;
use crate::connection::Connection;
use crate::room::{JoinLookup, PendingJoin, Room};

/// What the bus says before a join begins.
#[derive(Debug)]
pub(crate) struct JoinFound {
    /// The position that was asked for, or looked up.
    since: Option<Position>,
    /// Where the user is in the room, if it keeps receipts.
    outline: Option<RoomOutline>,
    /// The join begins where the user is.
    follows_user: bool,
}

impl Worker {
    /// Asks the bus what a join needs to know, if it needs anything.
    pub(super) fn look_up_join(
        &self,
        connection: &Connection,
        room: &Room,
        join: &JoinRoom,
    ) -> JoinLookup {
        let namespace = room.namespace.borrow();
        let age = namespace.receipts.map(|rules| rules.age);
        let marked = connection.user.clone().zip(age);
        if marked.is_none() && !matches!(join.since, Some(Since::Time(_))) {
            return JoinLookup::Known;
        }
        let number = self.rooms.next_number();
        let (name, since, retention) = (room.name.clone(), join.since, namespace.retention);
        // The state at an older position is not kept.
        let follows_user =
            marked.is_some() && since.is_none() && join.history.is_none() && !room.keeps_state();
        let (bus, answers) = (self.bus.clone(), self.answers.clone());
        tokio::task::spawn_local(async move {
            let find = async {
                let since = match since {
                    Some(Since::Time(time)) => Some(bus.position_at(&name, time).await?),
                    Some(Since::Position(position)) => Some(position),
                    None => None,
                };
                let outline = match &marked {
                    Some((user, age)) => {
                        Some(bus.outline(&name, Some(user), (retention, *age)).await?)
                    }
                    None => None,
                };
                Ok(JoinFound { since, outline, follows_user })
            };
            let found = find.await;
            // The worker may have ended meanwhile.
            let _ = answers.send(BusAnswer::JoinFound { room: name, number, found });
        });
        JoinLookup::Asked(number)
    }

    /// The bus has said where a join begins.
    pub(super) fn take_join_found(
        &self,
        name: &RoomName,
        number: u64,
        found: Result<JoinFound, ReadError>,
    ) {
        let Some(room) = self.room(name) else { return };
        let mut state = room.state.borrow_mut();
        let is_its = |pending: &PendingJoin| pending.lookup == JoinLookup::Asked(number);
        let Some(at) = state.pending.iter().position(is_its) else { return };
        let Ok(found) = found else {
            let refused = state.pending.remove(at);
            drop(state);
            return self.refuse_joins(&room, vec![refused], ErrorCode::BusUnavailable);
        };
        let kept = room.namespace.borrow().retention.history_size;
        let pending = &mut state.pending[at];
        pending.lookup = JoinLookup::Known;
        pending.since = found.since;
        if let Some(outline) = found.outline {
            pending.marks = Some(marks_of(&outline));
            if found.follows_user {
                follow_user(pending, &outline, (room.name.kind(), kept));
            }
        }
        if !pending.resumes {
            pending.oldest = None;
        }
        drop(state);
        self.resolve(&room);
    }
}

/// How far a user has confirmed a room.
pub(super) fn marks_of(outline: &RoomOutline) -> ReadMarks {
    let RoomOutline { received, read, unread, .. } = *outline;
    ReadMarks { received, read, unread }
}

/// Begins a join where its user is; in a user's own room of which nothing is confirmed yet, with
/// all that is kept.
fn follow_user(pending: &mut PendingJoin, outline: &RoomOutline, (kind, kept): (RoomKind, u32)) {
    match (outline.received, kind) {
        (0, RoomKind::User) => {
            pending.history = kept;
            pending.resumes = true;
        }
        (0, _) => {}
        (seq, _) => {
            pending.since = Some(Position { epoch: outline.epoch, seq });
            pending.resumes = true;
        }
    }
}
