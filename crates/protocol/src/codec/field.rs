//! Typed fields of a map. Each failure names the field and the bound. An optional field that is
//! null counts as absent, since many encoders write absent values so; payloads aside.

use std::borrow::Cow;

use bytes::Bytes;

use super::object::{Known, Object, Value, clip};
use crate::data::check_json_depth;
use crate::transcode::escapes::unescape;
use crate::transcode::msgpack::{Item, MsgPackReader};
use crate::{
    ConnectionId, Data, DecodeError, Epoch, ErrorCode, MAX_ROOM_BYTES, Name, NameKind,
    PresenceStatus, RequestId, RoomName, Seq,
};

/// Ids, seqs and times stay below 2^53, so that JavaScript reads them exactly.
pub(super) const MAX_SAFE: u64 = (1 << 53) - 1;

impl<'a> Value<'a> {
    fn item(self) -> Option<Item<'a>> {
        match self {
            Self::MsgPack(bytes) => MsgPackReader::new(bytes).item().ok(),
            Self::Json(_) | Self::List { .. } | Self::NoList => None,
        }
    }

    fn is_null(self) -> bool {
        matches!(self, Self::Json("null")) || self.item() == Some(Item::Nil)
    }

    fn as_uint(self) -> Option<u64> {
        match self {
            Self::Json(text) => text.parse().ok(),
            _ => match self.item()? {
                Item::Uint(value) => Some(value),
                _ => None,
            },
        }
    }

    fn as_bool(self) -> Option<bool> {
        match self {
            Self::Json(text) => text.parse().ok(),
            _ => match self.item()? {
                Item::Bool(value) => Some(value),
                _ => None,
            },
        }
    }

    /// Its text; else what is wrong with it.
    fn as_str(self) -> Result<Cow<'a, str>, &'static str> {
        match self {
            Self::Json(text) => {
                let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                let inner = inner.ok_or(NO_STRING)?;
                if !inner.contains('\\') {
                    return Ok(Cow::Borrowed(inner));
                }
                // Of valid JSON nothing else can fail.
                unescape(inner, None).map(Cow::Owned).map_err(|_| LONE_SURROGATE)
            }
            _ => match self.item() {
                Some(Item::Str(text)) => Ok(Cow::Borrowed(text)),
                _ => Err(NO_STRING),
            },
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
            Self::List { .. } | Self::NoList => unreachable!("no payload is a list of maps"),
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
        value.as_str().map(Some).map_err(|problem| wrong(name, problem))
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

    /// A user's status.
    pub(super) fn status(&self) -> Result<Option<PresenceStatus>, DecodeError> {
        let Some(text) = self.str("status")? else { return Ok(None) };
        let status = PresenceStatus::parse(&text);
        status.map(Some).ok_or_else(|| wrong("status", "must be \"active\" or \"away\""))
    }

    /// A list of names.
    pub(super) fn names<K: NameKind>(
        &self,
        name: &'static str,
    ) -> Result<Option<Vec<Name<K>>>, DecodeError> {
        self.texts(name, |text| {
            Name::parse(text).map_err(|problem| wrong(name, &format!("is wrong: {problem}")))
        })
    }

    /// A list of rooms.
    pub(super) fn room_names(
        &self,
        name: &'static str,
    ) -> Result<Option<Vec<RoomName>>, DecodeError> {
        self.texts(name, |text| {
            RoomName::parse(text).map_err(|problem| DecodeError {
                room: room_text(text),
                ..DecodeError::new(ErrorCode::BadRoom, format!("`{name}` is wrong: {problem}"))
            })
        })
    }

    /// A list of strings, each read by `read`; it ends at the first that is wrong.
    fn texts<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        let Value::List { from, to } = value else { return Err(wrong(name, "must be a list")) };
        let entry = |item: &Value<'a>| {
            let text = item
                .as_str()
                .map_err(|problem| wrong(name, &format!("is wrong: an entry {problem}")));
            read(&text?)
        };
        self.items(from, to).iter().map(entry).collect::<Result<_, _>>().map(Some)
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
        known: &'static Known,
    ) -> Result<Option<Object<'a>>, DecodeError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        let mut object = Object::new();
        object.read(value, known).map_err(|problem| wrong_entry(name, &problem))?;
        Ok(Some(object))
    }

    /// A list of maps, each read by `read`; it ends at the first that is wrong.
    pub(super) fn each<T>(
        &self,
        name: &'static str,
        known: &'static Known,
        read: impl Fn(&Object<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        let Value::List { from, to } = value else { return Err(wrong(name, "must be a list")) };
        let mut entry = Object::new();
        let mut all = Vec::new();
        for &item in self.items(from, to) {
            entry.clear();
            entry.read(item, known).map_err(|problem| wrong_entry(name, &problem))?;
            all.push(read(&entry)?);
        }
        Ok(Some(all))
    }

    /// The same for a field that is a list of maps in some frames only.
    pub(super) fn each_late<T>(
        &self,
        name: &'static str,
        max: usize,
        known: &'static Known,
        read: impl Fn(&Object<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        let mut list = Object::new();
        list.read_list(name, value, max).map_err(|problem| wrong_entry(name, &problem))?;
        list.each(name, known, read)
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

const NO_STRING: &str = "must be a string";
const LONE_SURROGATE: &str = "must be text: it escapes one half of a surrogate pair";

fn wrong_entry(name: &str, problem: &str) -> DecodeError {
    wrong(name, &format!("is wrong: {problem}"))
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
