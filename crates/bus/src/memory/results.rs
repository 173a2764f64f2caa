//! The remembered results of publishes with a key: what makes a retry harmless. Bounded in time by
//! `KEY_WINDOW` and in number by `MAX_KEYS`.

use std::collections::VecDeque;

use hashbrown::HashMap;
use roomcast_protocol::{PublishKey, UserName};

use crate::api::{Ack, KEY_WINDOW, MAX_KEYS, PublishError};

/// Who used which key.
pub(crate) type Scope = (Option<UserName>, PublishKey);

/// One room's results.
#[derive(Default)]
pub(crate) struct Results {
    /// Per key: the payload's fingerprint and the ack.
    known: HashMap<Scope, (u64, Ack)>,
    /// Keys in the order of their acks' times.
    order: VecDeque<(u64, Scope)>,
}

impl Results {
    /// What a publish under this key came to, if it is remembered.
    pub(crate) fn find(&self, scope: &Scope, print: u64) -> Option<Result<Ack, PublishError>> {
        let &(known, ack) = self.known.get(scope)?;
        Some(if known == print { Ok(ack) } else { Err(PublishError::KeyConflict) })
    }

    /// Remembers a result.
    pub(crate) fn insert(&mut self, scope: Scope, print: u64, ack: Ack) {
        if self.order.len() >= MAX_KEYS {
            self.drop_oldest();
        }
        self.order.push_back((ack.time, scope.clone()));
        self.known.insert(scope, (print, ack));
    }

    /// Forgets what is older than the window.
    pub(crate) fn expire(&mut self, now: u64) {
        while self.due().is_some_and(|due| due <= now) {
            self.drop_oldest();
        }
    }

    /// When the next result is forgotten (Unix ms).
    pub(crate) fn due(&self) -> Option<u64> {
        self.order.front().map(|(time, _)| time + KEY_WINDOW.as_millis() as u64)
    }

    fn drop_oldest(&mut self) {
        if let Some((_, scope)) = self.order.pop_front() {
            self.known.remove(&scope);
        }
    }
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::{Epoch, Position};

    use super::*;

    #[test]
    fn results_are_bounded_in_time_and_number() {
        let mut results = Results::default();
        let scope = |n: usize| (None, PublishKey::parse(&format!("k{n}")).unwrap());
        let ack = |n: usize| Ack {
            position: Position { epoch: Epoch(1), seq: n as u64 },
            time: 1_000 + n as u64,
        };
        for n in 0..MAX_KEYS + 5 {
            results.insert(scope(n), 7, ack(n));
        }
        assert_eq!(results.known.len(), MAX_KEYS);
        assert_eq!(results.find(&scope(4), 7), None);
        assert_eq!(results.find(&scope(5), 7), Some(Ok(ack(5))));
        assert_eq!(results.find(&scope(5), 8), Some(Err(PublishError::KeyConflict)));
        results.expire(results.due().unwrap());
        assert_eq!(results.find(&scope(5), 7), None);
        assert_eq!(results.find(&scope(6), 7), Some(Ok(ack(6))));
        results.expire(u64::MAX);
        assert_eq!((results.known.len(), results.order.len()), (0, 0));
    }
}
