//! The types of a client's frames, as one closed list for the codec, tables and metrics.

/// What a frame from a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// Become a member of one room or several.
    Join,
    /// Stop being a member.
    Leave,
    /// Publish one message.
    Publish,
    /// An ephemeral event to the room's members.
    Signal,
    /// The user is writing (or has stopped).
    Typing,
    /// Read a room's history.
    History,
    /// List a room's members.
    Members,
    /// Change what other members see of this one.
    Presence,
    /// Read a room's state.
    State,
    /// Where rooms are.
    Room,
    /// Confirm what the user received or read.
    Received,
    /// Watch users come and go.
    Watch,
    /// Watch them no more.
    Unwatch,
    /// Present a new token.
    Refresh,
    /// Ask for a `pong`.
    Ping,
}

impl FrameType {
    /// Every type, in the order of declaration.
    pub const ALL: [Self; 15] = [
        Self::Join,
        Self::Leave,
        Self::Publish,
        Self::Signal,
        Self::Typing,
        Self::History,
        Self::Members,
        Self::Presence,
        Self::State,
        Self::Room,
        Self::Received,
        Self::Watch,
        Self::Unwatch,
        Self::Refresh,
        Self::Ping,
    ];

    /// The frame's `type` on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Publish => "publish",
            Self::Signal => "signal",
            Self::Typing => "typing",
            Self::History => "history",
            Self::Members => "members",
            Self::Presence => "presence",
            Self::State => "state",
            Self::Room => "room",
            Self::Received => "received",
            Self::Watch => "watch",
            Self::Unwatch => "unwatch",
            Self::Refresh => "refresh",
            Self::Ping => "ping",
        }
    }
}
