//! Outgoing frames.

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use super::*;
use crate::tests::inflated;

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

/// What the frame at the begin of these bytes says, and its payload.
fn first_frame(bytes: &[u8]) -> (FrameHeader, &[u8]) {
    let mut cursor = std::io::Cursor::new(bytes);
    let (header, length) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
    let start = cursor.position() as usize;
    (header, &bytes[start..start + length as usize])
}

#[test]
fn shared_messages_are_compressed_from_the_least_size_on_if_they_become_smaller() {
    // A generator of Knuth's: what it makes does not become smaller.
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let noise: Vec<u8> = noise.take(300).collect();
    let deflate = SharedDeflate::default();
    deflate.set_min(256);
    for (payload, is_compressed) in [
        (vec![b'a'; 255], false),
        (vec![b'a'; 256], true),
        (noise, false),
        (vec![0; 1 << 20], true),
    ] {
        for form in Form::ALL {
            let (mut shared, mut own) = (Vec::new(), Vec::new());
            form.append_shared(&payload, &deflate, &mut shared);
            form.append(&payload, &mut own);
            let is_compressed = is_compressed && form.extension() == FrameExtension::Deflate;
            if !is_compressed {
                assert_eq!(shared, own, "{form:?}");
                continue;
            }
            let (header, packed) = first_frame(&shared);
            let opcode = first_frame(&own).0.opcode;
            assert!(header.is_final && header.rsv1 && header.opcode == opcode);
            assert!(shared.len() < own.len() && inflated(packed) == payload);
        }
    }
}

#[test]
fn what_was_compressed_is_counted_until_it_is_taken() {
    let deflate = SharedDeflate::default();
    let mut out = Vec::new();
    Form::WebSocketJson.append_shared(&[b'a'; 1000], &deflate, &mut out);
    assert_eq!(deflate.take_bytes(), DeflatedBytes { before: 0, after: 0 });
    out.clear();
    Form::DeflatedJson.append_shared(&[b'a'; 1000], &deflate, &mut out);
    let after = (out.len() - 2) as u64;
    assert_eq!(deflate.clone().take_bytes(), DeflatedBytes { before: 1000, after });
    assert_eq!(deflate.take_bytes(), DeflatedBytes { before: 0, after: 0 });
}
