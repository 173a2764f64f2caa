//! Where the lanes put what the feeds tell and the hub takes it. A room closed in between is told
//! nothing more, whatever its lane still has under way.

pub(crate) mod pending_events;

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use roomcast_protocol::RoomName;
use tokio::sync::Notify;

use crate::api::{FeedEvent, RoomEvent};
use pending_events::PendingEvents;

/// Payload bytes that may wait; beyond that the lanes leave their inboxes alone, and what these
/// cannot hold is repaired later. The hub polls always, so this is a guard.
const MAX_BYTES: usize = 64 << 20;

/// One opening of a room; a later one of the same room has another number.
pub type FeedSession = u64;

/// The shared place.
#[derive(Default)]
pub struct EventQueue {
    state: Mutex<State>,
    /// Wakes the hub.
    ready: Notify,
    /// Wakes the lanes after a jam.
    taken: Notify,
}

#[derive(Default)]
struct State {
    pending: PendingEvents,
    open: HashMap<RoomName, FeedSession>,
    sessions: FeedSession,
}

impl EventQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a room; `None` if it is open already.
    pub fn open(&self, room: &RoomName) -> Option<FeedSession> {
        let mut state = self.state();
        if state.open.contains_key(room) {
            return None;
        }
        state.sessions += 1;
        let session = state.sessions;
        state.open.insert(room.clone(), session);
        Some(session)
    }

    /// Closes a room and forgets what it had to tell; false if it was not open.
    pub fn close(&self, room: &RoomName) -> bool {
        let mut state = self.state();
        let was_open = state.open.remove(room).is_some();
        if was_open {
            state.pending.forget(room);
        }
        was_open
    }

    /// The session of a room, if it is open.
    pub fn session(&self, room: &RoomName) -> Option<FeedSession> {
        self.state().open.get(room).copied()
    }

    /// The rooms that are open.
    pub fn rooms(&self) -> Vec<RoomName> {
        self.state().open.keys().cloned().collect()
    }

    /// Tells a room's events, if that session of it is still open.
    pub fn push(&self, room: &RoomName, session: FeedSession, events: Vec<FeedEvent>) {
        {
            let mut state = self.state();
            if state.open.get(room) != Some(&session) {
                return;
            }
            for event in events {
                match event {
                    FeedEvent::Messages(messages) => {
                        messages.into_iter().for_each(|m| state.pending.message(room, m));
                    }
                    event => state.pending.push(room.clone(), event),
                }
            }
        }
        self.ready.notify_one();
    }

    /// Whether the lanes should wait for the hub.
    pub fn is_full(&self) -> bool {
        self.state().pending.bytes() > MAX_BYTES
    }

    /// Waits until the hub took something.
    pub async fn taken(&self) {
        self.taken.notified().await;
    }

    /// Whether nothing waits for the hub.
    pub fn is_empty(&self) -> bool {
        !self.state().pending.is_ready()
    }

    /// Everything there is now.
    pub fn take(&self) -> Vec<RoomEvent> {
        let events = self.state().pending.take();
        if !events.is_empty() {
            self.taken.notify_waiters();
        }
        events
    }

    /// Everything there is; waits until there is something.
    pub async fn next(&self) -> Vec<RoomEvent> {
        loop {
            let events = self.take();
            if !events.is_empty() {
                return events;
            }
            self.ready.notified().await;
        }
    }
}
