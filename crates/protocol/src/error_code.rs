//! Stable codes of `error` frames; `docs/protocol.md` lists them with what a client should do.

/// What went wrong, in a form that programs may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The frame could not be read; correct the client.
    BadFrame,
    /// No such frame type; correct the client.
    UnknownType,
    /// The type exists but this node does not serve it.
    Unsupported,
    /// A room name is out of bounds.
    BadRoom,
    /// The connection is not a member of that room.
    NotJoined,
    /// The connection is a member already.
    AlreadyJoined,
    /// The connection is in as many rooms as it may be.
    TooManyRooms,
    /// The payload is larger than the room's namespace allows.
    TooLarge,
    /// The namespace's policy does not allow this, and no capability does.
    Forbidden,
    /// The token is not good: take a new one.
    BadToken,
    /// The key that the token needs has not come yet; try again later.
    NotReady,
    /// The namespace's rules do not take this payload; the message names the path.
    BadData,
    /// The request is above a rate; it was not executed, try again after `retry_after_ms`.
    RateLimited,
    /// The same key was used with another payload.
    KeyConflict,
    /// `if_seq` did not hold.
    SeqConflict,
    /// A `strict` join could only have begun with a gap or a reset.
    Unrecoverable,
    /// The room's state has as many keys, or bytes, as it may have.
    TooManyKeys,
    /// The connection watches as many users as it may.
    TooManyUsers,
    /// The node or room has too much to do; try again later.
    Overloaded,
    /// The bus is away; surely nothing was stored.
    BusUnavailable,
    /// The outcome is unknown; retry with the same key.
    PublishUnknown,
    /// The connection left the room before its join was answered.
    Cancelled,
    /// A fault of the node's own.
    Internal,
}

impl ErrorCode {
    /// Every code, for tables and tests.
    pub const ALL: [Self; 23] = [
        Self::BadFrame,
        Self::UnknownType,
        Self::Unsupported,
        Self::BadRoom,
        Self::NotJoined,
        Self::AlreadyJoined,
        Self::TooManyRooms,
        Self::TooLarge,
        Self::Forbidden,
        Self::BadToken,
        Self::NotReady,
        Self::BadData,
        Self::RateLimited,
        Self::KeyConflict,
        Self::SeqConflict,
        Self::Unrecoverable,
        Self::TooManyKeys,
        Self::TooManyUsers,
        Self::Overloaded,
        Self::BusUnavailable,
        Self::PublishUnknown,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The code as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::UnknownType => "unknown_type",
            Self::Unsupported => "unsupported",
            Self::BadRoom => "bad_room",
            Self::NotJoined => "not_joined",
            Self::AlreadyJoined => "already_joined",
            Self::TooManyRooms => "too_many_rooms",
            Self::TooLarge => "too_large",
            Self::Forbidden => "forbidden",
            Self::BadToken => "bad_token",
            Self::NotReady => "not_ready",
            Self::BadData => "bad_data",
            Self::RateLimited => "rate_limited",
            Self::KeyConflict => "key_conflict",
            Self::SeqConflict => "seq_conflict",
            Self::Unrecoverable => "unrecoverable",
            Self::TooManyKeys => "too_many_keys",
            Self::TooManyUsers => "too_many_users",
            Self::Overloaded => "overloaded",
            Self::BusUnavailable => "bus_unavailable",
            Self::PublishUnknown => "publish_unknown",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// Reads what `as_str` writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}
