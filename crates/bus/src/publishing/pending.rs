//! One publication that waits for its outcome: encoded, counted against the node's bound, and
//! answered exactly once, even if the task that holds it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roomcast_protocol::Position;
use tokio::time::Instant;

use crate::api::{
    Publication, PublishAck, PublishError, PublishReply, Retention, StateAction, StateBounds,
};
use crate::fingerprint::fingerprint;
use crate::owner::KeyOwner;
use crate::payload;

/// Publications that may wait in one node, all rooms together.
const MAX_ITEMS: usize = 1 << 16;
/// Payload bytes that may wait in one node, all rooms together.
const MAX_BYTES: usize = 64 << 20;

/// What waits in one node, all rooms together.
#[derive(Debug, Default)]
pub(crate) struct PendingLoad {
    items: AtomicUsize,
    bytes: AtomicUsize,
}

/// A publication that waits for its outcome.
pub(crate) struct PendingPublication {
    /// The payload as Redis will store it.
    pub(crate) payload: Vec<u8>,
    /// Fingerprint and scope of its key; empty without one.
    pub(crate) key: Vec<u8>,
    /// The position that the room must have.
    pub(crate) if_seq: Option<Position>,
    /// What it does to the room's state, as the script reads it; empty where there is none.
    pub(crate) state: String,
    /// How much state the room keeps.
    pub(crate) state_bounds: Option<StateBounds>,
    /// How long the room keeps it.
    pub(crate) retention: Retention,
    /// How long the room's keys last at least.
    pub(crate) keys_age: Duration,
    /// What the room takes per second; 0: no limit for this item.
    pub(crate) room_rate: u32,
    /// When the node took it.
    pub(crate) submitted: Instant,
    /// Whether it may have reached Redis.
    pub(crate) sent: bool,
    reply: Option<PublishReply>,
    load: Arc<PendingLoad>,
}

impl PendingPublication {
    /// Encodes a publication; returns the reply if too much waits in the node.
    pub(crate) fn new(
        publication: &Publication,
        reply: PublishReply,
        load: &Arc<PendingLoad>,
    ) -> Result<Self, PublishReply> {
        if load.items.load(Ordering::Relaxed) >= MAX_ITEMS
            || load.bytes.load(Ordering::Relaxed) >= MAX_BYTES
        {
            return Err(reply);
        }
        let payload = payload::encode(publication);
        load.items.fetch_add(1, Ordering::Relaxed);
        load.bytes.fetch_add(payload.len(), Ordering::Relaxed);
        Ok(Self {
            payload,
            key: scope(publication),
            if_seq: publication.if_seq,
            state: state_text(publication),
            state_bounds: publication.state.as_ref().map(|state| state.bounds),
            retention: publication.retention,
            keys_age: publication.keys_age,
            room_rate: publication.room_rate,
            submitted: Instant::now(),
            sent: false,
            reply: Some(reply),
            load: load.clone(),
        })
    }

    /// Calls the reply with the outcome.
    pub(crate) fn answer(mut self, outcome: Result<PublishAck, PublishError>) {
        if let Some(reply) = self.reply.take() {
            reply(outcome);
        }
    }
}

impl Drop for PendingPublication {
    fn drop(&mut self) {
        self.load.items.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.payload.len(), Ordering::Relaxed);
        if let Some(reply) = self.reply.take() {
            let outcome = if self.sent { PublishError::Unknown } else { PublishError::Unavailable };
            reply(Err(outcome));
        }
    }
}

/// The fingerprint in 16 hex digits, then the owner and the key. Names are printable, so a zero
/// byte separates the two.
fn scope(publication: &Publication) -> Vec<u8> {
    let Some(key) = &publication.key else { return Vec::new() };
    let print = fingerprint(publication);
    let owner = KeyOwner::of(publication).tagged();
    format!("{print:016x}{owner}\0{key}").into_bytes()
}

/// What the publication does to the room's state, as `state.lua` reads it.
fn state_text(publication: &Publication) -> String {
    let Some(state) = &publication.state else { return String::new() };
    let (action, number) = match state.action {
        StateAction::Set => ('s', state.ttl_ms.unwrap_or(0)),
        StateAction::Remove => ('r', 0),
        StateAction::Expire(seq) => ('e', seq),
    };
    let bytes = publication.data.len();
    let condition =
        state.if_key_seq.map_or_else(|| "-".to_owned(), |at| format!("{}:{}", at.epoch, at.seq));
    let key = state.key.as_ref().map_or("", |key| key.as_str());
    format!("{action} {number} {bytes} {condition} {key}")
}

#[cfg(test)]
impl PendingPublication {
    /// An item of which only the size and the age matter.
    pub(crate) fn of_size(bytes: usize, submitted: Instant) -> Self {
        let load = PendingLoad { items: AtomicUsize::new(1), bytes: AtomicUsize::new(bytes) };
        let retention = Retention {
            history_size: 1,
            history_age: std::time::Duration::from_secs(1),
            repair_window: 1,
            replicas: 0,
            keys_per_user: 1,
            keys_per_room: 1,
        };
        Self {
            payload: vec![0; bytes],
            key: Vec::new(),
            if_seq: None,
            state: String::new(),
            state_bounds: None,
            retention,
            keys_age: std::time::Duration::ZERO,
            room_rate: 0,
            submitted,
            sent: false,
            reply: None,
            load: Arc::new(load),
        }
    }
}
