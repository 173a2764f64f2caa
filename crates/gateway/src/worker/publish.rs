//! Publishing: a client's message on its way to the bus, and the ack or the error on its way back.
//! A publish into a room that the connection is about to join waits for that join, so that its
//! author receives the message too.

use std::rc::Rc;

use roomcast_bus::{PublishAck, PublishError};
use roomcast_metrics::LimitName;
use roomcast_protocol::{Data, Publish, RoomName, ServerFrame, UserName};

use super::Worker;
use super::people::token_info;
use super::requests::{BusAnswer, Requester};
use crate::connection::{Connection, Excess};
#[cfg(debug_assertions)]
use crate::fault::InjectedFault;
use crate::publication::{
    PublicationAuthor, PublishOutcome, RoomRateBinding, Submission, publish_error_code,
};
use crate::room::{AfterJoin, ShownSource};
use crate::traces::{Followed, TracedOutcome};

impl Worker {
    /// A client publishes.
    pub(super) fn publish(&self, connection: &Rc<Connection>, request: Publish) {
        let Some(request) = self.wait_for_join(connection, request) else { return };
        let reserved = match self.reserve_room(connection, &request.room) {
            Ok(reserved) => reserved,
            Err(excess) => {
                return self.refuse_above(connection, request.id, Some(&request.room), excess);
            }
        };
        let settings = self.settings();
        #[cfg(debug_assertions)]
        inject(settings.fault.as_ref(), request.event.as_ref());
        let (id, room, receipts) = (request.id, request.room.clone(), request.receipts);
        if request.key.is_some() || !request.echo {
            self.note_author(connection, &room);
        }
        let author = PublicationAuthor {
            info: self.author_info(connection, &room),
            user: connection.user.clone(),
            client: connection.client().cloned(),
            connection: Some(connection.id),
            api_key: None,
            room_rate: match connection.rates() {
                Some(_) => RoomRateBinding::Bound,
                None => RoomRateBinding::Exempt,
            },
        };
        let namespace = settings.namespace_of(&room);
        let submission = Submission::new(author, namespace, &self.tracer, request);
        let mut to = self.begin_request(connection, id);
        to.reserved = reserved;
        to.receipts = receipts;
        self.metrics.traffic.messages_in.inc();
        let answers = self.answers.clone();
        submission.submit(&self.bus, move |outcome, followed| {
            // The worker may have ended meanwhile.
            let _ = answers.send(BusAnswer::Published { to, room, outcome, followed });
        });
    }

    /// What a connection shows of itself in a room, or else by its token, where messages carry that.
    fn author_info(&self, connection: &Connection, name: &RoomName) -> Option<Data> {
        if !self.settings.borrow().namespace_of(name).author_info {
            return None;
        }
        let of_token = || token_info(connection);
        let Some(room) = self.room(name) else { return of_token() };
        let mut state = room.state.borrow_mut();
        let shown = state.people.get_mut(connection.id);
        let shown = shown.filter(|one| one.source == ShownSource::Member);
        let shown = shown.and_then(|one| one.info.clone());
        shown.or_else(|| connection.info_in(room.id)).or_else(of_token)
    }

    /// Keeps a publish until the connection's own join of that room is answered. Gives it back if no
    /// such join waits.
    fn wait_for_join(&self, connection: &Rc<Connection>, request: Publish) -> Option<Publish> {
        let room = request.room.clone();
        match self.after_join(connection, &room, AfterJoin::Publish(request)) {
            Some(AfterJoin::Publish(request)) => Some(request),
            _ => None,
        }
    }

    /// Keeps a request until the connection's own join of that room is answered. Gives it back if no
    /// such join waits.
    pub(super) fn after_join(
        &self,
        connection: &Rc<Connection>,
        room: &RoomName,
        request: AfterJoin,
    ) -> Option<AfterJoin> {
        if connection.joining() == 0 {
            return Some(request);
        }
        let room = self.room(room).filter(|room| connection.is_joining(room.id));
        let Some(room) = room else { return Some(request) };
        let mut state = room.state.borrow_mut();
        let mut pending = state.pending.iter_mut();
        match pending.find(|join| Rc::ptr_eq(&join.connection, connection)) {
            Some(join) => {
                // Bounded like requests to the bus: beyond that the connection is not read.
                connection.in_flight.set(connection.in_flight.get() + 1);
                join.then.push(request);
                None
            }
            None => Some(request),
        }
    }

