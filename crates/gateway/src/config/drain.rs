//! The section `drain`: how a node of a cluster ends.

use std::time::Duration;

use serde::Deserialize;

use super::key::{Change, Key, Section, ValueKind};
use super::value::{self, Bounds};

pub(super) const SECTION: Section = Section {
    name: "drain",
    about: "How a node ends after SIGTERM or SIGINT: not ready, then no new connections, then every \
            client is told when to move, spread over the time that is left. A second signal ends it \
            at once, and so does the first where there is no Redis: then no other node could take \
            its clients.",
    keys: &[
        Key {
            name: "total",
            default: "25s",
            kind: ValueKind::Time(Bounds::new(1_000, 300_000)),
            change: Change::Reload,
            about: "From the signal to the end of the process, all in all. Whoever runs the node \
                    must give it longer: Kubernetes' and systemd's own 30 and 90 s do.",
        },
        Key {
            name: "pause",
            default: "5s",
            kind: ValueKind::Time(Bounds::new(0, 60_000)),
            change: Change::Reload,
            about: "How long the node still takes connections while it says that it is not ready: \
                    as long as the load balancer may take to notice. At most half of `drain.total`.",
        },
    ],
};

/// How a node ends.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainConfig {
    /// From the signal to the end of the process.
    #[serde(deserialize_with = "value::from_millis")]
    pub total: Duration,
    /// How long connections are still taken.
    #[serde(deserialize_with = "value::from_millis")]
    pub pause: Duration,
}
