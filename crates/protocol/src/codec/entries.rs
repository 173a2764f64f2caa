//! The entries of a list of maps in a JSON frame, counted while they are read.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::object::{Value, too_many_entries};

/// Reads the value of a field that is a list of at most `max` maps; its entries go to `items`.
pub(super) struct Entries<'i, 'a> {
    pub(super) name: &'static str,
    pub(super) max: usize,
    pub(super) items: &'i mut Vec<Value<'a>>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_, 'de> {
    type Value = Value<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, list: D) -> Result<Self::Value, D::Error> {
        list.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, 'de> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of maps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let from = self.items.len();
        while let Some(entry) = list.next_element::<&'de RawValue>()? {
            if self.items.len() - from == self.max {
                return Err(de::Error::custom(too_many_entries(self.name, self.max)));
            }
            self.items.push(Value::Json(entry.get()));
        }
        Ok(Value::List { from, to: self.items.len() })
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Json("null"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        // A map must be read to its end.
        IgnoredAny::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Value::NoList)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::NoList)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::NoList)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::NoList)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::NoList)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Value::NoList)
    }
}
