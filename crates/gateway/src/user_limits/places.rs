//! The connections of each user on this node, and which of these states the bus has to be given.
//! Pure: it knows no bus and no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use roomcast_bus::{NamedConnection, UserPresence};
use roomcast_protocol::{ConnectionId, UserName};

/// Whether other nodes share the bus, so that it has to be given states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceSharing {
    Alone,
    Shared,
}

/// The connections of all users.
#[derive(Debug)]
pub(super) struct UserPlaces {
    sharing: PlaceSharing,
    users: BTreeMap<UserName, UserState>,
    /// The number of the last state of any user.
    number: u64,
    /// Users whose state the bus lacks, each once.
    unset: VecDeque<UserName>,
    /// Users that the round over all users is to take now.
    in_round: usize,
    /// The last one that it took.
    round: Option<UserName>,
    /// Connections that were replaced and have not ended. They do not count.
    replaced: BTreeSet<ConnectionId>,
}

/// A connection, and a hash of what its client calls itself.
pub(super) type PlacedConnection = (ConnectionId, Option<u64>);

/// The connections of one user.
#[derive(Debug, Default)]
struct UserState {
    connections: Vec<PlacedConnection>,
    /// The number of the last state that was taken for the bus.
    number: u64,
    /// Whether it is in `unset`.
    is_unset: bool,
}

impl UserPlaces {
    pub(super) fn new(sharing: PlaceSharing) -> Self {
        Self {
            sharing,
            users: BTreeMap::new(),
            number: 0,
            unset: VecDeque::new(),
            in_round: 0,
            round: None,
            replaced: BTreeSet::new(),
        }
    }

    /// Adds a connection and returns the user's state with it.
    pub(super) fn enter(&mut self, user: &UserName, newcomer: PlacedConnection) -> UserPresence {
        let state = self.users.entry(user.clone()).or_default();
        state.connections.push(newcomer);
        self.number += 1;
        state.number = self.number;
        state.presence(self.number)
    }

    /// The user's state with one connection more, which is not kept.
    pub(super) fn look(&self, user: &UserName) -> UserPresence {
        let number = self.number + 1;
        let nothing = UserPresence { number, count: 0, named: Vec::new() };
        let presence = self.users.get(user).map_or(nothing, |state| state.presence(number));
        UserPresence { count: presence.count + 1, ..presence }
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, user: &UserName, id: ConnectionId) {
        if !self.replaced.remove(&id) {
            self.remove(user, &[id], None);
        }
    }

    /// The bus did not take the state of this number, in which the connection was.
    pub(super) fn refuse(&mut self, user: &UserName, id: ConnectionId, number: u64) {
        self.remove(user, &[id], Some(number));
    }

    /// These connections are to be closed, and no longer count: others took their places. The bus
    /// changed the state of this number in the same way.
    pub(super) fn replace(&mut self, user: &UserName, ids: &[ConnectionId], number: u64) {
        let gone = self.remove(user, ids, Some(number));
        self.replaced.extend(gone);
    }

    /// What the node decides alone about a connection that was added: it has a place if its user has
    /// at most so many connections here, or others of its client, which it replaces, make place.
    /// Returns the number of those; if there is no place, the connection is removed.
    pub(super) fn decide(
        &mut self,
        user: &UserName,
        newcomer: PlacedConnection,
        most: usize,
    ) -> Option<usize> {
        let Some(ids) = self.replaceable(user, newcomer, most) else {
            self.remove(user, &[newcomer.0], None);
            return None;
        };
        let gone = self.remove(user, &ids, None);
        self.replaced.extend(gone);
        self.mark(user);
        Some(ids.len())
    }

    /// The connections that make place for a newcomer of their client; `None` if they are too few.
    pub(super) fn replaceable(
        &self,
        user: &UserName,
        (id, client): PlacedConnection,
        most: usize,
    ) -> Option<Vec<ConnectionId>> {
        let connections = self.users.get(user).map_or(&[][..], |state| &state.connections);
        let others = connections.iter().filter(|(other, _)| *other != id);
        let need = (others.clone().count() + 1).saturating_sub(most);
        let same = others.filter(|(_, of)| client.is_some() && *of == client);
        let ids: Vec<_> = same.map(|(other, _)| *other).take(need).collect();
        (ids.len() == need).then_some(ids)
    }

