//! Why a frame could not be read, with all that its answer needs.

use crate::{ErrorCode, RequestId, RoomName, ServerFrame};

/// A frame that could not be read. The connection goes on; the sender should be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// What to answer: `bad_frame`, `unknown_type` or `bad_room`. A client ignores frames that
    /// fail with `unknown_type`: a newer node may send them.
    pub code: ErrorCode,
    /// The `id` of the request, if it could be read.
    pub id: Option<RequestId>,
    /// The text that stood for the room, if it could be read; not always a valid name. Left out
    /// if it is longer than any name.
    pub room: Option<Box<str>>,
    /// For people: which field is wrong, and which bound it broke.
    pub message: Box<str>,
}

impl DecodeError {
    /// The `error` frame that answers it.
    pub fn answer(&self) -> ServerFrame {
        ServerFrame::Error {
            id: self.id,
            room: self.room.as_deref().and_then(|room| RoomName::parse(room).ok()),
            code: self.code,
            message: self.message.clone(),
            retry_after_ms: None,
        }
    }

    pub(crate) fn new(code: ErrorCode, message: impl Into<Box<str>>) -> Self {
        Self { code, id: None, room: None, message: message.into() }
    }

    pub(crate) fn bad_frame(message: impl Into<Box<str>>) -> Self {
        Self::new(ErrorCode::BadFrame, message)
    }
}
