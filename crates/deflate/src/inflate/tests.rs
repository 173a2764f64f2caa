//! Streams: those of RFC 7692 section 7.2.3, and hostile ones.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::compress::{FrameCompressor, Packing};

const LIMIT: usize = 64 * 1024;

fn inflate(chunks: &[&[u8]], limit: usize) -> Result<Vec<u8>, InflateRefusal> {
    let mut pool = InflaterPool::default();
    let mut out = Vec::new();
    let mut inflation = Inflation::begin(&mut pool);
    for chunk in chunks {
        inflation.charge(chunk.len(), limit)?;
        inflation.feed(chunk, limit, &mut out)?;
    }
    inflation.finish(limit, &mut out, &mut pool)?;
    assert_eq!(pool.held(), INFLATER_BYTES);
    Ok(out)
}

#[track_caller]
fn check(payload: &[u8], expected: Result<&[u8], InflateRefusal>) {
    let expected = expected.map(<[u8]>::to_vec);
    assert_eq!(inflate(&[payload], LIMIT), expected, "{payload:x?}");
    let bytes: Vec<&[u8]> = payload.chunks(1).collect();
    assert_eq!(inflate(&bytes, LIMIT), expected, "{payload:x?}, byte by byte");
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(FrameCompressor::new().compress(message, &mut out), Packing::Compressed);
    out
}

#[test]
fn the_examples_of_the_rfc() {
    check(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], Ok(b"Hello"));
    // Without compression.
    check(b"\x00\x05\x00\xfa\xffHello\x00", Ok(b"Hello"));
    // With a last block.
    check(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], Ok(b"Hello"));
    // With two blocks.
    let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    check(&two, Ok(b"Hello"));
    // Empty.
    check(&[0x00], Ok(b""));
    check(&[0x02, 0x00], Ok(b""));
}

#[test]
fn a_last_block_may_end_the_message_or_be_followed() {
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    check(&last, Ok(b"Hello"));
    check(&[last, last].concat(), Ok(b"HelloHello"));
    check(&[&last[..], &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]].concat(), Ok(b"HelloHello"));
}

#[test]
fn a_message_has_a_bounded_number_of_last_blocks() {
    let last = [0x03, 0x00];
    let most = last.repeat(MAX_STREAMS as usize);
    check(&most, Ok(b""));
    check(&[&most, &last[..]].concat(), Err(InflateRefusal::Corrupt));
}

#[test]
fn a_reference_to_an_earlier_message_is_refused() {
    // The RFC's second message with context takeover: all of it is a reference.
    check(&[0xf2, 0x00, 0x11, 0x00, 0x00], Err(InflateRefusal::Corrupt));
    // The window of the message before is not there, though its inflater is.
    let mut pool = InflaterPool::default();
    for (payload, expected) in [
        (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], Ok(())),
        (&[0xf2, 0x00, 0x11, 0x00, 0x00], Err(InflateRefusal::Corrupt)),
    ] {
        let mut inflation = Inflation::begin(&mut pool);
        assert_eq!(inflation.feed(payload, LIMIT, &mut Vec::new()), expected);
        if expected.is_ok() {
            inflation.finish(LIMIT, &mut Vec::new(), &mut pool).unwrap();
        }
    }
}

#[test]
fn what_is_no_stream_is_refused() {
    // A block of the type that is reserved, and a stored block whose lengths differ.
    check(&[0x07], Err(InflateRefusal::Corrupt));
    check(b"\x00\x05\x00\xfa\xfeHello\x00", Err(InflateRefusal::Corrupt));
}

#[test]
fn a_stream_that_ends_early_is_refused() {
    let whole = compressed("{\"text\":\"one, two, three, four\"}".repeat(20).as_bytes());
    check(&[], Err(InflateRefusal::Corrupt));
    for end in 1..whole.len() {
        assert!(inflate(&[&whole[..end]], LIMIT).is_err(), "{end} of {}", whole.len());
    }
}

#[test]
fn the_bound_holds_to_the_byte() {
    let message = vec![b'a'; LIMIT];
    let payload = compressed(&message);
    assert_eq!(inflate(&[&payload], LIMIT), Ok(message));
    assert_eq!(inflate(&[&payload], LIMIT - 1), Err(InflateRefusal::TooBig));
    let stored = b"\x00\x05\x00\xfa\xffHello\x00";
    assert_eq!(inflate(&[stored], stored.len()), Ok(b"Hello".to_vec()));
    assert_eq!(inflate(&[stored], stored.len() - 1), Err(InflateRefusal::TooBig));
}

#[test]
fn a_bomb_costs_no_more_than_the_bound() {
    let bomb = compressed(&vec![0; 32 << 20]);
    assert!(bomb.len() < LIMIT);
    let mut pool = InflaterPool::default();
    let mut out = Vec::new();
    let outcome = Inflation::begin(&mut pool).feed(&bomb, LIMIT, &mut out);
    assert_eq!(outcome, Err(InflateRefusal::TooBig));
    assert!(out.capacity() <= LIMIT + 1, "{}", out.capacity());
}

proptest! {
    // More if PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(20_000)))]

    #[test]
    fn no_bytes_panic_or_pass_the_bound(
        bytes in vec(prop_oneof![Just(0u8), Just(0x03), Just(0xff), any::<u8>()], 0..200),
        cut in any::<prop::sample::Index>(),
        limit in 0usize..300,
    ) {
        let cut = cut.index(bytes.len() + 1);
        if let Ok(message) = inflate(&[&bytes[..cut], &bytes[cut..]], limit) {
            prop_assert!(message.len() <= limit);
        }
    }

    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), bit in 0u32..8, long in 3usize..400) {
        let mut payload = compressed("{\"user\":\"alice\",\"text\":\"hello\"}".repeat(long).as_bytes());
        let at = at.index(payload.len());
        payload[at] ^= 1 << bit;
        let mut pool = InflaterPool::default();
        let mut out = Vec::new();
        let _either = Inflation::begin(&mut pool).feed(&payload, LIMIT, &mut out);
        prop_assert!(out.capacity() <= LIMIT + 1);
    }
}
