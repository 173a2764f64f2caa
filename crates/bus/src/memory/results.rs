//! The results of publishes with a key, which make a retry harmless. None is forgotten within
//! `KEY_WINDOW`; their number is bounded by refusing new keys.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use roomcast_protocol::PublishKey;

use crate::api::{KEY_WINDOW, PublishAck, PublishError, Retention};
use crate::owner::KeyOwner;

/// Results removed in one call, while other threads wait for the lock.
const RESULTS_PER_EXPIRY: usize = 1024;

/// The owner of a key, and the key.
pub(crate) type KeyScope = (KeyOwner, PublishKey);

/// One room's results.
#[derive(Default)]
pub(crate) struct Results {
    /// Per key: the payload's fingerprint and the ack.
    known: HashMap<Arc<KeyScope>, (u64, PublishAck)>,
    /// Keys in the order of their acks' times.
    order: VecDeque<(u64, Arc<KeyScope>)>,
    /// How many keys of each owner are known.
    counts: HashMap<KeyOwner, u32>,
}

impl Results {
    /// The result of a publish under this key, if it is remembered.
    pub(crate) fn find(
        &self,
        scope: &KeyScope,
        print: u64,
        now: u64,
    ) -> Option<Result<PublishAck, PublishError>> {
        let &(known, ack) = self.known.get(scope).filter(|(_, ack)| end(ack.time) > now)?;
        Some(if known == print { Ok(ack) } else { Err(PublishError::KeyConflict) })
    }

    /// Whether one more key of this owner is within the bounds.
    pub(crate) fn admits(&mut self, owner: &KeyOwner, retention: Retention, now: u64) -> bool {
        loop {
            let of_owner = self.counts.get(owner).copied().unwrap_or(0);
            if (owner.has_room_bound_only() || of_owner < retention.keys_per_user)
                && self.known.len() < retention.keys_per_room as usize
            {
                return true;
            }
            if self.due().is_none_or(|due| due > now) {
                return false;
            }
            self.expire(now);
        }
    }

    /// Remembers the result of a key that is not known.
    pub(crate) fn insert(&mut self, scope: KeyScope, print: u64, ack: PublishAck) {
        let scope = Arc::new(scope);
        *self.counts.entry_ref(&scope.0).or_insert(0) += 1;
        self.order.push_back((ack.time, scope.clone()));
        if self.known.insert(scope.clone(), (print, ack)).is_some() {
            // The earlier result is outside the window and waits to be dropped.
            self.forget_one_of(&scope.0);
        }
    }

    /// Removes results older than the window, a bounded number.
    pub(crate) fn expire(&mut self, now: u64) {
        for _ in 0..RESULTS_PER_EXPIRY {
            if self.due().is_none_or(|due| due > now) {
                break;
            }
            self.drop_oldest();
        }
        if self.known.len() < self.known.capacity() / 8 {
            // After a burst of keys its memory is released.
            let half_used = self.known.len() * 2;
            self.known.shrink_to(half_used);
            self.order.shrink_to(half_used);
            self.counts.shrink_to(half_used.min(self.counts.len() * 2));
        }
    }

    /// When the next result is due for removal (Unix ms).
    pub(crate) fn due(&self) -> Option<u64> {
        self.order.front().map(|&(time, _)| end(time))
    }

    fn drop_oldest(&mut self) {
        let Some((time, scope)) = self.order.pop_front() else { return };
        // The key may have been used again since.
        if self.known.get(&scope).is_some_and(|(_, ack)| ack.time == time) {
            self.known.remove(&scope);
            self.forget_one_of(&scope.0);
        }
    }

    fn forget_one_of(&mut self, owner: &KeyOwner) {
        let Some(count) = self.counts.get_mut(owner) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(owner);
        }
    }
}

/// When a result of this time expires (Unix ms).
fn end(time: u64) -> u64 {
    time.saturating_add(KEY_WINDOW.as_millis() as u64)
}

#[cfg(test)]
mod tests;
