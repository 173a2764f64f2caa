//! Measures the WebSocket frames of an inbound byte stream, so that tungstenite is given whole
//! frames only: it reserves what a header claims, whether the bytes come or not.

use std::io::Cursor;

use roomcast_protocol::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::form::FrameExtension;

/// The longest payload of a control frame (RFC 6455 section 5.5).
const MAX_CONTROL: u64 = 125;

/// What the next bytes of the stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// A whole frame of so many bytes, its header included. It counts as read.
    Whole(usize),
    /// The begin of a frame, which cannot be whole before so many bytes are there.
    Part(usize),
    /// A header that no frame may have here: close with this code, without waiting for the rest.
    Refused(CloseCode),
}

/// A fragmented message of which the last fragment has not come.
#[derive(Debug, Clone, Copy)]
struct Fragments {
    /// Bytes of payload so far.
    payload: usize,
    /// Bytes of payload in the largest fragment.
    largest: usize,
}

/// Where in a stream of frames the reader is. Pure.
#[derive(Debug)]
pub(super) struct Boundary {
    extension: FrameExtension,
    fragments: Option<Fragments>,
}

impl Boundary {
    /// The begin of a stream, whose frames may be what the handshake settled.
    pub(super) fn new(extension: FrameExtension) -> Self {
        Self { extension, fragments: None }
    }

    /// Measures the frame at the begin of `bytes`. A message is too big above `max` bytes of payload.
    pub(super) fn take(&mut self, bytes: &[u8], max: usize) -> Ahead {
        let mut cursor = Cursor::new(bytes);
        match FrameHeader::parse(&mut cursor) {
            Ok(Some((header, length))) => {
                if let Some(code) = self.objection(&header, length, max) {
                    return Ahead::Refused(code);
                }
                // At most `max`, by what was just checked.
                let payload = length as usize;
                let whole = cursor.position() as usize + payload;
                if bytes.len() < whole {
                    return Ahead::Part(whole);
                }
                if let OpCode::Data(_) = header.opcode {
                    self.note(payload, header.is_final);
                }
                Ahead::Whole(whole)
            }
            Ok(None) => Ahead::Part(header_length(bytes)),
            Err(_) => Ahead::Refused(CloseCode::Protocol),
        }
    }

    /// Why a frame with this header cannot be taken, whatever its payload is.
    fn objection(&self, header: &FrameHeader, length: u64, max: usize) -> Option<CloseCode> {
        let is_open = self.fragments.is_some();
        let breaks = match header.opcode {
            OpCode::Control(_) => !header.is_final || length > MAX_CONTROL,
            OpCode::Data(Data::Continue) => !is_open,
            OpCode::Data(_) => is_open,
        };
        let is_unknown = header.rsv1 && !self.takes_rsv1(header) || header.rsv2 || header.rsv3;
        if breaks || header.mask.is_none() || is_unknown {
            return Some(CloseCode::Protocol);
        }
        let before = match header.opcode {
            OpCode::Data(_) => self.fragments.map_or(0, |fragments| fragments.payload),
            OpCode::Control(_) => return None,
        };
        (length > max.saturating_sub(before) as u64).then_some(CloseCode::TooBig)
    }

    /// Whether this frame may have the bit RSV1, which says that a message is compressed (RFC 7692,
    /// section 6).
    fn takes_rsv1(&self, header: &FrameHeader) -> bool {
        let begins_message = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        self.extension == FrameExtension::Deflate && begins_message
    }

    fn note(&mut self, payload: usize, is_final: bool) {
        let before = self.fragments.unwrap_or(Fragments { payload: 0, largest: 0 });
        self.fragments = (!is_final).then_some(Fragments {
            payload: before.payload + payload,
            largest: before.largest.max(payload),
        });
    }

    /// Whether a fragmented message is open.
    pub(super) fn is_fragmented(&self) -> bool {
        self.fragments.is_some()
    }

    /// The most that tungstenite holds of the fragmented message that is open, in bytes. Its
    /// buffers grow by doubling: the read buffer to the largest fragment, the collected message to
    /// its payload.
    pub(super) fn collected(&self, read_buffer: usize) -> usize {
        let of = |fragments: Fragments| 2 * (read_buffer + fragments.largest + fragments.payload);
        self.fragments.map_or(0, of)
    }
}

/// The length of the header that begins with these bytes, as far as they contain it.
fn header_length(bytes: &[u8]) -> usize {
    let Some(second) = bytes.get(1) else { return 2 };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
}

#[cfg(test)]
mod tests;