    /// Connections that were replaced and have not ended.
    pub(super) fn replaced(&self) -> &BTreeSet<ConnectionId> {
        &self.replaced
    }

    /// States that the bus is to be given, at most so many: first those that changed, then those
    /// whose turn it is in the round.
    pub(super) fn take_unset(&mut self, most: usize) -> Vec<(UserName, UserPresence)> {
        let changed = self.unset.len().min(most);
        let mut taken: Vec<UserName> = self.unset.drain(..changed).collect();
        let count = (most - changed).min(self.in_round);
        let (after, until) = match self.round.take() {
            Some(last) => (Bound::Excluded(last.clone()), Some(last)),
            None => (Bound::Unbounded, None),
        };
        // From where the last turn ended, and over the end to there again.
        let over = until.map(|last| self.users.range(..=last)).into_iter().flatten();
        let turn = self.users.range((after, Bound::Unbounded)).chain(over).take(count);
        let turn: Vec<_> = turn.map(|(user, _)| user.clone()).collect();
        self.in_round -= count;
        self.round = turn.last().cloned();
        taken.extend(turn);
        taken.into_iter().filter_map(|user| self.take_state(user)).collect()
    }

    fn take_state(&mut self, user: UserName) -> Option<(UserName, UserPresence)> {
        let state = self.users.get_mut(&user)?;
        state.is_unset = false;
        self.number += 1;
        state.number = self.number;
        let presence = state.presence(self.number);
        Some((user, presence))
    }

    /// The bus has the user's state of this number.
    pub(super) fn was_set(&mut self, user: &UserName, number: u64) {
        let is_spent = |state: &UserState| {
            state.connections.is_empty() && !state.is_unset && state.number == number
        };
        if self.users.get(user).is_some_and(is_spent) {
            self.users.remove(user);
        }
    }

    /// The bus is to be given the user's state.
    pub(super) fn mark(&mut self, user: &UserName) {
        let Some(state) = self.users.get_mut(user) else { return };
        match self.sharing {
            PlaceSharing::Shared if !state.is_unset => {
                state.is_unset = true;
                self.unset.push_back(user.clone());
            }
            PlaceSharing::Alone if state.connections.is_empty() => {
                self.users.remove(user);
            }
            PlaceSharing::Shared | PlaceSharing::Alone => {}
        }
    }

    /// The bus is to be given the states of one of so many shares of all users.
    pub(super) fn go_round(&mut self, shares: usize) {
        self.in_round = self.in_round.max(self.users.len().div_ceil(shares));
    }

    /// Whether the bus is to be given a state.
    pub(super) fn is_any_unset(&self) -> bool {
        !self.unset.is_empty() || self.in_round > 0
    }

    /// Removes connections, and returns those that were there. The bus has the state without them
    /// if the last one that was taken has the number `known`.
    fn remove(
        &mut self,
        user: &UserName,
        ids: &[ConnectionId],
        known: Option<u64>,
    ) -> Vec<ConnectionId> {
        let Some(state) = self.users.get_mut(user) else { return Vec::new() };
        let is_gone = |(id, _): &mut PlacedConnection| ids.contains(id);
        let gone: Vec<_> = state.connections.extract_if(.., is_gone).map(|(id, _)| id).collect();
        // An empty state is set, so that it can be forgotten: an older one may be on its way.
        let is_known = known == Some(state.number) && !state.connections.is_empty();
        if !gone.is_empty() && !is_known {
            self.mark(user);
        }
        gone
    }
}

impl UserState {
    fn presence(&self, number: u64) -> UserPresence {
        let named = |(id, client): &PlacedConnection| {
            client.map(|client| NamedConnection { id: *id, client })
        };
        let count = self.connections.len();
        UserPresence { number, count, named: self.connections.iter().filter_map(named).collect() }
    }
}

#[cfg(test)]
mod tests;
