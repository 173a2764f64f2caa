//! Typed fields of a map. Each failure names the field and the bound. An optional field that is
//! null counts as absent, since many encoders write absent values so; payloads aside.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::object::{Known, Object, Value, clip};
use crate::data::check_json_depth;
use crate::transcode::msgpack::{Item, Reader};
use crate::transcode::to_msgpack::unescape;
use crate::{
    ConnectionId, Data, DecodeError, Epoch, ErrorCode, MAX_DATA_DEPTH, MAX_ROOM_BYTES, Name,
    NameKind, RequestId, RoomName, Seq,
};

/// Ids, seqs and times stay below 2^53, so that JavaScript reads them exactly.
pub(super) const MAX_SAFE: u64 = (1 << 53) - 1;

impl<'a> Value<'a> {
    fn item(self) -> Option<Item<'a>> {
        match self {
            Self::Json(_) => None,
            Self::MsgPack(bytes) => Reader::new(bytes).item().ok(),
        }
    }

    fn is_null(self) -> bool {
        matches!(self, Self::Json("null")) || self.item() == Some(Item::Nil)
    }

    fn as_uint(self) -> Option<u64> {
        match self {
            Self::Json(text) => text.parse().ok(),
            Self::MsgPack(_) => match self.item()? {
                Item::Uint(value) => Some(value),
                _ => None,
            },
        }
    }

    fn as_bool(self) -> Option<bool> {
        match self {
            Self::Json(text) => text.parse().ok(),
            Self::MsgPack(_) => match self.item()? {
                Item::Bool(value) => Some(value),
                _ => None,
            },
        }
    }

    fn as_str(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Json(text) => {
                let inner = text.strip_prefix('"')?.strip_suffix('"')?;
                if !inner.contains('\\') {
                    return Some(Cow::Borrowed(inner));
                }
                unescape(inner).ok().map(Cow::Owned)
            }
            Self::MsgPack(_) => match self.item()? {
                Item::Str(text) => Some(Cow::Borrowed(text)),
                _ => None,
            },
        }
    }

    fn as_list(self) -> Option<Vec<Self>> {
        match self {
            Self::Json(text) => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                Some(items.into_iter().map(|item| Self::Json(item.get())).collect())
            }
            Self::MsgPack(bytes) => {
                let mut reader = Reader::new(bytes);
                let Item::Array(len) = reader.item().ok()? else { return None };
                let item = |_| reader.value(MAX_DATA_DEPTH).ok().map(Self::MsgPack);
                (0..len).map(item).collect()
            }
        }
    }

    /// Copies a payload out of its frame.
    fn to_data(self) -> Result<Data, crate::DataError> {
        match self {
            Self::Json(text) => {
                check_json_depth(text)?;
                Ok(Data::Json(Bytes::copy_from_slice(text.as_bytes())))
            }
            Self::MsgPack(bytes) => Ok(Data::MsgPack(Bytes::copy_from_slice(bytes))),
        }
    }
}

