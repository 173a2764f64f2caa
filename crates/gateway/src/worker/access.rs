//! What connections may do over time: their identities and rooms' tokens end, and rooms already
//! joined are judged again when an identity or a policy has changed.

use std::rc::Rc;
use std::vec;

use roomcast_access::capability::Capabilities;
use roomcast_access::identity::{RoomPass, reconnect_at};
use roomcast_access::policy::{Caller, RETURN_WINDOW_MS, RoomStanding};
use roomcast_bus::Departure;
use roomcast_protocol::{CloseCode, ErrorCode, RoomName, ServerFrame};

use super::Worker;
use super::access_ends::AccessEnd;
use super::chores::{Chore, SLICE};
use crate::auth::wall_ms;
use crate::connection::{Connection, RoomId};
use crate::identity::CredentialWay;
use crate::permit::{Denial, RoomAction, permit};
use crate::room::Room;

/// The `reason` of `left` when a room's token has ended.
const PASS_ENDED: &str = "expired";
/// The `reason` of `left` when neither policy nor capability admits the member any more.
const NOT_ALLOWED: &str = "forbidden";
/// The `reason` of `reconnect` to a connection whose cookie is about to end.
const COOKIE_ENDS: &str = "expiry";

impl Worker {
    /// Decides an action of a connection on a room.
    pub(super) fn decide(
        &self,
        connection: &Connection,
        room: &RoomName,
        action: RoomAction,
    ) -> Result<(), Denial> {
        let settings = self.settings.borrow();
        // Only members' policies and rooms' tokens ask whether it is in the room.
        let policy = &settings.namespace_of(room).policy;
        let asks_standing = connection.has_passes()
            || action.needs().iter().any(|&capability| policy.asks_membership(capability));
        let known = if asks_standing { self.room(room) } else { None };
        let standing = known.map_or(RoomStanding::Outside, |room| connection.standing_in(room.id));
        connection.judge(|identity| {
            permit(&settings, (Caller::Connection(identity), standing), room, action)
        })
    }

    /// The oldest time of which a connection that comes back to a room may get messages, in ms since
    /// 1970; `None`: any, as it may read history.
    pub(super) fn oldest_for(
        &self,
        connection: &Connection,
        room: &RoomName,
        pass: Option<&RoomPass>,
    ) -> Option<u64> {
        let can = pass.map_or(Capabilities::NONE, |pass| pass.can);
        let settings = self.settings.borrow();
        let decision = connection.judge(|identity| {
            let asker = (Caller::Connection(identity), RoomStanding::Inside(can));
            permit(&settings, asker, room, RoomAction::ReadHistory)
        });
        decision.is_err().then(|| wall_ms().saturating_sub(RETURN_WINDOW_MS))
    }

    /// Watches for the end of a connection's identity, in place of the end that it had before.
    pub(super) fn watch_life(&self, connection: &Connection) {
        let Some((life, way)) = connection.life() else { return };
        let mut ends = self.access_ends.borrow_mut();
        let mut places = vec![ends.add(life.ends, AccessEnd::Connection(connection.id))];
        if way == CredentialWay::Cookie
            && !self.keys.returns_with_same_end(connection.client(), life.ends)
            && let Some(at) = reconnect_at(wall_ms(), life.ends)
        {
            places.push(ends.add(at, AccessEnd::Return(connection.id)));
        }
        for before in connection.replace_end_places(places) {
            ends.remove(before);
        }
    }

    /// A connection holds a room's token from now on, in place of the one before.
    pub(super) fn hold_pass(&self, connection: &Connection, room: RoomId, pass: RoomPass) {
        let mut ends = self.access_ends.borrow_mut();
        let place = ends.add(pass.life.ends, AccessEnd::Room(connection.id, room));
        if let Some(before) = connection.hold_pass(room, pass, place) {
            ends.remove(before);
        }
    }

    /// A connection is in a room no more, nor waits for it: the room's token goes too.
    pub(super) fn drop_pass(&self, connection: &Connection, room: RoomId) {
        if let Some(place) = connection.drop_pass(room) {
            self.access_ends.borrow_mut().remove(place);
        }
    }

    /// A connection has ended: nothing of it is waited for.
    pub(super) fn forget_access(&self, connection: &Connection) {
        let places = connection.replace_end_places(Vec::new());
        let mut ends = self.access_ends.borrow_mut();
        places.into_iter().chain(connection.drop_passes()).for_each(|place| ends.remove(place));
    }

    /// Ends up to `count` identities and rooms' tokens whose time has come. True if others may be
    /// left.
    pub(crate) fn end_access(&self, count: usize) -> bool {
        let now = wall_ms();
        for _ in 0..count {
            let due = self.access_ends.borrow_mut().take_due(now);
            match due {
                None => return false,
                Some(AccessEnd::Connection(id)) => {
                    if let Some(connection) = self.connections.get(id) {
                        self.close(&connection, CloseCode::Expired);
                    }
                }
                Some(AccessEnd::Return(id)) => {
                    if let Some(connection) = self.connections.get(id) {
                        let reason = COOKIE_ENDS.into();
                        connection.send(&ServerFrame::Reconnect { after_ms: 0, reason });
                        self.write_soon(&connection);
                    }
                }
                Some(AccessEnd::Room(id, room)) => {
                    let connection = self.connections.get(id);
                    if let (Some(connection), Some(room)) = (connection, self.rooms.by_id(room)) {
                        self.put_out(&connection, &room, PASS_ENDED);
                    }
                }
            }
        }
        true
    }

    /// Judges a connection again in the rooms that it is in or waits for, and shows its token's info
    /// there.
    pub(super) fn judge_rooms(&self, connection: &Rc<Connection>) {
        let mut rooms = connection.all_rooms().into_iter();
        if self.judge_some(connection, &mut rooms) {
            self.work.add_chore(Chore::Judge(connection.clone(), rooms));
        }
    }

    /// Judges it in some of these rooms. True if others are left.
    pub(super) fn judge_some(
        &self,
        connection: &Rc<Connection>,
        rooms: &mut vec::IntoIter<RoomId>,
    ) -> bool {
        for id in rooms.by_ref().take(SLICE) {
            let Some(room) = self.rooms.by_id(id) else { continue };
            if !connection.is_granted(id) {
                if self.decide(connection, &room.name, RoomAction::Stay).is_err() {
                    self.put_out(connection, &room, NOT_ALLOWED);
                    continue;
                }
                if self.decide(connection, &room.name, RoomAction::SeeMembers).is_err() {
                    self.stop_listening(connection, &room);
                }
            }
            self.follow_token_info(connection, &room);
        }
        connection.is_open() && rooms.len() > 0
    }

    /// Ends a membership, or a join that waits, because the connection may not be in the room.
    pub(super) fn put_out(&self, connection: &Rc<Connection>, room: &Rc<Room>, reason: &str) {
        let how = if reason == PASS_ENDED { Departure::Ended } else { Departure::Left };
        match connection.membership_in(room.id) {
            Some((membership, _)) => {
                self.exit(connection, membership, how);
                let (room, reason) = (room.name.clone(), Some(reason.into()));
                connection.send(&ServerFrame::Left { id: None, room, reason });
            }
            None if connection.end_join(room.id) => {
                self.drop_pass(connection, room.id);
                self.disappear(connection, room, how);
                let why = "the capability \"join\" ended before the join was answered";
                self.cancel_pending(connection, room, (ErrorCode::Forbidden, why));
                self.forget_if_empty(room);
            }
            None => {}
        }
        self.write_soon(connection);
    }
}
