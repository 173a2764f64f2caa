//! Payloads of one encoding written in the other. `docs/protocol.md` ("Data") has the mapping.

pub(crate) mod escapes;
mod heads;
pub(crate) mod msgpack;
pub(crate) mod to_json;
pub(crate) mod to_msgpack;
