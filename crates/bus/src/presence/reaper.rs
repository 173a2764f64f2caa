//! Which partitions are looked at for members of dead incarnations, and which incarnations are dead
//! there. Every partition has one node that looks, by the table of leases. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::leases::{Incarnation, LeaseNews};
use crate::placement::partition::{PARTITIONS, Partition};

/// How often every partition is looked at without a reason, in advances, of which one comes about
/// every second.
const ADVANCES_PER_ROUND: u16 = 300;
/// Advances until a writer that was found without a lease and without a mark counts as dead. Two would
/// do to see a lease that is new; nodes that take another list of servers one after the other have
/// more time.
const ADVANCES_TO_JUDGE: u64 = 30;

/// An incarnation whose members are to be removed from a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeadWriter {
    pub(super) partition: Partition,
    pub(super) incarnation: Incarnation,
    /// When it last advanced, in ms of Redis's clock; 0 if that is unknown.
    pub(super) last_advance: u64,
}

/// The reaper's state.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    live: Arc<BTreeSet<Incarnation>>,
    dead: BTreeSet<Incarnation>,
    /// Partitions to look at.
    queue: VecDeque<Partition>,
    queued: BTreeSet<Partition>,
    /// The next partition of the slow round.
    cursor: u16,
    /// Writers that have no lease, with the number of advances when they were found.
    suspects: BTreeMap<(Partition, Incarnation), u64>,
}

impl Reaper {
    /// An advance was answered.
    pub(super) fn advanced(&mut self, news: &LeaseNews) {
        let dead: BTreeSet<_> = news.details.last_advances.keys().copied().collect();
        if self.live != news.live || self.dead != dead {
            // Another node may look at each partition from now on.
            self.live = news.live.clone();
            self.dead = dead;
            Partition::all().for_each(|partition| self.look_at(partition));
        }
        for _ in 0..PARTITIONS.div_ceil(ADVANCES_PER_ROUND) {
            self.look_at(Partition::all().nth(usize::from(self.cursor)).unwrap_or_default());
            self.cursor = (self.cursor + 1) % PARTITIONS;
        }
    }

    /// A partition is to be looked at.
    pub(super) fn look_at(&mut self, partition: Partition) {
        if self.queued.insert(partition) {
            self.queue.push_back(partition);
        }
    }

    /// The next partitions that the node of this incarnation looks at.
    pub(super) fn next(&mut self, own: Incarnation, most: usize) -> Vec<Partition> {
        let mut next = Vec::new();
        while next.len() < most
            && let Some(partition) = self.queue.pop_front()
        {
            self.queued.remove(&partition);
            if self.looker(partition) == Some(own) {
                next.push(partition);
            }
        }
        next
    }

    /// The node that looks at a partition: rendezvous hashing over those that live.
    fn looker(&self, partition: Partition) -> Option<Incarnation> {
        self.live.iter().copied().max_by_key(|incarnation| weight(*incarnation, partition))
    }

    /// These incarnations wrote in a partition.
    pub(super) fn found(&mut self, partition: Partition, writers: &[Incarnation], advances: u64) {
        for writer in writers.iter().filter(|writer| !self.live.contains(writer)) {
            self.suspects.entry((partition, *writer)).or_insert(advances);
        }
    }

    /// The writers that are dead.
    pub(super) fn judge(&mut self, news: &LeaseNews) -> Vec<DeadWriter> {
        self.suspects.retain(|(_, incarnation), _| !news.live.contains(incarnation));
        let mut dead = Vec::new();
        self.suspects.retain(|&(partition, incarnation), found| {
            let marked = news.details.last_advances.get(&incarnation).copied();
            if marked.is_some() || news.advances >= *found + ADVANCES_TO_JUDGE {
                let last_advance = marked.unwrap_or_default();
                dead.push(DeadWriter { partition, incarnation, last_advance });
                return false;
            }
            true
        });
        dead
    }
}

/// The same on every node: the finalizer of splitmix64.
fn weight(incarnation: Incarnation, partition: Partition) -> u64 {
    let mut mixed =
        incarnation.0 ^ u64::from(partition.number()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leases::LeaseDetails;

    fn news(advances: u64, live: &[u64], dead: &[u64]) -> LeaseNews {
        let last_advances = dead.iter().map(|id| (Incarnation(*id), 7)).collect();
        let mut news = LeaseNews::default();
        news.incarnation = Some(Incarnation(1));
        news.advances = advances;
        news.live = Arc::new(live.iter().map(|id| Incarnation(*id)).collect());
        news.details = Arc::new(LeaseDetails { connections: 0, last_advances });
        news
    }

    fn share(reaper: &mut Reaper, own: u64) -> BTreeSet<Partition> {
        reaper.next(Incarnation(own), usize::MAX).into_iter().collect()
    }

    #[test]
    fn every_partition_has_one_node_that_looks() {
        let shares = [1, 2, 3].map(|own| {
            let mut reaper = Reaper::default();
            reaper.advanced(&news(1, &[1, 2, 3], &[]));
            share(&mut reaper, own)
        });
        let sizes = shares.each_ref().map(BTreeSet::len);
        assert_eq!(sizes.iter().sum::<usize>(), usize::from(PARTITIONS));
        assert!(sizes.iter().all(|size| (270..=410).contains(size)), "{sizes:?}");
        assert!(shares[0].is_disjoint(&shares[1]));
    }

    #[test]
    fn a_change_of_the_leases_looks_at_all_and_time_at_some() {
        let mut reaper = Reaper::default();
        reaper.advanced(&news(1, &[1], &[]));
        assert_eq!(share(&mut reaper, 1).len(), usize::from(PARTITIONS));
        reaper.advanced(&news(2, &[1], &[]));
        assert_eq!(share(&mut reaper, 1).len(), 4);
        let round: BTreeSet<_> = (0..ADVANCES_PER_ROUND)
            .flat_map(|n| {
                reaper.advanced(&news(u64::from(n) + 3, &[1], &[]));
                share(&mut reaper, 1)
            })
            .collect();
        assert_eq!(round.len(), usize::from(PARTITIONS));
        reaper.advanced(&news(400, &[1], &[2]));
        assert_eq!(share(&mut reaper, 1).len(), usize::from(PARTITIONS));
    }

    #[test]
    fn a_writer_without_a_lease_is_judged_by_a_later_table() {
        let mut reaper = Reaper::default();
        let partition = Partition::CONTROL;
        reaper.advanced(&news(5, &[1, 2], &[3]));
        let writers = [1, 2, 3, 4, 5].map(Incarnation);
        reaper.found(partition, &writers, 5);
        let dead =
            |id, last_advance| DeadWriter { partition, incarnation: Incarnation(id), last_advance };
        assert_eq!(reaper.judge(&news(5, &[1, 2], &[3])), [dead(3, 7)]);
        // One of the unknown was new: the next table has it.
        assert_eq!(reaper.judge(&news(6, &[1, 2, 4], &[3])), []);
        assert_eq!(reaper.judge(&news(34, &[1, 2, 4], &[3])), []);
        assert_eq!(reaper.judge(&news(35, &[1, 2, 4], &[3])), [dead(5, 0)]);
        assert_eq!(reaper.judge(&news(36, &[1, 2], &[3])), []);
    }
}
