//! Messages sent back as they came: what a node does whose purpose is to have its WebSockets tested.

use roomcast_protocol::Encoding;

use super::inbound::InboundEvent;
use crate::connection::Connection;
use crate::form::{Form, SharedDeflate};

/// Sends a message back, compressed where the connection takes that and it becomes smaller. False if
/// this is no message.
pub(super) fn send_back(connection: &Connection, event: &InboundEvent) -> bool {
    let (encoding, payload) = match event {
        InboundEvent::Text(text) => (Encoding::Json, text.as_bytes()),
        InboundEvent::Binary(bytes) => (Encoding::MsgPack, &bytes[..]),
        InboundEvent::Pause | InboundEvent::Close | InboundEvent::Broken(_) => return false,
    };
    let form = Form::websocket(encoding, connection.form.extension());
    let everything = SharedDeflate::default();
    connection.append_control(|control| form.append_shared(payload, &everything, control));
    true
}
