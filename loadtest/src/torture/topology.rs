//! The ways in which Redis can stand below the nodes.

use clap::ValueEnum;
use serde::Serialize;

/// How Redis stands below the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Topology {
    /// One server that keeps its data on disk before it answers.
    Standalone,
}

impl Topology {
    /// As it is typed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
        }
    }
}
