//! Decides whether an action on a room is allowed. Every refusal by policy is made here, and each
//! road by which requests come calls [`permit`] at one place. A pure function: it knows no
//! connection, no clock and no state of a room, so limits that depend on these are not checked here.

use roomcast_access::capability::{Capabilities, Capability};
use roomcast_access::policy::{AccessDenied, Caller, RoomStanding, decide};
use roomcast_protocol::{Data, ErrorCode, JoinRoom, RoomKind, RoomName};

use crate::settings::{NO_STATE, PresenceSetting, Settings};

/// What a client asks to do with a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoomAction {
    /// Become a member, perhaps from an earlier position on, and with so many earlier messages.
    Join { history: u32, listening: ListInterest, info_bytes: usize },
    /// Stay a member.
    Stay,
    /// Stop being a member.
    Leave,
    /// Publish a message whose `data` has so many bytes.
    Publish { data_bytes: usize },
    /// Read messages that were published before, or where the room is.
    ReadHistory,
    /// Confirm what was received.
    Confirm,
    /// Read the newest values of a room's state.
    ReadState,
    /// Send a signal whose `data` has so many bytes, or a word about typing.
    Signal { data_bytes: usize },
    /// Show something of oneself to the others.
    Show { info_bytes: usize },
    /// See who is in the room.
    SeeMembers,
}

/// Whether a member follows who else is in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListInterest {
    No,
    Yes,
}

impl RoomAction {
    /// That of a `join`. Its `history` has no effect beside a `since`.
    pub(crate) fn of_join(join: &JoinRoom) -> Self {
        let history = join.history.filter(|_| join.since.is_none());
        let listening = if join.presence { ListInterest::Yes } else { ListInterest::No };
        let info_bytes = join.info.as_ref().map_or(0, Data::len);
        Self::Join { history: history.unwrap_or(0), listening, info_bytes }
    }

    /// The capabilities that it needs where no policy admits it.
    pub(crate) fn needs(self) -> &'static [Capability] {
        match self {
            Self::Join { history: 0, .. } | Self::Stay => &[Capability::Join],
            Self::Join { .. } => &[Capability::Join, Capability::History],
            Self::Leave | Self::Confirm | Self::Show { .. } => &[],
            Self::Publish { .. } => &[Capability::Publish],
            Self::ReadHistory | Self::ReadState => &[Capability::History],
            Self::Signal { .. } => &[Capability::Signal],
            Self::SeeMembers => &[Capability::Presence],
        }
    }
}

/// Why an action is refused: what the client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl From<AccessDenied> for Denial {
    fn from(denied: AccessDenied) -> Self {
        Self { code: ErrorCode::Forbidden, message: denied.to_string() }
    }
}

/// Allows or refuses an action on a room, by the policy of the room's namespace, the caller's
/// capabilities and its place in the room. Of the rooms that are not the application's only those
/// come here that the caller's own words name.
pub(crate) fn permit(
    settings: &Settings,
    (caller, standing): (Caller<'_>, RoomStanding),
    room: &RoomName,
    action: RoomAction,
) -> Result<(), Denial> {
    if room.kind() == RoomKind::Me {
        let message = "a connection without a user has no room of its own".to_owned();
        return Err(Denial { code: ErrorCode::Forbidden, message });
    }
    let namespace = settings.namespace_of(room);
    if matches!(action, RoomAction::SeeMembers | RoomAction::Show { .. })
        && namespace.presence.mode == PresenceSetting::Off
    {
        let message = "this room's namespace has no presence".to_owned();
        return Err(Denial { code: ErrorCode::Unsupported, message });
    }
    for capability in action.needs() {
        let standing = match (action, capability) {
            // It reads as the member that the join makes it.
            (RoomAction::Join { .. }, Capability::History) => as_member(standing),
            _ => standing,
        };
        decide(caller, &namespace.policy, *capability, room.as_str(), standing)?;
    }
    if let RoomAction::Join { listening: ListInterest::Yes, .. } = action
        && namespace.presence.mode != PresenceSetting::Off
    {
        let standing = as_member(standing);
        decide(caller, &namespace.policy, Capability::Presence, room.as_str(), standing)?;
    }
    if room.kind() == RoomKind::Application {
        let judged = settings.limits.names.judge_room(room);
        judged.map_err(|error| Denial { code: ErrorCode::BadRoom, message: error.to_string() })?;
    }
    match action {
        RoomAction::Show { info_bytes } | RoomAction::Join { info_bytes, .. }
            if info_bytes > settings.limits.info_bytes =>
        {
            let limit = settings.limits.info_bytes;
            let message = format!("info has {info_bytes} bytes, {limit} are allowed");
            Err(Denial { code: ErrorCode::TooLarge, message })
        }
        RoomAction::Publish { data_bytes } | RoomAction::Signal { data_bytes }
            if data_bytes > namespace.message_bytes =>
        {
            let limit = namespace.message_bytes;
            let message =
                format!("data has {data_bytes} bytes, this room's namespace allows {limit}");
            Err(Denial { code: ErrorCode::TooLarge, message })
        }
        RoomAction::ReadState if namespace.state.is_none() => {
            Err(Denial { code: ErrorCode::Unsupported, message: NO_STATE.to_owned() })
        }
        // A room that keeps no history for users answers with an empty page, not with an error.
        _ => Ok(()),
    }
}

fn as_member(standing: RoomStanding) -> RoomStanding {
    match standing {
        RoomStanding::Outside => RoomStanding::Inside(Capabilities::NONE),
        RoomStanding::Entering(can) | RoomStanding::Inside(can) => RoomStanding::Inside(can),
    }
}

#[cfg(test)]
mod tests;
