//! The ways in which Redis can stand below the nodes.

use clap::ValueEnum;
use serde::Serialize;

/// How Redis stands below the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Topology {
    /// One server that keeps its data on disk before it answers.
    Standalone,
    /// A primary and a replica, watched over by three sentinels.
    Sentinel,
    /// A cluster of three primaries with a replica each.
    Cluster,
    /// Three servers that keep their data and share the rooms.
    Servers,
}

impl Topology {
    /// As it is typed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
            Self::Servers => "servers",
        }
    }

    /// Primaries that a fault can choose from.
    pub(super) fn primaries(self) -> usize {
        match self {
            Self::Standalone | Self::Sentinel => 1,
            Self::Cluster | Self::Servers => 3,
        }
    }

    /// Whether a replica takes over where a primary is silent. Nodes then find their primary by
    /// what Redis says of itself, so that no proxy stands between the two.
    pub(super) fn fails_over(self) -> bool {
        matches!(self, Self::Sentinel | Self::Cluster)
    }
}
