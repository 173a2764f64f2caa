//! Who is writing in which room, as this node has heard: a word counts for 3 seconds, then the writing
//! has ended, because the author's node may have died. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_bus::{TypingWord, Writer};
use roomcast_protocol::RoomName;
use tokio::time::Instant;

/// How long a word counts.
const TYPING_TIME: Duration = Duration::from_secs(3);

type TypingKey = (RoomName, Writer);

/// All who are writing.
#[derive(Debug, Default)]
pub(super) struct Typings {
    ends: HashMap<TypingKey, Instant>,
    due: BTreeSet<(Instant, TypingKey)>,
}

/// What changed for the members of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypingChange {
    Began,
    Ended,
}

impl Typings {
    /// A word has come.
    pub(super) fn hear(
        &mut self,
        room: &RoomName,
        TypingWord { writer, active }: &TypingWord,
        now: Instant,
    ) -> Option<TypingChange> {
        let key = (room.clone(), writer.clone());
        let before = self.ends.remove(&key);
        if let Some(end) = before {
            self.due.remove(&(end, key.clone()));
        }
        if !active {
            return before.map(|_| TypingChange::Ended);
        }
        let end = now + TYPING_TIME;
        self.ends.insert(key.clone(), end);
        self.due.insert((end, key));
        before.is_none().then_some(TypingChange::Began)
    }

    /// Whether the last word of one was too long ago.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.first().is_some_and(|(at, _)| *at <= now)
    }

    /// Takes out one whose last word was too long ago.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<TypingKey> {
        if self.due.first()?.0 > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.ends.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::UserName;

    use super::*;

    fn word(user: &str, active: bool) -> TypingWord {
        TypingWord { writer: Writer::User(UserName::parse(user).unwrap()), active }
    }

    #[test]
    fn writing_begins_once_and_ends_three_seconds_after_the_last_word() {
        let room = RoomName::parse("a").unwrap();
        let (mut typings, start) = (Typings::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(typings.hear(&room, &word("ann", true), start), Some(TypingChange::Began));
        assert_eq!(typings.hear(&room, &word("ann", true), after(2_000)), None);
        assert_eq!(typings.take_due(after(4_999)), None);
        let (_, writer) = typings.take_due(after(5_000)).unwrap();
        assert_eq!(writer, word("ann", true).writer);
        assert_eq!(typings.take_due(after(90_000)), None);
        assert_eq!(typings.hear(&room, &word("ann", false), after(5_001)), None);
        assert_eq!(
            typings.hear(&room, &word("ann", true), after(5_002)),
            Some(TypingChange::Began)
        );
        assert_eq!(
            typings.hear(&room, &word("ann", false), after(5_003)),
            Some(TypingChange::Ended)
        );
        assert!(typings.ends.is_empty() && typings.due.is_empty());
    }
}
