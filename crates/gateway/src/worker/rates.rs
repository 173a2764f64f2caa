//! The rates of a connection, applied: which frames and requests are above one, what their sender
//! is told, and when the connection ends because of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use roomcast_metrics::{Label, LimitAction, LimitName, SignalOutcome};
use roomcast_protocol::{
    ClientFrame, CloseCode, ErrorCode, JoinRoom, RequestId, RoomName, ServerFrame,
};

use super::Worker;
use crate::connection::{Connection, ConnectionRates, Excess, RequestRate, WireExcess};
use crate::room::Attachment;

/// What a WebSocket frame is, as far as rates go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameRole {
    /// A part of a message that is not its last.
    Fragment,
    /// A message's only frame, or its last.
    Message,
    Ping,
    /// It always counts as life.
    Pong,
    /// It is always obeyed.
    Close,
}

/// What is to be done with a WebSocket frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameFate {
    Handle,
    /// It is passed over.
    Drop,
    /// The connection is to be closed with 4003.
    Close,
}

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageFate {
    /// It is handled; so many of its joins with `since` are free.
    Handle { free_joins: usize },
    /// It is answered by `rate_limited`.
    Refuse(Excess),
    /// The connection ends.
    Close,
}

impl Worker {
    /// The time that rates count by.
    fn rate_time(&self) -> Duration {
        self.began.elapsed()
    }

    /// Counts a frame that came, with its bytes of payload. The frame that ends a message is
    /// counted with the message, as its content may make it free.
    pub(crate) fn take_frame(
        &self,
        connection: &Connection,
        role: FrameRole,
        payload: usize,
    ) -> FrameFate {
        let Some(rates) = connection.rates() else { return FrameFate::Handle };
        if role == FrameRole::Close {
            return FrameFate::Handle;
        }
        let now = self.rate_time();
        let settings = self.settings.borrow();
        let limits = &settings.limits.rates;
        let mut rates = rates.borrow_mut();
        let counted = match role {
            FrameRole::Message => Ok(()),
            _ => rates.take_frame(limits.frames, now),
        };
        match counted.and_then(|()| rates.take_bytes(limits.inbound, payload, now)) {
            Ok(()) => FrameFate::Handle,
            Err(WireExcess::TooMuch(limit)) => {
                self.metrics.limits.above[limit][LimitAction::Closed].inc();
                FrameFate::Close
            }
            Err(WireExcess::Refused(excess)) => {
                self.note_above(excess);
                match role {
                    FrameRole::Ping => FrameFate::Drop,
                    FrameRole::Pong | FrameRole::Close => FrameFate::Handle,
                    FrameRole::Fragment | FrameRole::Message => {
                        rates.refuse_message(excess);
                        FrameFate::Handle
                    }
                }
            }
        }
    }

    /// Counts a message whose last frame has come; `None` is one that could not be read.
    pub(super) fn take_message(
        &self,
        connection: &Connection,
        frame: Option<&ClientFrame>,
    ) -> MessageFate {
        let Some(rates) = connection.rates() else {
            return MessageFate::Handle { free_joins: usize::MAX };
        };
        let (now, settings) = (self.rate_time(), self.settings.borrow());
        let mut rates = rates.borrow_mut();
        if let Some(excess) = rates.take_refused_message() {
            return MessageFate::Refuse(excess);
        }
        let joins = frame.map_or(&[][..], joins_of);
        let resumes = joins.iter().filter(|join| join.since.is_some()).count();
        let free_joins = rates.free_joins(resumes, settings.limits.rooms);
        let is_free = free_joins > 0 && free_joins == joins.len();
        if !is_free {
            match rates.take_frame(settings.limits.rates.frames, now) {
                Ok(()) => {}
                Err(WireExcess::Refused(excess)) => {
                    self.note_above(excess);
                    return MessageFate::Refuse(excess);
                }
                Err(WireExcess::TooMuch(limit)) => {
                    self.metrics.limits.above[limit][LimitAction::Closed].inc();
                    return MessageFate::Close;
                }
            }
        }
        rates.use_free_joins(free_joins);
        MessageFate::Handle { free_joins }
    }

    /// Counts one request of a kind that has a rate.
    pub(super) fn take_request(
        &self,
        connection: &Connection,
        kind: RequestRate,
    ) -> Result<(), Excess> {
        let Some(rates) = connection.rates() else { return Ok(()) };
        let settings = self.settings.borrow();
        let limit = match kind {
            RequestRate::Join => settings.limits.rates.joins,
            RequestRate::Read => settings.limits.rates.reads,
        };
        self.noted(rates.borrow_mut().take_request(kind, limit, self.rate_time()))
    }

