//! Who is in which room: connections enter and leave, rooms come and go with their members.

use std::cell::RefCell;
use std::rc::Rc;

use roomcast_protocol::{CloseCode, ConnectionId, RoomName};

use super::Worker;
use crate::connection::{Connection, RoomId};
use crate::hub::HubCommand;
use crate::room::{Member, Reader, Room, RoomState};

impl Worker {
    /// A room that is known here.
    pub(crate) fn room(&self, name: &RoomName) -> Option<Rc<Room>> {
        self.rooms.borrow().by_name(name).cloned()
    }

    /// A room by its id, while it lasts.
    pub(super) fn room_by_id(&self, id: RoomId) -> Option<Rc<Room>> {
        self.rooms.borrow().by_id(id).cloned()
    }

    /// A room for a member to come: known here, or asked for now.
    pub(super) fn room_or_ask(&self, name: &RoomName) -> Rc<Room> {
        if let Some(room) = self.room(name) {
            return room;
        }
        let number = self.next_number();
        let namespace = self.settings.borrow().namespace_of(name).clone();
        namespace.metrics.rooms.inc();
        let room = self.rooms.borrow_mut().add(|id| Room {
            id,
            name: name.clone(),
            namespace: RefCell::new(namespace),
            state: RefCell::new(RoomState::asked(number)),
        });
        self.ask_hub(HubCommand::Attach { worker: self.index, room: name.clone(), number });
        room
    }

    /// The number of another question to the hub.
    pub(super) fn next_number(&self) -> u64 {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        number
    }

    /// Makes a connection a member that reads from `reader`. What it is told first must be in its
    /// gate already: from here on passes write to it.
    pub(super) fn enter(&self, connection: &Rc<Connection>, room: &Rc<Room>, reader: Reader) {
        let membership = connection.enter(room.id);
        let mut state = room.state.borrow_mut();
        let slot = state.members.add(Member {
            connection: Some(connection.clone()),
            membership,
            author: connection.authored.get(),
            reader: reader.clone(),
        });
        connection.moved(membership, slot);
        state.place(slot, reader);
        let (behind, waiting) = (state.is_behind(slot), state.is_waiting(slot));
        drop(state);
        room.namespace.borrow().metrics.members.inc();
        if behind && connection.owe(membership) {
            self.write_later(connection);
        }
        if waiting {
            self.ask_page(room);
        }
    }

    /// Ends a membership. After this no frame of the room is begun on the connection.
    pub(super) fn exit(&self, connection: &Rc<Connection>, membership: u32) {
        let Some((id, slot)) = connection.exit(membership) else { return };
        let room = self.room_by_id(id).expect("a room lasts as long as its members");
        room.state.borrow_mut().members.remove(slot);
        room.namespace.borrow().metrics.members.dec();
        self.forget_if_empty(&room);
    }

    /// Closes a connection: it leaves its rooms at once, and its task writes the Close.
    pub(super) fn close(&self, connection: &Rc<Connection>, code: CloseCode) {
        connection.close(code);
        self.leave_all(connection);
    }

    /// Lets go of a room without members and joins.
    pub(super) fn forget_if_empty(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        if state.members.len() > 0 || !state.pending.is_empty() {
            return;
        }
        if let Some(watch) = state.watch.take() {
            self.pending.borrow_mut().forget(watch);
        }
        drop(state);
        // It may be gone already, and another of its name may have come.
        if self.rooms.borrow_mut().remove(room) {
            room.namespace.borrow().metrics.rooms.dec();
            self.ask_hub(HubCommand::Detach { worker: self.index, room: room.name.clone() });
        }
    }

    /// A connection by its id, while it lasts.
    pub(super) fn connection(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.connections.borrow().get(&id).cloned()
    }
}
