//! A message: sequenced, kept, and delivered to every member of its room.

use crate::{ConnectionId, Data, EventName, PublishKey, Seq, StateKey, UserName};

/// One message of a room as the bus carries it. The room stands beside it, not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number in the room.
    pub seq: Seq,
    /// When it was sequenced: the bus's clock, Unix time in ms, never decreasing within a room.
    pub time: u64,
    /// Who published it, if known.
    pub user: Option<UserName>,
    /// The connection that published it; `None` if it came by another road.
    pub connection: Option<ConnectionId>,
    /// The application's word for its kind.
    pub event: Option<EventName>,
    /// The author's idempotency key; shown to its author's connection only.
    pub key: Option<PublishKey>,
    /// False if the author's connection asked not to receive it.
    pub echo: bool,
    /// W3C trace context that travels with it.
    pub traceparent: Option<Box<str>>,
    /// The key of the room's state that it sets; `None` sets the room's own value, where the room
    /// keeps state.
    pub state_key: Option<StateKey>,
    /// How long the value that it sets lasts, in ms from `time` on.
    pub ttl_ms: Option<u64>,
    /// Whether it removes the value in place of setting it.
    pub remove: bool,
    /// What its author showed of itself when it published, where the namespace adds that.
    pub info: Option<Data>,
    /// The payload.
    pub data: Data,
}

impl Message {
    /// A message without an author and without any option.
    pub fn new(seq: Seq, time: u64, data: Data) -> Self {
        Self {
            seq,
            time,
            user: None,
            connection: None,
            event: None,
            key: None,
            echo: true,
            traceparent: None,
            state_key: None,
            ttl_ms: None,
            remove: false,
            info: None,
            data,
        }
    }
}
