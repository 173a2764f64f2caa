//! The kinds of faults: what each hits, how long it lasts, what it may do to Redis's data.

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
    /// SIGKILL of Redis, and a start with what it kept on disk: all of it, or, where a replica
    /// takes over, nothing.
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
    /// A replica is told to take over.
    Failover,
    /// SIGKILL of a sentinel, and a start.
    SentinelKill,
    /// A room's slot moves to another primary.
    SlotMove,
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
    /// Open connections are reset, new ones are refused.
    Away,
    /// Open connections are closed; new ones are taken.
    Cut,
    /// Open connections are reset; new ones are taken.
    Reset,
    /// Open connections end in one direction; new ones are taken.
    HalfClosed,
    /// Everything is taken and nothing passes; no end is told.
    Black,
    /// Requests pass, answers do not.
    Mute,
    /// Nothing passes, and all of it arrives in the end.
    Held,
    /// Every piece comes later.
    Late,
    /// Few bytes pass in a second.
    Narrow,
    /// Every byte comes alone.
    Sliced,
}

/// What a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

impl Scope {
    /// A few words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Node => "a node's fault",
            Self::Link => "a node's link to Redis",
            Self::Front => "clients' link to a node",
            Self::Redis => "Redis's fault",
            Self::Clients => "clients' fault",
        }
    }
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Cut => "cut",
            Self::Reset => "reset",
            Self::HalfClosed => "half closed",
            Self::Black => "black",
            Self::Mute => "mute",
            Self::Held => "held",
            Self::Late => "late",
            Self::Narrow => "narrow",
            Self::Sliced => "sliced",
        }
    }

    /// Whether connections go on through it, only worse.
    pub(super) fn is_mild(self) -> bool {
        matches!(self, Self::Late | Self::Narrow | Self::Sliced)
    }

    fn lasts(self) -> (u64, u64) {
        match self {
            Self::Cut | Self::Reset | Self::HalfClosed => (0, 0),
            // A write for each byte costs the machine much.
            Self::Sliced => (300, 1_500),
            Self::Late | Self::Narrow => (500, 5_000),
            Self::Away | Self::Black | Self::Mute | Self::Held => (300, 5_000),
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
            Self::Failover => "failover".to_owned(),
            Self::SentinelKill => "sentinel killed".to_owned(),
            Self::SlotMove => "slot moved".to_owned(),
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
    pub(super) fn harm(self, topology: Topology) -> Harm {
        match (self, topology) {
            (Self::RedisWipe, _) => Harm::Loses,
            // A replica may lack what its primary told last.
            (Self::RedisKill | Self::RedisStop, _) if topology.fails_over() => Harm::Loses,
            // Sentinels take a paused primary for dead, and make another without asking it.
            (Self::PauseAll | Self::Failover, Topology::Sentinel) => Harm::Loses,
            (Self::RedisKill | Self::Failover | Self::SlotMove, _) => Harm::Renews,
            _ => Harm::None,
        }
    }

    /// How long what it hit is left alone afterwards, in ms, so that a repair can be seen at all.
    pub(super) fn rest(self, topology: Topology) -> u64 {
        // Roles change for some seconds after the cause is gone.
        if topology.fails_over() && self.scope() == Scope::Redis { 3_000 } else { 700 }
    }

    /// From and to how many ms it lasts. Some stay below the time after which the other side takes
    /// the connection for dead, some go beyond.
    pub(super) fn lasts(self, topology: Topology) -> (u64, u64) {
        match self {
            Self::NodeKill | Self::NodeDrain => (200, 3_000),
            Self::NodeStop => (200, 6_000),
            Self::RedisStop | Self::PauseAll | Self::PauseWrites => (200, 3_500),
            Self::RedisWipe => (100, 2_000),
            Self::RedisKill if topology.fails_over() => (300, 6_000),
            Self::RedisKill => (100, 2_000),
            Self::Failover => (1_000, 1_000),
            Self::SentinelKill => (500, 4_000),
            Self::SlotMove => (100, 1_500),
            Self::Link(trouble) | Self::Front(trouble) => trouble.lasts(),
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
