//! Outgoing WebSocket frames (RFC 6455 section 5.2), written by tungstenite's own formatter.

use roomcast_protocol::{CloseCode, Encoding};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};

/// Appends one complete data frame of a subprotocol: text for JSON, binary for MessagePack.
pub(crate) fn append(encoding: Encoding, payload: &[u8], out: &mut Vec<u8>) {
    let data = match encoding {
        Encoding::Json => Data::Text,
        Encoding::MsgPack => Data::Binary,
    };
    let header = FrameHeader { opcode: OpCode::Data(data), ..FrameHeader::default() };
    header.format(payload.len() as u64, out).expect("writing to a Vec cannot fail");
    out.extend_from_slice(payload);
}

/// Appends a Close frame.
pub(crate) fn append_close(code: CloseCode, out: &mut Vec<u8>) {
    let close = CloseFrame { code: code.code().into(), reason: code.reason().into() };
    Frame::close(Some(close)).format(out).expect("writing to a Vec cannot fail");
}

/// An empty Ping frame, the same for every connection.
pub(crate) fn append_ping(out: &mut Vec<u8>) {
    Frame::ping(Vec::new()).format(out).expect("writing to a Vec cannot fail");
}

#[cfg(test)]
mod tests;
