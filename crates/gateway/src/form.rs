//! Forms of delivery: how messages, heartbeats and the end of a connection are written for it. A
//! batch is encoded once per form. It knows no connection and no room.

mod shared_deflate;
mod websocket;

use roomcast_protocol::{CloseCode, Encoding};

pub(crate) use shared_deflate::{DeflatedBytes, SharedDeflate};
use websocket::{FrameBody, append_message};

/// What a WebSocket's handshake settled beside its subprotocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameExtension {
    None,
    /// permessage-deflate (RFC 7692) without context takeover.
    Deflate,
}

/// What a connection receives its messages in. Closed: another transport is another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text frames of a WebSocket, with JSON in them.
    WebSocketJson,
    /// Binary frames of a WebSocket, with MessagePack in them.
    WebSocketMessagePack,
    /// The same as the first, compressed where it pays.
    DeflatedJson,
    /// The same as the second, compressed where it pays.
    DeflatedMessagePack,
}

impl Form {
    /// Number of forms.
    pub(crate) const COUNT: usize = 4;

    /// All forms, each at its index.
    #[cfg(test)]
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::WebSocketJson,
        Self::WebSocketMessagePack,
        Self::DeflatedJson,
        Self::DeflatedMessagePack,
    ];

    /// The form of a WebSocket whose subprotocol has this encoding.
    pub(crate) fn websocket(encoding: Encoding, extension: FrameExtension) -> Self {
        match (encoding, extension) {
            (Encoding::Json, FrameExtension::None) => Self::WebSocketJson,
            (Encoding::MsgPack, FrameExtension::None) => Self::WebSocketMessagePack,
            (Encoding::Json, FrameExtension::Deflate) => Self::DeflatedJson,
            (Encoding::MsgPack, FrameExtension::Deflate) => Self::DeflatedMessagePack,
        }
    }

    /// The encoding of payloads, in both directions.
    pub(crate) fn encoding(self) -> Encoding {
        match self {
            Self::WebSocketJson | Self::DeflatedJson => Encoding::Json,
            Self::WebSocketMessagePack | Self::DeflatedMessagePack => Encoding::MsgPack,
        }
    }

    /// What frames may be, in both directions.
    pub(crate) fn extension(self) -> FrameExtension {
        match self {
            Self::WebSocketJson | Self::WebSocketMessagePack => FrameExtension::None,
            Self::DeflatedJson | Self::DeflatedMessagePack => FrameExtension::Deflate,
        }
    }

    /// Its place where something is kept for each form, below [`Self::COUNT`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Appends one complete message with this payload, which is in the form's encoding, for one
    /// connection. It is not compressed: that costs more CPU than the bytes that it saves one client.
    pub(crate) fn append(self, payload: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::WebSocketJson | Self::DeflatedJson => {
                append_message(FrameBody::Text, payload, out);
            }
            Self::WebSocketMessagePack | Self::DeflatedMessagePack => {
                append_message(FrameBody::Binary, payload, out);
            }
        }
    }

    /// Appends one complete message that many connections share, compressed if the form is and it
    /// pays.
    pub(crate) fn append_shared(self, payload: &[u8], deflate: &SharedDeflate, out: &mut Vec<u8>) {
        match self {
            Self::WebSocketJson | Self::WebSocketMessagePack => self.append(payload, out),
            Self::DeflatedJson => deflate.append(FrameBody::Text, payload, out),
            Self::DeflatedMessagePack => deflate.append(FrameBody::Binary, payload, out),
        }
    }

    /// Appends what the client must answer, or the connection ends: the same for each connection.
    pub(crate) fn append_heartbeat(self, out: &mut Vec<u8>) {
        match self {
            Self::WebSocketJson
            | Self::WebSocketMessagePack
            | Self::DeflatedJson
            | Self::DeflatedMessagePack => websocket::append_ping(out),
        }
    }

    /// Appends the end, after which nothing follows.
    pub(crate) fn append_close(self, code: CloseCode, out: &mut Vec<u8>) {
        match self {
            Self::WebSocketJson
            | Self::WebSocketMessagePack
            | Self::DeflatedJson
            | Self::DeflatedMessagePack => websocket::append_close(code, out),
        }
    }
}

#[cfg(test)]
mod tests;
