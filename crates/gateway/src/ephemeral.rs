//! What members get beside the log of their room: signals, typing, and who comes and goes. Each frame
//! is encoded once per form of delivery. It knows no connection and no room's state.

use std::sync::OnceLock;

use roomcast_bus::Writer;
use roomcast_protocol::{RoomName, ServerFrame};

use crate::form::Form;

/// Something for the members of a room.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "each item has an Arc of its own")]
pub(crate) enum EphemeralItem {
    /// A frame.
    Frame(EphemeralFrame),
    /// Those that follow who is in the room are to ask for the list again, each after a random part
    /// of so many ms.
    ListReset { room: RoomName, spread_ms: u64 },
}

impl EphemeralItem {
    /// Whether it is kept where signals are dropped.
    pub(crate) fn is_needed(&self) -> bool {
        match self {
            Self::Frame(frame) => frame.is_needed(),
            Self::ListReset { .. } => true,
        }
    }
}

/// A frame, with its receivers.
#[derive(Debug)]
pub(crate) struct EphemeralFrame {
    frame: ServerFrame,
    audience: Audience,
    encoded: [OnceLock<Box<[u8]>>; Form::COUNT],
}

/// Which members get a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audience {
    pub(crate) members: AudienceMembers,
    /// Not this connection, or no connection of this user.
    pub(crate) but: Option<Writer>,
}

/// Who may be in an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AudienceMembers {
    /// All members. For those that are behind it is dropped, unless it is needed.
    All,
    /// Those that follow who is in the room. One for which it is dropped is to ask for the list again.
    Listeners,
}

impl EphemeralFrame {
    pub(crate) fn new(frame: ServerFrame, audience: Audience) -> Self {
        Self { frame, audience, encoded: Default::default() }
    }

    pub(crate) fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Whether it is kept where signals are dropped: changes of the list, and the end of a typing, as
    /// no later frame says it again.
    pub(crate) fn is_needed(&self) -> bool {
        self.audience.members == AudienceMembers::Listeners || self.ends_typing()
    }

    /// Whether it says that a typing has ended.
    pub(crate) fn ends_typing(&self) -> bool {
        matches!(self.frame, ServerFrame::Typing { active: false, .. })
    }

    /// The frame itself.
    #[cfg(test)]
    pub(crate) fn frame(&self) -> &ServerFrame {
        &self.frame
    }

    /// The complete message in a form, encoded at the first call. It is small and soon gone: it is
    /// not compressed.
    pub(crate) fn encoded(&self, form: Form) -> &[u8] {
        self.encoded[form.index()].get_or_init(|| {
            let (mut payload, mut bytes) = (Vec::with_capacity(256), Vec::new());
            self.frame.encode(form.encoding(), &mut payload);
            form.append(&payload, &mut bytes);
            bytes.into_boxed_slice()
        })
    }
}
