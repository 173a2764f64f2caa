//! Names: rooms, users, events, keys, nodes and connections. Parsed once at the edge; a value of
//! these types is always within its bounds.

mod invisible;

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use invisible::is_invisible;

/// Longest room name in bytes: long enough for two UUIDs and words, short enough to stand in
/// every frame and Redis key.
pub const MAX_ROOM_BYTES: usize = 128;
/// Longest user name in bytes: holds an e-mail address or a token's `sub` in practice.
pub const MAX_USER_BYTES: usize = 128;
/// Longest event name in bytes: a word or two, as it stands in every message that carries it.
pub const MAX_EVENT_BYTES: usize = 64;
/// Longest idempotency key in bytes: a UUID and a prefix; Redis keeps each for its window.
pub const MAX_KEY_BYTES: usize = 64;
/// Longest key of a room's state in bytes: an id and a path in practice; each is kept in Redis and in
/// the memory of nodes.
pub const MAX_STATE_KEY_BYTES: usize = 128;
/// Longest node name in bytes: a host name label and a suffix.
pub const MAX_NODE_BYTES: usize = 64;

/// Names that begin with one of these belong to the nodes, but for the two below.
const RESERVED_ROOM_PREFIXES: [char; 2] = ['$', '@'];
/// What a client calls its user's own room.
const ME: &str = "@me";
/// What a client calls the room of all connections.
const ALL: &str = "@all";
/// Begins the internal name of a user's own room.
const USER_ROOM_PREFIX: &str = "$user:";
/// The internal name of the room of all connections.
const ALL_ROOM: &str = "$all";
/// The internal name of the room in which nodes ask each other.
const NODES_ROOM: &str = "$nodes";

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Give at least one character.
    #[error("the {0} must not be empty")]
    Empty(&'static str),
    /// Shorten it: the second field is the bound in bytes.
    #[error("the {0} has at most {1} bytes")]
    TooLong(&'static str, usize),
    /// Use printable characters without blanks.
    #[error("the {0} has printable characters only, and no blanks")]
    Unprintable(&'static str),
    /// Choose another first character.
    #[error("room names that begin with \"$\" or \"@\" are reserved")]
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

/// What a name names, and its bound.
pub trait NameKind {
    /// The word for it in errors.
    const WHAT: &'static str;
    /// Longest name in bytes.
    const MAX_BYTES: usize;
}

/// The kind of `UserName`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UserKind {}
/// The kind of `EventName`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {}
/// The kind of `PublishKey`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {}
/// The kind of `StateKey`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateKind {}
/// The kind of `NodeId`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeKind {}

impl NameKind for UserKind {
    const WHAT: &'static str = "user name";
    const MAX_BYTES: usize = MAX_USER_BYTES;
}
impl NameKind for EventKind {
    const WHAT: &'static str = "event";
    const MAX_BYTES: usize = MAX_EVENT_BYTES;
}
impl NameKind for KeyKind {
    const WHAT: &'static str = "key";
    const MAX_BYTES: usize = MAX_KEY_BYTES;
}
impl NameKind for StateKind {
    const WHAT: &'static str = "state key";
    const MAX_BYTES: usize = MAX_STATE_KEY_BYTES;
}
impl NameKind for NodeKind {
    const WHAT: &'static str = "node id";
    const MAX_BYTES: usize = MAX_NODE_BYTES;
}

/// Who a connection says it is (later: who its token says it is).
pub type UserName = Name<UserKind>;
/// The application's word for what kind of message this is.
pub type EventName = Name<EventKind>;
/// An idempotency key: the same key by the same user in the same room is stored once.
pub type PublishKey = Name<KeyKind>;
/// The key of one value of a room's state.
pub type StateKey = Name<StateKind>;
/// The name of one node, unique in its cluster.
pub type NodeId = Name<NodeKind>;

/// A name: not empty, within its kind's bound, printable, no blanks. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name<K: NameKind> {
    text: Arc<str>,
    kind: PhantomData<K>,
}

impl<K: NameKind> Name<K> {
    /// Reads a name; fails with what is wrong with it.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        check(K::WHAT, name, K::MAX_BYTES)?;
        Ok(Self { text: name.into(), kind: PhantomData })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<K: NameKind> fmt::Debug for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl<K: NameKind> fmt::Display for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whose room a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomKind {
    /// The application's: its namespace rules it.
    Application,
    /// One user's own.
    User,
    /// Of all connections.
    All,
    /// Of the nodes.
    Nodes,
    /// The own room of the user that says `@me`, before it is known who that is.
    Me,
}

/// The name of a room. What stands before the first `:` is its namespace. Cheap to clone; maps
/// keyed by it can be asked with a `&str`. Clients call two rooms otherwise than nodes do: a node
/// takes [`RoomName::of_user`] of what it reads, and writes [`RoomName::wire`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Reads a room name as it is on the wire: 1 to 128 bytes, printable, no blanks, not reserved,
    /// or `@me` or `@all`.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        check("room name", name, MAX_ROOM_BYTES)?;
        if name.starts_with(RESERVED_ROOM_PREFIXES) && name != ME && name != ALL {
            return Err(NameError::Reserved);
        }
        Ok(Self(name.into()))
    }

    /// The own room of a user.
    pub fn user(user: &UserName) -> Self {
        Self(format!("{USER_ROOM_PREFIX}{user}").into())
    }

    /// The room in which nodes ask each other; no client is ever in it.
    pub fn nodes() -> Self {
        Self(NODES_ROOM.into())
    }

    /// The room that a user means by this name: for `@me` its own, for `@all` that of all
    /// connections. Without a user `@me` stays as it is.
    #[must_use]
    pub fn of_user(self, user: Option<&UserName>) -> Self {
        match (self.as_str(), user) {
            (ME, Some(user)) => Self::user(user),
            (ALL, _) => Self(ALL_ROOM.into()),
            _ => self,
        }
    }

    /// The name as clients know it.
    pub fn wire(&self) -> &str {
        match self.kind() {
            RoomKind::Application | RoomKind::Nodes => &self.0,
            RoomKind::User | RoomKind::Me => ME,
            RoomKind::All => ALL,
        }
    }

    /// Whose room it is.
    pub fn kind(&self) -> RoomKind {
        match self.as_str() {
            name if !name.starts_with(RESERVED_ROOM_PREFIXES) => RoomKind::Application,
            ME => RoomKind::Me,
            NODES_ROOM => RoomKind::Nodes,
            name if name.starts_with(USER_ROOM_PREFIX) => RoomKind::User,
            _ => RoomKind::All,
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `:`, which selects the room's policy; `None` without a `:`, and of
    /// a room that has no namespace.
    pub fn namespace(&self) -> Option<&str> {
        if self.0.starts_with(RESERVED_ROOM_PREFIXES) {
            return None;
        }
        self.0.split_once(':').map(|(namespace, _)| namespace)
    }
}

impl Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check_room(name: &str, expected: Result<(), NameError>) {
        assert_eq!(RoomName::parse(name).map(drop), expected, "{name:?}");
    }

    #[test]
    fn room_names_keep_their_bounds() {
        const WHAT: &str = "room name";
        check_room("a", Ok(()));
        check_room("chat:größe/7", Ok(()));
        check_room(&"a".repeat(128), Ok(()));
        check_room("", Err(NameError::Empty(WHAT)));
        check_room(&"a".repeat(129), Err(NameError::TooLong(WHAT, 128)));
        check_room(&"ö".repeat(65), Err(NameError::TooLong(WHAT, 128)));
        for bad in ["a b", "a\tb", "a\u{7f}", "\u{200b}a", "\u{202e}a", "a\u{a0}b"] {
            check_room(bad, Err(NameError::Unprintable(WHAT)));
        }
        for invisible in ['\u{61c}', '\u{34f}', '\u{3164}', '\u{180e}', '\u{fe0f}', '\u{e0020}'] {
            check_room(&format!("a{invisible}"), Err(NameError::Unprintable(WHAT)));
        }
        check_room("$node", Err(NameError::Reserved));
        for reserved in ["$all", "$user:a", "@", "@Me", "@all2", "@me:1"] {
            check_room(reserved, Err(NameError::Reserved));
        }
        check_room("@me", Ok(()));
        check_room("@all", Ok(()));
    }

    #[test]
    fn two_rooms_have_other_names_on_the_wire() {
        let ann = UserName::parse("ann").unwrap();
        let meant = |name: &str, user: Option<&UserName>| {
            let room = RoomName::parse(name).unwrap().of_user(user);
            (room.as_str().to_owned(), room.wire().to_owned(), room.kind())
        };
        let all = |name: &str, wire: &str, kind| (name.to_owned(), wire.to_owned(), kind);
        assert_eq!(meant("@me", Some(&ann)), all("$user:ann", "@me", RoomKind::User));
        assert_eq!(meant("@me", None), all("@me", "@me", RoomKind::Me));
        assert_eq!(meant("@all", None), all("$all", "@all", RoomKind::All));
        assert_eq!(
            meant("user:ann", Some(&ann)),
            all("user:ann", "user:ann", RoomKind::Application)
        );
        let longest = UserName::parse(&"u".repeat(MAX_USER_BYTES)).unwrap();
        assert!(RoomName::user(&longest).as_str().len() <= 192);
        assert_eq!(RoomName::user(&ann).namespace(), None);
    }

    #[test]
    fn each_kind_has_its_own_bound() {
        assert!(EventName::parse(&"e".repeat(MAX_EVENT_BYTES)).is_ok());
        let error = EventName::parse(&"e".repeat(MAX_EVENT_BYTES + 1)).unwrap_err();
        assert_eq!(error.to_string(), "the event has at most 64 bytes");
        assert!(UserName::parse(&"u".repeat(MAX_EVENT_BYTES + 1)).is_ok());
    }

    /// As `docs/protocol.md` says: an emoji of one code point, with a skin tone or of two regional
    /// indicators is a name, one that is held together by an invisible character is none.
    #[test]
    fn emoji_without_invisible_characters_are_names() {
        for good in ["😀", "👍🏽", "🇫🇷", "❤", "☀"] {
            assert!(UserName::parse(good).is_ok() && RoomName::parse(good).is_ok(), "{good}");
        }
        let england = "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
        for bad in
            ["❤\u{fe0f}", "1\u{fe0f}\u{20e3}", "👩\u{200d}💻", "👨\u{200d}👩\u{200d}👧", england]
        {
            assert!(UserName::parse(bad).is_err() && EventName::parse(bad).is_err(), "{bad}");
            assert!(PublishKey::parse(bad).is_err() && RoomName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_namespace_ends_at_the_first_colon() {
        let namespace = |name: &str| RoomName::parse(name).unwrap().namespace().map(str::to_owned);
        assert_eq!(namespace("chat:1:2").as_deref(), Some("chat"));
        assert_eq!(namespace("lobby"), None);
    }

    #[test]
    fn ids_are_sixteen_lower_case_hex_digits() {
        assert_eq!(ConnectionId::parse("00000000000000ff"), Some(ConnectionId(255)));
        for bad in ["ff", "00000000000000FF", "+0000000000000ff", "00000000000000ff0"] {
            assert_eq!(ConnectionId::parse(bad), None, "{bad}");
        }
    }
}
