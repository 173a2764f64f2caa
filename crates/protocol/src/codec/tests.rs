//! Frames there and back, and what is wrong with bad ones.

mod bad;
mod golden;
mod random;

use crate::{ClientFrame, Encoding};

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
