//! The known fields of one map, found in a single pass over either encoding and kept as slices of
//! the frame. Unknown fields are skipped; a known field that appears twice is refused. Counts of
//! fields and of list entries are looked at first: reading stops at the bound.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::entries::Entries;
use crate::transcode::msgpack::{Item, MsgPackReader};
use crate::{DataError, DecodeError, Encoding, MAX_DATA_DEPTH};

/// One value of a frame, still in its encoding and valid in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Json(&'a str),
    MsgPack(&'a [u8]),
    /// The list of maps whose entries are `Object::items[from..to]`.
    List {
        from: usize,
        to: usize,
    },
    /// Neither a list nor null, where a list of maps belongs.
    NoList,
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

/// Most fields of one map, unknown ones included; the frame with most known fields has 10. Without
/// a bound a frame could hold half a million tiny ones, each compared with all known names.
pub(super) const MAX_FIELDS: usize = 64;

/// The fields that a reader of a map knows.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) names: &'static [&'static str],
    /// Those that are lists of maps, each with the most entries that it may have.
    pub(super) lists: &'static [(&'static str, usize)],
}

impl Known {
    /// Fields none of which is a list of maps.
    pub(super) const fn plain(names: &'static [&'static str]) -> Self {
        Self { names, lists: &[] }
    }

    fn find(&self, name: &str) -> Option<&'static str> {
        self.names.iter().copied().find(|known| *known == name)
    }

    /// The most entries of a field that is a list of maps.
    fn max_entries(&self, name: &str) -> Option<usize> {
        self.lists.iter().find(|(list, _)| *list == name).map(|&(_, max)| max)
    }
}

/// A map: its known fields, those that are there.
#[derive(Debug)]
pub(super) struct Object<'a> {
    fields: Vec<(&'static str, Value<'a>)>,
    /// Entries of its lists of maps.
    items: Vec<Value<'a>>,
}

impl<'a> Object<'a> {
    pub(super) fn new() -> Self {
        // Most frames have no more fields than this; one allocation serves them.
        Self { fields: Vec::with_capacity(8), items: Vec::new() }
    }

    /// Forgets all fields, so that the next map can be read into the same memory.
    pub(super) fn clear(&mut self) {
        self.fields.clear();
        self.items.clear();
    }

    /// Reads the fields of a whole frame. After a failure, those read before it are there.
    pub(super) fn read_frame(
        &mut self,
        value: Value<'a>,
        known: &'static Known,
    ) -> Result<(), DecodeError> {
        self.read(value, known)
            .map_err(|problem| DecodeError::bad_frame(format!("cannot read the frame: {problem}")))
    }

    /// Reads the fields of a map, or tells what is wrong with it.
    pub(super) fn read(&mut self, value: Value<'a>, known: &'static Known) -> Result<(), String> {
        match value {
            Value::Json(text) => self.read_json(text, known),
            Value::MsgPack(bytes) => self.read_msgpack(bytes, known),
            Value::List { .. } | Value::NoList => Err(NO_MAP.to_owned()),
        }
    }

