//! Time to repair: from the end of a fault until every member of a room has a message that was
//! published after it. Pure.

use std::collections::HashMap;
use std::time::Duration;

use super::checker::MemberId;
use super::journal::Content;

/// What waits for its repair, and what was repaired.
pub(super) struct Repairs {
    /// Members of each room.
    rooms: Vec<Vec<MemberId>>,
    open: Vec<Open>,
    pub(super) done: Vec<Repaired>,
}

/// One room after one fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repaired {
    /// The fault's number in the schedule.
    pub(super) fault: usize,
    pub(super) at: Duration,
    pub(super) took: Duration,
    /// The last member to have something new.
    pub(super) last: MemberId,
}

struct Open {
    fault: usize,
    end: Duration,
    /// Each publisher's first message after the end.
    from: HashMap<u32, u32>,
    /// By member: whether it is still without.
    without: Vec<bool>,
    /// By room: how many are.
    left: Vec<usize>,
}

impl Repairs {
    /// For rooms with these members.
    pub(super) fn new(rooms: Vec<Vec<MemberId>>) -> Self {
        Self { rooms, open: Vec::new(), done: Vec::new() }
    }

    /// Whether every room is whole again after every fault.
    pub(super) fn is_whole(&self) -> bool {
        self.open.is_empty()
    }

    /// The faults that are not repaired in all rooms.
    pub(super) fn pending(&self) -> impl Iterator<Item = usize> {
        self.open.iter().map(|open| open.fault)
    }

    /// A fault ended, and these are the publishers' next messages. Members that do not read just
    /// now are not waited for.
    pub(super) fn ended(
        &mut self,
        fault: usize,
        end: Duration,
        from: HashMap<u32, u32>,
        reads: impl Fn(MemberId) -> bool,
    ) {
        let members = self.rooms.iter().flatten().max().map_or(0, |last| last + 1);
        let mut open = Open {
            fault,
            end,
            from,
            without: vec![false; members],
            left: vec![0; self.rooms.len()],
        };
        for (room, members) in self.rooms.iter().enumerate() {
            for &member in members.iter().filter(|&&member| reads(member)) {
                open.without[member] = true;
                open.left[room] += 1;
            }
        }
        self.open.push(open);
    }

    /// A member stops reading: nobody waits for it.
    pub(super) fn stalled(&mut self, member: MemberId, room: usize, now: Duration) {
        self.strike(member, room, now, |_| true);
    }

    /// A member got a message.
    pub(super) fn heard(&mut self, member: MemberId, room: usize, content: Content, now: Duration) {
        if self.open.is_empty() {
            return;
        }
        self.strike(member, room, now, |open| {
            open.from.get(&content.publisher).is_some_and(|&from| content.number >= from)
        });
    }

    fn strike(
        &mut self,
        member: MemberId,
        room: usize,
        now: Duration,
        counts: impl Fn(&Open) -> bool,
    ) {
        for open in &mut self.open {
            let is_without = open.without.get(member) == Some(&true);
            if is_without && counts(open) {
                open.without[member] = false;
                open.left[room] -= 1;
                if open.left[room] == 0 {
                    let took = now.saturating_sub(open.end);
                    self.done.push(Repaired { fault: open.fault, at: now, took, last: member });
                }
            }
        }
        self.open.retain(|open| open.left.iter().any(|&left| left > 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_room_is_repaired_when_its_last_member_has_something_new() {
        let mut repairs = Repairs::new(vec![vec![0, 1], vec![2]]);
        repairs.ended(7, SECOND, HashMap::from([(0, 5), (1, 9)]), |_| true);
        let message = |publisher, number| Content { publisher, number };
        repairs.heard(0, 0, message(0, 4), 2 * SECOND);
        repairs.heard(1, 0, message(0, 5), 2 * SECOND);
        assert!(repairs.done.is_empty());
        repairs.heard(0, 0, message(0, 6), 3 * SECOND);
        assert_eq!((repairs.done.len(), repairs.done[0].took), (1, 2 * SECOND));
        assert_eq!(repairs.pending().collect::<Vec<_>>(), [7]);
        repairs.heard(2, 1, message(1, 9), 4 * SECOND);
        assert!(repairs.is_whole() && repairs.done.len() == 2);
    }

    #[test]
    fn nobody_waits_for_a_member_that_does_not_read() {
        let mut repairs = Repairs::new(vec![vec![0, 1]]);
        repairs.ended(1, SECOND, HashMap::from([(0, 0)]), |member| member != 1);
        repairs.stalled(0, 0, 2 * SECOND);
        assert!(repairs.is_whole());
    }
}
