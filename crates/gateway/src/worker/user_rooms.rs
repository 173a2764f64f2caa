//! How many rooms the connections of an authenticated user are in: each connection counts its own
//! in the node's table, those that it waits for included.

use roomcast_metrics::{LimitAction, LimitName};

use super::Worker;
use crate::connection::Connection;

impl Worker {
    /// Counts one room more for the connection's user; false if the user is in as many as it may
    /// be.
    pub(super) fn take_user_room(&self, connection: &Connection) -> bool {
        let Some(user) = connection.authenticated_user() else { return true };
        self.settle_user_rooms(connection);
        let is_taken = self.users.enter(user, self.settings.borrow().limits.user_rooms);
        if is_taken {
            connection.user_rooms.set(connection.user_rooms.get() + 1);
        } else {
            self.metrics.limits.above[LimitName::UserRooms][LimitAction::Refused].inc();
        }
        is_taken
    }

    /// The connection may be in fewer rooms than before: counts it so.
    pub(super) fn settle_user_rooms(&self, connection: &Connection) {
        let Some(user) = connection.authenticated_user() else { return };
        let (counted, now) =
            (connection.user_rooms.get(), connection.rooms() + connection.joining());
        if counted > now {
            self.users.leave(user, counted - now);
            connection.user_rooms.set(now);
        }
    }
}
