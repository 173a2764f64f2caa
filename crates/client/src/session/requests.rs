//! Publishes and questions under way: each is answered once, however often it is sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use roomcast_protocol::{ErrorCode, RequestId, RoomName};

use super::Action;
use super::request::ClientRequest;
use crate::answer::ClientAnswer;
use crate::backoff::Pauses;
use crate::{Ack, PublishFailure, RequestFailure, RoomFacts};

/// An `error` frame as the answer to something.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: Box<str>,
    pub(super) retry_after: Option<Duration>,
    /// Whether the same request may be taken a moment later.
    pub(super) is_passing: bool,
}

/// Everything that was asked and not answered yet, in the order of asking.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pending: BTreeMap<RequestId, Pending>,
}

#[derive(Debug)]
struct Pending {
    request: ClientRequest,
    deadline: Instant,
    state: State,
    /// Whether it was sent once without a sure answer: it may have been stored.
    uncertain: bool,
    /// Refusals so far.
    refusals: u32,
    /// Of a question about several rooms: what has come of it.
    rooms: RoomAnswers,
}

/// Answers about several rooms, one frame each.
#[derive(Debug, Default)]
struct RoomAnswers {
    facts: Vec<RoomFacts>,
    refused: usize,
}

#[derive(Debug)]
enum State {
    /// To be sent as soon as there is a connection.
    Queued,
    /// Sent on this connection.
    Sent,
    /// Refused for now; to be sent again then.
    Delayed { until: Instant, refusal: Refusal },
}

impl Requests {
    pub(super) fn add(&mut self, id: RequestId, request: ClientRequest, deadline: Instant) {
        let (state, uncertain, refusals) = (State::Queued, false, 0);
        let rooms = RoomAnswers::default();
        self.pending.insert(id, Pending { request, deadline, state, uncertain, refusals, rooms });
    }

    pub(super) fn knows(&self, id: RequestId) -> bool {
        self.pending.contains_key(&id)
    }

