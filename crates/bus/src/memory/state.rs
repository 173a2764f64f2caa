//! The state of one room in memory: the newest value of each key, within bounds. An expired value
//! counts for nothing, and stays until a message removes it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_protocol::{Data, Message, Position, Seq, StateKey};

use crate::api::{
    Publication, PublishError, Retention, StateAction, StateBounds, StateChange, StateValue,
};

/// Expired values that one scan finds, as in `state.lua`.
const FOUND_PER_SCAN: usize = 128;
/// Scans for one publication.
pub(crate) const SCANS_PER_CALL: usize = 4;

/// The values of one room.
#[derive(Default)]
pub(crate) struct MemoryState {
    values: HashMap<Option<StateKey>, MemoryValue>,
    /// Bytes of keys and payloads, expired ones included.
    bytes: usize,
    forgotten: Seq,
}

struct MemoryValue {
    /// The messages that set it, the newest last; never empty.
    messages: VecDeque<Arc<Message>>,
    seq: Seq,
    /// Unix ms; `None`: it does not expire.
    end: Option<u64>,
    bytes: usize,
}

impl MemoryValue {
    fn is_live(&self, now: u64) -> bool {
        self.end.is_none_or(|end| end > now)
    }
}

impl MemoryState {
    /// Whether a change with a payload of so many bytes is taken.
    pub(crate) fn judge(
        &self,
        change: &StateChange,
        bytes: usize,
        here: Position,
        now: u64,
    ) -> Result<(), PublishError> {
        let value = self.values.get(&change.key);
        let live = value.filter(|value| value.is_live(now));
        let seq = live.map_or(0, |value| value.seq);
        let conflict = Err(PublishError::KeySeqConflict(seq));
        let holds = |at: Position| {
            at == Position { seq, ..here } || (at == Position::START && here.seq == 0)
        };
        if change.if_key_seq.is_some_and(|at| !holds(at)) {
            return conflict;
        }
        match change.action {
            StateAction::Remove => Ok(()),
            StateAction::Expire(seq) => match value {
                Some(value) if live.is_none() && value.seq == seq => Ok(()),
                _ => conflict,
            },
            StateAction::Set => {
                let kept = live.map_or(0, |value| kept_bytes(value, change));
                let (known, new) =
                    (value.map_or(0, |value| value.bytes), weight(change, bytes) + kept);
                let all = self.bytes - known + new;
                let StateBounds { keys, bytes: most, .. } = change.bounds;
                let is_key_more = value.is_none() && self.values.len() >= keys as usize;
                match is_key_more || (new > known && all > most) {
                    true => Err(PublishError::StateFull),
                    false => Ok(()),
                }
            }
        }
    }

    /// Takes a message that was stored.
    pub(crate) fn apply(&mut self, message: &Arc<Message>, bounds: StateBounds, now: u64) {
        let key = &message.state_key;
        let known = self.values.remove(key);
        self.bytes -= known.as_ref().map_or(0, |value| value.bytes);
        if message.remove {
            if known.is_some() {
                self.forgotten = message.seq;
            }
            return;
        }
        let live = known.filter(|value| value.is_live(now));
        let mut messages = live.map_or_else(VecDeque::new, |value| value.messages);
        messages.push_back(message.clone());
        while messages.len() > bounds.points.max(1) as usize {
            messages.pop_front();
        }
        let payloads: usize = messages.iter().map(|message| message.data.len()).sum();
        let bytes = payloads + key.as_ref().map_or(0, |key| key.as_str().len());
        self.bytes += bytes;
        let end = message.ttl_ms.map(|ttl| now.saturating_add(ttl));
        let value = MemoryValue { messages, seq: message.seq, end, bytes };
        self.values.insert(key.clone(), value);
    }

    /// Some of the keys whose values have expired: each is removed by a message.
    pub(crate) fn expired(&self, now: u64) -> Vec<Option<StateKey>> {
        let expired = self.values.iter().filter(|(_, value)| !value.is_live(now));
        expired.map(|(key, _)| key.clone()).take(FOUND_PER_SCAN).collect()
    }

    /// The highest seq at which a key was removed.
    pub(crate) fn forgotten(&self) -> Seq {
        self.forgotten
    }

    /// All values, expired ones included.
    pub(crate) fn entries(&self, points: u32, now: u64) -> Vec<StateValue> {
        let entry = |value: &MemoryValue| {
            let skipped = value.messages.len().saturating_sub(points as usize);
            Some(StateValue {
                message: value.messages.back()?.clone(),
                left: value.end.map(|end| Duration::from_millis(end.saturating_sub(now))),
                points: value.messages.iter().skip(skipped).cloned().collect(),
            })
        };
        self.values.values().filter_map(entry).collect()
    }
}

fn weight(change: &StateChange, bytes: usize) -> usize {
    bytes + change.key.as_ref().map_or(0, |key| key.as_str().len())
}

/// Bytes of the payloads that stay beside a new one.
fn kept_bytes(value: &MemoryValue, change: &StateChange) -> usize {
    let most = change.bounds.points.max(1) as usize - 1;
    let skipped = value.messages.len().saturating_sub(most);
    value.messages.iter().skip(skipped).map(|message| message.data.len()).sum()
}

/// The publication that removes a key whose value has expired.
pub(crate) fn removal(key: Option<StateKey>, bounds: StateBounds) -> Publication {
    let (action, if_key_seq) = (StateAction::Remove, None);
    Publication {
        user: None,
        client: None,
        api_key: None,
        connection: None,
        event: None,
        key: None,
        if_seq: None,
        state: Some(StateChange { key, ttl_ms: None, action, if_key_seq, bounds }),
        echo: true,
        traceparent: None,
        data: Data::Json("null".into()),
        retention: NOTHING_KEPT,
        info: None,
        keys_age: std::time::Duration::ZERO,
        room_rate: 0,
    }
}

/// A removal changes nothing of how its room is kept.
const NOTHING_KEPT: Retention = Retention {
    history_size: 0,
    history_age: Duration::ZERO,
    repair_window: 0,
    replicas: 0,
    keys_per_user: 0,
    keys_per_room: 0,
};
