//! The closed loop: in each room at most so many messages are on their way that not every member
//! has received yet. Pure bookkeeping; it is told of deliveries and says where to publish next.

use std::collections::VecDeque;

use anyhow::{Result, bail};

/// One room of the loop.
#[derive(Debug, Default)]
struct Room {
    members: u32,
    /// Messages that every member has received.
    done: u64,
    /// For each message after those, how many members still wait for it.
    waiting: VecDeque<u32>,
}

/// All rooms of the loop.
#[derive(Debug)]
pub(crate) struct Window {
    rooms: Vec<Room>,
    /// One entry for each message that a room may publish now, rooms in turn.
    open: VecDeque<usize>,
    in_flight: usize,
    cap: usize,
    delivered: u64,
}

impl Window {
    /// A loop with `window` messages on their way in each room, and at most `cap` in all.
    pub(crate) fn new(members: &[u32], window: usize, cap: usize) -> Self {
        let rooms = members.iter().map(|&members| Room { members, ..Room::default() }).collect();
        let peopled = (0..members.len()).filter(|&room| members[room] > 0);
        let open = (0..window).flat_map(|_| peopled.clone()).collect();
        Self { rooms, open, in_flight: 0, cap: cap.max(1), delivered: 0 }
    }

    /// The room in which to publish one message now, if any.
    pub(crate) fn next(&mut self) -> Option<usize> {
        if self.in_flight >= self.cap {
            return None;
        }
        let room = self.open.pop_front()?;
        self.in_flight += 1;
        let Room { members, waiting, .. } = &mut self.rooms[room];
        waiting.push_back(*members);
        Some(room)
    }

    /// A member that had received `before` messages of its room got `frames` more.
    ///
    /// Fails if that is more than was published.
    pub(crate) fn deliver(&mut self, number: usize, before: u64, frames: u32) -> Result<()> {
        let room = &mut self.rooms[number];
        let sent = room.done + room.waiting.len() as u64;
        let after = before + u64::from(frames);
        if after > sent || before < room.done {
            bail!("a member of room {number} got message {after} and {sent} were published");
        }
        let (from, to) = ((before - room.done) as usize, (after - room.done) as usize);
        for waiting in room.waiting.range_mut(from..to) {
            *waiting -= 1;
        }
        self.delivered += u64::from(frames);
        while room.waiting.front() == Some(&0) {
            room.waiting.pop_front();
            room.done += 1;
            self.in_flight -= 1;
            self.open.push_back(number);
        }
        Ok(())
    }

    /// Messages that not every member has received.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Deliveries so far, over all members.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_message_waits_for_the_slowest_member() {
        let mut window = Window::new(&[2], 1, 100);
        assert_eq!(window.next(), Some(0));
        assert_eq!(window.next(), None);
        window.deliver(0, 0, 1).unwrap();
        assert_eq!(window.next(), None);
        window.deliver(0, 0, 1).unwrap();
        assert_eq!((window.in_flight(), window.delivered()), (0, 2));
        assert_eq!(window.next(), Some(0));
    }

    #[test]
    fn rooms_take_turns_under_a_common_cap() {
        let mut window = Window::new(&[1, 0, 1], 2, 3);
        let rooms: Vec<_> = std::iter::from_fn(|| window.next()).collect();
        assert_eq!(rooms, [0, 2, 0]);
        window.deliver(0, 0, 2).unwrap();
        let rooms: Vec<_> = std::iter::from_fn(|| window.next()).collect();
        assert_eq!(rooms, [2, 0], "a room without members is never published in");
    }

    #[test]
    fn several_at_once_and_out_of_step() {
        let mut window = Window::new(&[2], 3, 100);
        while window.next().is_some() {}
        window.deliver(0, 0, 3).unwrap();
        assert_eq!(window.in_flight(), 3);
        window.deliver(0, 0, 2).unwrap();
        assert_eq!(window.in_flight(), 1);
        window.deliver(0, 2, 1).unwrap();
        assert_eq!((window.in_flight(), window.delivered()), (0, 6));
    }

    #[test]
    fn more_than_was_published_is_an_error() {
        let mut window = Window::new(&[1], 1, 100);
        assert_eq!(window.next(), Some(0));
        assert!(window.deliver(0, 0, 2).is_err());
    }
}
