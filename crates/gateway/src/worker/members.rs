//! Memberships: connections enter and leave rooms, and rooms come and go with their members.

use std::cell::RefCell;
use std::rc::Rc;

use roomcast_bus::Departure;
use roomcast_metrics::SignalOutcome;
use roomcast_protocol::{CloseCode, RoomKind, RoomName};

use super::Worker;
use super::joins::LEFT_EARLY;
use crate::connection::Connection;
use crate::permit::ListInterest;
use crate::room::{MemberReader, Room, RoomMember, RoomState};

impl Worker {
    /// A room of this worker by its name.
    pub(crate) fn room(&self, name: &RoomName) -> Option<Rc<Room>> {
        self.rooms.get(name)
    }

    /// The room for a join: one of the worker's, or a new one whose log the hub is asked for.
    pub(super) fn room_or_ask(&self, name: &RoomName) -> Rc<Room> {
        if let Some(room) = self.room(name) {
            return room;
        }
        let number = self.rooms.next_number();
        let namespace = self.settings.borrow().namespace_of(name).clone();
        namespace.metrics.rooms.inc();
        let room = self.rooms.add(|id| Room {
            id,
            name: name.clone(),
            namespace: RefCell::new(namespace),
            state: RefCell::new(RoomState::asked(number)),
        });
        self.hub.attach(name.clone(), number);
        room
    }

    /// Makes a connection a member that reads from `reader`. Its `joined` must be in its gate already:
    /// from here on passes write to it.
    pub(super) fn enter(
        &self,
        connection: &Rc<Connection>,
        room: &Rc<Room>,
        (reader, listening): (MemberReader, ListInterest),
    ) {
        let membership = connection.enter(room.id);
        let mut state = room.state.borrow_mut();
        let slot = state.members.add(RoomMember {
            connection: Some(connection.clone()),
            membership,
            author: connection.authored.get(),
            listens: listening == ListInterest::Yes,
            reader: reader.clone(),
        });
        connection.moved(membership, slot);
        state.place(slot, reader);
        state.people.missed(connection.id);
        let (behind, waiting) = (state.is_behind(slot), state.is_waiting(slot));
        drop(state);
        room.namespace.borrow().metrics.members.inc();
        if behind && connection.owe(membership) {
            self.write_later(connection);
        }
        if waiting {
            self.request_backfill(room);
        }
    }

    /// Ends a membership. After this no frame of the room is begun on the connection.
    pub(super) fn exit(&self, connection: &Rc<Connection>, membership: u32, how: Departure) {
        let Some((id, slot)) = connection.exit(membership) else { return };
        self.drop_pass(connection, id);
        let room = self.rooms.by_id(id).expect("a room lasts as long as its members");
        self.remove_member(&room, slot);
        let unsent = self.conflation.borrow_mut().take_of(connection.id, &room.name);
        self.metrics.people.signals[SignalOutcome::Dropped].inc_by(unsent.len() as u64);
        if room.name.kind() == RoomKind::User {
            // The client's own join that was to take the membership's place goes with it.
            self.cancel_pending(connection, &room, LEFT_EARLY);
        }
        self.disappear(connection, &room, how);
        self.settle_user_rooms(connection);
        self.forget_if_empty(&room);
    }

    /// Takes a member out of a room that it enters again in the same step: the room still counts for
    /// its user.
    pub(super) fn step_out(&self, connection: &Connection, room: &Room, membership: u32) {
        if let Some((_, slot)) = connection.exit(membership) {
            self.drop_pass(connection, room.id);
            self.remove_member(room, slot);
        }
    }

    fn remove_member(&self, room: &Room, slot: u32) {
        room.state.borrow_mut().members.remove(slot);
        room.namespace.borrow().metrics.members.dec();
    }

    /// Closes a connection: it leaves its rooms at once, and its task writes the Close.
    pub(super) fn close(&self, connection: &Rc<Connection>, code: CloseCode) {
        connection.close(code);
        self.leave_all(connection);
    }

    /// Removes a room that has neither members nor joins.
    pub(super) fn forget_if_empty(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        if state.members.len() > 0 || !state.pending.is_empty() || state.admitting {
            return;
        }
        if !state.followed.is_empty() {
            return;
        }
        self.rooms.unwatch(&mut state);
        drop(state);
        if self.rooms.remove(room) {
            room.namespace.borrow().metrics.rooms.dec();
            self.hub.detach(room.name.clone());
        }
    }
}
