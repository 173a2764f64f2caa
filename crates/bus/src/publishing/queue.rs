//! What waits to be published in one room, and which of it is the next group. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::pending::PendingPublication;

/// Items in one group: enough that a call's own cost is small per item, few enough that Redis
/// serves other clients between two calls.
pub(crate) const GROUP_ITEMS: usize = 128;
/// Payload bytes in one group, unless a single item has more: a push then fits into one batch of a
/// log.
pub(crate) const GROUP_BYTES: usize = 64 << 10;
/// Items that may wait in one room: eight groups.
const QUEUE_ITEMS: usize = 8 * GROUP_ITEMS;
/// Payload bytes that may wait in one room.
const QUEUE_BYTES: usize = 4 << 20;
/// An item that waited longer is refused instead of sent: half of a publish's time limit.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// One room's queue.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: VecDeque<PendingPublication>,
    bytes: usize,
}

impl Queue {
    /// Adds an item; returns it if the queue is full.
    #[must_use]
    pub(crate) fn push(&mut self, pending: PendingPublication) -> Option<PendingPublication> {
        let bytes = self.bytes + pending.payload.len();
        let full = self.waiting.len() >= QUEUE_ITEMS || bytes > QUEUE_BYTES;
        if full && !self.waiting.is_empty() {
            return Some(pending);
        }
        self.bytes = bytes;
        self.waiting.push_back(pending);
        None
    }

    /// The next group; empty if nothing waits. Items that waited too long are added to `late`.
    pub(crate) fn next_group(
        &mut self,
        now: Instant,
        late: &mut Vec<PendingPublication>,
    ) -> Vec<PendingPublication> {
        let mut group: Vec<PendingPublication> = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.waiting.front() {
            bytes += next.payload.len();
            if group.len() >= GROUP_ITEMS || (bytes > GROUP_BYTES && !group.is_empty()) {
                break;
            }
            let Some(next) = self.waiting.pop_front() else { break };
            self.bytes -= next.payload.len();
            if now.duration_since(next.submitted) > MAX_WAIT {
                late.push(next);
            } else {
                group.push(next);
            }
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(bytes: usize, submitted: Instant) -> PendingPublication {
        PendingPublication::of_size(bytes, submitted)
    }

    #[test]
    fn groups_are_bounded_by_items_and_bytes() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for bytes in [10, GROUP_BYTES + 1, GROUP_BYTES - 10, 10, 1] {
            assert!(queue.push(item(bytes, now)).is_none());
        }
        (0..GROUP_ITEMS).for_each(|_| assert!(queue.push(item(1, now)).is_none()));
        let mut late = Vec::new();
        let mut sizes = Vec::new();
        loop {
            let group = queue.next_group(now, &mut late);
            if group.is_empty() {
                break;
            }
            sizes.push(group.len());
        }
        assert_eq!(sizes, [1, 1, 2, GROUP_ITEMS, 1]);
        assert_eq!((queue.bytes, late.len()), (0, 0));
    }

    #[test]
    fn a_full_queue_refuses_and_a_late_item_is_not_sent() {
        let now = Instant::now();
        let mut queue = Queue::default();
        (0..QUEUE_ITEMS).for_each(|_| assert!(queue.push(item(1, now)).is_none()));
        assert!(queue.push(item(1, now)).is_some());
        let mut late = Vec::new();
        let group = queue.next_group(now + MAX_WAIT * 2, &mut late);
        assert_eq!((group.len(), late.len()), (0, QUEUE_ITEMS));

        assert!(queue.push(item(QUEUE_BYTES + 1, now)).is_none(), "an empty queue takes anything");
        assert!(queue.push(item(1, now)).is_some());
    }
}
