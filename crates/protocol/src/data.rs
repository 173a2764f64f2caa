//! The application's payload: one JSON or MessagePack value, carried through untouched.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::transcode::{msgpack::MsgPackReader, to_json, to_msgpack};

/// How deep a payload may nest, counted in its JSON form. Deep enough for documents people
/// write, shallow enough that every reader may recurse; the same in both encodings, so that what
/// one may send the other can read.
pub const MAX_DATA_DEPTH: usize = 64;

/// Why bytes are no payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Send the whole value.
    #[error("the value ends early")]
    Truncated,
    /// Send one value only.
    #[error("bytes follow the value")]
    Trailing,
    /// Send valid JSON (RFC 8259).
    #[error("not valid JSON")]
    NotJson,
    /// Send valid MessagePack: the byte 0xc1 is never used.
    #[error("0xc1 is no MessagePack")]
    Reserved,
    /// Send bytes as binary, not as a string.
    #[error("a string is not UTF-8")]
    BadUtf8,
    /// Nest less deeply.
    #[error("nested deeper than {MAX_DATA_DEPTH} levels")]
    TooDeep,
    /// Use strings or numbers as keys.
    #[error("a map key must not be a map or an array")]
    BadKey,
}

/// One complete value in the encoding in which its author sent it. Readers of that encoding get
/// these very bytes; for readers of the other it is transcoded once. Make it with `json` or
/// `msgpack` unless the bytes are known to be valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// One valid JSON text (RFC 8259), UTF-8, at most `MAX_DATA_DEPTH` deep.
    Json(Bytes),
    /// One valid MessagePack value, at most `MAX_DATA_DEPTH` deep, without composite map keys.
    MsgPack(Bytes),
}

impl Data {
    /// Takes a JSON text after checking it; blanks around the value are dropped.
    pub fn json(text: impl Into<Bytes>) -> Result<Self, DataError> {
        let text = text.into();
        let utf8 = std::str::from_utf8(&text).map_err(|_| DataError::BadUtf8)?;
        let raw: &RawValue = serde_json::from_str(utf8).map_err(|_| DataError::NotJson)?;
        check_json_depth(raw.get())?;
        Ok(Self::Json(text.slice_ref(raw.get().as_bytes())))
    }

    /// Takes a MessagePack value after checking it.
    pub fn msgpack(value: impl Into<Bytes>) -> Result<Self, DataError> {
        let value = value.into();
        let mut reader = MsgPackReader::new(&value);
        reader.value(MAX_DATA_DEPTH)?;
        reader.end()?;
        Ok(Self::MsgPack(value))
    }

    /// Size of the value as its author sent it, in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(bytes) | Self::MsgPack(bytes) => bytes.len(),
        }
    }

    /// Never true of a valid value: even `null` has four bytes or one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the value as JSON: byte for byte if it is JSON (newlines between its tokens
    /// stay), else transcoded. Bytes that break the type's promise are written as `null`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Json(text) => out.extend_from_slice(text),
            Self::MsgPack(value) => {
                let start = out.len();
                if to_json::write(value, out).is_err() {
                    out.truncate(start);
                    out.extend_from_slice(b"null");
                }
            }
        }
    }

    /// Appends the value as MessagePack: byte for byte if it is MessagePack, else transcoded.
    /// Bytes that break the type's promise are written as nil.
    pub fn write_msgpack(&self, out: &mut Vec<u8>) {
        match self {
            Self::MsgPack(value) => out.extend_from_slice(value),
            Self::Json(text) => {
                let start = out.len();
                let utf8 = std::str::from_utf8(text).map_err(|_| DataError::BadUtf8);
                if utf8.and_then(|text| to_msgpack::write(text, out)).is_err() {
                    out.truncate(start);
                    out.push(rmp::Marker::Null.to_u8());
                }
            }
        }
    }
}

/// Checks the nesting of a valid JSON text: serde_json bounds it for what it parses, but not for
/// what it passes through raw.
pub(crate) fn check_json_depth(text: &str) -> Result<(), DataError> {
    let opens = |byte: &u8| matches!(byte, b'{' | b'[');
    // A text with few brackets cannot be deep; counting them costs next to nothing.
    if text.bytes().filter(|byte| opens(byte)).count() <= MAX_DATA_DEPTH {
        return Ok(());
    }
    let mut depth = 0usize;
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' => drop(bytes.next()),
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DATA_DEPTH {
            return Err(DataError::TooDeep);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
