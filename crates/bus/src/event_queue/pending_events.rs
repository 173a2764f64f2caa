//! Events that wait for the feeds' owner: in order within each room, with consecutive messages of a
//! room in one event.

use std::mem;
use std::sync::Arc;

use hashbrown::HashMap;
use roomcast_protocol::{Message, RoomName};

use crate::api::{Ephemeral, FeedEvent, PresenceNews, PresenceStep, RoomEvent, Signal};

/// Events on their way to the feeds' owner.
#[derive(Default)]
pub(crate) struct PendingEvents {
    events: Vec<RoomEvent>,
    /// The index of a room's last event, if it is `Messages` and may grow.
    growing: HashMap<RoomName, usize>,
    /// Payload bytes waiting.
    bytes: usize,
}

impl PendingEvents {
    /// Whether an event waits.
    pub(crate) fn is_ready(&self) -> bool {
        !self.events.is_empty()
    }

    /// Payload bytes waiting.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, room: RoomName, event: FeedEvent) {
        self.growing.remove(&room);
        if let FeedEvent::Presence(PresenceNews::Steps(steps)) = &event {
            self.bytes += steps.iter().map(PresenceStep::bytes).sum::<usize>();
        }
        self.events.push(RoomEvent { room, event });
    }

    /// Adds something ephemeral. It may overtake messages, which go on growing into one event.
    pub(crate) fn ephemeral(&mut self, room: &RoomName, ephemeral: Ephemeral) {
        if let Ephemeral::Signal(Signal { data: Some(data), .. }) = &ephemeral {
            self.bytes += data.len();
        }
        let event = FeedEvent::Ephemeral(ephemeral);
        self.events.push(RoomEvent { room: room.clone(), event });
    }

    /// Adds the room's next message.
    pub(crate) fn message(&mut self, room: &RoomName, message: Arc<Message>) {
        self.bytes += message.data.len();
        if let Some(&at) = self.growing.get(room)
            && let FeedEvent::Messages(messages) = &mut self.events[at].event
        {
            messages.push(message);
            return;
        }
        self.growing.insert(room.clone(), self.events.len());
        let event = FeedEvent::Messages(vec![message]);
        self.events.push(RoomEvent { room: room.clone(), event });
    }

    /// Removes what waits for one room.
    pub(crate) fn forget(&mut self, room: &RoomName) {
        let kept = mem::take(self).events.into_iter().filter(|event| event.room != *room);
        for RoomEvent { room, event } in kept {
            match event {
                FeedEvent::Messages(messages) => {
                    messages.into_iter().for_each(|message| self.message(&room, message));
                }
                FeedEvent::Ephemeral(ephemeral) => self.ephemeral(&room, ephemeral),
                event => self.push(room, event),
            }
        }
    }

    /// Takes everything that waits.
    pub(crate) fn take(&mut self) -> Vec<RoomEvent> {
        mem::take(self).events
    }
}
