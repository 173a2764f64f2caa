//! How long names may be, below the bounds of the protocol.

use roomcast_protocol::{MAX_ROOM_BYTES, MAX_USER_BYTES, RoomName, UserName};

/// A name above a bound of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {what} has at most {bytes} bytes here")]
pub struct NameTooLong {
    /// What the name names.
    pub what: &'static str,
    /// The bound, in bytes.
    pub bytes: usize,
}

/// The longest names, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameBounds {
    /// Of a room: `limits.room_name_bytes`.
    pub room: usize,
    /// Of a user: `limits.user_name_bytes`.
    pub user: usize,
}

impl Default for NameBounds {
    /// The bounds of the protocol.
    fn default() -> Self {
        Self { room: MAX_ROOM_BYTES, user: MAX_USER_BYTES }
    }
}

impl NameBounds {
    /// Fails if the room's name is too long.
    pub fn judge_room(&self, room: &RoomName) -> Result<(), NameTooLong> {
        judge("room name", room.as_str(), self.room)
    }

    /// Fails if the user's name is too long.
    pub fn judge_user(&self, user: &UserName) -> Result<(), NameTooLong> {
        judge("user name", user.as_str(), self.user)
    }
}

fn judge(what: &'static str, name: &str, bytes: usize) -> Result<(), NameTooLong> {
    if name.len() > bytes { Err(NameTooLong { what, bytes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_bounds_in_bytes() {
        let bounds = NameBounds { room: 6, user: 5 };
        assert_eq!(bounds.judge_room(&RoomName::parse("chat:ü").unwrap()).unwrap_err().bytes, 6);
        assert_eq!(bounds.judge_room(&RoomName::parse("chat:1").unwrap()), Ok(()));
        assert_eq!(bounds.judge_user(&UserName::parse("alice").unwrap()), Ok(()));
        let long = bounds.judge_user(&UserName::parse("alices").unwrap()).unwrap_err();
        assert_eq!(long.to_string(), "the user name has at most 5 bytes here");
        let longest = RoomName::parse(&"r".repeat(MAX_ROOM_BYTES)).unwrap();
        assert_eq!(NameBounds::default().judge_room(&longest), Ok(()));
    }
}
