//! Outgoing WebSocket frames (RFC 6455 section 5.2), written by tungstenite's own formatter.

use roomcast_protocol::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};

/// Appends one complete text frame.
pub(super) fn append_text(payload: &[u8], out: &mut Vec<u8>) {
    append(Data::Text, payload, out);
}

/// Appends one complete binary frame.
pub(super) fn append_binary(payload: &[u8], out: &mut Vec<u8>) {
    append(Data::Binary, payload, out);
}

fn append(data: Data, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode: OpCode::Data(data), ..FrameHeader::default() };
    header.format(payload.len() as u64, out).expect("writing to a Vec cannot fail");
    out.extend_from_slice(payload);
}

/// Appends a Close frame.
pub(super) fn append_close(code: CloseCode, out: &mut Vec<u8>) {
    let close = CloseFrame { code: code.code().into(), reason: code.reason().into() };
    Frame::close(Some(close)).format(out).expect("writing to a Vec cannot fail");
}

/// Appends an empty Ping frame.
pub(super) fn append_ping(out: &mut Vec<u8>) {
    Frame::ping(Vec::new()).format(out).expect("writing to a Vec cannot fail");
}
