//! What the members of a room on this worker show of themselves, where others can see it.

use hashbrown::HashMap;
use roomcast_protocol::{ConnectionId, Data, PresenceCounts, PresenceStatus};

/// Those that the bus was told of.
#[derive(Debug, Default)]
pub(crate) struct LocalPeople(Option<Box<HashMap<ConnectionId, ShownSelf>>>);

/// What one shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ShownSelf {
    pub(crate) info: Option<Data>,
    pub(crate) source: ShownSource,
    pub(crate) status: PresenceStatus,
    /// Its join was answered before the bus had written it: its list is to be read again then.
    pub(crate) is_late: bool,
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
        self.0.get_or_insert_default().insert(connection, shown);
    }

    pub(crate) fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut ShownSelf> {
        self.0.as_mut()?.get_mut(&connection)
    }

    /// Forgets one; whether it was known.
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> bool {
        let Some(all) = &mut self.0 else { return false };
        let was_known = all.remove(&connection).is_some();
        if all.is_empty() {
            self.0 = None;
        }
        was_known
    }

    /// Forgets all.
    pub(crate) fn take_all(&mut self) -> Vec<ConnectionId> {
        let all = self.0.take();
        all.into_iter().flat_map(|all| all.into_keys()).collect()
    }
}

/// What a join waits for to tell the numbers of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinPresence {
    /// The bus was not asked to add it, and need not be where presence is off.
    Unasked,
    /// It was.
    Asked,
    /// It is written, or not in time.
    Known(Option<PresenceCounts>),
}