    pub(super) fn any_sent(&self) -> bool {
        self.pending.values().any(|pending| matches!(pending.state, State::Sent))
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.deadline).min()
    }

    /// When the next delayed request is to be sent again.
    pub(super) fn next_repeat(&self) -> Option<Instant> {
        let until = |pending: &Pending| match pending.state {
            State::Delayed { until, .. } => Some(until),
            _ => None,
        };
        self.pending.values().filter_map(until).min()
    }

    /// Sends whatever may be sent at `now`, in the order of asking.
    pub(super) fn send(&mut self, now: Instant, actions: &mut VecDeque<Action>) {
        for (&id, pending) in &mut self.pending {
            let due = match pending.state {
                State::Queued => true,
                State::Delayed { until, .. } => until <= now,
                State::Sent => false,
            };
            if due {
                pending.state = State::Sent;
                actions.push_back(Action::Send(pending.request.frame(id)));
            }
        }
    }

    pub(super) fn acked(&mut self, id: RequestId, ack: Ack, actions: &mut VecDeque<Action>) {
        let is_publish = |pending: &Pending| matches!(pending.request, ClientRequest::Publish(_));
        if self.pending.get(&id).is_some_and(is_publish) {
            self.pending.remove(&id);
            actions.push_back(Action::Published { id, result: Ok(ack) });
        }
    }

    /// The answer to a question; the request, if it was asked so.
    pub(super) fn answered(
        &mut self,
        id: RequestId,
        answer: ClientAnswer,
        actions: &mut VecDeque<Action>,
    ) -> Option<ClientRequest> {
        let pending = self.pending.get(&id)?;
        if !pending.request.is_answered_by(&answer) {
            return None;
        }
        let pending = self.pending.remove(&id)?;
        actions.push_back(Action::Answered { id, result: Ok(answer) });
        Some(pending.request)
    }

    /// One of the answers to a question about rooms.
    pub(super) fn room_answered(
        &mut self,
        id: RequestId,
        facts: RoomFacts,
        actions: &mut VecDeque<Action>,
    ) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.rooms.facts.push(facts);
            self.complete_rooms(id, actions);
        }
    }

    /// One of several rooms was refused: the others may still be answered. Whether that is the case.
    fn room_refused(
        &mut self,
        (id, room): (RequestId, Option<&RoomName>),
        actions: &mut VecDeque<Action>,
    ) -> bool {
        let Some(pending) = self.pending.get_mut(&id) else { return false };
        let asked = pending.request.rooms_asked();
        if room.is_none() || asked < 2 || pending.rooms.refused + 1 == asked {
            return false;
        }
        pending.rooms.refused += 1;
        self.complete_rooms(id, actions);
        true
    }

    fn complete_rooms(&mut self, id: RequestId, actions: &mut VecDeque<Action>) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let RoomAnswers { facts, refused } = &mut pending.rooms;
        if facts.len() + *refused >= pending.request.rooms_asked() {
            let facts = std::mem::take(facts);
            self.answered(id, ClientAnswer::Rooms(facts), actions);
        }
    }

    pub(super) fn refused(
        &mut self,
        now: Instant,
        (id, room): (RequestId, Option<RoomName>),
        refusal: Refusal,
        pauses: &mut Pauses,
        actions: &mut VecDeque<Action>,
    ) {
        if self.room_refused((id, room.as_ref()), actions) {
            return;
        }
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let unsure = matches!(refusal.code, ErrorCode::PublishUnknown | ErrorCode::Internal);
        pending.uncertain |= unsure;
        if pending.request.repeatable() && refusal.is_passing {
            pending.rooms = RoomAnswers::default();
            pending.refusals += 1;
            let pause = pauses.before_repeat(pending.refusals);
            let until = now + pause.max(refusal.retry_after.unwrap_or_default());
            pending.state = State::Delayed { until, refusal };
            return;
        }
        if let Some(pending) = self.pending.remove(&id) {
            actions.push_back(pending.answer_refusal(id, refusal));
        }
    }

    pub(super) fn unsendable(
        &mut self,
        id: RequestId,
        bytes: u64,
        limit: u64,
        actions: &mut VecDeque<Action>,
    ) {
        if let Some(pending) = self.pending.remove(&id) {
            let message = format!("{bytes} bytes are above the limit of {limit}").into();
            let code = ErrorCode::TooLarge;
            let read = RequestFailure::Refused { code, message };
            actions.push_back(pending.answer(id, PublishFailure::TooLarge { bytes, limit }, read));
        }
    }

    /// The connection is gone: what may be repeated will be, the rest has an unknown outcome.
    pub(super) fn lost(&mut self, actions: &mut VecDeque<Action>) {
        let ids: Vec<RequestId> = self.pending.keys().copied().collect();
        for id in ids {
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            if !matches!(pending.state, State::Sent) {
                continue;
            }
            if pending.request.repeatable() {
                pending.state = State::Queued;
                pending.uncertain = true;
                pending.rooms = RoomAnswers::default();
            } else if let Some(pending) = self.pending.remove(&id) {
                let failure = PublishFailure::Unknown;
                actions.push_back(pending.answer(id, failure, RequestFailure::TimedOut));
            }
        }
    }

    /// Answers whatever has waited too long.
    pub(super) fn expire(&mut self, now: Instant, actions: &mut VecDeque<Action>) {
        for (id, pending) in self.pending.extract_if(.., |_, pending| pending.deadline <= now) {
            actions.push_back(pending.give_up(id, PublishFailure::NotSent));
        }
    }

    /// Answers everything: the client has ended.
    pub(super) fn end(&mut self, actions: &mut VecDeque<Action>) {
        for (id, pending) in std::mem::take(&mut self.pending) {
            actions.push_back(match pending.request {
                ClientRequest::Publish(_) => pending.give_up(id, PublishFailure::Closed),
                _ => Action::Answered { id, result: Err(RequestFailure::Closed) },
            });
        }
    }
}

impl Pending {
    /// The most that can be said without an answer; `unsent` if it surely was never stored.
    fn give_up(self, id: RequestId, unsent: PublishFailure) -> Action {
        match self.state {
            State::Delayed { ref refusal, .. } if !self.uncertain => {
                let refusal = refusal.clone();
                self.answer_refusal(id, refusal)
            }
            State::Queued if !self.uncertain => self.answer(id, unsent, RequestFailure::TimedOut),
            _ => self.answer(id, PublishFailure::Unknown, RequestFailure::TimedOut),
        }
    }

    fn answer_refusal(self, id: RequestId, refusal: Refusal) -> Action {
        let Refusal { code, message, retry_after, .. } = refusal;
        let read = RequestFailure::Refused { code, message: message.clone() };
        // Whatever this try met, an earlier one may have been stored. Only these two codes are
        // decided after the node has looked for the key.
        let decided = matches!(code, ErrorCode::KeyConflict | ErrorCode::SeqConflict);
        let publish = if self.uncertain && !decided {
            PublishFailure::Unknown
        } else {
            PublishFailure::Refused { code, message, retry_after }
        };
        self.answer(id, publish, read)
    }

    fn answer(self, id: RequestId, publish: PublishFailure, read: RequestFailure) -> Action {
        match self.request {
            ClientRequest::Publish(_) => Action::Published { id, result: Err(publish) },
            _ => Action::Answered { id, result: Err(read) },
        }
    }
}

/// Refusals that may not be repeated a moment later.
pub(super) fn may_pass(code: ErrorCode) -> bool {
    use ErrorCode::{BusUnavailable, Overloaded, PublishUnknown, RateLimited};
    matches!(code, BusUnavailable | Overloaded | PublishUnknown | RateLimited)
}
