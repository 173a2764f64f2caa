//! One event's JSON Schema: how it is loaded, and a value judged by it. References are resolved
//! within the schema only, and patterns by an engine whose time is linear in the text.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::bad_data::{BadData, DataPath, bounded};
use crate::recursion::is_recursive;

/// The largest schema, in bytes: what describes one event fits in far less.
pub const MAX_SCHEMA_BYTES: usize = 256 * 1024;
/// Memory that one compiled pattern may take, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// Why a schema cannot be loaded: the rules before it stay in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Name the file after an event.
    #[error("{file:?} is not EVENT.json with the name of an event")]
    BadName {
        /// The file.
        file: String,
    },
    /// Give each event one file.
    #[error("{file:?} is there twice")]
    Twice {
        /// The file.
        file: String,
    },
    /// Give fewer events a schema.
    #[error("there are more than {most} schemas")]
    TooMany {
        /// The bound.
        most: usize,
    },
    /// Write a smaller schema.
    #[error("{file:?} has more than {most} bytes")]
    TooLarge {
        /// The file.
        file: String,
        /// The bound, in bytes.
        most: usize,
    },
    /// Correct the JSON.
    #[error("{file:?} is not valid JSON: {reason}")]
    NotJson {
        /// The file.
        file: String,
        /// Where and why.
        reason: String,
    },
    /// Correct the schema: references lead to places within it, and patterns have no look-around
    /// and no back-references.
    #[error("{file:?} is no JSON Schema that can be used here: {reason}")]
    NotSchema {
        /// The file.
        file: String,
        /// Where and why.
        reason: String,
    },
}

/// A schema that was loaded.
#[derive(Debug)]
pub(crate) struct EventSchema {
    validator: Validator,
    explained: Explained,
}

/// How much is said of a value that breaks the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Explained {
    /// Where, and what.
    InFull,
    /// That it does: finding out more could take exponential time.
    AsWhole,
}

impl EventSchema {
    /// Loads the schema that `file` has. The draft is 2020-12, unless `$schema` names another.
    pub(crate) fn load(file: &str, bytes: &[u8]) -> Result<Self, SchemaError> {
        let file = || file.to_owned();
        if bytes.len() > MAX_SCHEMA_BYTES {
            return Err(SchemaError::TooLarge { file: file(), most: MAX_SCHEMA_BYTES });
        }
        let schema: Value = serde_json::from_slice(bytes)
            .map_err(|error| SchemaError::NotJson { file: file(), reason: error.to_string() })?;
        let patterns =
            PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(patterns)
            // A payload that is a pattern is not compiled: that could cost megabytes.
            .with_format("regex", |_: &str| true)
            .build(&schema)
            .map_err(|error| {
                let place = error.schema_path().as_str();
                let reason = bounded(format_args!("at \"{place}\": {error}"));
                SchemaError::NotSchema { file: file(), reason }
            })?;
        let explained = if is_recursive(&schema) { Explained::AsWhole } else { Explained::InFull };
        Ok(Self { validator, explained })
    }

    /// Fails with the first rule that the value breaks; of a recursive schema, with all of `data`.
    pub(crate) fn judge(&self, value: &Value) -> Result<(), BadData> {
        // The verdict of a reference is remembered for each place in the value.
        if self.validator.is_valid(value) {
            return Ok(());
        }
        match self.explained {
            Explained::InFull => self.validator.validate(value).map_err(|error| refusal(&error)),
            Explained::AsWhole => {
                Err(BadData::new(DataPath::data(), "breaks the event's schema, which is recursive"))
            }
        }
    }
}

fn refusal(error: &ValidationError<'_>) -> BadData {
    use ValidationErrorKind as Kind;
    let path = DataPath::of_pointer(error.instance_path().as_str());
    match error.kind() {
        // Their texts repeat the payload.
        Kind::AdditionalProperties { .. }
        | Kind::UnevaluatedProperties { .. }
        | Kind::UnevaluatedItems { .. }
        | Kind::PropertyNames { .. }
        | Kind::FromUtf8 { .. }
        | Kind::BacktrackLimitExceeded { .. }
        | Kind::RegexEngineFailure { .. }
        | Kind::Referencing(_)
        | Kind::Custom { .. } => {
            let keyword = error.kind().keyword();
            BadData::new(path, format_args!("breaks \"{keyword}\" of the event's schema"))
        }
        _ => BadData::new(path, error.masked_with("the value")),
    }
}
