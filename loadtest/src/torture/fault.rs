//! The kinds of faults: what each hits, how long it lasts, what it may do to Redis's data, and how
//! often it comes in which topology.

use serde::{Serialize, Serializer};

use super::topology::Topology;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// SIGKILL of a node, and a start.
    NodeKill,
    /// SIGSTOP of a node, and SIGCONT.
    NodeStop,
    /// SIGTERM of a node; started again when it has ended.
    NodeDrain,
    /// SIGSTOP of Redis, and SIGCONT.
    RedisStop,
    /// SIGKILL of Redis, and a start with what it kept on disk: all of it.
    RedisKill,
    /// SIGKILL of Redis, and a start without its data.
    RedisWipe,
    /// `CLIENT KILL` of all that subscribe.
    PushesCut,
    /// `CLIENT KILL` of all that call.
    CallsCut,
    /// `CLIENT PAUSE` of writes.
    PauseWrites,
    /// `CLIENT PAUSE` of everything.
    PauseAll,
    /// Something on the way between one node and Redis.
    Link(Trouble),
    /// Something on the way between clients and one node.
    Front(Trouble),
    /// Clients of all kinds lose their connections.
    Disconnects,
    /// Members read nothing for a while.
    Stalls,
}

/// What can happen on a TCP way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// Open connections are cut, new ones are refused.
    Away,
    /// Open connections are cut; new ones are taken.
    Cut,
    /// Requests pass, answers do not.
    Mute,
}

/// What a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Node,
    /// A node's way to Redis.
    Link,
    /// The clients' way to a node.
    Front,
    Redis,
    Clients,
}

/// What a fault may do to Redis's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Harm {
    /// Nothing.
    None,
    /// It is another life afterwards, with all of its data: epochs change, nothing is lost.
    Renews,
    /// What it acknowledged may be gone.
    Loses,
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Cut => "cut",
            Self::Mute => "mute",
        }
    }
}

impl Kind {
    /// A few words.
    pub(super) fn name(self) -> String {
        match self {
            Self::NodeKill => "node killed".to_owned(),
            Self::NodeStop => "node stopped".to_owned(),
            Self::NodeDrain => "node drained".to_owned(),
            Self::RedisStop => "Redis stopped".to_owned(),
            Self::RedisKill => "Redis killed".to_owned(),
            Self::RedisWipe => "Redis emptied".to_owned(),
            Self::PushesCut => "pushes cut".to_owned(),
            Self::CallsCut => "calls cut".to_owned(),
            Self::PauseWrites => "writes paused".to_owned(),
            Self::PauseAll => "Redis paused".to_owned(),
            Self::Link(trouble) => format!("Redis link {}", trouble.name()),
            Self::Front(trouble) => format!("client link {}", trouble.name()),
            Self::Disconnects => "clients cut".to_owned(),
            Self::Stalls => "members stalled".to_owned(),
        }
    }

    /// What it hits.
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::NodeKill | Self::NodeStop | Self::NodeDrain => Scope::Node,
            Self::Link(_) => Scope::Link,
            Self::Front(_) => Scope::Front,
            Self::Disconnects | Self::Stalls => Scope::Clients,
            _ => Scope::Redis,
        }
    }

    /// What it may do to Redis's data.
    pub(super) fn harm(self) -> Harm {
        match self {
            Self::RedisWipe => Harm::Loses,
            Self::RedisKill => Harm::Renews,
            _ => Harm::None,
        }
    }

    /// From and to how many ms it lasts. Some stay below the time after which the other side takes
    /// the connection for dead, some go beyond.
    pub(super) fn lasts(self) -> (u64, u64) {
        match self {
            Self::NodeKill | Self::NodeDrain => (200, 3_000),
            Self::NodeStop => (200, 7_000),
            Self::RedisStop | Self::PauseAll | Self::PauseWrites => (200, 4_000),
            Self::RedisKill | Self::RedisWipe => (100, 2_000),
            Self::Link(Trouble::Cut) | Self::Front(Trouble::Cut) => (0, 0),
            Self::Link(_) | Self::Front(_) => (300, 6_000),
            Self::Stalls => (500, 8_000),
            Self::PushesCut | Self::CallsCut | Self::Disconnects => (0, 0),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// Which faults a topology knows, and how often each comes.
pub(super) fn mix(topology: Topology) -> &'static [(Kind, u64)] {
    match topology {
        Topology::Standalone => STANDALONE,
    }
}

const STANDALONE: &[(Kind, u64)] = &[
    (Kind::NodeKill, 10),
    (Kind::NodeStop, 10),
    (Kind::NodeDrain, 6),
    (Kind::RedisStop, 8),
    (Kind::RedisKill, 6),
    (Kind::RedisWipe, 2),
    (Kind::PushesCut, 6),
    (Kind::CallsCut, 6),
    (Kind::PauseWrites, 4),
    (Kind::PauseAll, 4),
    (Kind::Link(Trouble::Away), 7),
    (Kind::Link(Trouble::Cut), 5),
    (Kind::Link(Trouble::Mute), 6),
    (Kind::Front(Trouble::Away), 4),
    (Kind::Front(Trouble::Cut), 4),
    (Kind::Front(Trouble::Mute), 4),
    (Kind::Disconnects, 6),
    (Kind::Stalls, 6),
];
