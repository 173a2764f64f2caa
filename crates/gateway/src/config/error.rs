//! What can be wrong with a configuration; every message names the key and its source.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a configuration was refused. Correct it and start again; no port was bound.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read: check its path and permissions.
    #[error("cannot read the configuration file {}: {error}", path.display())]
    Read {
        /// The file as given.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A number within its bounds that this machine's words cannot hold.
    #[error("a value does not fit this machine: {0}")]
    Unfit(String),
    /// A `--set` is not of the form key=value.
    #[error("--set takes key=value, for example --set limits.rooms_per_connection=16")]
    Setting,
    /// Lines that are no TOML, keys that do not exist, values out of bounds: all that were found.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// One key that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key in full, as typed; the line or the variable if the key cannot be told.
    pub key: String,
    /// Where its value came from, as [`super::ConfigEntry::origin`] says it.
    pub origin: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {}): {}", self.key, self.origin, self.message)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
