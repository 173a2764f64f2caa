//! Follows the WebSocket frames of an inbound byte stream just far enough to tell when no frame and
//! no fragmented message is open, so that the reading state of an idle connection can be dropped.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode;

/// The longest header: two bytes, an eight-byte length and the mask (RFC 6455 section 5.2).
const MAX_HEADER: usize = 14;

/// Where in the stream of frames the last byte seen lies. Pure.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    /// Bytes of a header that is not complete.
    header: Vec<u8>,
    /// Payload bytes of the open frame that are still to come.
    payload: u64,
    /// A data frame without FIN was seen, and its last fragment was not.
    fragmented: bool,
    /// Bytes since the last message ended.
    unfinished: usize,
    /// What is unfinished began in the bytes that were followed last.
    begun: bool,
    /// The stream broke the protocol: tungstenite will say how.
    lost: bool,
}

impl Boundary {
    /// Follows the next bytes.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        self.begun = self.is_between_messages();
        while !bytes.is_empty() && !self.lost {
            let rest = if self.payload > 0 {
                let taken = self.payload.min(bytes.len() as u64);
                self.payload -= taken;
                &bytes[taken as usize..]
            } else {
                self.follow_header(bytes)
            };
            self.unfinished += bytes.len() - rest.len();
            bytes = rest;
            if self.is_between_messages() {
                self.unfinished = 0;
                self.begun = true;
            }
        }
    }

    /// Takes the bytes of one header, or all there are if it is not complete.
    fn follow_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let known = self.header.len();
        let more = bytes.len().min(MAX_HEADER);
        self.header.extend_from_slice(&bytes[..more]);
        let mut cursor = Cursor::new(&self.header);
        match FrameHeader::parse(&mut cursor) {
            Ok(Some((header, length))) => {
                let used = cursor.position() as usize - known;
                self.header.clear();
                self.payload = length;
                if matches!(header.opcode, OpCode::Data(_)) {
                    self.fragmented = !header.is_final;
                }
                &bytes[used..]
            }
            Ok(None) => {
                self.header.truncate(known + more);
                &bytes[more..]
            }
            Err(_) => {
                self.lost = true;
                &[]
            }
        }
    }

    /// Whether nothing is open: every frame seen is complete, and every message.
    pub(super) fn is_between_messages(&self) -> bool {
        self.header.is_empty() && self.payload == 0 && !self.fragmented && !self.lost
    }

    /// Bytes of the message that is arriving, pings among its fragments included.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Whether that message began in the bytes that were followed last.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data};

    use super::*;

    fn frame(opcode: OpCode, is_final: bool, length: usize) -> Vec<u8> {
        let mask = Some([1, 2, 3, 4]);
        let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
        let mut bytes = Vec::new();
        header.format(length as u64, &mut bytes).unwrap();
        bytes.resize(bytes.len() + length, b'x');
        bytes
    }

    #[test]
    fn is_between_messages_after_whole_ones_only() {
        let mut boundary = Boundary::default();
        assert!(boundary.is_between_messages());
        boundary.follow(&frame(OpCode::Data(Data::Text), true, 300));
        assert!(boundary.is_between_messages());
        boundary.follow(&frame(OpCode::Data(Data::Text), false, 3));
        assert!(!boundary.is_between_messages());
        boundary.follow(&frame(OpCode::Control(Control::Ping), true, 0));
        assert!(!boundary.is_between_messages(), "a ping does not end the fragmented message");
        boundary.follow(&frame(OpCode::Data(Data::Continue), true, 3));
        assert!(boundary.is_between_messages());
    }

    proptest! {
        /// However the stream is cut, the boundary lies where it lies when frames come whole.
        #[test]
        fn cuts_do_not_matter(
            lengths in prop::collection::vec(prop_oneof![0..130usize, 65_530..65_540usize], 1..6),
            cuts in prop::collection::vec(1..200usize, 1..50),
        ) {
            let whole: Vec<u8> =
                lengths.iter().flat_map(|&n| frame(OpCode::Data(Data::Binary), true, n)).collect();
            let ends: Vec<usize> = lengths.iter().scan(0, |at, &n| {
                *at += frame(OpCode::Data(Data::Binary), true, n).len();
                Some(*at)
            }).collect();
            let mut boundary = Boundary::default();
            let mut at = 0;
            for cut in cuts.iter().cycle() {
                let to = (at + cut).min(whole.len());
                boundary.follow(&whole[at..to]);
                at = to;
                prop_assert_eq!(boundary.is_between_messages(), ends.contains(&at));
                if at == whole.len() { break; }
            }
        }
    }
}
