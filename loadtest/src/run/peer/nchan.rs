//! Nchan's WebSockets: one for each channel. With its subprotocol a message comes behind its id,
//! from which a subscriber that comes back goes on.

use std::net::SocketAddr;

use super::Heard;
use crate::dialect::room_text;
use crate::wire;

/// Messages with their ids.
const WITH_META: &str = "ws+meta.nchan";

pub(super) fn publish_path(room: usize) -> String {
    format!("/pub/{}", room_text(room))
}

pub(super) fn subscribe(to: SocketAddr, room: usize, last_id: &[u8]) -> Vec<u8> {
    let mut path = format!("/sub/{}", room_text(room));
    if !last_id.is_empty() {
        path += &format!("?last_event_id={}", String::from_utf8_lossy(last_id));
    }
    wire::upgrade_request(&to.to_string(), &path, Some(WITH_META))
}

pub(super) fn read(payload: &[u8]) -> Heard<'_> {
    let Some(rest) = payload.strip_prefix(b"id: ") else {
        // What a publisher is told of its channel.
        return Heard::Nothing;
    };
    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    Heard::Message { seq: None, id: &rest[..end], data: &rest[end..] }
}
