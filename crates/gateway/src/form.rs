//! Forms of delivery: how messages, heartbeats and the end of a connection are written for it. A
//! batch is encoded once per form. It knows no connection and no room.

mod websocket;

use roomcast_protocol::{CloseCode, Encoding};

/// What a connection receives its messages in. Closed: another transport is another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text frames of a WebSocket, with JSON in them.
    WebSocketJson,
    /// Binary frames of a WebSocket, with MessagePack in them.
    WebSocketMessagePack,
}

impl Form {
    /// Number of forms.
    pub(crate) const COUNT: usize = 2;

    /// All forms, each at its index.
    #[cfg(test)]
    pub(crate) const ALL: [Self; Self::COUNT] = [Self::WebSocketJson, Self::WebSocketMessagePack];

    /// The form of a WebSocket whose subprotocol has this encoding.
    pub(crate) fn websocket(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Json => Self::WebSocketJson,
            Encoding::MsgPack => Self::WebSocketMessagePack,
        }
    }

    /// The encoding of payloads, in both directions.
    pub(crate) fn encoding(self) -> Encoding {
        match self {
            Self::WebSocketJson => Encoding::Json,
            Self::WebSocketMessagePack => Encoding::MsgPack,
        }
    }

    /// Its place where something is kept for each form, below [`Self::COUNT`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Appends one complete message with this payload, which is in the form's encoding.
    pub(crate) fn append(self, payload: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::WebSocketJson => websocket::append_text(payload, out),
            Self::WebSocketMessagePack => websocket::append_binary(payload, out),
        }
    }

    /// Appends what the client must answer, or the connection ends: the same for each connection.
    pub(crate) fn append_heartbeat(self, out: &mut Vec<u8>) {
        match self {
            Self::WebSocketJson | Self::WebSocketMessagePack => websocket::append_ping(out),
        }
    }

    /// Appends the end, after which nothing follows.
    pub(crate) fn append_close(self, code: CloseCode, out: &mut Vec<u8>) {
        match self {
            Self::WebSocketJson | Self::WebSocketMessagePack => websocket::append_close(code, out),
        }
    }
}

#[cfg(test)]
mod tests;
