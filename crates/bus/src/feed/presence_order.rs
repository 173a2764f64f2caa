//! One room's presence as its pushes tell it: which news follow, and where a change was missed. No
//! I/O, no clock.

use crate::api::{PresenceCounts, PresenceNews};
use crate::payload::{PresenceBody, PresenceMark, PresencePush, PresenceTail};

/// The order of one room's presence.
#[derive(Debug, Default)]
pub(crate) struct PresenceOrder {
    /// The last change that was told; `None` before the first.
    at: Option<PresenceTail>,
    /// Whether the first may have been missed.
    is_doubted: bool,
}

impl PresenceOrder {
    /// Whether the room had a change since it was opened, or may have had one.
    pub(super) fn is_used(&self) -> bool {
        self.at.is_some() || self.is_doubted
    }

    /// Pushes of the open room may have been lost: a check is to find out.
    pub(super) fn doubt(&mut self) {
        self.is_doubted = self.at.is_none();
    }

    /// Takes a push.
    pub(crate) fn pushed(&mut self, push: PresencePush) -> Option<PresenceNews> {
        let counts = push.tail.counts;
        let is_next = match &self.at {
            None => !self.is_doubted,
            Some(at) if at.is_past(&push.tail) => return None,
            Some(at) => at.is_followed_by(&push.tail),
        };
        (self.at, self.is_doubted) = (Some(push.tail), false);
        Some(match push.body {
            PresenceBody::Steps(steps) if is_next => PresenceNews::Steps(steps),
            PresenceBody::Quiet if is_next => PresenceNews::Counts(counts),
            _ => PresenceNews::Reset(counts),
        })
    }

    /// Whether a check that saw this state shows that pushes may be missing.
    pub(super) fn is_behind(&self, seen: &PresenceTail) -> bool {
        match &self.at {
            Some(at) => !at.is_past(seen) && !at.is_same(seen),
            None => self.is_doubted,
        }
    }

    /// A check saw this state, and every push before the check has arrived.
    pub(super) fn checked(&mut self, seen: PresenceTail) -> Option<PresenceNews> {
        if !self.is_behind(&seen) {
            return None;
        }
        (self.at, self.is_doubted) = (Some(seen), false);
        Some(PresenceNews::Reset(seen.counts))
    }

    /// The room has no presence in Redis any more.
    pub(super) fn vanished(&mut self) -> Option<PresenceNews> {
        self.is_doubted = false;
        let at = self.at.take()?;
        (at.counts.count > 0).then(|| PresenceNews::Reset(PresenceCounts::default()))
    }
}

impl PresenceTail {
    /// Whether this state includes the other.
    fn is_past(&self, other: &Self) -> bool {
        let (here, there) = (self.mark, other.mark);
        // What an epoch's ancestor pushed came before the parting.
        (here.epoch == there.epoch && there.change <= here.change)
            || self.parting.is_some_and(|parting| parting.epoch == there.epoch)
    }

    /// Whether the other is the same list without a change.
    fn is_same(&self, other: &Self) -> bool {
        other.parting == Some(self.mark) && other.mark.change == self.mark.change
    }

    /// Whether the other is the next change, in this epoch or one that parted from here.
    fn is_followed_by(&self, other: &Self) -> bool {
        let next = PresenceMark { change: self.mark.change + 1, ..other.mark };
        other.mark == next
            && (other.mark.epoch == self.mark.epoch || other.parting == Some(self.mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(epoch: u64, change: u64, parting: Option<(u64, u64)>) -> PresenceTail {
        let mark = |(epoch, change)| PresenceMark { epoch, change };
        let rev_epoch = roomcast_protocol::Epoch(epoch);
        let counts = PresenceCounts { rev_epoch, rev: change, count: 1, users: 1 };
        PresenceTail { mark: mark((epoch, change)), parting: parting.map(mark), counts }
    }

    /// `s` steps, `c` counts, `r` a reset, `-` nothing.
    fn push(order: &mut PresenceOrder, tail: PresenceTail, body: PresenceBody) -> char {
        match order.pushed(PresencePush { tail, body }) {
            Some(PresenceNews::Steps(_)) => 's',
            Some(PresenceNews::Counts(_)) => 'c',
            Some(PresenceNews::Reset(counts)) => {
                assert_eq!(counts, tail.counts);
                'r'
            }
            None => '-',
        }
    }

    fn steps(order: &mut PresenceOrder, tail: PresenceTail) -> char {
        push(order, tail, PresenceBody::Steps(Vec::new()))
    }

    #[test]
    fn a_missed_change_is_a_reset() {
        let mut order = PresenceOrder::default();
        assert_eq!(steps(&mut order, tail(1, 5, None)), 's');
        assert_eq!(steps(&mut order, tail(1, 6, None)), 's');
        assert_eq!(steps(&mut order, tail(1, 6, None)), '-');
        assert_eq!(steps(&mut order, tail(1, 8, None)), 'r');
        assert_eq!(steps(&mut order, tail(1, 7, None)), '-');
        assert_eq!(push(&mut order, tail(1, 9, None), PresenceBody::Quiet), 'c');
        assert_eq!(push(&mut order, tail(1, 10, None), PresenceBody::Back), 'r');
        assert_eq!(steps(&mut order, tail(1, 11, None)), 's');
    }

    #[test]
    fn who_was_at_the_parting_goes_on() {
        let mut order = PresenceOrder::default();
        assert_eq!(steps(&mut order, tail(1, 5, None)), 's');
        assert_eq!(order.checked(tail(2, 5, Some((1, 5)))), None);
        assert_eq!(steps(&mut order, tail(2, 6, Some((1, 5)))), 's');
        assert_eq!(steps(&mut order, tail(1, 6, None)), '-', "late, of the ancestor");
        let mut ahead = PresenceOrder::default();
        assert_eq!(steps(&mut ahead, tail(1, 6, None)), 's');
        assert_eq!(steps(&mut ahead, tail(2, 6, Some((1, 5)))), 'r');
        assert_eq!(steps(&mut ahead, tail(3, 1, None)), 'r');
    }

    #[test]
    fn a_check_finds_what_no_push_told() {
        let mut order = PresenceOrder::default();
        assert_eq!(order.checked(tail(1, 5, None)), None, "nothing was told before");
        assert_eq!(steps(&mut order, tail(1, 5, None)), 's');
        assert_eq!(order.checked(tail(1, 5, None)), None);
        assert!(order.is_behind(&tail(1, 6, None)));
        assert!(order.checked(tail(1, 6, None)).is_some());
        assert!(order.vanished().is_some());
        assert!(!order.is_used());
        order.doubt();
        assert!(order.checked(tail(1, 7, None)).is_some(), "the first was missed");
        let mut doubted = PresenceOrder::default();
        doubted.doubt();
        assert_eq!(steps(&mut doubted, tail(1, 7, None)), 'r');
    }
}
