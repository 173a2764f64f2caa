//! Outgoing frames.

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use super::*;

#[test]
fn each_form_has_its_index_and_its_encoding() {
    for (index, form) in Form::ALL.into_iter().enumerate() {
        assert_eq!(
            (form.index(), Form::websocket(form.encoding(), form.extension())),
            (index, form)
        );
    }
}

#[test]
fn data_frames_carry_their_length_in_every_form() {
    for length in [0usize, 1, 125, 126, 65_535, 65_536] {
        for (form, first) in [(Form::WebSocketJson, 0x81), (Form::WebSocketMessagePack, 0x82)] {
            let mut out = vec![9];
            form.append(&vec![b'x'; length], &mut out);
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
        Form::WebSocketJson.append_close(code, &mut out);
        let [0x88, length, high, low, reason @ ..] = out.as_slice() else { panic!("{out:?}") };
        assert_eq!(u16::from_be_bytes([*high, *low]), code.code());
        assert_eq!(reason, code.reason().as_bytes());
        assert!(usize::from(*length) == reason.len() + 2 && *length <= 125);
    }
}

#[test]
fn a_ping_is_two_bytes() {
    let mut out = Vec::new();
    Form::WebSocketMessagePack.append_heartbeat(&mut out);
    assert_eq!(out, [0x89, 0]);
}
