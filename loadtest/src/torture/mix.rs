//! Which faults each topology knows, and how often each comes.

use super::fault::{Kind, Trouble};
use super::topology::Topology;

/// Faults and how often each comes, in parts of the sum.
pub(super) fn mix(topology: Topology) -> Vec<(Kind, u64)> {
    let own = match topology {
        Topology::Standalone | Topology::Servers => [REDIS, LINKS].concat(),
        Topology::Sentinel => SENTINEL.to_vec(),
        Topology::Cluster => CLUSTER.to_vec(),
    };
    [ALWAYS, &own].concat()
}

/// What can befall nodes and clients.
const ALWAYS: &[(Kind, u64)] = &[
    (Kind::NodeKill, 12),
    (Kind::NodeStop, 12),
    (Kind::NodeDrain, 8),
    (Kind::Front(Trouble::Away), 3),
    (Kind::Front(Trouble::Cut), 2),
    (Kind::Front(Trouble::Reset), 3),
    (Kind::Front(Trouble::HalfClosed), 3),
    (Kind::Front(Trouble::Black), 4),
    (Kind::Front(Trouble::Mute), 3),
    (Kind::Front(Trouble::Held), 4),
    (Kind::Front(Trouble::Late), 4),
    (Kind::Front(Trouble::Narrow), 4),
    (Kind::Front(Trouble::Sliced), 4),
    (Kind::Disconnects, 8),
    (Kind::Stalls, 8),
];

/// What can befall servers that stand alone.
const REDIS: &[(Kind, u64)] = &[
    (Kind::RedisStop, 10),
    (Kind::RedisKill, 8),
    (Kind::RedisWipe, 3),
    (Kind::PushesCut, 8),
    (Kind::CallsCut, 6),
    (Kind::PauseWrites, 5),
    (Kind::PauseAll, 5),
];

/// What can befall a node's way to a server.
const LINKS: &[(Kind, u64)] = &[
    (Kind::Link(Trouble::Away), 7),
    (Kind::Link(Trouble::Cut), 3),
    (Kind::Link(Trouble::Reset), 5),
    (Kind::Link(Trouble::HalfClosed), 5),
    (Kind::Link(Trouble::Black), 6),
    (Kind::Link(Trouble::Mute), 5),
    (Kind::Link(Trouble::Held), 5),
    (Kind::Link(Trouble::Late), 6),
    (Kind::Link(Trouble::Narrow), 5),
    (Kind::Link(Trouble::Sliced), 5),
];

const SENTINEL: &[(Kind, u64)] = &[
    (Kind::RedisStop, 14),
    (Kind::RedisKill, 16),
    (Kind::Failover, 14),
    (Kind::SentinelKill, 8),
    (Kind::PushesCut, 10),
    (Kind::CallsCut, 10),
    (Kind::PauseWrites, 6),
    (Kind::PauseAll, 6),
];

const CLUSTER: &[(Kind, u64)] = &[
    (Kind::RedisStop, 12),
    (Kind::RedisKill, 14),
    (Kind::Failover, 14),
    (Kind::SlotMove, 24),
    (Kind::PushesCut, 10),
    (Kind::CallsCut, 10),
    (Kind::PauseWrites, 6),
    (Kind::PauseAll, 6),
];
