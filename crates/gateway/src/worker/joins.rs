//! Joining and leaving: a client's request to become a member, which waits until the room's log
//! is here (`backfill_joins.rs`), and its request to be one no longer.

use std::rc::Rc;
use std::time::Duration;

use roomcast_protocol::{ErrorCode, JoinRoom, RequestId, RoomName, ServerFrame};
use tokio::time::Instant;

use super::Worker;
use crate::connection::Connection;
use crate::room::{Known, Pending, Room};

/// How long a join may wait for the bus before it is refused.
const JOIN_TIMEOUT: Duration = Duration::from_secs(3);

impl Worker {
    /// A client asks to become a member.
    pub(super) fn join(&self, connection: &Rc<Connection>, id: Option<RequestId>, join: JoinRoom) {
        let settings = self.settings();
        let known = self.room(&join.room);
        let is_joining = connection.joining.borrow().iter().any(|room| room.name == join.room);
        if is_joining || known.is_some_and(|room| connection.membership_in(&room).is_some()) {
            let reason = (ErrorCode::AlreadyJoined, "this connection is in that room already");
            return self.refuse(connection, id, Some(&join.room), reason);
        }
        if connection.rooms() + connection.joining.borrow().len() >= settings.limits.rooms {
            let reason = (ErrorCode::TooManyRooms, "this connection is in too many rooms");
            return self.refuse(connection, id, Some(&join.room), reason);
        }
        let room = self.room_or_ask(&join.room);
        let kept = room.namespace.borrow().retention.history_size;
        let pending = Pending {
            connection: connection.clone(),
            id,
            since: join.since,
            history: join.history.unwrap_or(0).min(kept),
            deadline: Instant::now() + JOIN_TIMEOUT,
            known: Known::Unasked,
            then: Vec::new(),
        };
        connection.joining.borrow_mut().push(room.clone());
        {
            let waiting = &mut room.state.borrow_mut().pending;
            if waiting.is_empty() {
                // When many rooms open at once, each has one join: more space would be wasted.
                waiting.reserve_exact(1);
            }
            waiting.push(pending);
        }
        self.resolve(&room);
        if !room.state.borrow().pending.is_empty() {
            self.rooms.watch(&room);
        }
    }

    /// A client asks to be a member no longer, or takes back a join that is not answered yet.
    pub(super) fn leave(&self, connection: &Rc<Connection>, id: Option<RequestId>, name: RoomName) {
        let room = self.room(&name);
        let membership = room.as_ref().and_then(|room| connection.membership_in(room));
        match (membership, room) {
            (Some((membership, _)), _) => self.exit(connection, membership),
            (None, Some(room)) if self.cancel_join(connection, &room) => {}
            _ => {
                let reason = (ErrorCode::NotJoined, "this connection is not in that room");
                return self.refuse(connection, id, Some(&name), reason);
            }
        }
        connection.send(&ServerFrame::Left { id, room: name, reason: None });
    }

    /// Takes back a join that waits; false if there is none.
    fn cancel_join(&self, connection: &Rc<Connection>, room: &Rc<Room>) -> bool {
        let mut joining = connection.joining.borrow_mut();
        let Some(at) = joining.iter().position(|known| Rc::ptr_eq(known, room)) else {
            return false;
        };
        joining.swap_remove(at);
        drop(joining);
        self.cancel_pending(connection, room);
        self.forget_if_empty(room);
        true
    }

    /// Answers a join that waits with `cancelled`, and publishes what waited for it.
    pub(super) fn cancel_pending(&self, connection: &Rc<Connection>, room: &Room) {
        let mut state = room.state.borrow_mut();
        let is_its = |join: &Pending| Rc::ptr_eq(&join.connection, connection);
        let Some(at) = state.pending.iter().position(is_its) else { return };
        let Pending { id, then, .. } = state.pending.remove(at);
        drop(state);
        if connection.is_open() {
            let reason = (ErrorCode::Cancelled, "the connection left before it had joined");
            self.refuse(connection, id, Some(&room.name), reason);
        }
        self.publish_all(connection, then);
    }
}
