//! Which rooms are compared with Redis, and what is prolonged there: a slow round over this node's
//! rooms, and all of them at once after a change of the way to Redis. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_protocol::RoomName;
use tokio::time::Instant;

use crate::placement::partition::Partition;

/// Rooms in one comparison: one pipeline of cheap reads.
const ROOMS_PER_COMPARISON: usize = 256;
/// Upper bound of rooms compared per second in the slow round.
const MAX_ROOMS_PER_SECOND: usize = 500;
/// Partitions whose index is prolonged in one second.
const PARTITIONS_PER_SECOND: usize = 16;
/// Indexes in one audit.
const PARTITIONS_PER_AUDIT: usize = 64;
/// A room's hash and a partition's index are prolonged after this: well within `KEPT_MS`.
const PROLONG_AFTER: Duration = Duration::from_secs(1200);

/// A room to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DueComparison {
    pub(super) room: RoomName,
    /// Whether its hash is to be prolonged.
    pub(super) prolongs: bool,
}

/// A partition in which this incarnation wrote.
#[derive(Debug)]
struct WrittenPartition {
    /// When its index was last prolonged.
    prolonged: Instant,
    /// Whether Redis is known to have the incarnation among its writers.
    is_known: bool,
}

/// What is due when.
#[derive(Debug)]
pub(super) struct Upkeep {
    /// How long a round takes, unless the bound on the rate makes it longer.
    period: Duration,
    /// Every room, the one that was compared longest ago first.
    round: VecDeque<RoomName>,
    /// When each was last prolonged.
    prolonged: HashMap<RoomName, Instant>,
    /// Rooms to compare now.
    urgent: VecDeque<RoomName>,
    /// The fraction of a room that earlier seconds left over.
    credit: f64,
    /// The partitions in which this incarnation wrote.
    partitions: BTreeMap<Partition, WrittenPartition>,
    /// Audits that failed.
    audits_again: Vec<Partition>,
    /// Partitions whose index is to be compared with the desk.
    audits: VecDeque<Partition>,
    /// The last one of the slow round.
    audited: Partition,
}

