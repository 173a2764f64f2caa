//! A request to publish on its way to the bus, whichever road it came by: it puts together what the
//! author, the namespace and the tracer have to say. It knows no connection and no form of answer.
//! Whether the author may publish was decided before (`permit.rs`).

use std::sync::Arc;
use std::time::Duration;

use roomcast_bus::{Bus, Publication, PublishAck, PublishError, StateAction, StateChange};
use roomcast_protocol::{ConnectionId, Data, ErrorCode, Publish, RoomName, UserName};

use crate::settings::{NO_STATE, Namespace};
use crate::traces::{Followed, Tracer};

/// The author of a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct PublicationAuthor {
    pub(crate) user: Option<UserName>,
    /// The name of the API key of a backend, the scope of its keys.
    pub(crate) api_key: Option<Arc<str>>,
    /// The name that the client gives itself over all its connections.
    pub(crate) client: Option<Arc<str>>,
    /// The connection that does not receive the message if it asks for no echo.
    pub(crate) connection: Option<ConnectionId>,
    /// What it shows of itself, where the namespace adds that to messages.
    pub(crate) info: Option<Data>,
    /// Whether the rate of rooms holds for it.
    pub(crate) room_rate: RoomRateBinding,
}

/// Whether a room's rate holds for an author.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RoomRateBinding {
    /// Backends, and all clients but the exempt ones.
    #[default]
    Bound,
    /// The client is in one of `limits.exempt_networks`.
    Exempt,
}

/// The outcome of a publication.
pub(crate) type PublishOutcome = Result<PublishAck, PublishError>;

/// A publication that is ready to be handed to the bus.
#[derive(Debug)]
pub(crate) struct Submission {
    room: RoomName,
    publication: Publication,
    followed: Option<Box<Followed>>,
}

impl Submission {
    /// Puts a publication together. If the tracer follows it, its span begins here.
    pub(crate) fn new(
        author: PublicationAuthor,
        namespace: &Namespace,
        tracer: &Tracer,
        request: Publish,
    ) -> Self {
        let state = state_change(&request, namespace);
        let Publish { id: _, room, data, event, key, if_seq, echo, traceparent, .. } = request;
        let mut followed = tracer.follow(traceparent.as_deref());
        // The client's own name is needed only as the scope of a key, and only without a user.
        let is_scope = key.is_some() && author.user.is_none();
        let publication = Publication {
            user: author.user,
            client: author.client.filter(|_| is_scope),
            api_key: author.api_key,
            connection: author.connection,
            event,
            key,
            if_seq,
            state,
            echo,
            // If this node does not follow the publish, the caller's own context travels on: other
            // nodes may follow it.
            traceparent: followed.as_mut().map(|followed| followed.submit()).or(traceparent),
            data,
            info: author.info.filter(|_| namespace.author_info),
            retention: namespace.retention,
            keys_age: namespace.receipts.map_or(Duration::ZERO, |rules| rules.age),
            room_rate: match author.room_rate {
                RoomRateBinding::Bound => namespace.publish_rates.room,
                RoomRateBinding::Exempt => 0,
            },
        };
        Self { room, publication, followed }
    }

    /// Hands the publication to the bus. `answer` is called exactly once, perhaps before this
    /// returns and perhaps on another thread; it must not block.
    pub(crate) fn submit(
        self,
        bus: &Bus,
        answer: impl FnOnce(PublishOutcome, Option<Box<Followed>>) + Send + 'static,
    ) {
        let mut followed = self.followed;
        let reply = Box::new(move |outcome| {
            if let Some(followed) = &mut followed {
                followed.answered();
            }
            answer(outcome, followed);
        });
        bus.submit(self.room, self.publication, reply);
    }
}

/// What a publish does to the state of its room: there, each message sets or removes a value.
fn state_change(request: &Publish, namespace: &Namespace) -> Option<StateChange> {
    let action = if request.remove { StateAction::Remove } else { StateAction::Set };
    Some(StateChange {
        key: request.state_key.clone(),
        ttl_ms: request.ttl_ms,
        action,
        if_key_seq: request.if_key_seq,
        bounds: namespace.state?,
    })
}

/// Whether the namespace has what a publish asks for; else the code and the message for its author.
pub(crate) fn judge_options(
    request: &Publish,
    namespace: &Namespace,
) -> Result<(), (ErrorCode, &'static str)> {
    let of_state = request.state_key.is_some()
        || request.ttl_ms.is_some()
        || request.remove
        || request.if_key_seq.is_some();
    if of_state && namespace.state.is_none() {
        return Err((ErrorCode::Unsupported, NO_STATE));
    }
    if request.receipts && namespace.receipts.is_none() {
        return Err((ErrorCode::Unsupported, "this room keeps no receipts"));
    }
    Ok(())
}

/// The code by which a client learns why its message got no ack.
pub(crate) fn publish_error_code(error: PublishError) -> ErrorCode {
    match error {
        PublishError::Overloaded | PublishError::TooManyKeys => ErrorCode::Overloaded,
        PublishError::RoomRate(_) => ErrorCode::RateLimited,
        PublishError::Unavailable => ErrorCode::BusUnavailable,
        PublishError::Unknown => ErrorCode::PublishUnknown,
        PublishError::KeyConflict => ErrorCode::KeyConflict,
        PublishError::SeqConflict(_) | PublishError::KeySeqConflict(_) => ErrorCode::SeqConflict,
        PublishError::StateFull => ErrorCode::TooManyKeys,
    }
}
