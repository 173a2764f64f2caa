//! Which node is tested, as it is typed.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Kind;
use crate::door::{DoorArgs, DoorKind};

/// Which node to test.
#[derive(Debug, Clone, Args)]
pub(crate) struct NodeArgs {
    /// The node's binary; else `roomcast` beside this program.
    #[arg(long, value_name = "PATH")]
    pub(super) node_binary: Option<PathBuf>,
    /// Use a node that runs already, for example ws://127.0.0.1:8080 or wss://127.0.0.1:8443.
    #[arg(long, value_name = "URL", conflicts_with_all = ["node_binary", "tls", "auth"])]
    pub(super) url: Option<String>,
    /// The pid of the node at --url, so that its CPU time and memory can be read.
    #[arg(long, requires = "url")]
    pub(super) pid: Option<u32>,
    #[command(flatten)]
    pub(super) door: DoorArgs,
    /// Another setting of the nodes started here, as `roomcast serve --set` takes it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// A Redis server for the nodes started here; without it their bus is in memory.
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    pub(crate) redis_url: Option<String>,
    /// The door that is compared with others.
    #[arg(skip)]
    kind: Option<DoorKind>,
}

impl NodeArgs {
    /// Nodes that are started here, with these settings and this door.
    pub(crate) fn to_start(node_binary: Option<PathBuf>, set: Vec<String>, door: DoorArgs) -> Self {
        Self { node_binary, url: None, pid: None, door, set, redis_url: None, kind: None }
    }

    /// The same for a node that runs already.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: Some(url.to_owned()), ..self.clone() }
    }

    /// The same nodes behind each of these doors, to be compared; as they are if there is none.
    pub(crate) fn behind(&self, doors: &[DoorKind]) -> Vec<Self> {
        if doors.is_empty() {
            return vec![self.clone()];
        }
        let behind = |&kind| {
            let door = self.door.of_kind(kind);
            Self { door, kind: Some(kind), ..self.clone() }
        };
        doors.iter().map(behind).collect()
    }

    /// The same with another setting.
    pub(crate) fn with(&self, setting: String) -> Self {
        Self { set: [&self.set[..], &[setting]].concat(), ..self.clone() }
    }

    /// The same, whose certificates are this authority's (PEM).
    pub(crate) fn trusting(&self, ca: PathBuf) -> Self {
        Self { door: self.door.trusting(ca), ..self.clone() }
    }

    /// As tables call the node.
    pub(crate) fn title(&self) -> &'static str {
        self.kind.map_or(Kind::Node.name(), DoorKind::name)
    }

    /// Whether clients reach it through nginx.
    pub(super) fn is_behind_nginx(&self) -> bool {
        self.kind == Some(DoorKind::Nginx)
    }

    /// What the door asks of nodes that are started here. Behind nginx it is nginx's certificate.
    pub(super) fn settings(&self) -> Result<Vec<String>> {
        if self.is_behind_nginx() { self.door.auth_settings() } else { self.door.settings() }
    }

    /// Whether they name a node that runs already.
    pub(crate) fn runs_already(&self) -> bool {
        self.url.is_some()
    }

    /// The same for nodes on this Redis.
    pub(crate) fn on_redis(&self, url: &str) -> Self {
        Self { redis_url: Some(url.to_owned()), ..self.clone() }
    }
}
