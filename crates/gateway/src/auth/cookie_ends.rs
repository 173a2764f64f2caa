//! Remembers with which end each client last came by its cookie, so that a client whose cookie is
//! not renewed is not asked to come back again and again.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

/// Clients that are remembered; beyond that no more are, and only the halving of lives bounds how
/// often they come back.
const MAX_CLIENTS: usize = 65_536;

/// By the client's own name, each until its end.
#[derive(Debug, Default)]
pub(super) struct CookieEnds(Mutex<HashMap<Arc<str>, u64>>);

impl CookieEnds {
    /// Notes a client's end, in ms since 1970. True if its last connection had the same.
    pub(super) fn replace(&self, client: &Arc<str>, ends: u64, now: u64) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_CLIENTS {
            all.retain(|_, end| *end > now);
        }
        if all.len() >= MAX_CLIENTS && !all.contains_key(client) {
            return false;
        }
        all.insert(client.clone(), ends) == Some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_the_same_cookie_is_known() {
        let ends = CookieEnds::default();
        let (one, two) = (Arc::from("one"), Arc::from("two"));
        assert!(!ends.replace(&one, 10, 0));
        assert!(!ends.replace(&two, 10, 0));
        assert!(ends.replace(&one, 10, 1));
        assert!(!ends.replace(&one, 20, 1));
        assert!(ends.replace(&one, 20, 1));
    }
}
