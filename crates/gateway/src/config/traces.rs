//! The section `traces`: which publishes are followed, and where their spans go.

use serde::Deserialize;

use super::SecretUrl;
use super::key::{Change, Key, Section, ValueKind};

pub(super) const SECTION: Section = Section {
    name: "traces",
    about: "Traces of publishes, by OTLP: on the node that took it the spans `publish` (from its \
            frame to its ack) and `bus`, on every node with members `deliver` (to the end of the \
            first round of writes). They name connections, users and rooms, never what was \
            published.",
    keys: &[
        Key {
            name: "endpoint",
            default: "",
            kind: ValueKind::HttpOrEmpty,
            change: Change::Restart,
            about: "A collector's address for OTLP over HTTP (protobuf), such as \
                    `http://127.0.0.1:4318`; spans are posted to `/v1/traces` there. Plain HTTP: \
                    a collector beside the node passes them on. Empty: no traces.",
        },
        Key {
            name: "sample",
            default: "0",
            kind: ValueKind::Fraction,
            change: Change::Restart,
            about: "Which part of the publishes that bring no `traceparent` is followed. One that \
                    brings it is followed if its flag `sampled` says so.",
        },
    ],
};

/// Which publishes are followed, and where their spans go.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// The collector, `http://HOST[:PORT][/PATH]`.
    pub endpoint: Option<SecretUrl>,
    /// Part of the publishes without a trace that gets one, 0 to 1.
    pub sample: f64,
}
