//! The state of a room as an application has it, by what its client tells: after each event it is true
//! at the application's position, but for keys of which a newer change is on its way.

use std::collections::BTreeSet;

use roomcast_client::{Event, StateValues};
use roomcast_protocol::{ConnectionId, Message, Position, RoomName, StateEntry};

use super::state::{Values, entry, number_of};
use super::truth::Truth;
use super::wire::{number, payload};
use super::{STATE_ROOM, room_name};

/// One reader's map.
#[derive(Debug, Default)]
pub(super) struct StateReader {
    values: StateValues,
    /// It has a map at its position.
    is_known: bool,
    /// Keys of which a change was left out.
    stale: BTreeSet<u8>,
    /// Where the snapshot is that was announced and is not whole.
    awaits: Option<Position>,
    /// Parts of it that have come.
    parts: u32,
}

impl StateReader {
    /// A reader that was at this position has what was true there.
    pub(super) fn at(position: Option<Position>, truth: &Truth) -> Self {
        let mut reader = Self::default();
        let Some((position, state)) = position.and_then(|at| Some((at, truth.state_at(at)?)))
        else {
            return reader;
        };
        let data = |seq| payload(truth.at(Position { seq, ..position }).expect("it is there"), 0);
        let entries = state.iter().map(|(key, seq)| entry((key, seq), data(*seq))).collect();
        let (room, is_first, more) = (room(), true, false);
        reader.values.hear(&Event::State { room, position, is_first, more, entries });
        reader.is_known = true;
        reader
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether a snapshot is on its way.
    pub(super) fn awaits(&self) -> bool {
        self.awaits.is_some()
    }

    /// The connection is gone, and what was on its way.
    pub(super) fn unlink(&mut self) {
        (self.awaits, self.parts) = (None, 0);
    }

    /// The client says that a snapshot follows.
    pub(super) fn announce(&mut self, at: Position) {
        (self.awaits, self.parts) = (Some(at), 0);
    }

    /// A part of it; whether it is the last one.
    pub(super) fn part(&mut self, event: &Event, truth: &Truth) -> bool {
        let Event::State { position, is_first, more, entries, .. } = event else { return false };
        assert_eq!(self.awaits, Some(*position), "a part of a snapshot that was not announced");
        assert_eq!(*is_first, self.parts == 0, "part {} of a snapshot", self.parts);
        for StateEntry { seq, data, .. } in entries {
            let at = Position { seq: *seq, ..*position };
            assert_eq!(truth.at(at), Some(number(data)), "a value of {at:?}");
        }
        self.parts += 1;
        self.values.hear(event);
        if !more {
            (self.awaits, self.parts, self.is_known) = (None, 0, true);
            self.stale.clear();
        }
        !more
    }

    /// A message came. What the application published without echo lies before it.
    pub(super) fn message(&mut self, event: &Event, before: Position, truth: &Truth) {
        assert!(!self.awaits(), "a message within a snapshot");
        let Event::Message { position, .. } = event else { return };
        self.pass_own(before, position.seq, truth);
        self.values.hear(event);
    }

    /// Messages `from` to `to` were left out, as newer values of their keys follow.
    pub(super) fn left_out(&mut self, before: Position, (from, to): (u64, u64), truth: &Truth) {
        assert!(!self.awaits(), "a gap without a snapshot within one");
        self.pass_own(before, from, truth);
        self.stale.extend(self.wrong(Position { seq: to, ..before }, truth));
    }

    /// The application passes its own messages after `before` and before `seq`, which it knows.
    fn pass_own(&mut self, before: Position, seq: u64, truth: &Truth) {
        for seq in before.seq + 1..seq {
            let position = Position { seq, ..before };
            let (Some(change), Some(id)) = (truth.change_at(position), truth.at(position)) else {
                continue;
            };
            let mut message = Message::new(seq, 0, payload(id, 0));
            (message.state_key, message.remove) = (change.key(), change.removes());
            let (room, message) = (room(), message.into());
            self.values.hear(&Event::Message { room, position, message });
        }
    }

    /// What holds after each event.
    pub(super) fn check(&mut self, at: Option<Position>, truth: &Truth) {
        let Some(at) = at.filter(|_| self.is_known) else { return };
        let wrong = self.wrong(at, truth);
        for key in &wrong {
            let is_named = self.stale.contains(key) && truth.changes_after(*key, at);
            let has = self.has();
            assert!(is_named, "{has:?} is not true at {at:?}: key {key}");
        }
        self.stale = wrong;
    }

    /// What holds in the end, when nothing follows but its own messages without echo.
    pub(super) fn check_end(&mut self, at: Position, own: ConnectionId, truth: &Truth) {
        let last = |seq: &u64| truth.is_skipped(Position { seq: *seq, ..at }, own);
        let end = (at.seq + 1..).take_while(last).last().unwrap_or(at.seq);
        self.pass_own(at, end + 1, truth);
        assert!(self.is_known && !self.awaits(), "it has no map");
        let wrong = self.wrong(Position { seq: end, ..at }, truth);
        let has = self.has();
        assert!(wrong.is_empty(), "{has:?} is not true in the end: keys {wrong:?}");
    }

    fn has(&self) -> Values {
        let by_key = |entry: &StateEntry| (number_of(entry.key.as_ref()), entry.seq);
        self.values.all().map(by_key).collect()
    }

    /// Keys that have another value than is true there.
    fn wrong(&self, at: Position, truth: &Truth) -> BTreeSet<u8> {
        let is = truth.state_at(at).expect("the client has come to it");
        let has = self.has();
        let keys = is.keys().chain(has.keys());
        keys.filter(|key| is.get(*key) != has.get(*key)).copied().collect()
    }
}

fn room() -> RoomName {
    room_name(STATE_ROOM)
}
