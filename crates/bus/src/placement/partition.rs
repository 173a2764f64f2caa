//! Partitions: 1,024 fixed shares of all rooms. A room's partition decides the hash tag of its keys
//! and its channel, and so its slot in a cluster and its server in a list. Pure.

use roomcast_protocol::RoomName;

use super::SLOTS;

/// Number of partitions: a constant of the layout of keys.
pub(crate) const PARTITIONS: u16 = 1024;
/// Slots of a cluster in which one partition's tag may be.
const SLOTS_PER_PARTITION: u16 = SLOTS / PARTITIONS;

/// One of the 1,024 shares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Partition(u16);

impl Partition {
    /// The partition of data of the whole cluster, such as leases.
    pub(crate) const CONTROL: Self = Self(0);

    /// The partition of a room: its name's CRC-16/XMODEM, modulo the slots of a cluster, in shares
    /// of 16.
    pub(crate) fn of(room: &RoomName) -> Self {
        Self(slot(room.as_str()) / SLOTS_PER_PARTITION)
    }

    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// Its number, below 1,024.
    pub(crate) fn number(self) -> u16 {
        self.0
    }
}

/// The slot of a hash tag (Redis Cluster specification, key distribution model).
pub(crate) fn slot(tag: &str) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS
}

/// The hash tag of every partition under one prefix: `PREFIX:n`, where n is the smallest number
/// whose slot is one of the partition's sixteen. So partitions are spread evenly over slots, and
/// neighbours move together when a range of slots moves.
#[derive(Debug)]
pub(crate) struct PartitionTags(Box<[PartitionTag]>);

#[derive(Debug, Clone, Copy, Default)]
struct PartitionTag {
    number: u16,
    slot: u16,
}

impl PartitionTags {
    /// The tags under an escaped prefix.
    pub(crate) fn new(prefix: &str) -> Self {
        let mut tags = vec![None; usize::from(PARTITIONS)];
        let mut missing = tags.len();
        // For every prefix the last one is found by 3,757: another prefix permutes the checksums.
        for number in 0..u16::MAX {
            let slot = slot(&format!("{prefix}:{number}"));
            let tag = &mut tags[usize::from(slot / SLOTS_PER_PARTITION)];
            if tag.is_none() {
                *tag = Some(PartitionTag { number, slot });
                missing -= 1;
                if missing == 0 {
                    break;
                }
            }
        }
        Self(tags.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// The number behind the prefix.
    pub(crate) fn number(&self, partition: Partition) -> u16 {
        self.0[usize::from(partition.0)].number
    }

    /// The slot of the partition's keys and channels in a cluster.
    pub(crate) fn slot(&self, partition: Partition) -> u16 {
        self.0[usize::from(partition.0)].slot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The slots are those that `CLUSTER KEYSLOT` of Redis answers.
    #[test]
    fn the_checksum_is_rediss() {
        assert_eq!(slot("123456789"), 0x31c3 % SLOTS);
        let room = RoomName::parse("123456789").unwrap();
        assert_eq!(Partition::of(&room).number(), 0x31c3 / SLOTS_PER_PARTITION);
    }

    #[test]
    fn every_partition_has_its_own_tag_in_its_own_slots() {
        for prefix in ["roomcast", "rc", "p%7Bu", "a"] {
            let tags = PartitionTags::new(prefix);
            let mut last = 0;
            for partition in (0..PARTITIONS).map(Partition) {
                let (number, at) = (tags.number(partition), tags.slot(partition));
                assert_eq!(slot(&format!("{prefix}:{number}")), at);
                assert_eq!(at / SLOTS_PER_PARTITION, partition.0);
                last = last.max(number);
            }
            assert!(last <= 3757, "{prefix}: {last}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_prefix_needs_more_numbers(prefix in "[a-z0-9:._-]{1,64}") {
            let tags = PartitionTags::new(&prefix);
            for partition in (0..PARTITIONS).map(Partition) {
                prop_assert!(tags.number(partition) <= 3757);
                prop_assert_eq!(tags.slot(partition) / SLOTS_PER_PARTITION, partition.0);
            }
        }
    }
}
