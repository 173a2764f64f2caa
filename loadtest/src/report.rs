//! What a scenario hands back: its figures, and whether something was wrong.

use serde_json::Value;

/// The outcome of one scenario.
#[derive(Debug)]
pub(crate) struct Report {
    /// All that was measured, for `--json`.
    pub(crate) figures: Value,
    /// Why the program should end with 1, if it should.
    pub(crate) failure: Option<String>,
}

impl From<Value> for Report {
    fn from(figures: Value) -> Self {
        Self { figures, failure: None }
    }
}
