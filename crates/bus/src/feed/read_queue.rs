//! Which reads start next: each room at most once, a bounded number at a time, and none during a
//! pause after a failure. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashSet;
use roomcast_protocol::RoomName;
use tokio::time::Instant;

/// Upper bound of the first pause after a failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause: a server that is back is read again within this.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Reads of one kind.
#[derive(Debug)]
pub(crate) struct ReadQueue {
    waiting: VecDeque<RoomName>,
    queued: HashSet<RoomName>,
    running: usize,
    most: usize,
    failures: u32,
    not_before: Option<Instant>,
}

impl ReadQueue {
    /// A queue with at most `most` reads at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            queued: HashSet::new(),
            running: 0,
            most,
            failures: 0,
            not_before: None,
        }
    }

    /// Queues a room, unless it waits already.
    pub(crate) fn queue(&mut self, room: &RoomName) {
        if self.queued.insert(room.clone()) {
            self.waiting.push_back(room.clone());
        }
    }

    /// The next room whose read may start now.
    pub(crate) fn start(&mut self, now: Instant) -> Option<RoomName> {
        if self.running >= self.most || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        let room = self.waiting.pop_front()?;
        self.queued.remove(&room);
        self.running += 1;
        Some(room)
    }

    /// The room just started needs no read after all.
    pub(crate) fn skip(&mut self) {
        self.running -= 1;
    }

    /// A read ended well.
    pub(crate) fn done(&mut self) {
        self.running -= 1;
        self.failures = 0;
        self.not_before = None;
    }

    /// A read failed: no read of this queue starts during a pause with full jitter (`dice` within 0
    /// and 1).
    pub(crate) fn failed(&mut self, now: Instant, dice: f64) {
        self.running -= 1;
        if self.not_before.is_some_and(|at| at > now) {
            return;
        }
        self.failures = (self.failures + 1).min(10);
        let pause = (FIRST_PAUSE * 2u32.pow(self.failures)).min(MAX_PAUSE);
        self.not_before = Some(now + pause.mul_f64(dice));
    }

    /// When the pause ends, if reads wait for that.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.waiting.is_empty() && self.running < self.most)
    }

    /// True if nothing waits and nothing runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_bounded_and_pause_after_a_failure() {
        let room = |n: usize| RoomName::parse(&format!("r{n}")).unwrap();
        let now = Instant::now();
        let mut queue = ReadQueue::new(2);
        (0..3).for_each(|n| queue.queue(&room(n)));
        queue.queue(&room(2));
        assert_eq!(queue.start(now), Some(room(0)));
        assert_eq!(queue.start(now), Some(room(1)));
        assert_eq!(queue.start(now), None);
        queue.done();
        queue.failed(now, 1.0);
        assert_eq!(queue.start(now), None);
        let due = queue.due().unwrap();
        assert!(due > now && due <= now + MAX_PAUSE);
        assert_eq!(queue.start(due), Some(room(2)));
        assert!(queue.start(due).is_none() && !queue.is_idle());
        queue.done();
        assert!(queue.is_idle());
    }
}
