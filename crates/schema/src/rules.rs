//! The rules of one namespace, loaded as a whole and applied to each publish and signal. Another
//! thread may judge by them: they are shared behind an `Arc`, and a reload replaces it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use roomcast_protocol::{Data, EventName};
use serde_json::Value;

use crate::bad_data::{BadData, DataPath};
use crate::event_schema::{EventSchema, SchemaError};
use crate::text::judge_strings;

/// The most schemas of a namespace.
pub const MAX_SCHEMAS: usize = 1_024;
/// The largest payload that is judged at once, in bytes. A larger one may take milliseconds, and as
/// a tree a hundred times its size.
pub const INLINE_BYTES: usize = 16 * 1024;

/// What the rules of a namespace are loaded from.
#[derive(Debug, Clone, Default)]
pub struct RuleSource<'a> {
    /// `events`: the events that are accepted; empty: any, and none.
    pub events: Vec<EventName>,
    /// `schemas`: the files of the folder, each named EVENT.json, with their bytes.
    pub schemas: Vec<(&'a str, &'a [u8])>,
    /// `max_text`: the longest string in `data`, in bytes of UTF-8 after unescaping; 0: any.
    pub max_text: usize,
}

/// What judging a payload costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JudgingCost {
    /// Little: judge it where it came.
    Inline,
    /// Milliseconds and much memory: judge it on another thread, few at a time.
    Large,
}

/// What a namespace accepts.
#[derive(Debug, Default)]
pub struct PayloadRules {
    events: HashSet<EventName>,
    schemas: HashMap<EventName, EventSchema>,
    max_text: usize,
}

impl PayloadRules {
    /// Loads the rules. They are all there or none is: after an error keep those before.
    pub fn load(source: RuleSource<'_>) -> Result<Self, SchemaError> {
        if source.schemas.len() > MAX_SCHEMAS {
            return Err(SchemaError::TooMany { most: MAX_SCHEMAS });
        }
        let mut schemas = HashMap::new();
        for (file, bytes) in source.schemas {
            let event = file.strip_suffix(".json").and_then(|name| EventName::parse(name).ok());
            let event = event.ok_or_else(|| SchemaError::BadName { file: file.to_owned() })?;
            if schemas.insert(event, EventSchema::load(file, bytes)?).is_some() {
                return Err(SchemaError::Twice { file: file.to_owned() });
            }
        }
        let events = source.events.into_iter().collect();
        Ok(Self { events, schemas, max_text: source.max_text })
    }

    /// What judging would cost. Where nothing has to be read of `data` it is little.
    pub fn cost(&self, event: Option<&EventName>, data: &Data) -> JudgingCost {
        let reads = self.max_text > 0 || self.schema(event).is_some();
        if reads && data.len() > INLINE_BYTES { JudgingCost::Large } else { JudgingCost::Inline }
    }

    /// Fails with the first rule that the payload breaks. MessagePack is judged in its JSON form.
    /// Of a key that an object has twice, the schema judges the last.
    pub fn judge(&self, event: Option<&EventName>, data: &Data) -> Result<(), BadData> {
        self.judge_event(event)?;
        let schema = self.schema(event);
        if self.max_text == 0 && schema.is_none() {
            return Ok(());
        }
        let json = json_form(data);
        if self.max_text > 0 {
            judge_strings(&json, self.max_text)?;
        }
        let Some(schema) = schema else { return Ok(()) };
        let value: Value = serde_json::from_slice(&json).map_err(|_| {
            let reason = "a number is too large, or a string has half a surrogate pair";
            BadData::new(DataPath::data(), reason)
        })?;
        schema.judge(&value)
    }

    fn judge_event(&self, event: Option<&EventName>) -> Result<(), BadData> {
        match event {
            _ if self.events.is_empty() => Ok(()),
            Some(event) if self.events.contains(event) => Ok(()),
            Some(_) => Err(BadData::event("the namespace does not take this event")),
            None => Err(BadData::event("the namespace asks for an event")),
        }
    }

    fn schema(&self, event: Option<&EventName>) -> Option<&EventSchema> {
        self.schemas.get(event?)
    }
}

fn json_form(data: &Data) -> Cow<'_, [u8]> {
    match data {
        Data::Json(text) => Cow::Borrowed(text),
        Data::MsgPack(value) => {
            let mut text = Vec::with_capacity(value.len() * 2);
            data.write_json(&mut text);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests;
