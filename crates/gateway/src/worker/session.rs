//! What clients ask for: join, leave, publish, history; and the answers of the bus.

use std::rc::Rc;
use std::time::Duration;

use roomcast_bus::{Ack, History, HistoryRequest, Publication, PublishError, Range, ReadError};
use roomcast_protocol::{
    ConnectionId, ErrorCode, HistoryQuery, JoinRoom, Lineage, Publish, RequestId, RoomName, Seq,
    ServerFrame, UserName,
};
use tokio::time::Instant;

use super::Worker;
use crate::connection::Connection;
use crate::room::{Known, Pending, Room};
use crate::traces::{Followed, Outcome};

/// How long a join may wait for the bus.
const JOIN_DEADLINE: Duration = Duration::from_secs(3);
/// Bytes of data in one `history` answer; more comes with the next page.
const HISTORY_BYTES: usize = 64 * 1024;

/// An answer of the bus to what a connection of this worker asked.
pub(crate) enum Reply {
    /// A publication's outcome.
    Published {
        to: Asker,
        room: RoomName,
        outcome: Result<Ack, PublishError>,
        followed: Option<Box<Followed>>,
    },
    /// A page of history.
    History { to: Asker, room: RoomName, outcome: Result<History, ReadError> },
    /// Where a room stands.
    Standing { room: RoomName, standing: Result<(Lineage, Seq), ReadError> },
}

/// Who asked, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    connection: ConnectionId,
    id: Option<RequestId>,
    begun: Instant,
}

impl Worker {
    /// A client wants to be a member.
    pub(super) fn join(&self, connection: &Rc<Connection>, id: Option<RequestId>, join: JoinRoom) {
        let settings = self.settings();
        let known = self.room(&join.room);
        let is_its = |room: Rc<Room>| {
            connection.is_joining(room.id) || connection.membership_in(room.id).is_some()
        };
        if known.is_some_and(is_its) {
            let reason = (ErrorCode::AlreadyJoined, "this connection is in that room already");
            return self.refuse(connection, id, Some(&join.room), reason);
        }
        if connection.rooms() + connection.joining() >= settings.limits.rooms {
            let reason = (ErrorCode::TooManyRooms, "this connection is in too many rooms");
            return self.refuse(connection, id, Some(&join.room), reason);
        }
        let room = self.room_or_ask(&join.room);
        let kept = room.namespace.borrow().retention.history_size;
        let history = join.history.unwrap_or(0).min(kept);
        let pending = Pending {
            connection: connection.clone(),
            id,
            since: join.since,
            history,
            deadline: Instant::now() + JOIN_DEADLINE,
            known: Known::Unasked,
            then: Vec::new(),
        };
        connection.begin_join(room.id);
        {
            let waiting = &mut room.state.borrow_mut().pending;
            if waiting.is_empty() {
                // Of many rooms that open at once each has one.
                waiting.reserve_exact(1);
            }
            waiting.push(pending);
        }
        self.resolve(&room);
        if !room.state.borrow().pending.is_empty() {
            self.watch_pending(&room);
        }
    }

    /// A client wants to be a member no more.
    pub(super) fn leave(&self, connection: &Rc<Connection>, id: Option<RequestId>, name: RoomName) {
        let room = self.room(&name);
        let membership = room.as_ref().and_then(|room| connection.membership_in(room.id));
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
        if !connection.end_join(room.id) {
            return false;
        }
        self.cancel_pending(connection, room);
        self.forget_if_empty(room);
        true
    }

    /// Answers a join that waits with `cancelled`; what was published after it is published now.
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

    /// Publishes what waited for a join.
    pub(super) fn publish_all(&self, connection: &Rc<Connection>, waiting: Vec<Publish>) {
        for publish in waiting {
            connection.in_flight.set(connection.in_flight.get() - 1);
            self.publish(connection, publish);
        }
        // Those that were refused wait no more.
        self.release(connection);
    }

