//! The application's payload: one JSON or MessagePack value, carried through untouched.

use bytes::Bytes;

/// One complete value in the encoding in which its author sent it. Readers of that encoding get
/// these very bytes; for readers of the other it is transcoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// One valid JSON text (RFC 8259), UTF-8.
    Json(Bytes),
    /// One valid MessagePack value.
    MsgPack(Bytes),
}

impl Data {
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
}
