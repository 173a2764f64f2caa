//! The known fields of one map, found in a single pass over either encoding and kept as slices of
//! the frame. Unknown fields are skipped; a known field that appears twice is refused.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::transcode::msgpack::{Item, Reader};
use crate::{DecodeError, Encoding, MAX_DATA_DEPTH};

/// One value of a frame, still in its encoding and valid in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Json(&'a str),
    MsgPack(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A whole frame; not validated before it is read.
    pub(super) fn of_frame(encoding: Encoding, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match encoding {
            Encoding::Json => std::str::from_utf8(bytes)
                .map(Self::Json)
                .map_err(|_| DecodeError::bad_frame("the frame is not UTF-8")),
            Encoding::MsgPack => Ok(Self::MsgPack(bytes)),
        }
    }
}

/// Names of the fields that a reader of a map knows.
pub(super) type Known = &'static [&'static str];

/// A map: its known fields, those that are there.
#[derive(Debug)]
pub(super) struct Object<'a> {
    fields: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Object<'a> {
    pub(super) fn new() -> Self {
        // Most frames have no more fields than this; one allocation serves them.
        Self { fields: Vec::with_capacity(8) }
    }

    /// Reads the fields of a whole frame. After a failure, those read before it are there.
    pub(super) fn read_frame(&mut self, value: Value<'a>, known: Known) -> Result<(), DecodeError> {
        self.read(value, known)
            .map_err(|problem| DecodeError::bad_frame(format!("cannot read the frame: {problem}")))
    }

    /// Reads the fields of a map, or tells what is wrong with it.
    pub(super) fn read(&mut self, value: Value<'a>, known: Known) -> Result<(), String> {
        match value {
            Value::Json(text) => self.read_json(text, known),
            Value::MsgPack(bytes) => self.read_msgpack(bytes, known),
        }
    }

    pub(super) fn value(&self, name: &'static str) -> Option<Value<'a>> {
        self.fields.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }

    fn read_json(&mut self, text: &'a str, known: Known) -> Result<(), String> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer
            .deserialize_map(Fields { known, object: self })
            .and_then(|()| deserializer.end())
            .map_err(|problem| problem.to_string())
    }

    fn read_msgpack(&mut self, bytes: &'a [u8], known: Known) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        let Item::Map(len) = reader.item().map_err(|problem| problem.to_string())? else {
            return Err(NO_MAP.to_owned());
        };
        for _ in 0..len {
            let key = reader.item().map_err(|problem| problem.to_string())?;
            let Item::Str(key) = key else {
                return Err("a field's name must be a string".to_owned());
            };
            let value =
                reader.value(MAX_DATA_DEPTH).map_err(|e| format!("`{}`: {e}", clip(key)))?;
            if let Some(name) = find(known, key) {
                self.add(name, Value::MsgPack(value))?;
            }
        }
        reader.end().map_err(|problem| problem.to_string())
    }

    fn add(&mut self, name: &'static str, value: Value<'a>) -> Result<(), String> {
        if self.value(name).is_some() {
            return Err(format!("`{name}` appears twice"));
        }
        self.fields.push((name, value));
        Ok(())
    }
}

const NO_MAP: &str = "it is no map of fields";

fn find(known: Known, name: &str) -> Option<&'static str> {
    known.iter().copied().find(|known| *known == name)
}

/// The beginning of a text that a client chose, for messages.
pub(super) fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

struct Fields<'o, 'a> {
    known: Known,
    object: &'o mut Object<'a>,
}

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(FieldName(self.known))? {
            match name {
                Some(name) => {
                    let raw: &'de RawValue = map.next_value()?;
                    self.object.add(name, Value::Json(raw.get())).map_err(de::Error::custom)?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads a key without keeping it: only whether it is known.
struct FieldName(Known);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Option<&'static str>;

    fn deserialize<D: de::Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(find(self.0, name))
    }
}
