//! Compressed payloads, read by an inflater of another making of the stream's end.

use flate2::{Decompress, FlushDecompress};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Inflates a frame's payload as RFC 7692 section 7.2.2 says.
fn inflate(payload: &[u8], most: usize) -> Vec<u8> {
    let stream = [payload, &FLUSH_TAIL].concat();
    let mut out = Vec::with_capacity(most + 1);
    Decompress::new(false).decompress_vec(&stream, &mut out, FlushDecompress::Sync).unwrap();
    out
}

#[test]
fn the_example_of_the_rfc() {
    let mut out = Vec::new();
    let mut compressor = FrameCompressor::new();
    assert_eq!(compressor.compress(b"", &mut out), Packing::Compressed);
    assert_eq!(out, [0x00]);
    out.clear();
    let hello = b"Hello, Hello, Hello, Hello, Hello";
    assert_eq!(compressor.compress(hello, &mut out), Packing::Compressed);
    assert_eq!(inflate(&out, hello.len()), hello);
}

#[test]
fn what_does_not_shrink_is_left_alone() {
    let mut out = b"before".to_vec();
    assert_eq!(FrameCompressor::new().compress(b"Hello", &mut out), Packing::NotSmaller);
    assert_eq!(out, b"before");
}

#[test]
fn nothing_is_kept_from_one_message_to_the_next() {
    let text = r#"{"type":"message","room":"chat:1","data":{"text":"the same again"},"seq":1}"#;
    let text = text.repeat(3);
    let mut compressor = FrameCompressor::new();
    let mut outs = [const { Vec::new() }; 3];
    for out in &mut outs {
        assert_eq!(compressor.compress(text.as_bytes(), out), Packing::Compressed);
    }
    assert!(outs.iter().all(|out| *out == outs[0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_was_compressed_inflates(
        messages in vec(vec(prop_oneof![Just(b'a'), Just(b'"'), any::<u8>()], 0..3_000), 1..4),
        level in 1u32..10,
    ) {
        let mut compressor = FrameCompressor::with_level(level);
        for message in messages {
            let mut out = vec![1, 2, 3];
            match compressor.compress(&message, &mut out) {
                Packing::Compressed => prop_assert_eq!(inflate(&out[3..], message.len()), message),
                Packing::NotSmaller => prop_assert_eq!(out, [1, 2, 3]),
            }
        }
    }
}
