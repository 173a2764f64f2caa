//! Events that wait for the feeds' owner: in order within each room, with consecutive messages of a
//! room in one event.

use std::mem;
use std::sync::Arc;

use hashbrown::HashMap;
use roomcast_protocol::{Data, Message, RoomName, UserName};

use crate::api::{
    Ephemeral, FeedEvent, PresenceNews, PresenceStep, ReceiptNews, RoomEvent, Signal, TypingWord,
    Writer,
};

/// Events on their way to the feeds' owner.
#[derive(Default)]
pub(crate) struct PendingEvents {
    events: Vec<RoomEvent>,
    /// The index of a room's last event, if it is `Messages` and may grow.
    growing: HashMap<RoomName, usize>,
    /// What waits holds of memory, roughly.
    bytes: usize,
}

impl PendingEvents {
    /// Whether an event waits.
    pub(crate) fn is_ready(&self) -> bool {
        !self.events.is_empty()
    }

    /// What waits holds of memory, roughly: payloads, infos, users, and the events themselves.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, room: RoomName, event: FeedEvent) {
        self.growing.remove(&room);
        self.bytes += size_of::<RoomEvent>() + bytes_of(&event);
        self.events.push(RoomEvent { room, event });
    }

    /// Adds something ephemeral. It may overtake messages, which go on growing into one event.
    pub(crate) fn ephemeral(&mut self, room: &RoomName, ephemeral: Ephemeral) {
        let event = FeedEvent::Ephemeral(ephemeral);
        self.bytes += size_of::<RoomEvent>() + bytes_of(&event);
        self.events.push(RoomEvent { room: room.clone(), event });
    }

    /// Adds the room's next message.
    pub(crate) fn message(&mut self, room: &RoomName, message: Arc<Message>) {
        self.bytes += message_bytes(&message);
        if let Some(&at) = self.growing.get(room)
            && let FeedEvent::Messages(messages) = &mut self.events[at].event
        {
            messages.push(message);
            return;
        }
        self.growing.insert(room.clone(), self.events.len());
        self.bytes += size_of::<RoomEvent>();
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

/// What an event holds beside itself, roughly. Messages are counted as they come.
fn bytes_of(event: &FeedEvent) -> usize {
    match event {
        FeedEvent::Presence(PresenceNews::Steps(steps)) => {
            steps.iter().map(PresenceStep::bytes).sum()
        }
        FeedEvent::Receipts(news) => news.iter().map(receipt_bytes).sum(),
        FeedEvent::Ephemeral(Ephemeral::Signal(Signal { user, event, data, .. })) => {
            user_bytes(user.as_ref()) + event.as_str().len() + data.as_ref().map_or(0, Data::len)
        }
        FeedEvent::Ephemeral(Ephemeral::Typing(TypingWord { writer, .. })) => match writer {
            Writer::User(user) => user_bytes(Some(user)),
            Writer::Connection(_) => 0,
        },
        FeedEvent::Messages(messages) => messages.iter().map(|it| message_bytes(it)).sum(),
        FeedEvent::Opened { .. }
        | FeedEvent::Gap { .. }
        | FeedEvent::Reset { .. }
        | FeedEvent::Presence(PresenceNews::Counts(_) | PresenceNews::Reset(_)) => 0,
    }
}

fn receipt_bytes(news: &ReceiptNews) -> usize {
    size_of::<ReceiptNews>() + user_bytes(Some(&news.user)) + size_of_val(news.by.as_slice())
}

fn message_bytes(message: &Message) -> usize {
    let info = message.info.as_ref().map_or(0, Data::len);
    size_of::<Message>() + user_bytes(message.user.as_ref()) + info + message.data.len()
}

fn user_bytes(user: Option<&UserName>) -> usize {
    user.map_or(0, |user| user.as_str().len())
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::{ConnectionId, Epoch};

    use super::*;
    use crate::api::{PresenceCounts, ReceiptMarks};

    /// What waits is bounded by its bytes, so nothing waits for free.
    #[test]
    fn every_event_weighs_something() {
        let room = RoomName::parse("a").unwrap();
        let user = UserName::parse("ann").unwrap();
        let marks = ReceiptMarks { epoch: Epoch(1), received: 1, read: 1 };
        let news = ReceiptNews { user: user.clone(), marks, by: vec![ConnectionId(1)] };
        let counts = PresenceCounts::default();
        let event = roomcast_protocol::EventName::parse("e").unwrap();
        let signal = Signal { user: None, connection: None, event, data: None };
        let info = Data::Json(vec![b'1'; 500].into());
        let bare = Message::new(1, 1, Data::Json("1".into()));
        let mut pending = PendingEvents::default();
        let mut grown = |least: usize, add: &mut dyn FnMut(&mut PendingEvents)| {
            let before = pending.bytes();
            add(&mut pending);
            assert!(pending.bytes() >= before + least, "{} + {least}", before);
        };
        let of = size_of::<RoomEvent>();
        for event in [PresenceNews::Counts(counts), PresenceNews::Reset(counts)] {
            grown(of, &mut |it| it.push(room.clone(), FeedEvent::Presence(event.clone())));
        }
        let receipts: Arc<[ReceiptNews]> = vec![news; 100].into();
        let least = 100 * size_of::<ReceiptNews>();
        grown(least, &mut |it| it.push(room.clone(), FeedEvent::Receipts(receipts.clone())));
        grown(of, &mut |it| it.ephemeral(&room, Ephemeral::Signal(signal.clone())));
        let typing = TypingWord { writer: Writer::User(user.clone()), active: true };
        grown(of + 3, &mut |it| it.ephemeral(&room, Ephemeral::Typing(typing.clone())));
        let message = Message { info: Some(info.clone()), ..bare.clone() };
        grown(500, &mut |it| it.message(&room, Arc::new(message.clone())));
        grown(size_of::<Message>(), &mut |it| it.message(&room, Arc::new(bare.clone())));
        // What is left after one room is forgotten weighs what it did.
        let before = pending.bytes();
        pending.forget(&RoomName::parse("b").unwrap());
        assert_eq!(pending.bytes(), before);
        pending.forget(&room);
        assert_eq!(pending.bytes(), 0);
    }
}
