//! What the members of a room on this worker show of themselves, where others can see it.

use hashbrown::HashMap;
use roomcast_protocol::{ConnectionId, Data, PresenceCounts, PresenceStatus};
use tokio::time::Instant;

/// The members that were shown to the bus; most rooms have none.
#[derive(Debug, Default)]
pub(crate) struct LocalPeople(Option<Box<ShownPeople>>);

#[derive(Debug, Default)]
struct ShownPeople {
    shown: HashMap<ConnectionId, ShownSelf>,
    /// Until when all of them missed what others did.
    missed_until: Option<Instant>,
}

/// What one shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ShownSelf {
    pub(crate) info: Option<Data>,
    pub(crate) source: ShownSource,
    pub(crate) status: PresenceStatus,
    /// Its join was answered before the bus had written this enter of it: its list is to be read again
    /// then.
    pub(crate) late: Option<u64>,
    /// Until when it missed what others did: it was no member yet, or was to read the list again.
    pub(crate) missed_until: Option<Instant>,
}

/// Where a member's info is from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ShownSource {
    /// Its token: another token may have another one.
    #[default]
    Token,
    /// Its `join` or `presence`.
    Member,
}

impl LocalPeople {
    pub(crate) fn put(&mut self, connection: ConnectionId, shown: ShownSelf) {
        self.0.get_or_insert_default().shown.insert(connection, shown);
    }

    pub(crate) fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut ShownSelf> {
        self.0.as_mut()?.shown.get_mut(&connection)
    }

    /// One missed something until now.
    pub(crate) fn missed(&mut self, connection: ConnectionId) {
        if let Some(shown) = self.get_mut(connection) {
            shown.missed_until = Some(Instant::now());
        }
    }

    /// All missed something until now.
    pub(crate) fn all_missed(&mut self) {
        if let Some(all) = &mut self.0 {
            all.missed_until = Some(Instant::now());
        }
    }

    /// Until when one missed what others did: an older list is of no use to it.
    pub(crate) fn missed_until(&self, connection: ConnectionId) -> Option<Instant> {
        let all = self.0.as_ref()?;
        all.shown.get(&connection)?.missed_until.max(all.missed_until)
    }

    /// Forgets one; whether it was known.
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> bool {
        let Some(all) = &mut self.0 else { return false };
        let was_known = all.shown.remove(&connection).is_some();
        if all.shown.is_empty() {
            self.0 = None;
        }
        was_known
    }

    /// Forgets all.
    pub(crate) fn take_all(&mut self) -> Vec<ConnectionId> {
        let all = self.0.take();
        all.into_iter().flat_map(|all| all.shown.into_keys()).collect()
    }
}

/// What a join waits for to tell the numbers of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinPresence {
    /// The join is strict, and it is not known yet whether it is refused.
    Undecided,
    /// The bus was not asked to add it, and need not be where presence is off.
    Unasked,
    /// It was, by the enter of this number.
    Asked(u64),
    /// It is written, or not in time.
    Known(Option<PresenceCounts>),
}