    /// Counts one publish in a room.
    pub(super) fn take_publish(
        &self,
        connection: &Connection,
        room: &RoomName,
    ) -> Result<(), Excess> {
        let Some(rates) = connection.rates() else { return Ok(()) };
        let settings = self.settings.borrow();
        let namespace = settings.namespace_of(room);
        let limits = &namespace.publish_rates;
        let taken =
            rates.borrow_mut().take_publish(&namespace.name, limits.connection, self.rate_time());
        self.noted(taken)?;
        let Some(user) = connection.authenticated_user() else { return Ok(()) };
        let taken = self.users.take_publish(user, &namespace.name, limits.user);
        self.noted(taken.map_err(|wait| Excess { limit: LimitName::UserPublishRate, wait }))
    }

    /// Counts one signal in a room.
    pub(super) fn take_signal(
        &self,
        connection: &Connection,
        room: &RoomName,
    ) -> Result<(), Excess> {
        let Some(rates) = connection.rates() else { return Ok(()) };
        let settings = self.settings.borrow();
        let namespace = settings.namespace_of(room);
        let limit = namespace.publish_rates.signals;
        let taken = rates.borrow_mut().take_signal(&namespace.name, limit, self.rate_time());
        if taken.is_err() {
            self.count_signal(SignalOutcome::Limited);
        }
        self.noted(taken)
    }

    /// Reserves the room that a publish may begin. True if one was reserved: then
    /// [`Self::end_publish`] is to be called with the answer.
    pub(super) fn reserve_room(
        &self,
        connection: &Connection,
        name: &RoomName,
    ) -> Result<bool, Excess> {
        let Some(rates) = connection.rates() else { return Ok(false) };
        let mut rates = rates.borrow_mut();
        if rates.remembers(name) || self.has_messages(name) {
            return Ok(false);
        }
        let limit = self.settings.borrow().limits.rates.created_rooms;
        self.noted(rates.reserve_room(limit, self.rate_time())).map(|()| true)
    }

    /// A publish is answered: `seq` is the message's number, if it was stored.
    pub(super) fn end_publish(
        &self,
        connection: &Connection,
        name: &RoomName,
        reserved: bool,
        seq: Option<u64>,
    ) {
        let Some(rates) = connection.rates() else { return };
        let mut rates = rates.borrow_mut();
        if reserved {
            rates.release_room();
        }
        let Some(seq) = seq else { return };
        if seq == 1 {
            let limit = self.settings.borrow().limits.rates.created_rooms;
            rates.note_created(limit, self.rate_time());
        }
        rates.remember(name);
    }

    /// Whether this worker has a message of the room, so that no publish begins it.
    fn has_messages(&self, name: &RoomName) -> bool {
        self.room(name).is_some_and(|room| {
            let state = room.state.borrow();
            matches!(state.attachment, Attachment::Live(_)) && state.log.end().seq > 0
        })
    }

    /// Answers each request of a frame that is above a rate.
    pub(super) fn refuse_all_above(
        &self,
        connection: &Rc<Connection>,
        frame: &ClientFrame,
        excess: Excess,
    ) {
        let joins = joins_of(frame);
        if joins.is_empty() {
            return self.refuse_above(connection, frame.id(), None, excess);
        }
        for join in joins {
            self.refuse_above(connection, frame.id(), Some(&join.room), excess);
        }
    }

    /// Answers a request that is above a limit. Of those without a number one a second is answered.
    pub(super) fn refuse_above(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        room: Option<&RoomName>,
        Excess { limit, wait }: Excess,
    ) {
        let may_send = |rates: &RefCell<ConnectionRates>| {
            rates.borrow_mut().may_send_unnumbered(self.rate_time())
        };
        if id.is_none() && !connection.rates().is_none_or(may_send) {
            return;
        }
        let code = ErrorCode::RateLimited;
        self.metrics.traffic.errors[code].inc();
        connection.send(&ServerFrame::Error {
            id,
            room: room.cloned(),
            code,
            message: format!("this is above the limit {}", limit.as_str()).into(),
            retry_after_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) + 1),
        });
    }

    /// The connection kept sending above a rate.
    pub(super) fn close_above(&self, connection: &Rc<Connection>) {
        tracing::debug!(%connection, "it kept sending above limits.frames");
        self.close(connection, CloseCode::RateLimited);
    }

    fn noted(&self, taken: Result<(), Excess>) -> Result<(), Excess> {
        taken.inspect_err(|excess| self.note_above(*excess))
    }

    pub(super) fn note_above(&self, excess: Excess) {
        self.metrics.limits.above[excess.limit][LimitAction::Refused].inc();
    }
}

fn joins_of(frame: &ClientFrame) -> &[JoinRoom] {
    match frame {
        ClientFrame::Join { rooms, .. } => rooms,
        _ => &[],
    }
}
