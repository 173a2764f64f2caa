//! Frames there and back, and what is wrong with bad ones.

mod bad;
mod golden;
mod random;

use super::{KeyVisibility, encode_message};
use crate::{ClientFrame, Encoding, ErrorCode, ServerFrame};

#[test]
fn a_publish_keeps_its_data_byte_for_byte() {
    let text = br#"{"type":"publish","id":7,"room":"chat:1","data":{"a" : [1, 2]},"unknown":[{}]}"#;
    let frame = ClientFrame::decode(Encoding::Json, text).unwrap();
    let mut again = Vec::new();
    frame.encode(Encoding::Json, &mut again);
    assert_eq!(
        String::from_utf8(again).unwrap(),
        r#"{"type":"publish","id":7,"room":"chat:1","data":{"a" : [1, 2]}}"#
    );
    let mut packed = Vec::new();
    frame.encode(Encoding::MsgPack, &mut packed);
    let back = ClientFrame::decode(Encoding::MsgPack, &packed).unwrap();
    let mut json = Vec::new();
    back.encode(Encoding::Json, &mut json);
    assert_eq!(
        String::from_utf8(json).unwrap(),
        r#"{"type":"publish","id":7,"room":"chat:1","data":{"a":[1,2]}}"#
    );
}

#[test]
fn a_key_is_shown_to_its_author_only() {
    let text = br#"{"type":"message","room":"a","seq":1,"time":2,"key":"k","data":null}"#;
    let frame = ServerFrame::decode(Encoding::Json, text).unwrap();
    let ServerFrame::Message { room, message } = &frame else { panic!("a message") };
    let written = |key| {
        let mut out = Vec::new();
        encode_message(room, message, key, Encoding::Json, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(KeyVisibility::Shown).as_bytes(), text);
    let hidden = r#"{"type":"message","room":"a","seq":1,"time":2,"data":null}"#;
    assert_eq!(written(KeyVisibility::Hidden), hidden);
}

#[test]
fn an_old_client_can_tell_what_is_new() {
    let decode = |text: &str| ServerFrame::decode(Encoding::Json, text.as_bytes());
    let error = decode(r#"{"type":"sparkle","room":"a"}"#).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownType);
    let error = decode(r#"{"type":"gap","room":"a","from":1}"#).unwrap_err();
    assert_eq!((error.code, &*error.message), (ErrorCode::BadFrame, "`to` is missing"));
    let frame = decode(r#"{"type":"error","code":"tired","message":"go away"}"#).unwrap();
    let ServerFrame::Error { code, message, .. } = frame else { panic!("an error") };
    assert_eq!((code, &*message), (ErrorCode::Internal, "tired: go away"));
}