impl Upkeep {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            round: VecDeque::new(),
            prolonged: HashMap::new(),
            urgent: VecDeque::new(),
            credit: 0.0,
            partitions: BTreeMap::new(),
            audits: VecDeque::new(),
            audits_again: Vec::new(),
            audited: Partition::default(),
        }
    }

    /// A room has members here.
    pub(super) fn add(&mut self, room: &RoomName, now: Instant) {
        if self.prolonged.insert(room.clone(), now).is_none() {
            self.round.push_back(room.clone());
        }
    }

    /// All rooms are to be compared now.
    pub(super) fn hurry(&mut self) {
        self.urgent = self.round.iter().cloned().collect();
        self.audits = self.partitions.keys().copied().collect();
    }

    /// The rooms of this second, unless those of an earlier one are still to be compared; `has` says
    /// which the desk still has.
    pub(super) fn second(&mut self, has: impl Fn(&RoomName) -> bool) {
        if !self.urgent.is_empty() {
            return;
        }
        let each_second = self.round.len() as f64 / self.period.as_secs_f64().max(0.1);
        self.credit += each_second.min(MAX_ROOMS_PER_SECOND as f64);
        let count = (self.credit as usize).min(self.round.len());
        self.credit = self.credit.fract();
        self.audits.extend(self.audits_again.drain(..));
        let after = (Bound::Excluded(self.audited), Bound::Unbounded);
        let next = self.partitions.range(after).chain(&self.partitions).next();
        if let Some((&partition, _)) = next.filter(|_| self.audits.len() < PARTITIONS_PER_AUDIT) {
            self.audited = partition;
            self.audits.push_back(partition);
        }
        for room in self.round.drain(..count).collect::<Vec<_>>() {
            if has(&room) {
                self.urgent.push_back(room.clone());
                self.round.push_back(room);
            } else {
                self.prolonged.remove(&room);
            }
        }
    }

    /// The next partitions whose index is to be compared with the desk.
    pub(super) fn next_audit(&mut self) -> Vec<Partition> {
        let count = self.audits.len().min(PARTITIONS_PER_AUDIT);
        self.audits.drain(..count).collect()
    }

    /// The next rooms to compare.
    pub(super) fn next(&mut self, now: Instant) -> Vec<DueComparison> {
        let count = self.urgent.len().min(ROOMS_PER_COMPARISON);
        let due = |room: RoomName| {
            let mut prolongs = false;
            if let Some(at) = self.prolonged.get_mut(&room)
                && now.duration_since(*at) >= PROLONG_AFTER
            {
                (*at, prolongs) = (now, true);
            }
            DueComparison { room, prolongs }
        };
        self.urgent.drain(..count).map(due).collect()
    }

    /// Whether this incarnation wrote in a partition.
    pub(super) fn is_written(&self, partition: Partition) -> bool {
        self.partitions.get(&partition).is_some_and(|written| written.is_known)
    }

    /// It did.
    pub(super) fn wrote(&mut self, partition: Partition, now: Instant) {
        let fresh = WrittenPartition { prolonged: now, is_known: true };
        self.partitions.entry(partition).or_insert(fresh).is_known = true;
    }

    /// Redis may not have the incarnation among the writers of a partition.
    pub(super) fn doubt(&mut self, partition: Partition) {
        if let Some(written) = self.partitions.get_mut(&partition) {
            written.is_known = false;
        }
    }

    /// The same for all.
    pub(super) fn doubt_all(&mut self) {
        self.partitions.values_mut().for_each(|written| written.is_known = false);
    }

    /// Another incarnation writes from now on.
    pub(super) fn begin_again(&mut self) {
        self.partitions.clear();
    }

    /// The index of a partition could not be read.
    pub(super) fn audit_again(&mut self, partition: Partition) {
        self.audits_again.push(partition);
    }

    /// Partitions whose index is to be prolonged in this second.
    pub(super) fn due_partitions(&mut self, now: Instant) -> Vec<Partition> {
        let due = self.partitions.iter_mut();
        let due = due.filter(|(_, it)| now.duration_since(it.prolonged) >= PROLONG_AFTER);
        let prolong = |(partition, it): (&Partition, &mut WrittenPartition)| {
            it.prolonged = now;
            *partition
        };
        due.map(prolong).take(PARTITIONS_PER_SECOND).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_its_period_and_prolongs_in_time() {
        let room = |n: usize| RoomName::parse(&format!("r{n}")).unwrap();
        let (mut upkeep, start) = (Upkeep::new(Duration::from_secs(30)), Instant::now());
        (0..60).for_each(|n| upkeep.add(&room(n), start));
        upkeep.second(|_| true);
        let due = |room| DueComparison { room, prolongs: false };
        assert_eq!(upkeep.next(start), [due(room(0)), due(room(1))]);
        upkeep.second(|it| *it == room(3));
        let prolonged = DueComparison { room: room(3), prolongs: true };
        assert_eq!(upkeep.next(start + PROLONG_AFTER), [prolonged]);
        upkeep.hurry();
        assert_eq!(upkeep.next(start).len(), 59);
        // What is not compared does not pile up.
        (0..1_000).for_each(|_| upkeep.second(|_| true));
        assert_eq!(upkeep.next(start).len(), 1);
        let partition = Partition::of(&room(1));
        upkeep.wrote(partition, start);
        for _ in 0..1_000 {
            upkeep.second(|_| true);
            upkeep.next(start);
        }
        assert_eq!(upkeep.next_audit().len(), PARTITIONS_PER_AUDIT);
        assert!(upkeep.next_audit().is_empty());
        assert!(upkeep.due_partitions(start).is_empty());
        assert_eq!(upkeep.due_partitions(start + PROLONG_AFTER), [partition]);
        assert!(upkeep.due_partitions(start + PROLONG_AFTER).is_empty());
    }
}
