//! One node's own lease: its incarnation and its next advance. Pure.

use super::judge::Incarnation;

/// The lease of this node. A pause of any length leaves it its incarnation, unless another node
/// marked that as dead meanwhile: the mark is made only under the counter that Redis has, so an
/// advance that Redis takes proves that there was none.
#[derive(Debug)]
pub struct LeaseHolder {
    incarnation: Incarnation,
    /// Advances sent under this incarnation.
    counter: u64,
    /// Whether one of them was answered.
    is_live: bool,
}

impl LeaseHolder {
    /// A lease that has not been advanced.
    pub fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, counter: 0, is_live: false }
    }

    /// This node's incarnation.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether an advance of this incarnation was answered.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// The incarnation and counter of the next advance.
    pub fn next_advance(&mut self) -> (Incarnation, u64) {
        self.counter += 1;
        (self.incarnation, self.counter)
    }

    /// An advance was answered.
    pub fn answered(&mut self) {
        self.is_live = true;
    }

    /// This incarnation is dead: the node takes a new one.
    pub fn renew(&mut self, fresh: Incarnation) {
        *self = Self::new(fresh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_death_is_another_life() {
        let (a, b) = (Incarnation(1), Incarnation(2));
        let mut lease = LeaseHolder::new(a);
        assert_eq!((lease.next_advance(), lease.is_live()), ((a, 1), false));
        lease.answered();
        assert_eq!((lease.next_advance(), lease.is_live()), ((a, 2), true));
        lease.renew(b);
        assert_eq!((lease.next_advance(), lease.is_live()), ((b, 1), false));
    }
}
