//! Names: rooms, users, events, keys, nodes and connections. Parsed once at the edge; a value of
//! these types is always within its bounds.

use std::fmt;
use std::sync::Arc;

/// Longest room name in bytes: long enough for two UUIDs and words, short enough to stand in
/// every frame and Redis key.
pub const MAX_ROOM_BYTES: usize = 128;
/// Longest user name in bytes: holds an e-mail address or a token's `sub` in practice.
pub const MAX_USER_BYTES: usize = 128;
/// Longest event name in bytes: a word or two, as it stands in every message that carries it.
pub const MAX_EVENT_BYTES: usize = 64;
/// Longest idempotency key in bytes: a UUID and a prefix; Redis keeps each for its window.
pub const MAX_KEY_BYTES: usize = 64;
/// Longest node name in bytes: a host name label and a suffix.
pub const MAX_NODE_BYTES: usize = 64;

/// Rooms under this prefix belong to the nodes themselves; nobody can join or publish there.
const RESERVED_ROOM_PREFIX: &str = "$";

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Give at least one character.
    #[error("a {0} must not be empty")]
    Empty(&'static str),
    /// Shorten it: the second field is the bound in bytes.
    #[error("a {0} has at most {1} bytes")]
    TooLong(&'static str, usize),
    /// Use printable characters without blanks.
    #[error("a {0} has printable characters only, and no blanks")]
    Unprintable(&'static str),
    /// Choose another first character.
    #[error("room names that begin with \"$\" are reserved")]
    Reserved,
}

fn check(what: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty(what));
    }
    if name.len() > max {
        return Err(NameError::TooLong(what, max));
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace() || is_invisible(c)) {
        return Err(NameError::Unprintable(what));
    }
    Ok(())
}

/// Format and bidi controls that would make two different names look the same.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident($what:literal, $max:expr);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name; fails with what is wrong with it.
            pub fn parse(name: &str) -> Result<Self, NameError> {
                check($what, name, $max)?;
                Ok(Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// Who a connection says it is (later: who its token says it is).
    UserName("user name", MAX_USER_BYTES);
    /// The application's word for what kind of message this is.
    EventName("event", MAX_EVENT_BYTES);
    /// An idempotency key: the same key by the same user in the same room is stored once.
    PublishKey("key", MAX_KEY_BYTES);
    /// The name of one node, unique in its cluster.
    NodeId("node id", MAX_NODE_BYTES);
}

/// The name of a room. What stands before the first `:` is its namespace.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Reads a room name from a client: 1 to 128 bytes, printable, no blanks, not reserved.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        check("room name", name, MAX_ROOM_BYTES)?;
        if name.starts_with(RESERVED_ROOM_PREFIX) {
            return Err(NameError::Reserved);
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `:`, which selects the room's policy; `None` without a `:`.
    pub fn namespace(&self) -> Option<&str> {
        self.0.split_once(':').map(|(namespace, _)| namespace)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One client link, unique over all nodes and their restarts: a random number, written as 16 hex
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// Reads the 16 hex digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Exactly 16 lower-case hex digits, as ids and epochs are written.
pub(crate) fn parse_hex(text: &str) -> Option<u64> {
    let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 16 || !text.bytes().all(digits) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}
