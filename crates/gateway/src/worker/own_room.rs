//! The membership in its user's own room that a connection gets without asking, where
//! `users.auto_join` says so.

use std::rc::Rc;

use roomcast_bus::Departure;
use roomcast_protocol::{JoinRoom, RoomName};

use super::Worker;
use crate::connection::Connection;
use crate::room::PendingJoin;
use crate::settings::Settings;

impl Worker {
    /// Joins a connection to its user's own room, where that is asked for.
    pub(super) fn join_own_room(&self, connection: &Rc<Connection>, settings: &Settings) {
        let Some(user) = connection.user.as_ref().filter(|_| settings.users.auto_join) else {
            return;
        };
        self.join(connection, None, JoinRoom::new(RoomName::user(user)), None);
        connection.is_auto_joined.set(true);
    }

    /// Ends that membership, as the client's own takes its place.
    pub(super) fn quit_own_room(&self, connection: &Rc<Connection>, name: &RoomName) {
        let Some(room) = self.room(name) else { return };
        match connection.membership_in(room.id) {
            Some((membership, _)) => self.exit(connection, membership, Departure::Left),
            None if connection.end_join(room.id) => {
                self.settle_user_rooms(connection);
                let mut state = room.state.borrow_mut();
                let is_its = |join: &PendingJoin| Rc::ptr_eq(&join.connection, connection);
                // The client did not ask for it: it gets no answer.
                let waiting = state.pending.iter().position(is_its);
                let waiting = waiting.map(|at| state.pending.remove(at).then);
                drop(state);
                self.go_on_after_join(connection, name, waiting.unwrap_or_default());
                self.forget_if_empty(&room);
            }
            None => {}
        }
    }
}
