//! JSON objects whose keys are unique, read no deeper than their own level. serde's maps take the
//! last of two equal keys, and two readers of one token must not disagree about what it says.

use std::fmt;

use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of one JSON object, in their order; each value is kept as its text.
#[derive(Debug, Default)]
pub(crate) struct UniqueObject(Vec<(String, Box<RawValue>)>);

impl UniqueObject {
    /// Reads a JSON object; `None` for anything else, and where a key comes twice.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The text of a member.
    pub(crate) fn raw(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.get())
    }

    /// A member as `T`: `Ok(None)` if there is none, `Err` if it has another shape. `null` is
    /// another shape unless `T` takes it.
    pub(crate) fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, WrongShape> {
        let read = |text| serde_json::from_str(text).map_err(|_| WrongShape);
        self.raw(key).map(read).transpose()
    }

    /// All members.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }
}

/// A member has another shape than the one asked for.
#[derive(Debug)]
pub(crate) struct WrongShape;

impl<'de> Deserialize<'de> for UniqueObject {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(UniqueMembers)
    }
}

struct UniqueMembers;

impl<'de> Visitor<'de> for UniqueMembers {
    type Value = UniqueObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with unique keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seen = std::collections::HashSet::new();
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom("a key comes twice"));
            }
            members.push((key, value));
        }
        Ok(UniqueObject(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_keeps_the_text_of_its_members() {
        let object = UniqueObject::parse(br#"{"a": [1, 2], "b": null}"#).unwrap();
        assert_eq!(object.raw("a"), Some("[1, 2]"));
        assert_eq!(object.read::<Vec<u8>>("a").unwrap(), Some(vec![1, 2]));
        assert!(object.read::<String>("a").is_err());
        assert!(object.read::<String>("b").is_err());
        assert!(object.read::<String>("c").unwrap().is_none());
    }

    #[test]
    fn equal_keys_are_refused_also_where_one_is_escaped() {
        for bad in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, "[]", "null", "{", "{}x", ""] {
            assert!(UniqueObject::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(UniqueObject::parse(b"{\"a\":\"\xff\"}").is_none());
        assert!(UniqueObject::parse(br#"{"a":{"b":1,"b":2}}"#).is_some());
    }
}
