//! What a namespace accepts in a publish or signal: which events, which JSON Schema for each, how
//! long a string may be; and how long names may be.
//!
//! Pure: it reads no files and knows no clock. The rules are built from bytes as a whole, so a
//! reload that fails leaves those before it as they are.

mod bad_data;
mod event_schema;
mod name_bounds;
mod recursion;
mod rules;
mod text;

pub use bad_data::BadData;
pub use event_schema::{MAX_SCHEMA_BYTES, SchemaError};
pub use name_bounds::{NameBounds, NameTooLong};
pub use rules::{INLINE_BYTES, JudgingCost, MAX_SCHEMAS, PayloadRules, RuleSource};
