//! Who is in the rooms with presence by what the clients themselves did, and whether the
//! `user_left` of a user may come. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roomcast_protocol::UserName;

/// A user that was in a room for so long, undisturbed, has no `user_left`: the grace, the time
/// until a dead node is judged, and what a slow way may add.
pub(super) const UNDISTURBED: Duration = Duration::from_secs(20);

/// One membership: of the client of this number.
#[derive(Debug, Clone, Copy)]
struct Present {
    node: Option<usize>,
    since: Duration,
}

/// The truth.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    /// By room and user, the clients that are members.
    rooms: BTreeMap<usize, BTreeMap<UserName, BTreeMap<usize, Present>>>,
    /// By node: faults of it, or of a way to it, that are at work, and when the last one ended.
    faults: BTreeMap<usize, (usize, Duration)>,
}

impl Attendance {
    /// A client of this user is a member now.
    pub(super) fn came(
        &mut self,
        (room, user, client): (usize, &UserName, usize),
        node: Option<usize>,
        now: Duration,
    ) {
        let clients = self.rooms.entry(room).or_default().entry(user.clone()).or_default();
        clients.insert(client, Present { node, since: now });
    }

    /// It is not any more.
    pub(super) fn went(&mut self, (room, user, client): (usize, &UserName, usize)) {
        let Some(users) = self.rooms.get_mut(&room) else { return };
        if let Some(clients) = users.get_mut(user) {
            clients.remove(&client);
            if clients.is_empty() {
                users.remove(user);
            }
        }
    }

    /// A fault of one node, or of a way to or from it, begins.
    pub(super) fn fault_began(&mut self, node: usize) {
        self.faults.entry(node).or_default().0 += 1;
    }

    /// It ended.
    pub(super) fn fault_ended(&mut self, node: usize, now: Duration) {
        let (at_work, ended) = self.faults.entry(node).or_default();
        (*at_work, *ended) = (at_work.saturating_sub(1), now);
    }

    /// Whether a `user_left` of this user can be no more than late.
    pub(super) fn may_have_left(&self, room: usize, user: &UserName, now: Duration) -> bool {
        let from = now.saturating_sub(UNDISTURBED);
        let users = self.rooms.get(&room).and_then(|users| users.get(user));
        !users.into_iter().flat_map(BTreeMap::values).any(|present| {
            let is_calm =
                |node: usize| self.faults.get(&node).is_none_or(|it| it.0 == 0 && it.1 < from);
            !from.is_zero() && present.since < from && present.node.is_some_and(is_calm)
        })
    }

    /// The users of a room, and how many memberships they have.
    pub(super) fn truth(&self, room: usize) -> (BTreeSet<UserName>, u64) {
        let Some(users) = self.rooms.get(&room) else { return Default::default() };
        let count = users.values().map(BTreeMap::len).sum::<usize>();
        (users.keys().cloned().collect(), count as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_user_that_was_there_undisturbed_must_not_leave() {
        let (ann, second) = (UserName::parse("ann").unwrap(), Duration::from_secs(1));
        let mut truth = Attendance::default();
        truth.came((0, &ann, 1), Some(0), second);
        assert!(truth.may_have_left(0, &ann, 10 * second));
        assert!(!truth.may_have_left(0, &ann, 30 * second));
        truth.fault_began(1);
        assert!(!truth.may_have_left(0, &ann, 30 * second));
        truth.fault_began(0);
        assert!(truth.may_have_left(0, &ann, 30 * second));
        truth.fault_ended(0, 31 * second);
        assert!(truth.may_have_left(0, &ann, 50 * second));
        assert!(!truth.may_have_left(0, &ann, 60 * second));
        truth.came((0, &ann, 2), Some(2), 55 * second);
        truth.went((0, &ann, 1));
        assert!(truth.may_have_left(0, &ann, 60 * second));
        assert_eq!(truth.truth(0).1, 1);
        truth.went((0, &ann, 2));
        assert!(truth.may_have_left(0, &ann, 90 * second) && truth.truth(0).0.is_empty());
    }
}
