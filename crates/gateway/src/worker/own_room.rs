//! The membership in its user's own room that a connection gets without asking, where
//! `users.auto_join` says so, and the client's own join that takes its place.

use std::rc::Rc;

use roomcast_access::identity::RoomPass;
use roomcast_protocol::{JoinRoom, RequestId, RoomName};

use super::Worker;
use super::joins::JoinMeans;
use crate::connection::Connection;
use crate::room::{AfterJoin, PendingJoin, ReplacedJoin};
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

    /// The client's own first join of its user's room takes the place of that one: of a membership
    /// as soon as it is answered by `joined`, of a join that waits at once.
    pub(super) fn join_again(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        join: JoinRoom,
        pass: Option<RoomPass>,
    ) {
        let name = join.room.clone();
        let (replaces, waited) = self.take_back_own_room(connection, &name);
        let entering = match replaces {
            ReplacedJoin::Nothing => self.may_enter(connection, &name),
            // Its room is counted already.
            ReplacedJoin::Waiting | ReplacedJoin::Membership => Ok(()),
        };
        match entering {
            Ok(()) => {
                let means = JoinMeans { pass, backend: None, replaces };
                self.wait_to_join(connection, id, join, means);
            }
            Err(reason) => self.refuse(connection, id, Some(&name), reason),
        }
        self.go_on_after_join(connection, &name, waited);
    }

    /// What a join of the user's own room takes the place of; of a join that waited, what waited for
    /// it. The client did not ask for that one, and gets no answer to it.
    fn take_back_own_room(
        &self,
        connection: &Rc<Connection>,
        name: &RoomName,
    ) -> (ReplacedJoin, Vec<AfterJoin>) {
        let Some(room) = self.room(name) else { return (ReplacedJoin::Nothing, Vec::new()) };
        if connection.membership_in(room.id).is_some() {
            return (ReplacedJoin::Membership, Vec::new());
        }
        if !connection.end_join(room.id) {
            return (ReplacedJoin::Nothing, Vec::new());
        }
        let mut state = room.state.borrow_mut();
        let is_its = |join: &PendingJoin| Rc::ptr_eq(&join.connection, connection);
        let waiting = state.pending.iter().position(is_its);
        let waiting = waiting.map(|at| state.pending.remove(at).then);
        (ReplacedJoin::Waiting, waiting.unwrap_or_default())
    }
}
