//! Stable 64-bit fingerprints: of what a publication carries, to distinguish a retry from another
//! message under the same key, and of a client's name for itself. They are the same on every node and
//! build (FNV-1a), so they may be stored.

use roomcast_protocol::Data;

use crate::api::{Publication, StateAction};

/// Fingerprint of the event and the payload.
pub(crate) fn fingerprint(publication: &Publication) -> u64 {
    let (tag, data) = match &publication.data {
        Data::Json(bytes) => (0, bytes),
        Data::MsgPack(bytes) => (1, bytes),
    };
    let event = publication.event.as_ref().map_or("", |event| event.as_str());
    // An event name is printable, so the zero byte separates it from the payload.
    let state = state_text(publication);
    hash([&[tag], event.as_bytes(), &[0], data.as_ref(), state.as_bytes()].into_iter().flatten())
}

/// What the publication does to the room's state; empty where it only sets the room's own value, as
/// one in a room without state.
fn state_text(publication: &Publication) -> String {
    let Some(state) = &publication.state else { return String::new() };
    let is_remove = state.action != StateAction::Set;
    if state.key.is_none() && state.ttl_ms.is_none() && !is_remove {
        return String::new();
    }
    let key = state.key.as_ref().map_or("", |key| key.as_str());
    format!("\0{key} {} {is_remove}", state.ttl_ms.unwrap_or(0))
}

/// A hash of what a client calls itself, for [`crate::NamedConnection`].
pub fn client_fingerprint(client: &str) -> u64 {
    hash(client.as_bytes())
}

fn hash<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
