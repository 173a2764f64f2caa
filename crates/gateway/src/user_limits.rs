//! What each authenticated user uses of the limits by user: rooms and publishes per second on this
//! node, and connections on all nodes. All workers share it; a lock is held for one step, and only
//! where such a limit is set.

mod census;
mod connections;
mod places;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use roomcast_access::rate::RateLimit;
use roomcast_protocol::UserName;

pub(crate) use census::{CensusHold, UserCensus};
pub(crate) use connections::{UserConnections, UserFull, UserHold};

use crate::meter::Meter;

/// Users below which those that use nothing are not looked for.
const MIN_SWEEP: usize = 1_024;

/// All users that use something.
#[derive(Debug)]
pub(crate) struct UserLimits {
    began: Instant,
    table: Mutex<UserTable>,
}

#[derive(Debug)]
struct UserTable {
    /// Rooms of each user, each counted for each connection.
    rooms: HashMap<UserName, usize>,
    /// Publishes by user and namespace.
    publishes: HashMap<(UserName, Box<str>), Meter>,
    /// The number of meters at which those that are idle are removed.
    sweep_at: usize,
}

impl Default for UserLimits {
    fn default() -> Self {
        let (rooms, publishes) = (HashMap::new(), HashMap::new());
        let table = UserTable { rooms, publishes, sweep_at: MIN_SWEEP };
        Self { began: Instant::now(), table: Mutex::new(table) }
    }
}

impl UserLimits {
    /// Counts one room more, if the user is in fewer than `most`; 0 is no limit.
    pub(crate) fn enter(&self, user: &UserName, most: usize) -> bool {
        let mut table = self.table();
        let rooms = table.rooms.entry(user.clone()).or_default();
        if most > 0 && *rooms >= most {
            return false;
        }
        *rooms += 1;
        true
    }

    /// So many rooms of the user have ended.
    pub(crate) fn leave(&self, user: &UserName, count: usize) {
        let mut table = self.table();
        let Some(rooms) = table.rooms.get_mut(user) else { return };
        *rooms = rooms.saturating_sub(count);
        if *rooms == 0 {
            table.rooms.remove(user);
        }
    }

    /// Takes one publish of the user in a namespace; or how long to wait.
    pub(crate) fn take_publish(
        &self,
        user: &UserName,
        namespace: &str,
        limit: Option<RateLimit>,
    ) -> Result<(), Duration> {
        if limit.is_none() {
            return Ok(());
        }
        let now = self.began.elapsed();
        let mut table = self.table();
        if table.publishes.len() >= table.sweep_at {
            table.publishes.retain(|_, meter| !meter.is_idle(limit, now));
            table.sweep_at = (table.publishes.len() * 2).max(MIN_SWEEP);
        }
        let meter = table.publishes.entry((user.clone(), namespace.into())).or_default();
        meter.take(limit, 1, now)
    }

    /// A panic elsewhere leaves the table as it is: each step on it is whole.
    fn table(&self) -> MutexGuard<'_, UserTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_and_publishes_are_counted_by_user() {
        let limits = UserLimits::default();
        let (ann, bob) = (UserName::parse("ann").unwrap(), UserName::parse("bob").unwrap());
        assert!(limits.enter(&ann, 2) && limits.enter(&ann, 2) && !limits.enter(&ann, 2));
        assert!(limits.enter(&bob, 2));
        limits.leave(&ann, 1);
        assert!(limits.enter(&ann, 2) && limits.enter(&ann, 0));
        limits.leave(&ann, 3);
        assert!(!limits.table().rooms.contains_key(&ann));
        let limit = RateLimit::per_second(1, 1);
        assert!(limits.take_publish(&ann, "a", limit).is_ok());
        assert!(limits.take_publish(&ann, "a", limit).is_err());
        assert!(limits.take_publish(&ann, "b", limit).is_ok());
        assert!(limits.take_publish(&bob, "a", limit).is_ok());
    }
}