    /// Lets a publish wait for the connection's own join of that room; gives it back if none waits.
    fn wait_for_join(&self, connection: &Rc<Connection>, publish: Publish) -> Option<Publish> {
        if connection.joining() == 0 {
            return Some(publish);
        }
        let room = self.room(&publish.room).filter(|room| connection.is_joining(room.id));
        let Some(room) = room else { return Some(publish) };
        let mut state = room.state.borrow_mut();
        let mut pending = state.pending.iter_mut();
        match pending.find(|join| Rc::ptr_eq(&join.connection, connection)) {
            Some(join) => {
                // Bounded like requests to the bus: beyond that the connection is not read.
                connection.in_flight.set(connection.in_flight.get() + 1);
                join.then.push(publish);
                None
            }
            None => Some(publish),
        }
    }

    /// A client publishes.
    pub(super) fn publish(&self, connection: &Rc<Connection>, publish: Publish) {
        let Some(publish) = self.wait_for_join(connection, publish) else { return };
        let Publish { id, room, data, event, key, if_seq, echo, traceparent } = publish;
        let settings = self.settings();
        #[cfg(debug_assertions)]
        inject(settings.fault.as_ref(), event.as_ref());
        let namespace = settings.namespace_of(&room);
        if data.len() > namespace.message_bytes {
            let (bytes, limit) = (data.len(), namespace.message_bytes);
            let detail = format!("data has {bytes} bytes, this room's namespace allows {limit}");
            return self.refuse(connection, id, Some(&room), (ErrorCode::TooLarge, &detail));
        }
        let mut followed = self.tracer.follow(traceparent.as_deref());
        let to = self.begin_request(connection, id);
        if key.is_some() || !echo {
            self.note_author(connection, &room);
        }
        self.metrics.traffic.messages_in.inc();
        // Only a key's scope asks for it, and only where there is no user.
        let named = key.is_some() && connection.user.is_none();
        let publication = Publication {
            user: connection.user.clone(),
            client: connection.client().filter(|_| named).cloned(),
            connection: Some(connection.id),
            event,
            key,
            if_seq,
            echo,
            // Of a publish that is not followed here the caller's own: others may follow it.
            traceparent: followed.as_mut().map(|followed| followed.submit()).or(traceparent),
            data,
            retention: namespace.retention,
        };
        let (replies, name) = (self.replies.clone(), room.clone());
        let reply = Box::new(move |outcome| {
            if let Some(followed) = &mut followed {
                followed.answered();
            }
            // The worker may have ended meanwhile.
            let _ = replies.send(Reply::Published { to, room: name, outcome, followed });
        });
        self.bus.submit(room, publication, reply);
    }

    /// From now on this connection's own frames may differ from everybody else's.
    pub(crate) fn note_author(&self, connection: &Rc<Connection>, name: &RoomName) {
        connection.authored.set(true);
        let Some(room) = self.room(name) else { return };
        if let Some((_, slot)) = connection.membership_in(room.id) {
            room.state.borrow_mut().members.at_mut(slot).author = true;
        }
    }

    /// A client reads history.
    pub(super) fn history(&self, connection: &Rc<Connection>, query: HistoryQuery) {
        let HistoryQuery { id, room, after, before, limit } = query;
        let to = self.begin_request(connection, id);
        connection.reading.set(connection.reading.get() + 1);
        let range = match (after, before) {
            (Some(after), _) => Range::After(after),
            (None, Some(before)) => Range::Before(before),
            (None, None) => Range::Latest,
        };
        let retention = self.settings.borrow().namespace_of(&room).retention;
        let request = HistoryRequest { range, limit, max_bytes: HISTORY_BYTES, retention };
        let (bus, replies) = (self.bus.clone(), self.replies.clone());
        tokio::task::spawn_local(async move {
            let outcome = bus.history(&room, request).await;
            // The worker may have ended meanwhile.
            let _ = replies.send(Reply::History { to, room, outcome });
        });
    }

