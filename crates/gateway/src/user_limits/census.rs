//! Which users have a connection to this node, for the demo's figures: connections are counted by user
//! while the demo is on, whether a token names the user or not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use roomcast_protocol::UserName;

/// Users with the number of their connections, each 1 or more.
#[derive(Debug, Default)]
pub(crate) struct UserCensus(Mutex<HashMap<UserName, usize>>);

/// One connection's part in it, until this is dropped.
#[derive(Debug)]
pub(crate) struct CensusHold {
    census: Arc<UserCensus>,
    user: UserName,
}

impl UserCensus {
    /// Counts a connection.
    pub(crate) fn enter(self: &Arc<Self>, user: &UserName) -> CensusHold {
        *self.users().entry(user.clone()).or_default() += 1;
        CensusHold { census: self.clone(), user: user.clone() }
    }

    /// Different users.
    pub(crate) fn count(&self) -> usize {
        self.users().len()
    }

    /// A panic elsewhere leaves the table as it is: each step on it is whole.
    fn users(&self) -> MutexGuard<'_, HashMap<UserName, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CensusHold {
    fn drop(&mut self) {
        let mut users = self.census.users();
        let Some(count) = users.get_mut(&self.user) else { return };
        *count -= 1;
        if *count == 0 {
            users.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_counts_once_until_its_last_connection_has_ended() {
        let census = Arc::<UserCensus>::default();
        let [ann, bob] = ["ann", "bob"].map(|name| UserName::parse(name).unwrap());
        let first = census.enter(&ann);
        let second = census.enter(&ann);
        let other = census.enter(&bob);
        assert_eq!(census.count(), 2);
        drop(first);
        assert_eq!(census.count(), 2);
        drop((second, other));
        assert_eq!(census.count(), 0);
    }
}
