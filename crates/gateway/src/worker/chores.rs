//! Work on many rooms at once that nobody waits for: done a slice at a time, in turns with the
//! worker's writing and its other tasks, so that it delays nobody.

use std::rc::Rc;
use std::sync::Arc;
use std::vec;

use super::Worker;
use crate::connection::Connection;
use crate::room::Room;
use crate::settings::Settings;

/// Rooms looked at, joins refused or connections told before the worker's other work gets a turn:
/// 1 ms at most.
pub(super) const SLICE: usize = 256;

/// Work that is left.
#[derive(Debug)]
pub(super) enum Chore {
    /// A connection that has ended leaves the rest of its rooms.
    Leave(Rc<Connection>),
    /// These rooms take over their namespace's new policy.
    Configure(vec::IntoIter<Rc<Room>>),
}

impl Worker {
    /// Puts another configuration in force: rooms take their namespace's new policy, one after the
    /// other.
    pub(crate) fn configure(&self, settings: Arc<Settings>) {
        *self.settings.borrow_mut() = settings;
        let rooms: Vec<Rc<Room>> = self.rooms.borrow().iter().cloned().collect();
        self.do_later(Chore::Configure(rooms.into_iter()));
    }

    /// Takes a connection out of all rooms and all joins that wait; of very many rooms it leaves
    /// the rest a little later, and hears nothing of them meanwhile.
    pub(crate) fn leave_all(&self, connection: &Rc<Connection>) {
        // Nothing of its rooms is written any more; taken out one by one, many would cost their square.
        connection.drop_rooms();
        if self.leave_some(connection) {
            self.do_later(Chore::Leave(connection.clone()));
        }
    }

    fn do_later(&self, chore: Chore) {
        self.chores.borrow_mut().push_back(chore);
        self.pass_wake.notify_one();
    }

    /// Does a slice of the oldest chore; false if there is none.
    pub(super) fn do_chore(&self) -> bool {
        let Some(mut chore) = self.chores.borrow_mut().pop_front() else { return false };
        let is_left = match &mut chore {
            Chore::Leave(connection) => self.leave_some(connection),
            Chore::Configure(rooms) => self.configure_some(rooms),
        };
        if is_left {
            self.chores.borrow_mut().push_back(chore);
        }
        true
    }

    /// Whether rooms are left that the connection is in or about to be in.
    fn leave_some(&self, connection: &Rc<Connection>) -> bool {
        for id in connection.some_joining(SLICE) {
            connection.end_join(id);
            if let Some(room) = self.room_by_id(id) {
                self.cancel_pending(connection, &room);
                self.forget_if_empty(&room);
            }
        }
        for membership in connection.some_memberships(SLICE) {
            self.exit(connection, membership);
        }
        connection.joining() > 0 || connection.rooms() > 0
    }

    fn configure_some(&self, rooms: &mut vec::IntoIter<Rc<Room>>) -> bool {
        // There may be newer ones than those that the chore began with.
        let settings = self.settings();
        for room in rooms.by_ref().take(SLICE) {
            if self.room_by_id(room.id).is_none() {
                continue;
            }
            let namespace = settings.namespace_of(&room.name).clone();
            let members = room.state.borrow().members.len() as i64;
            let mut current = room.namespace.borrow_mut();
            current.metrics.rooms.dec();
            current.metrics.members.sub(members);
            namespace.metrics.rooms.inc();
            namespace.metrics.members.add(members);
            *current = namespace;
        }
        rooms.len() > 0
    }
}

#[cfg(test)]
mod tests;
