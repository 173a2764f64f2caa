//! The words of `peers/ws/server.mjs`.

use super::{Heard, Outgoing};
use crate::dialect::room_text;

pub(super) fn join(room: usize) -> String {
    format!(r#"{{"type":"join","room":"{}"}}"#, room_text(room))
}

pub(super) fn publish(message: &Outgoing<'_>) -> String {
    let (room, data) = (room_text(message.room), message.data());
    format!(r#"{{"type":"publish","room":"{room}","data":{data}}}"#)
}

pub(super) fn read(payload: &[u8]) -> Heard<'_> {
    if payload.starts_with(br#"{"type":"message""#) {
        return Heard::Message { seq: None, id: b"", data: payload };
    }
    if payload.starts_with(br#"{"type":"joined""#) {
        return Heard::Joined { at: None, recovered: None };
    }
    Heard::Nothing
}
