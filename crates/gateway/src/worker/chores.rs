//! Work on many rooms at once for which no client waits. It is done a slice at a time, in turn with the
//! worker's writing and its other tasks, so that it does not delay them.

use std::rc::Rc;
use std::sync::Arc;
use std::vec;

use super::Worker;
use super::joins::LEFT_EARLY;
use super::people::departure;
use crate::connection::{Connection, RoomId};
use crate::room::Room;
use crate::settings::Settings;

/// Rooms configured or left, joins refused, connections closed or asked to move before the worker's
/// other work gets a turn: 1 ms at most.
pub(crate) const SLICE: usize = 256;

/// Work of which a part is left.
#[derive(Debug)]
pub(super) enum Chore {
    /// A connection that has ended leaves its other rooms.
    Leave(Rc<Connection>),
    /// These rooms take their namespace's new policy.
    Configure(vec::IntoIter<Rc<Room>>),
    /// These connections are judged again in their rooms.
    JudgeAll(vec::IntoIter<Rc<Connection>>),
    /// A connection is judged again in these rooms.
    Judge(Rc<Connection>, vec::IntoIter<RoomId>),
}

impl Worker {
    /// Puts another configuration in force. Rooms take their namespace's new policy in slices, and
    /// their members are judged by it.
    pub(crate) fn configure(&self, settings: Arc<Settings>) {
        let before = self.settings.replace(settings);
        self.work.add_chore(Chore::Configure(self.rooms.all().into_iter()));
        if !before.admits_as(&self.settings.borrow()) {
            self.work.add_chore(Chore::JudgeAll(self.connections.all().into_iter()));
        }
    }

    /// Takes a connection out of all rooms and cancels all joins that wait. If they are many, a part
    /// is left to later turns; no frame of those rooms is written to the connection meanwhile.
    pub(crate) fn leave_all(&self, connection: &Rc<Connection>) {
        // At once: taking the rooms out of the gate one by one would cost the square of their number.
        connection.drop_rooms();
        if self.leave_some(connection) {
            self.work.add_chore(Chore::Leave(connection.clone()));
        }
    }

    /// Does a slice of the oldest chore; false if there is none.
    pub(super) fn do_chore(&self) -> bool {
        let Some(mut chore) = self.work.next_chore() else { return false };
        let is_left = match &mut chore {
            Chore::Leave(connection) => self.leave_some(connection),
            Chore::Configure(rooms) => self.configure_some(rooms),
            Chore::JudgeAll(connections) => {
                let some = connections.by_ref().take(SLICE);
                some.for_each(|connection| self.judge_rooms(&connection));
                connections.len() > 0
            }
            Chore::Judge(connection, rooms) => self.judge_some(connection, rooms),
        };
        if is_left {
            self.work.return_chore(chore);
        }
        true
    }

    /// Takes a connection out of some of its rooms and joins. True if others are left.
    fn leave_some(&self, connection: &Rc<Connection>) -> bool {
        for id in connection.some_joining(SLICE) {
            connection.end_join(id);
            if let Some(room) = self.rooms.by_id(id) {
                self.drop_pass(connection, id);
                self.disappear(connection, &room, departure(connection));
                self.cancel_pending(connection, &room, LEFT_EARLY);
                self.forget_if_empty(&room);
            }
        }
        for membership in connection.some_memberships(SLICE) {
            self.exit(connection, membership, departure(connection));
        }
        self.settle_user_rooms(connection);
        connection.joining() > 0 || connection.rooms() > 0
    }

    /// Gives some rooms their namespace's policy. True if others are left.
    fn configure_some(&self, rooms: &mut vec::IntoIter<Rc<Room>>) -> bool {
        // The settings may have been replaced again since the chore began.
        let settings = self.settings();
        for room in rooms.by_ref().take(SLICE) {
            if self.rooms.by_id(room.id).is_none() {
                continue;
            }
            let namespace = settings.namespace_of(&room.name).clone();
            let members = room.state.borrow().members.len() as i64;
            let mut current = room.namespace.borrow_mut();
            current.metrics.rooms.dec();
            current.metrics.members.sub(members);
            namespace.metrics.rooms.inc();
            namespace.metrics.members.add(members);
            let before = current.presence;
            *current = namespace;
            drop(current);
            self.follow_presence(&room, before);
        }
        rooms.len() > 0
    }
}

#[cfg(test)]
mod tests;