impl<'a> Object<'a> {
    fn optional(&self, name: &'static str) -> Option<Value<'a>> {
        self.value(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.optional(name).is_some()
    }

    pub(super) fn uint(&self, name: &'static str, max: u64) -> Result<Option<u64>, DecodeError> {
        self.uint_from(name, 0, max)
    }

    pub(super) fn uint_from(
        &self,
        name: &'static str,
        min: u64,
        max: u64,
    ) -> Result<Option<u64>, DecodeError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        match value.as_uint() {
            Some(value) if (min..=max).contains(&value) => Ok(Some(value)),
            _ => Err(wrong(name, &format!("must be an integer from {min} to {max}"))),
        }
    }

    pub(super) fn id(&self) -> Result<Option<RequestId>, DecodeError> {
        self.uint_from("id", 1, MAX_SAFE)
    }

    pub(super) fn seq(&self, name: &'static str) -> Result<Option<Seq>, DecodeError> {
        self.uint(name, MAX_SAFE)
    }

    pub(super) fn bool(&self, name: &'static str) -> Result<Option<bool>, DecodeError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| wrong(name, "must be true or false"))
    }

    pub(super) fn str(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| wrong(name, "must be a string"))
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<Box<str>>, DecodeError> {
        Ok(self.str(name)?.map(Into::into))
    }

    /// A text of printable ASCII within a bound in bytes.
    pub(super) fn ascii(
        &self,
        name: &'static str,
        max: usize,
    ) -> Result<Option<Box<str>>, DecodeError> {
        let Some(text) = self.str(name)? else { return Ok(None) };
        if text.is_empty() || text.len() > max || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong(name, &format!("must have 1 to {max} characters of visible ASCII")));
        }
        Ok(Some(text.into()))
    }

    pub(super) fn name<K: NameKind>(
        &self,
        name: &'static str,
    ) -> Result<Option<Name<K>>, DecodeError> {
        let Some(text) = self.str(name)? else { return Ok(None) };
        Name::parse(&text).map(Some).map_err(|problem| wrong(name, &format!("is wrong: {problem}")))
    }

    pub(super) fn room(&self) -> Result<RoomName, DecodeError> {
        let text = required("room", self.str("room")?)?;
        RoomName::parse(&text).map_err(|problem| DecodeError {
            room: room_text(&text),
            ..DecodeError::new(ErrorCode::BadRoom, format!("`room` is wrong: {problem}"))
        })
    }

    pub(super) fn epoch(&self, name: &'static str) -> Result<Option<Epoch>, DecodeError> {
        let Some(text) = self.str(name)? else { return Ok(None) };
        Epoch::parse(&text).map(Some).ok_or_else(|| wrong(name, HEX))
    }

    pub(super) fn connection(&self) -> Result<Option<ConnectionId>, DecodeError> {
        let Some(text) = self.str("connection")? else { return Ok(None) };
        ConnectionId::parse(&text).map(Some).ok_or_else(|| wrong("connection", HEX))
    }

    /// A payload; null is one too.
    pub(super) fn data(&self, name: &'static str) -> Result<Option<Data>, DecodeError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.to_data().map(Some).map_err(|problem| wrong(name, &format!("is wrong: {problem}")))
    }

    /// A map within this one.
    pub(super) fn object(
        &self,
        name: &'static str,
        known: Known,
    ) -> Result<Option<Object<'a>>, DecodeError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        entry(name, value, known).map(Some)
    }

    /// A list of maps.
    pub(super) fn objects(
        &self,
        name: &'static str,
        known: Known,
    ) -> Result<Option<Vec<Object<'a>>>, DecodeError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        let list = value.as_list().ok_or_else(|| wrong(name, "must be a list"))?;
        list.into_iter().map(|item| entry(name, item, known)).collect::<Result<_, _>>().map(Some)
    }

    /// Adds to an error what its answer needs from the frame as far as it could be read.
    pub(super) fn explain(&self, mut error: DecodeError) -> DecodeError {
        error.id = self.id().ok().flatten();
        if error.room.is_none() {
            error.room = self.str("room").ok().flatten().and_then(|room| room_text(&room));
        }
        error
    }
}

const HEX: &str = "must be a string of 16 lower-case hex digits";

fn entry<'a>(
    name: &'static str,
    value: Value<'a>,
    known: Known,
) -> Result<Object<'a>, DecodeError> {
    let mut object = Object::new();
    object.read(value, known).map_err(|error| wrong(name, &format!("is wrong: {error}")))?;
    Ok(object)
}

/// An error about one field.
pub(super) fn wrong(name: &str, problem: &str) -> DecodeError {
    DecodeError::bad_frame(format!("`{name}` {problem}"))
}

pub(super) fn required<T>(name: &'static str, field: Option<T>) -> Result<T, DecodeError> {
    field.ok_or_else(|| wrong(name, "is missing"))
}

/// An error about a `type` that the reader does not know.
pub(super) fn unknown_type(name: &str) -> DecodeError {
    let message = format!("there is no frame of type {:?}", clip(name));
    DecodeError::new(ErrorCode::UnknownType, message)
}

fn room_text(text: &str) -> Option<Box<str>> {
    (text.len() <= MAX_ROOM_BYTES).then(|| text.into())
}
