//! A worker's part of the answer to another node's question: which connections of a user it has, and
//! joins and leaves that a backend asks for.

use std::rc::Rc;
use std::sync::Arc;

use roomcast_bus::Departure;
use roomcast_protocol::{ConnectionId, ErrorCode, JoinRoom, RoomName, ServerFrame, UserName};

use super::Worker;
use super::chores::SLICE;
use super::joins::JoinMeans;
use crate::connection::Connection;
use crate::hub::now_ms;
use crate::peers::{
    ConnectionText, PeerAnswer, PeerDesk, PeerQuestion, PeerRequest, join_by_backend,
};
use crate::room::{AfterJoin, JoinReply};

/// The `reason` of `left` when a backend ended the membership.
const REMOVED: &str = "removed";

impl Worker {
    /// Answers questions through this desk from now on.
    pub(crate) fn answer_through(&self, desk: Arc<PeerDesk>) {
        // It is set once, when the worker starts.
        let _again = self.peers.set(desk);
    }

    /// Gives this worker's part of an answer.
    pub(super) fn take_question(&self, question: &PeerQuestion) {
        let Some(peers) = self.peers.get().cloned() else { return };
        let (bus, id) = (self.bus.clone(), question.id);
        match &question.about {
            PeerRequest::Connections(user) => self.list_connections(id, user, peers),
            PeerRequest::Join { connection, room, options } => {
                let Some(connection) = self.open_connection(*connection) else {
                    return peers.part(&bus, id, PeerAnswer::Unknown);
                };
                let reply = JoinReply::new(move |result| {
                    let answer = match result {
                        Ok(()) => PeerAnswer::Done,
                        Err((code, message)) => {
                            PeerAnswer::Refused(code.as_str().to_owned(), message)
                        }
                    };
                    peers.part(&bus, id, answer);
                });
                match join_by_backend(room.clone(), options) {
                    Ok(join) => self.join_for_backend(&connection, Box::new(join), reply),
                    // The node that asks has read them.
                    Err(_) => {
                        let message = "the options of the join cannot be read".to_owned();
                        reply.answer(Err((ErrorCode::BadFrame, message)));
                    }
                }
            }
            PeerRequest::Leave { connection, room } => {
                let answer = match self.open_connection(*connection) {
                    Some(connection) => {
                        self.leave_for_backend(&connection, room);
                        PeerAnswer::Done
                    }
                    None => PeerAnswer::Unknown,
                };
                peers.part(&bus, id, answer);
            }
        }
    }

    fn open_connection(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.connections.get(id).filter(|connection| connection.is_open())
    }

    /// Lists a user's connections, in slices.
    fn list_connections(&self, id: u64, user: &UserName, peers: Arc<PeerDesk>) {
        let (all, bus, user) = (self.connections.all(), self.bus.clone(), user.clone());
        let (now, clock) = (self.connections.now(), now_ms());
        let ago = move |moment: crate::connection::WorkerTime| {
            clock.saturating_sub(now.0.saturating_sub(moment.0) / 1_000_000)
        };
        let node = self.node.to_string();
        tokio::task::spawn_local(async move {
            let mut rows = Vec::new();
            for some in all.chunks(SLICE) {
                let its =
                    some.iter().filter(|one| one.is_open() && one.user.as_ref() == Some(&user));
                rows.extend(its.map(|connection| ConnectionText {
                    connection: connection.id.to_string(),
                    node: node.clone(),
                    client: connection.client().map(|client| client.to_string()),
                    since: connection.begun.get(),
                    active: ago(connection.pulse.active.get()),
                }));
                tokio::task::yield_now().await;
            }
            peers.part(&bus, id, PeerAnswer::Connections(rows));
        });
    }

    /// Joins a connection to a room because a backend says so, whatever it may do itself. While its
    /// own join of the room waits, this one waits for that.
    pub(super) fn join_for_backend(
        &self,
        connection: &Rc<Connection>,
        join: Box<JoinRoom>,
        reply: JoinReply,
    ) {
        let name = join.room.clone();
        let is_in = self.is_in(connection, &name);
        if let Some(room) = self.room(&name).filter(|_| is_in) {
            connection.grant(room.id);
        }
        let request = AfterJoin::Backend { join, reply };
        let Some(AfterJoin::Backend { join, reply }) = self.after_join(connection, &name, request)
        else {
            return;
        };
        if is_in {
            return reply.answer(Ok(()));
        }
        match self.may_enter(connection, &name) {
            Ok(()) => {
                let room = self.room_or_ask(&name);
                connection.grant(room.id);
                let means = JoinMeans { backend: Some(reply), ..JoinMeans::default() };
                self.wait_to_join(connection, None, *join, means);
                self.write_soon(connection);
            }
            Err((code, message)) => reply.answer(Err((code, message.to_owned()))),
        }
    }

    fn leave_for_backend(&self, connection: &Rc<Connection>, name: &RoomName) {
        let Some(room) = self.room(name) else { return };
        match connection.membership_in(room.id) {
            Some((membership, _)) => self.exit(connection, membership, Departure::Left),
            None if self.cancel_join(connection, &room) => {}
            None => return,
        }
        let (room, reason) = (name.clone(), Some(REMOVED.into()));
        connection.send(&ServerFrame::Left { id: None, room, reason });
        self.write_soon(connection);
    }
}
