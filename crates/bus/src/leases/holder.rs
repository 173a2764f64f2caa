//! One node's own lease: its incarnation and its next advance. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::judge::Incarnation;

/// A node that could not advance for this long takes a new incarnation: the others may have judged
/// the old one. It is shorter than the shortest time to a death.
const RENEW_AFTER: Duration = Duration::from_secs(4);

/// The lease of this node.
#[derive(Debug)]
pub struct LeaseHolder {
    incarnation: Incarnation,
    /// Advances sent under this incarnation.
    counter: u64,
    /// When the last answered advance of this incarnation was sent.
    advanced: Option<Instant>,
}

impl LeaseHolder {
    /// A lease that has not been advanced.
    pub fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, counter: 0, advanced: None }
    }

    /// This node's incarnation.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether an advance of this incarnation was answered: only then may it write presence.
    pub fn is_live(&self) -> bool {
        self.advanced.is_some()
    }

    /// The incarnation and counter of the next advance. `fresh` becomes the incarnation if the
    /// present one was silent for too long.
    pub fn next(&mut self, now: Instant, fresh: Incarnation) -> (Incarnation, u64) {
        if self.advanced.is_some_and(|at| now.duration_since(at) >= RENEW_AFTER) {
            self.renew(fresh);
        }
        self.counter += 1;
        (self.incarnation, self.counter)
    }

    /// The advance that was sent at this time was answered.
    pub fn answered(&mut self, sent: Instant) {
        self.advanced = Some(sent);
    }

    /// This incarnation is dead or may be judged so: the node takes a new one.
    pub fn renew(&mut self, fresh: Incarnation) {
        *self = Self::new(fresh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_seconds_without_an_advance_are_another_life() {
        let (a, b) = (Incarnation(1), Incarnation(2));
        let start = Instant::now();
        let mut lease = LeaseHolder::new(a);
        assert_eq!(lease.next(start, b), (a, 1));
        assert!(!lease.is_live());
        // What was never written cannot have been judged.
        assert_eq!(lease.next(start + RENEW_AFTER * 2, b), (a, 2));
        lease.answered(start);
        let just = RENEW_AFTER - Duration::from_millis(1);
        assert_eq!(lease.next(start + just, b), (a, 3));
        assert!(lease.is_live());
        assert_eq!(lease.next(start + RENEW_AFTER, b), (b, 1));
        assert!(!lease.is_live());
    }
}
