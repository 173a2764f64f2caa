//! The queue of events from the lanes to the hub. After a room is closed nothing more of it is
//! delivered, even if its lane still has events under way.

pub(crate) mod pending_events;

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};
use roomcast_protocol::RoomName;
use tokio::sync::{Notify, mpsc};

use crate::api::{FeedEvent, RoomEvent};
use pending_events::PendingEvents;

/// Bytes that may wait. Beyond that the lanes stop taking from their inboxes, and what
/// these cannot hold is repaired later. The hub always polls, so this is a guard.
const MAX_BYTES: usize = 64 << 20;

/// One opening of a room; each opening has a new number.
pub type FeedSession = u64;

/// The queue, shared by the lanes and the hub.
#[derive(Default)]
pub struct EventQueue {
    state: Mutex<State>,
    /// Wakes the hub.
    ready: Notify,
    /// Wakes the lanes that wait because the queue is full.
    taken: Notify,
}

#[derive(Default)]
struct State {
    pending: PendingEvents,
    open: HashMap<RoomName, FeedSession>,
    /// Those of them whose `Opened` was delivered.
    opened: HashSet<RoomName>,
    /// Hears of each of these.
    openings: Option<mpsc::UnboundedSender<RoomName>>,
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

    /// Closes a room and removes its events from the queue; false if it was not open.
    pub fn close(&self, room: &RoomName) -> bool {
        let mut state = self.state();
        let was_open = state.open.remove(room).is_some();
        state.opened.remove(room);
        if was_open {
            state.pending.forget(room);
        }
        was_open
    }

    /// Hears of each room whose feed opens, from now on; at most one such stream is served.
    pub(crate) fn openings(&self) -> mpsc::UnboundedReceiver<RoomName> {
        let (sender, openings) = mpsc::unbounded_channel();
        self.state().openings = Some(sender);
        openings
    }

    /// Whether a room's feed is open: every push from now on is delivered.
    pub(crate) fn is_opened(&self, room: &RoomName) -> bool {
        self.state().opened.contains(room)
    }

    /// The session of a room, if it is open.
    pub fn session(&self, room: &RoomName) -> Option<FeedSession> {
        self.state().open.get(room).copied()
    }

    /// The rooms that are open.
    pub fn rooms(&self) -> Vec<RoomName> {
        self.state().open.keys().cloned().collect()
    }

    /// Adds a room's events, if that session of it is still open.
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
                    FeedEvent::Ephemeral(ephemeral) => state.pending.ephemeral(room, ephemeral),
                    FeedEvent::Opened { .. } => {
                        state.opened.insert(room.clone());
                        if let Some(openings) = &state.openings {
                            // The receiver ends with the bus.
                            let _ = openings.send(room.clone());
                        }
                        state.pending.push(room.clone(), event);
                    }
                    event => state.pending.push(room.clone(), event),
                }
            }
        }
        self.ready.notify_one();
    }

    /// Whether the lanes must wait for the hub.
    pub fn is_full(&self) -> bool {
        self.state().pending.bytes() > MAX_BYTES
    }

    /// Waits until the hub took something.
    pub async fn taken(&self) {
        self.taken.notified().await;
    }

    /// Whether no event waits for the hub.
    pub fn is_empty(&self) -> bool {
        !self.state().pending.is_ready()
    }

    /// Takes every event that waits.
    pub fn take(&self) -> Vec<RoomEvent> {
        let events = self.state().pending.take();
        if !events.is_empty() {
            self.taken.notify_waiters();
        }
        events
    }

    /// Takes every event that waits; waits for the first one.
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
