//! Which primary has a room: by rendezvous hashing among named servers, by hash slot in a Redis
//! Cluster. Pure; every node computes the same answer from the same list.

pub(crate) mod address;
pub(crate) mod cluster_layout;
pub(crate) mod describe;
pub(crate) mod endpoint;
pub(crate) mod keys;
pub(crate) mod partition;

use std::hash::Hasher;

use roomcast_protocol::RoomName;

use keys::Keyspace;
use partition::Partition;

/// Slots of a Redis Cluster (Redis Cluster specification, key distribution model).
pub(crate) const SLOTS: u16 = 16384;

/// How rooms are spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Over servers with these names: a change of the list moves the rooms of the servers that were
    /// added or removed, and no others.
    Names(Vec<String>),
    /// By the owner of the room's slot: for each slot the index of its primary.
    Slots(Vec<Option<u16>>),
}

impl Placement {
    /// The index of a room's primary; `None` where its slot has no owner.
    pub(crate) fn of(&self, keys: &Keyspace, room: &RoomName) -> Option<usize> {
        match self {
            // One server has every room of every partition.
            Self::Names(names) if names.len() == 1 => Some(0),
            _ => self.of_partition(keys, Partition::of(room)),
        }
    }

    /// The index of a partition's primary; `None` where its slot has no owner.
    pub(crate) fn of_partition(&self, keys: &Keyspace, partition: Partition) -> Option<usize> {
        match self {
            Self::Names(names) => {
                let partition = partition.number().to_string();
                let score = |(_, name): &(usize, &String)| weight(name, &partition);
                names.iter().enumerate().max_by_key(score).map(|(index, _)| index)
            }
            Self::Slots(owners) => owners[usize::from(keys.slot(partition))].map(usize::from),
        }
    }
}

/// The slot of a room's keys and channel: the hash of their common tag.
pub(crate) fn slot_of(keys: &Keyspace, room: &RoomName) -> u16 {
    keys.slot(Partition::of(room))
}

/// How much a partition prefers a server (rendezvous, or highest random weight, hashing). Nodes of
/// different builds must compute the same value: 64-bit FNV-1a, then a finalizer, because FNV alone
/// leaves the bits of names that differ in their last letters too similar.
fn weight(name: &str, partition: &str) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(name.as_bytes());
    hash.write(&[0]);
    hash.write(partition.as_bytes());
    let mut mixed = hash.finish();
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Placement {
        Placement::Names(names.iter().map(ToString::to_string).collect())
    }

    fn rooms() -> impl Iterator<Item = RoomName> {
        (0..3000).map(|n| RoomName::parse(&format!("chat:{n}")).unwrap())
    }

    #[test]
    fn servers_share_evenly_and_the_lists_order_does_not_matter() {
        let keys = Keyspace::new("rc");
        let (one, other) = (names(&["a", "b", "c"]), names(&["c", "a", "b"]));
        let mut shares = [0; 3];
        for room in rooms() {
            let at = one.of(&keys, &room).unwrap();
            assert_eq!(other.of(&keys, &room).unwrap(), (at + 1) % 3);
            shares[at] += 1;
        }
        assert!(shares.iter().all(|share| (850..1150).contains(share)), "{shares:?}");
    }

    #[test]
    fn a_new_server_takes_its_share_and_moves_nothing_else() {
        let keys = Keyspace::new("rc");
        let (before, after) = (names(&["a", "b"]), names(&["a", "b", "c"]));
        let mut moved = 0;
        for room in rooms() {
            let at = (before.of(&keys, &room).unwrap(), after.of(&keys, &room).unwrap());
            assert!(at.0 == at.1 || at.1 == 2);
            moved += usize::from(at.1 == 2);
        }
        assert!((850..1150).contains(&moved), "{moved}");
    }

    #[test]
    fn a_room_lies_where_its_partitions_slot_does() {
        let keys = Keyspace::new("rc");
        let room = RoomName::parse("chat:1").unwrap();
        let mut owners = vec![None; usize::from(SLOTS)];
        let slot = slot_of(&keys, &room);
        assert_eq!(slot / 16, Partition::of(&room).number());
        assert_eq!(Placement::Slots(owners.clone()).of(&keys, &room), None);
        owners[usize::from(slot)] = Some(2);
        assert_eq!(Placement::Slots(owners).of(&keys, &room), Some(2));
    }
}
