//! The remembered results of publishes with a key: what makes a retry harmless. None is forgotten
//! within `KEY_WINDOW`; how many there may be is bounded by refusing new ones.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use roomcast_protocol::PublishKey;

use crate::api::{KEY_WINDOW, PublishAck, PublishError, Retention};
use crate::owner::KeyOwner;

/// Results forgotten in one go: others wait behind the lock meanwhile.
const RESULTS_PER_EXPIRY: usize = 1024;

/// Who used which key.
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
    /// What a publish under this key came to, if it is remembered.
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
            if of_owner < retention.keys_per_user
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
            // The result before it was beyond the window, and waits to be dropped.
            self.forget_one_of(&scope.0);
        }
    }

    /// Forgets what is older than the window, a bounded number.
    pub(crate) fn expire(&mut self, now: u64) {
        for _ in 0..RESULTS_PER_EXPIRY {
            if self.due().is_none_or(|due| due > now) {
                break;
            }
            self.drop_oldest();
        }
        if self.known.len() < self.known.capacity() / 8 {
            // A crowd has come and gone: its memory is given back.
            let half_used = self.known.len() * 2;
            self.known.shrink_to(half_used);
            self.order.shrink_to(half_used);
            self.counts.shrink_to(half_used.min(self.counts.len() * 2));
        }
    }

    /// When the next result is forgotten (Unix ms).
    pub(crate) fn due(&self) -> Option<u64> {
        self.order.front().map(|&(time, _)| end(time))
    }

    fn drop_oldest(&mut self) {
        let Some((time, scope)) = self.order.pop_front() else { return };
        // The key may have been used anew since.
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

/// Until when a result of this time is remembered (Unix ms).
fn end(time: u64) -> u64 {
    time.saturating_add(KEY_WINDOW.as_millis() as u64)
}

#[cfg(test)]
mod tests;
