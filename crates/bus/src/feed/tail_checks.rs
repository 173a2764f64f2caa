//! Which rooms' tails are compared with Redis, and when: at once after a resubscription, otherwise
//! by a slow sweep of bounded rate. Pure; the lane makes the comparison.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashSet;
use roomcast_protocol::RoomName;

/// Rooms per comparison: one pipeline of cheap reads.
pub(crate) const ROOMS_PER_COMPARISON: usize = 256;
/// Upper bound of rooms swept per second: a node with many rooms sweeps each one less often.
const MAX_ROOMS_PER_SECOND: usize = 500;

/// The comparisons that one lane has to make.
#[derive(Debug)]
pub(crate) struct TailChecks {
    /// Rooms subscribed again, in the order of their confirmations.
    resubscribed: VecDeque<RoomName>,
    /// Every room, the one that was swept longest ago first. A closed room is removed when it is
    /// due.
    round: VecDeque<RoomName>,
    /// The rooms in `round`, so that none is there twice.
    members: HashSet<RoomName>,
    /// The fraction of a room that earlier seconds left over.
    credit: f64,
    /// How long a round takes, unless the bound on the rate makes it longer.
    period: Duration,
}

impl TailChecks {
    /// Sweeps every room once in this time, if the rate allows.
    pub(crate) fn new(period: Duration) -> Self {
        Self {
            resubscribed: VecDeque::new(),
            round: VecDeque::new(),
            members: HashSet::new(),
            credit: 0.0,
            period,
        }
    }

    /// A room was opened: it joins the rounds.
    pub(crate) fn add(&mut self, room: &RoomName) {
        if self.members.insert(room.clone()) {
            self.round.push_back(room.clone());
        }
    }

    /// A room was subscribed again.
    pub(crate) fn resubscribed(&mut self, room: RoomName) {
        self.resubscribed.push_back(room);
    }

    /// The connection is lost: its rooms will be subscribed again.
    pub(crate) fn reset(&mut self) {
        self.resubscribed.clear();
    }

    /// The next rooms to compare after a resubscription.
    pub(crate) fn next_resubscribed(&mut self) -> Vec<RoomName> {
        let count = self.resubscribed.len().min(ROOMS_PER_COMPARISON);
        self.resubscribed.drain(..count).collect()
    }

    /// The rooms to sweep in this second; `is_open` says which rooms are still open.
    pub(crate) fn sweep(&mut self, is_open: impl Fn(&RoomName) -> bool) -> Vec<RoomName> {
        let each_second = self.round.len() as f64 / self.period.as_secs_f64().max(0.1);
        self.credit += each_second.min(MAX_ROOMS_PER_SECOND as f64);
        let count = (self.credit as usize).min(self.round.len());
        self.credit = self.credit.fract();
        let mut rooms: Vec<_> = self.round.drain(..count).collect();
        rooms.retain(|room| is_open(room) || !self.members.remove(room));
        self.round.extend(rooms.iter().cloned());
        rooms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_its_period_and_drops_the_closed() {
        let room = |n: usize| RoomName::parse(&format!("r{n}")).unwrap();
        let mut tails = TailChecks::new(Duration::from_secs(30));
        (0..60).for_each(|n| tails.add(&room(n)));
        assert_eq!(tails.sweep(|_| true), [room(0), room(1)]);
        tails.add(&room(1));
        assert_eq!(tails.sweep(|r| *r == room(3)), [room(3)]);
        assert_eq!(tails.round.len(), 59);
        let turns = (0..30).map(|_| tails.sweep(|_| true).len()).sum::<usize>();
        assert!((58..=59).contains(&turns), "a round in its period: {turns}");
        (60..60_000).for_each(|n| tails.add(&room(n)));
        assert_eq!(tails.sweep(|_| true).len(), MAX_ROOMS_PER_SECOND);
    }
}
