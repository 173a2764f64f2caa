//! The section `users`: users' own rooms.

use std::time::Duration;

use serde::Deserialize;

use super::key::{Change, Key, Section, ValueKind};
use super::value::{self, Bounds};

pub(super) const SECTION: Section = Section {
    name: "users",
    about: "What concerns users in place of rooms. Each user has a room of its own, `@me`, in which \
            backends publish for it on all its devices.",
    keys: &[
        Key {
            name: "history_size",
            default: "1000",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000)),
            change: Change::Reload,
            about: "Messages that a user's own room keeps for a device that returns. The \
                    notifications of some weeks.",
        },
        Key {
            name: "history_age",
            default: "7d",
            kind: ValueKind::Time(Bounds::new(1_000, 90 * 86_400_000)),
            change: Change::Reload,
            about: "How long it keeps them, and what the user has confirmed of them.",
        },
        Key {
            name: "auto_join",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Joins each connection with a user to `@me` after `connected`. The client's own \
                    first `join` of `@me` replaces that membership.",
        },
    ],
};

/// What concerns users.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersConfig {
    /// Messages that a user's own room keeps.
    pub history_size: u32,
    /// How long it keeps them.
    #[serde(deserialize_with = "value::from_millis")]
    pub history_age: Duration,
    /// Whether connections join it by themselves.
    pub auto_join: bool,
}
