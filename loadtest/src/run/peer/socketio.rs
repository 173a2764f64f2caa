//! Socket.IO's frames (protocol 5 in Engine.IO 4) over WebSocket, as far as
//! `peers/socketio/server.mjs` needs them: all are text.

use super::{Heard, Outgoing};
use crate::dialect::room_text;

/// Where its WebSockets are.
pub(super) const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

pub(super) fn join(room: usize) -> String {
    format!(r#"42["join","{}"]"#, room_text(room))
}

pub(super) fn publish(message: &Outgoing<'_>) -> String {
    format!(r#"42["publish","{}",{}]"#, room_text(message.room), message.data())
}

pub(super) fn read(payload: &[u8]) -> Heard<'_> {
    match payload {
        // Engine.IO is open: ask for the main namespace.
        [b'0', ..] => Heard::Answer(b"40"),
        [b'4', b'0', ..] => Heard::Greeted { by: None },
        b"2" => Heard::Answer(b"3"),
        _ if payload.starts_with(br#"42["message""#) => {
            Heard::Message { seq: None, id: b"", data: payload }
        }
        _ if payload.starts_with(br#"42["joined""#) => Heard::Joined { at: None, recovered: None },
        _ => Heard::Nothing,
    }
}
