//! A room's state as an application holds it: built from the events of the room, in their order.

use std::collections::BTreeMap;

use roomcast_protocol::{Message, StateEntry, StateKey};

use crate::Event;

/// The values of one room, by their keys; the room's own value has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateValues {
    values: BTreeMap<Option<StateKey>, StateEntry>,
    /// Those of a snapshot whose last part has not come: the old ones are true until then.
    next: BTreeMap<Option<StateKey>, StateEntry>,
}

impl StateValues {
    /// Takes in what an event of the room says of its state.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::State { is_first, more, entries, .. } => {
                if *is_first {
                    self.next.clear();
                }
                let by_key = |entry: &StateEntry| (entry.key.clone(), entry.clone());
                self.next.extend(entries.iter().map(by_key));
                if !more {
                    self.values = std::mem::take(&mut self.next);
                }
            }
            Event::Message { message, .. } => self.set(message),
            _ => {}
        }
    }

    /// All values. What a message set has no `points`: those are a snapshot's.
    pub fn all(&self) -> impl Iterator<Item = &StateEntry> {
        self.values.values()
    }

    /// The value of a key; of `None` the room's own.
    pub fn of(&self, key: Option<&StateKey>) -> Option<&StateEntry> {
        self.values.get(&key.cloned())
    }

    fn set(&mut self, message: &Message) {
        let Message { seq, time, ref user, ref data, .. } = *message;
        let key = message.state_key.clone();
        if message.remove {
            self.values.remove(&key);
            return;
        }
        let (user, data) = (user.clone(), data.clone());
        let entry = StateEntry { key: key.clone(), seq, time, user, data, points: None };
        self.values.insert(key, entry);
    }
}
