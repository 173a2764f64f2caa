//! What all clients together saw of the rooms with state: one message for each place, and at the end
//! one state for all. Pure.

use std::collections::{BTreeMap, HashMap};

use roomcast_protocol::{Epoch, Position, Seq, StateKey};

use super::kept_state::StateMap;
use crate::torture::journal::Content;

/// What a message did to a key: set it, or removed it.
type Change = (StateKey, Option<Content>);

/// One room.
#[derive(Debug, Default)]
pub(super) struct StateLedger {
    changes: HashMap<Position, Change>,
    /// Acknowledged changes by epoch and key, the newest: its seq, and what it set, unless that
    /// expires.
    acked: HashMap<Epoch, BTreeMap<StateKey, (Seq, Wanted)>>,
    /// What each node answered last: the position and the whole state.
    read: BTreeMap<usize, (Position, StateMap)>,
}

/// What is under a key after a change, if no other follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Value(Content),
    Nothing,
    /// A value that is gone by now or soon.
    Passing,
}

impl StateLedger {
    /// A client saw this message there.
    pub(super) fn saw(&mut self, at: Position, change: Change) -> Result<(), String> {
        let known = self.changes.entry(at).or_insert_with(|| change.clone());
        if *known == change {
            return Ok(());
        }
        Err(format!("{change:?} at {at:?}, where others saw {known:?}"))
    }

    /// A change was acknowledged.
    pub(super) fn acked(&mut self, at: Position, key: StateKey, wanted: Wanted) {
        let entry = self.acked.entry(at.epoch).or_default().entry(key).or_insert((0, wanted));
        if at.seq > entry.0 {
            *entry = (at.seq, wanted);
        }
    }

    /// A node answered the whole state.
    pub(super) fn read(&mut self, node: usize, at: Position, values: StateMap) {
        self.read.insert(node, (at, values));
    }

    /// The state that so many nodes agree on, and that holds what was acknowledged; else what is
    /// wrong with it.
    pub(super) fn truth(&self, nodes: usize) -> Result<&(Position, StateMap), String> {
        let Some(first) = self.read.values().next().filter(|_| self.read.len() == nodes) else {
            return Err(format!("{} of {nodes} nodes answered the state", self.read.len()));
        };
        for (node, read) in &self.read {
            if read != first {
                let (node, other) = (node + 1, differs(&first.1, &read.1));
                return Err(format!(
                    "n{node} answers at {:?}, others at {:?}{other}",
                    read.0, first.0
                ));
            }
        }
        for (key, (seq, wanted)) in self.acked.get(&first.0.epoch).into_iter().flatten() {
            let is_there = first.1.get(key);
            let fits = match wanted {
                Wanted::Value(content) => is_there == Some(&(*seq, *content)),
                Wanted::Nothing | Wanted::Passing => is_there.is_none(),
            };
            if !fits {
                return Err(format!("{key} is {is_there:?}; {wanted:?} was acknowledged at {seq}"));
            }
        }
        Ok(first)
    }
}

/// The first key under which two states differ, in words.
pub(super) fn differs(one: &StateMap, other: &StateMap) -> String {
    let keys = one.keys().chain(other.keys());
    let differs = |key: &&StateKey| one.get(*key) != other.get(*key);
    keys.into_iter().find(differs).map_or_else(String::new, |key| {
        format!("; {key} is {:?} and {:?}", one.get(key), other.get(key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StateKey {
        StateKey::parse(text).unwrap()
    }

    fn at(epoch: u64, seq: Seq) -> Position {
        Position { epoch: Epoch(epoch), seq }
    }

    const ONE: Content = Content { publisher: 0, number: 1 };
    const TWO: Content = Content { publisher: 0, number: 2 };

    #[test]
    fn one_place_has_one_change() {
        let mut ledger = StateLedger::default();
        ledger.saw(at(1, 1), (key("a"), Some(ONE))).unwrap();
        ledger.saw(at(1, 1), (key("a"), Some(ONE))).unwrap();
        ledger.saw(at(2, 1), (key("a"), None)).unwrap();
        assert!(ledger.saw(at(1, 1), (key("a"), None)).is_err());
        assert!(ledger.saw(at(1, 1), (key("b"), Some(ONE))).is_err());
    }

    #[test]
    fn the_truth_is_what_all_nodes_answer_and_was_acknowledged() {
        let mut ledger = StateLedger::default();
        let state = StateMap::from([(key("a"), (3, ONE))]);
        ledger.acked(at(1, 3), key("a"), Wanted::Value(ONE));
        ledger.acked(at(1, 2), key("a"), Wanted::Value(TWO));
        ledger.acked(at(1, 4), key("b"), Wanted::Passing);
        ledger.acked(at(9, 9), key("a"), Wanted::Nothing);
        ledger.read(0, at(1, 5), state.clone());
        assert!(ledger.truth(2).is_err(), "one node did not answer");
        ledger.read(1, at(1, 5), state.clone());
        assert_eq!(ledger.truth(2), Ok(&(at(1, 5), state.clone())));
        ledger.read(1, at(1, 5), StateMap::new());
        assert!(ledger.truth(2).is_err(), "nodes differ");
        ledger.read(1, at(1, 5), state);
        ledger.acked(at(1, 5), key("a"), Wanted::Nothing);
        assert!(ledger.truth(2).is_err(), "an acknowledged removal is missing");
    }
}
