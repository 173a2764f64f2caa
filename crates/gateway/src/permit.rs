//! Decides whether an action on a room is allowed. Every refusal by policy is made here, and each
//! road by which requests come calls [`permit`] at one place. A pure function: it knows no
//! connection, no clock and no state of a room, so limits that depend on these are not checked here.

use roomcast_protocol::{ErrorCode, RoomName};

use crate::settings::Settings;

/// What a client asks to do with a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoomAction {
    /// Become a member, perhaps from an earlier position on.
    Join,
    /// Stop being a member.
    Leave,
    /// Publish a message whose `data` has so many bytes.
    Publish { data_bytes: usize },
    /// Read messages that were published before.
    ReadHistory,
}

/// Why an action is refused: what the client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

/// Allows or refuses an action on a room, by the policy of the room's namespace. Reserved names do
/// not come here: a [`RoomName`] that was parsed from a request is none.
pub(crate) fn permit(
    settings: &Settings,
    room: &RoomName,
    action: RoomAction,
) -> Result<(), Denial> {
    settings
        .limits
        .names
        .judge_room(room)
        .map_err(|error| Denial { code: ErrorCode::BadRoom, message: error.to_string() })?;
    match action {
        // A room that keeps no history for users answers with an empty page, not with an error.
        RoomAction::Join | RoomAction::Leave | RoomAction::ReadHistory => Ok(()),
        RoomAction::Publish { data_bytes } => {
            let limit = settings.namespace_of(room).message_bytes;
            if data_bytes <= limit {
                return Ok(());
            }
            let message =
                format!("data has {data_bytes} bytes, this room's namespace allows {limit}");
            Err(Denial { code: ErrorCode::TooLarge, message })
        }
    }
}

#[cfg(test)]
mod tests;
