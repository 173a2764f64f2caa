//! Outgoing frames.

use super::*;

#[test]
fn data_frames_carry_their_length_in_every_form() {
    for length in [0usize, 1, 125, 126, 65_535, 65_536] {
        for (encoding, first) in [(Encoding::Json, 0x81), (Encoding::MsgPack, 0x82)] {
            let mut out = vec![9];
            append(encoding, &vec![b'x'; length], &mut out);
            assert_eq!(out[..2], [9, first], "appended, final, of its kind");
            let mut cursor = std::io::Cursor::new(&out[1..]);
            let (header, told) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
            assert!(header.is_final && header.mask.is_none());
            assert_eq!(told as usize, length);
            assert_eq!(out.len(), 1 + cursor.position() as usize + length);
        }
    }
}

#[test]
fn close_frames_tell_code_and_reason_and_are_short_enough() {
    for code in CloseCode::ALL {
        let mut out = Vec::new();
        append_close(code, &mut out);
        let [0x88, length, high, low, reason @ ..] = out.as_slice() else { panic!("{out:?}") };
        assert_eq!(u16::from_be_bytes([*high, *low]), code.code());
        assert_eq!(reason, code.reason().as_bytes());
        assert!(usize::from(*length) == reason.len() + 2 && *length <= 125);
    }
}

#[test]
fn a_ping_is_two_bytes() {
    let mut out = Vec::new();
    append_ping(&mut out);
    assert_eq!(out, [0x89, 0]);
}