    /// Does what waited for a join.
    pub(super) fn go_on_after_join(
        &self,
        connection: &Rc<Connection>,
        room: &RoomName,
        waiting: Vec<AfterJoin>,
    ) {
        for request in waiting {
            connection.in_flight.set(connection.in_flight.get() - 1);
            match request {
                AfterJoin::Word { id, word } => {
                    if connection.is_open() {
                        self.say_after_join(connection, (id, room.clone()), word);
                    }
                }
                AfterJoin::Backend { join, reply } => {
                    // Without an answer of its own the backend reads that the connection has ended.
                    if connection.is_open() {
                        self.join_for_backend(connection, join, reply);
                    }
                }
                AfterJoin::Publish(publish) => self.publish_after_join(connection, publish),
                AfterJoin::Token { id, join, pass } => {
                    if connection.is_open() {
                        self.take_pass(connection, id, join, pass);
                    }
                }
            }
        }
        // A publish that ended without a request to the bus is no longer in flight.
        self.release(connection);
    }

    /// Marks a connection as an author: frames of messages that it published may differ for it from
    /// those for other members.
    pub(crate) fn note_author(&self, connection: &Rc<Connection>, name: &RoomName) {
        connection.authored.set(true);
        let Some(room) = self.room(name) else { return };
        if let Some((_, slot)) = connection.membership_in(room.id) {
            room.state.borrow_mut().members.at_mut(slot).author = true;
        }
    }

    /// Answers a publish with `ack` or `error`.
    pub(super) fn answer_publish(
        &self,
        to: Requester,
        room: RoomName,
        outcome: PublishOutcome,
        followed: Option<Box<Followed>>,
    ) {
        let Some(connection) = self.end_request(to) else { return };
        if let Some(followed) = followed {
            self.trace(&connection, &room, &outcome, &followed);
        }
        let seq = outcome.as_ref().ok().map(|ack| ack.position.seq);
        self.end_publish(&connection, &room, to.reserved, seq);
        if let Ok(PublishAck { position, .. }) = outcome
            && to.receipts
            && connection.is_open()
        {
            self.follow_receipts(&connection, &room, position);
        }
        if outcome.is_ok() {
            self.metrics.delivery.publish_ack.observe(to.begun.elapsed().as_secs_f64());
        }
        match (outcome, to.id) {
            (Ok(PublishAck { position, time }), Some(id)) => {
                let (epoch, seq) = (position.epoch, position.seq);
                connection.send(&ServerFrame::Ack { id, room, epoch, seq, time });
            }
            (Ok(_), None) => {}
            (Err(PublishError::RoomRate(wait)), id) => {
                let excess = Excess { limit: LimitName::RoomPublishRate, wait };
                self.note_above(excess);
                self.refuse_above(&connection, id, Some(&room), excess);
            }
            (Err(error), id) => {
                let message = error.to_string();
                self.refuse(&connection, id, Some(&room), (publish_error_code(error), &message));
            }
        }
        self.write_soon(&connection);
    }

    /// Ends the spans of a publish that is followed, and writes a log line with its trace id.
    fn trace(
        &self,
        connection: &Connection,
        room: &RoomName,
        outcome: &PublishOutcome,
        followed: &Followed,
    ) {
        let user = connection.user.as_ref().map(UserName::as_str);
        let result = match outcome {
            Ok(ack) => Ok(ack.position.seq),
            Err(error) => Err(publish_error_code(*error).as_str()),
        };
        tracing::debug!(%connection, user, %room, trace = %followed.trace, ?result, "published");
        let connection = connection.id.to_string();
        self.tracer.published(followed, &TracedOutcome { room, user, connection, result });
    }
}

/// Panics where a test asked for it. Not part of a release build.
#[cfg(debug_assertions)]
fn inject(fault: Option<&InjectedFault>, event: Option<&roomcast_protocol::EventName>) {
    if let (Some(InjectedFault::PanicOnEvent(fatal)), Some(event)) = (fault, event) {
        assert_ne!(event.as_str(), fatal, "a test asked for this");
    }
}
