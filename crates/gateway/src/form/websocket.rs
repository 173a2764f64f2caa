//! Outgoing WebSocket frames (RFC 6455 section 5.2), written by tungstenite's own formatter.

use roomcast_protocol::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};

/// What the frame of a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameBody {
    Text,
    Binary,
}

impl FrameBody {
    fn opcode(self) -> OpCode {
        OpCode::Data(match self {
            Self::Text => Data::Text,
            Self::Binary => Data::Binary,
        })
    }
}

/// Appends one complete message.
pub(super) fn append_message(body: FrameBody, payload: &[u8], out: &mut Vec<u8>) {
    append(FrameHeader { opcode: body.opcode(), ..FrameHeader::default() }, payload, out);
}

/// Appends one complete message whose payload is compressed (RFC 7692, section 6).
pub(super) fn append_compressed(body: FrameBody, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode: body.opcode(), rsv1: true, ..FrameHeader::default() };
    append(header, payload, out);
}

fn append(header: FrameHeader, payload: &[u8], out: &mut Vec<u8>) {
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
