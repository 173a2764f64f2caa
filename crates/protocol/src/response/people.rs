//! What frames tell of members, users and a room's state. Plain data only.

use crate::{ConnectionId, Data, Epoch, RoomName, Seq, StateKey, UserName};

/// Members in one page, at most: a page has 64 KiB or a single member.
pub const MAX_PAGE_MEMBERS: usize = 4096;
/// Values of a room's state in one part, at most: a part has 64 KiB or a single value.
pub const MAX_PAGE_ENTRIES: usize = 4096;
/// Earlier values of one key that a part may hold.
pub const MAX_STATE_POINTS: usize = 1000;

/// A room's members in numbers; by default those of a room without any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PresenceCounts {
    /// Memberships.
    pub count: u64,
    /// Different users.
    pub users: u64,
    /// Revision of the list of users: rises when it changes.
    pub rev: u64,
    /// One life of the list: revisions of different lives are not compared.
    pub rev_epoch: Epoch,
}

/// Whether a user is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PresenceStatus {
    /// It is, or its client does not say.
    #[default]
    Active,
    /// None of its connections is.
    Away,
}

impl PresenceStatus {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Active, Self::Away];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Away => "away",
        }
    }

    /// Reads what `as_str` writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A user appeared in a room or went away.
#[derive(Debug, Clone, PartialEq)]
pub struct UserEvent {
    /// The room.
    pub room: RoomName,
    /// Who.
    pub user: UserName,
    /// What the user shows of itself.
    pub info: Option<Data>,
    /// When, Unix time in ms by the bus's clock.
    pub time: u64,
    /// Memberships in the room after it.
    pub count: u64,
    /// Different users after it.
    pub users: u64,
    /// Revision of the member list after it.
    pub rev: u64,
}

/// One entry of a room's list of members, as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The connection; `None` for a user whose last connection ended a moment ago.
    pub connection: Option<ConnectionId>,
    /// Its user, if known.
    pub user: Option<UserName>,
    /// What the user shows of itself.
    pub info: Option<Data>,
    /// Whether the user is there.
    pub status: Option<PresenceStatus>,
}

/// How far a user has confirmed a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadMarks {
    /// The last message that was received; 0 if none.
    pub received: Seq,
    /// The last message that was read; 0 if none.
    pub read: Seq,
    /// Kept messages after `read`.
    pub unread: u64,
}

/// One value of a room's state.
#[derive(Debug, Clone, PartialEq)]
pub struct StateEntry {
    /// Its key; `None` for the room's own value.
    pub key: Option<StateKey>,
    /// The message that set it.
    pub seq: Seq,
    /// When it was set, Unix ms by the bus's clock.
    pub time: u64,
    /// Who set it, if known.
    pub user: Option<UserName>,
    /// The value.
    pub data: Data,
    /// The last values, the newest at the end, where the namespace keeps some.
    pub points: Option<Vec<StatePoint>>,
}

/// One of the last values of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct StatePoint {
    /// The message that set it.
    pub seq: Seq,
    /// When it was set, Unix ms by the bus's clock.
    pub time: u64,
    /// The value.
    pub data: Data,
}

/// A watched user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineUser {
    /// Who.
    pub user: UserName,
    /// Whether it has a connection anywhere.
    pub online: bool,
}
