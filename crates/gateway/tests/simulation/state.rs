//! What publications do to the state of the room that keeps one, and the state as the model of Redis
//! keeps it beside the stream: of few keys, some with an end, of which the model says when it is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roomcast_bus::{RoomStateRead, StateAction, StateChange, StateValue};
use roomcast_protocol::{Lineage, Message, Publish, Seq, StateEntry, StateKey};

use super::STATE_ROOM;
use super::truth::Id;

/// Keys of the room; key 0 is the room's own value.
const KEYS: u64 = 5;
/// How long values with an end hold: longer than a schedule takes, so that only steps end them.
const TTL: Duration = Duration::from_secs(1800);

/// The values of a room: the seq that set each key.
pub(super) type Values = BTreeMap<u8, Seq>;

/// What a publication does to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) key: u8,
    pub(super) action: StateAction,
    /// The value has an end.
    is_mortal: bool,
}

impl Change {
    /// What the publication of this number does, if the room keeps state.
    pub(super) fn of(room: usize, keeps_state: bool, id: Id) -> Option<Self> {
        let action = if id.is_multiple_of(4) { StateAction::Remove } else { StateAction::Set };
        // Keys in bursts and in turns.
        let key = ((id / 3 + id % 2) % KEYS) as u8;
        let change = Self { key, action, is_mortal: id.is_multiple_of(3) };
        (keeps_state && room == STATE_ROOM).then_some(change)
    }

    /// What a client's publication does, and what a node's does to a value whose time is over.
    pub(super) fn said(publish: &Publish, room: usize, keeps_state: bool) -> Option<Self> {
        let Publish { state_key, ttl_ms, remove, .. } = publish;
        let action = if *remove { StateAction::Remove } else { StateAction::Set };
        let key = number_of(state_key.as_ref());
        let change = Self { key, action, is_mortal: ttl_ms.is_some() };
        (keeps_state && room == STATE_ROOM).then_some(change)
    }

    pub(super) fn end(change: &StateChange) -> Self {
        let key = number_of(change.key.as_ref());
        Self { key, action: change.action, is_mortal: false }
    }

    pub(super) fn removes(self) -> bool {
        self.action != StateAction::Set
    }

    pub(super) fn key(self) -> Option<StateKey> {
        (self.key > 0).then(|| StateKey::parse(&format!("k{}", self.key)).expect("a key"))
    }

    pub(super) fn ttl_ms(self) -> Option<u64> {
        self.is_mortal.then_some(TTL.as_millis() as u64)
    }

    /// What is true after it.
    pub(super) fn apply(self, values: &mut Values, seq: Seq) {
        if self.removes() {
            values.remove(&self.key);
        } else {
            values.insert(self.key, seq);
        }
    }
}

/// The number of a key.
pub(super) fn number_of(key: Option<&StateKey>) -> u8 {
    key.map_or(0, |key| key.as_str()[1..].parse().expect("a key of the model"))
}

/// The state of a room as a server keeps it.
#[derive(Debug, Clone, Default)]
pub(super) struct StateHash {
    values: BTreeMap<u8, Arc<Message>>,
    /// The highest seq of a removal.
    forgotten: Seq,
}

impl StateHash {
    /// Whether the change may be stored.
    pub(super) fn admits(&self, change: Change) -> bool {
        let StateAction::Expire(seq) = change.action else { return true };
        let value = self.values.get(&change.key);
        value.is_some_and(|value| value.seq == seq && value.ttl_ms.is_some())
    }

    /// A change was stored as this message.
    pub(super) fn apply(&mut self, change: Change, message: &Arc<Message>) {
        if !change.removes() {
            self.values.insert(change.key, message.clone());
        } else if self.values.remove(&change.key).is_some() {
            self.forgotten = message.seq;
        }
    }

    /// The whole of it, as a read finds it.
    pub(super) fn read(&self, lineage: Lineage, last: Seq) -> RoomStateRead {
        let value = |message: &Arc<Message>| StateValue {
            left: message.ttl_ms.map(|_| TTL),
            message: message.clone(),
            points: Vec::new(),
        };
        let entries = self.values.values().map(value).collect();
        RoomStateRead { lineage, last, forgotten: self.forgotten, entries }
    }
}

/// A value as a client that was there has it.
pub(super) fn entry((&key, &seq): (&u8, &Seq), data: roomcast_protocol::Data) -> StateEntry {
    let change = Change { key, action: StateAction::Set, is_mortal: false };
    StateEntry { key: change.key(), seq, time: 0, user: None, data, points: None }
}