    /// Counts a request to the bus. At the bound the connection is not read until answers come.
    fn begin_request(&self, connection: &Connection, id: Option<RequestId>) -> Asker {
        connection.in_flight.set(connection.in_flight.get() + 1);
        Asker { connection: connection.id, id, begun: Instant::now() }
    }

    /// The connection that asked, if it is still here.
    fn end_request(&self, to: Asker) -> Option<Rc<Connection>> {
        let connection = self.connection(to.connection)?;
        connection.in_flight.set(connection.in_flight.get() - 1);
        self.release(&connection);
        Some(connection)
    }

    /// Passes an answer of the bus on; the connection is written once this turn's answers are in.
    pub(crate) fn reply(&self, reply: Reply) {
        match reply {
            Reply::Published { to, room, outcome, followed } => {
                let Some(connection) = self.end_request(to) else { return };
                if let Some(followed) = followed {
                    self.trace(&connection, &room, &outcome, &followed);
                }
                if outcome.is_ok() {
                    let took = to.begun.elapsed().as_secs_f64();
                    self.metrics.delivery.publish_ack.observe(took);
                }
                match (outcome, to.id) {
                    (Ok(Ack { position, time }), Some(id)) => {
                        let (epoch, seq) = (position.epoch, position.seq);
                        connection.send(&ServerFrame::Ack { id, room, epoch, seq, time });
                    }
                    (Ok(_), None) => {}
                    (Err(error), id) => {
                        let reason = (code_of(error), error.to_string());
                        self.refuse(&connection, id, Some(&room), (reason.0, &reason.1));
                    }
                }
                self.write_soon(&connection);
            }
            Reply::History { to, room, outcome } => {
                let Some(connection) = self.end_request(to) else { return };
                connection.reading.set(connection.reading.get() - 1);
                self.release(&connection);
                match outcome {
                    Ok(History { lineage, messages, more, .. }) => {
                        let (id, epoch) = (to.id, lineage.epoch);
                        connection.send(&ServerFrame::History { id, room, epoch, messages, more });
                    }
                    Err(ReadError::Unavailable) => {
                        let reason =
                            (ErrorCode::BusUnavailable, "the bus does not answer; try again");
                        self.refuse(&connection, to.id, Some(&room), reason);
                    }
                }
                self.write_soon(&connection);
            }
            Reply::Standing { room, standing } => {
                if let Some(room) = self.room(&room) {
                    self.take_standing(&room, standing);
                }
            }
        }
    }
}

impl Worker {
    /// A publish that is followed was answered: its spans, and a line in the log that leads to them.
    fn trace(
        &self,
        connection: &Connection,
        room: &RoomName,
        outcome: &Result<Ack, PublishError>,
        followed: &Followed,
    ) {
        let user = connection.user.as_ref().map(UserName::as_str);
        let result = match outcome {
            Ok(ack) => Ok(ack.position.seq),
            Err(error) => Err(code_of(*error).as_str()),
        };
        tracing::debug!(%connection, user, %room, trace = %followed.trace, ?result, "published");
        let connection = connection.id.to_string();
        self.tracer.published(followed, &Outcome { room, user, connection, result });
    }
}

/// Panics where a test asked for it. Not part of a release build.
#[cfg(debug_assertions)]
fn inject(fault: Option<&crate::Fault>, event: Option<&roomcast_protocol::EventName>) {
    if let (Some(crate::Fault::PanicOnEvent(fatal)), Some(event)) = (fault, event) {
        assert_ne!(event.as_str(), fatal, "a test asked for this");
    }
}

fn code_of(error: PublishError) -> ErrorCode {
    match error {
        PublishError::Overloaded | PublishError::TooManyKeys => ErrorCode::Overloaded,
        PublishError::Unavailable => ErrorCode::BusUnavailable,
        PublishError::Unknown => ErrorCode::PublishUnknown,
        PublishError::KeyConflict => ErrorCode::KeyConflict,
        PublishError::SeqConflict(_) => ErrorCode::SeqConflict,
    }
}
