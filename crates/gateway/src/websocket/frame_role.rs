//! What a whole WebSocket frame is for the rates, read from its header (RFC 6455, section 5.2). Pure.

use crate::worker::FrameRole;

/// The role of a whole frame, and its bytes of payload.
pub(super) fn measure(frame: &[u8]) -> (FrameRole, usize) {
    let (first, second) = match frame {
        [first, second, ..] => (*first, *second),
        _ => return (FrameRole::Message, 0),
    };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let role = match first & 0x0f {
        0x8 => FrameRole::Close,
        0x9 => FrameRole::Ping,
        0xa => FrameRole::Pong,
        _ if first & 0x80 == 0 => FrameRole::Fragment,
        _ => FrameRole::Message,
    };
    (role, frame.len().saturating_sub(2 + length + mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_has_its_role() {
        let frame = |first: u8, payload: usize| {
            let mut bytes = vec![first];
            match payload {
                0..126 => bytes.push(0x80 | payload as u8),
                126..=0xffff => {
                    bytes.push(0xfe);
                    bytes.extend((payload as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(0xff);
                    bytes.extend((payload as u64).to_be_bytes());
                }
            }
            bytes.extend(vec![0; 4 + payload]);
            bytes
        };
        for (first, payload, role) in [
            (0x81, 0, FrameRole::Message),
            (0x82, 70_000, FrameRole::Message),
            (0x80, 300, FrameRole::Message),
            (0x01, 125, FrameRole::Fragment),
            (0x00, 126, FrameRole::Fragment),
            (0x88, 2, FrameRole::Close),
            (0x89, 4, FrameRole::Ping),
            (0x8a, 0, FrameRole::Pong),
        ] {
            assert_eq!(measure(&frame(first, payload)), (role, payload), "{first:x}");
        }
    }
}