    pub(super) fn value(&self, name: &'static str) -> Option<Value<'a>> {
        self.fields.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }

    /// Entries of a list of maps.
    pub(super) fn items(&self, from: usize, to: usize) -> &[Value<'a>] {
        &self.items[from..to]
    }

    /// Reads a value as a list of maps, as the only field.
    pub(super) fn read_list(
        &mut self,
        name: &'static str,
        value: Value<'a>,
        max: usize,
    ) -> Result<(), String> {
        let list = match value {
            Value::Json(text) => {
                let mut deserializer = serde_json::Deserializer::from_str(text);
                let entries = Entries { name, max, items: &mut self.items };
                entries.deserialize(&mut deserializer).map_err(|problem| problem.to_string())?
            }
            Value::MsgPack(bytes) => {
                self.read_msgpack_list(name, &mut MsgPackReader::new(bytes), max)?
            }
            Value::List { .. } | Value::NoList => return Err(NO_MAP.to_owned()),
        };
        self.add(name, list)
    }

    fn read_json(&mut self, text: &'a str, known: &'static Known) -> Result<(), String> {
        // serde_json would copy the whole string into its message.
        if text.len() > MAX_STRING_TOLD && text.trim_ascii_start().starts_with('"') {
            return Err(NO_MAP.to_owned());
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer
            .deserialize_map(Fields { known, object: self })
            .and_then(|()| deserializer.end())
            .map_err(|problem| problem.to_string())
    }

    fn read_msgpack(&mut self, bytes: &'a [u8], known: &'static Known) -> Result<(), String> {
        let mut reader = MsgPackReader::new(bytes);
        let Item::Map(len) = reader.item().map_err(|problem| problem.to_string())? else {
            return Err(NO_MAP.to_owned());
        };
        if len as usize > MAX_FIELDS {
            return Err(too_many_fields());
        }
        for _ in 0..len {
            let key = reader.item().map_err(|problem| problem.to_string())?;
            let Item::Str(key) = key else {
                return Err("a field's name must be a string".to_owned());
            };
            let name = known.find(key);
            let max_entries = name.and_then(|name| known.max_entries(name));
            let value = match max_entries {
                Some(max) => self.read_msgpack_list(key, &mut reader, max)?,
                None => Value::MsgPack(reader.value(MAX_DATA_DEPTH).map_err(about(key))?),
            };
            if let Some(name) = name {
                self.add(name, value)?;
            }
        }
        reader.end().map_err(|problem| problem.to_string())
    }

    /// Finds the entries of a list of maps, after a look at their number.
    fn read_msgpack_list(
        &mut self,
        key: &str,
        reader: &mut MsgPackReader<'a>,
        max: usize,
    ) -> Result<Value<'a>, String> {
        let mut inside = *reader;
        let Item::Array(len) = inside.item().map_err(about(key))? else {
            let value = reader.value(MAX_DATA_DEPTH).map_err(about(key))?;
            let is_null = MsgPackReader::new(value).item() == Ok(Item::Nil);
            return Ok(if is_null { Value::MsgPack(value) } else { Value::NoList });
        };
        if len as usize > max {
            return Err(too_many_entries(key, max));
        }
        let from = self.items.len();
        for _ in 0..len {
            // An entry is a map of fields, and a level of its own.
            let entry = inside.value(MAX_DATA_DEPTH + 1).map_err(about(key))?;
            self.items.push(Value::MsgPack(entry));
        }
        *reader = inside;
        Ok(Value::List { from, to: self.items.len() })
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
/// Bytes of a string that an error about it may repeat.
const MAX_STRING_TOLD: usize = 64;

fn too_many_fields() -> String {
    format!("it has more than {MAX_FIELDS} fields")
}

pub(super) fn too_many_entries(name: &str, max: usize) -> String {
    format!("`{name}` has more than {max} entries")
}

/// Names the field that a problem is about.
fn about(key: &str) -> impl Fn(DataError) -> String {
    move |problem| format!("`{}`: {problem}", clip(key).escape_debug())
}

/// The beginning of a text that a client chose, for messages.
pub(super) fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

struct Fields<'o, 'a> {
    known: &'static Known,
    object: &'o mut Object<'a>,
}

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = 0;
        while let Some(name) = map.next_key_seed(FieldName(self.known))? {
            fields += 1;
            if fields > MAX_FIELDS {
                return Err(de::Error::custom(too_many_fields()));
            }
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = match self.known.max_entries(name) {
                Some(max) => {
                    map.next_value_seed(Entries { name, max, items: &mut self.object.items })?
                }
                None => Value::Json(map.next_value::<&'de RawValue>()?.get()),
            };
            self.object.add(name, value).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

/// Reads a key without keeping it: only whether it is known.
struct FieldName(&'static Known);

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
        Ok(self.0.find(name))
    }
}
