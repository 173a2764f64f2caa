//! How an application enters a room.

use roomcast_protocol::{Data, Position, Since};

/// How to enter a room. Later entries resume by themselves: they take everything from here but
/// `since` and `history`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JoinOptions {
    /// Resume: everything after this position, or of this time and later, first.
    pub since: Option<Since>,
    /// Begin with up to this many of the latest messages; without `since` only.
    pub history: Option<u32>,
    /// Be told of the users that come and go.
    pub presence: bool,
    /// What other members see of this one; `Client::show` replaces it.
    pub info: Option<Data>,
    /// Refuse an entry that could only begin with a gap or a reset: the client is out of the room
    /// then (`Event::Error` with the code `unrecoverable`), also if that happens when it comes back.
    pub strict: bool,
}

impl JoinOptions {
    /// Everything after this position, first.
    pub fn after(position: Position) -> Self {
        Self { since: Some(position.into()), ..Self::default() }
    }
}
