//! Frames in, frames out: what a reader without extensions gets of a client that compresses.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::compress::{FrameCompressor, Packing};

const LIMIT: usize = 64 * 1024;
const KEY: [u8; 4] = [0x12, 0xf3, 0x00, 0xa5];

const TEXT: u8 = 0x1;
const CONTINUATION: u8 = 0x0;
const PING: u8 = 0x9;
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ZeroMaskHeader::new(first, payload.len()).as_bytes().to_vec();
    let key_at = bytes.len() - 4;
    bytes[key_at..].copy_from_slice(&KEY);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ KEY[at % 4]));
    bytes
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(FrameCompressor::new().compress(message, &mut out), Packing::Compressed);
    out
}

/// First byte and payload of each frame that the reader gets, until a refusal.
type Read = (Vec<(u8, Vec<u8>)>, Option<InflateRefusal>);

fn unmasked(mut bytes: &[u8], read: &mut Vec<(u8, Vec<u8>)>) {
    while !bytes.is_empty() {
        let frame = WholeFrame::read(bytes).unwrap();
        let key = frame.key.unwrap();
        let payload = frame.payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]);
        read.push((bytes[0], payload.collect()));
        bytes = &bytes[frame.length..];
    }
}

fn read(runs: &[&[u8]], limit: usize) -> Read {
    let (mut inbound, mut pool) = (InboundInflate::default(), InflaterPool::default());
    let mut frames = Vec::new();
    for mut run in runs.iter().copied() {
        while !run.is_empty() {
            let mut out = Vec::new();
            match inbound.next(&mut run, limit, &mut pool, &mut out) {
                Ok(bytes) => {
                    assert!(!bytes.is_empty());
                    unmasked(bytes, &mut frames);
                }
                Err(refusal) => return (frames, Some(refusal)),
            }
            assert!(out.capacity() <= limit + 1 + USUAL_HEADER + 6);
        }
    }
    (frames, None)
}

#[track_caller]
fn check(frames: &[Vec<u8>], expected: &[(u8, &[u8])], refusal: Option<InflateRefusal>) {
    let (got, got_refusal) = read(&[&frames.concat()], LIMIT);
    let expected: Vec<_> = expected.iter().map(|(first, text)| (*first, text.to_vec())).collect();
    assert_eq!((got, got_refusal), (expected, refusal));
    let apart: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    assert_eq!(read(&apart, LIMIT).1, refusal);
}

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[test]
fn messages_of_both_kinds_take_turns() {
    check(
        &[
            frame(FIN | TEXT, b"plain"),
            frame(FIN | RSV1 | TEXT, &HELLO),
            frame(FIN | PING, b"?"),
            frame(FIN | RSV1 | 0x2, &HELLO),
            frame(FIN | RSV1 | TEXT, &[0]),
        ],
        &[
            (FIN | TEXT, b"plain"),
            (FIN | TEXT, b"Hello"),
            (FIN | PING, b"?"),
            (FIN | 0x2, b"Hello"),
            (FIN | TEXT, b""),
        ],
        None,
    );
}

#[test]
fn fragments_are_inflated_as_they_come_and_pings_pass() {
    let text = "0123456789".repeat(100);
    let payload = compressed(text.as_bytes());
    let (begin, rest) = payload.split_at(3);
    let frames = [
        frame(RSV1 | TEXT, begin),
        frame(FIN | PING, b"?"),
        frame(CONTINUATION, b""),
        frame(FIN | CONTINUATION, rest),
        frame(TEXT, b"pl"),
        frame(FIN | CONTINUATION, b"ain"),
    ];
    let (got, refusal) = read(&[&frames.concat()], LIMIT);
    assert_eq!(refusal, None);
    let firsts: Vec<u8> = got.iter().map(|(first, _)| *first).collect();
    let fin = FIN | CONTINUATION;
    assert_eq!(firsts, [TEXT, FIN | PING, CONTINUATION, fin, TEXT, fin]);
    let inflated = [&got[0].1[..], &got[2].1, &got[3].1].concat();
    assert_eq!(inflated, text.as_bytes());
}

#[test]
fn frames_without_compression_are_not_copied() {
    let run = [frame(FIN | TEXT, b"a"), frame(FIN | PING, b""), frame(TEXT, b"b")].concat();
    let mut rest = &run[..];
    let mut out = Vec::new();
    let (mut inbound, mut pool) = (InboundInflate::default(), InflaterPool::default());
    let bytes = inbound.next(&mut rest, LIMIT, &mut pool, &mut out).unwrap();
    assert_eq!((bytes.as_ptr(), bytes.len()), (run.as_ptr(), run.len()));
    assert!(rest.is_empty());
    assert_eq!((out.capacity(), pool.held(), inbound.unfinished()), (0, 0, None));
}

#[test]
fn rsv1_where_it_must_not_be_is_refused() {
    let protocol = Some(InflateRefusal::Protocol);
    check(&[frame(FIN | RSV1 | PING, b"")], &[], protocol);
    check(&[frame(FIN | RSV1 | 0x8, b"")], &[], protocol);
    check(&[frame(FIN | RSV1, b"")], &[], protocol);
    check(&[frame(FIN | RSV1 | 0x3, &HELLO)], &[], protocol);
    check(&[frame(FIN | RSV1 | 0x20 | TEXT, &HELLO)], &[], protocol);
    let begin = frame(TEXT, b"a");
    check(&[begin.clone(), frame(FIN | RSV1, b"")], &[(TEXT, b"a")], protocol);
    check(&[begin.clone(), frame(FIN | RSV1 | TEXT, &HELLO)], &[(TEXT, b"a")], protocol);
    let begin = frame(RSV1 | TEXT, &HELLO);
    let hello = &[(TEXT, &b"Hello"[..])];
    check(&[begin.clone(), frame(FIN | RSV1, &HELLO)], hello, protocol);
    check(&[begin.clone(), frame(FIN | TEXT, b"b")], hello, protocol);
    check(&[begin, frame(FIN | RSV1 | TEXT, &HELLO)], hello, protocol);
}

#[test]
fn a_compressed_frame_without_mask_is_refused() {
    let mut bytes = vec![FIN | RSV1 | TEXT, HELLO.len() as u8];
    bytes.extend(HELLO);
    check(&[bytes], &[], Some(InflateRefusal::Protocol));
}

#[test]
fn frames_before_a_refusal_are_given() {
    let good = frame(FIN | RSV1 | TEXT, &HELLO);
    let bad = frame(FIN | RSV1 | TEXT, &[0x07]);
    check(&[good, bad], &[(FIN | TEXT, b"Hello")], Some(InflateRefusal::Corrupt));
}

#[test]
fn a_message_counts_while_it_is_unfinished() {
    let bomb = compressed(&vec![0; LIMIT + 1]);
    let (got, refusal) = read(&[&frame(RSV1 | TEXT, &bomb)], LIMIT);
    assert_eq!((got, refusal), (vec![], Some(InflateRefusal::TooBig)));
    // Empty blocks inflate to nothing, but they came.
    let blocks = [0, 0, 0, 0xff, 0xff].repeat(LIMIT / 10);
    let frames = [frame(RSV1 | TEXT, &blocks), frame(0, &blocks), frame(0, &blocks)];
    let (got, refusal) = read(&[&frames.concat()], LIMIT);
    assert_eq!((got.len(), refusal), (2, Some(InflateRefusal::TooBig)));
}

#[test]
fn what_is_held_is_known() {
    let (mut inbound, mut pool) = (InboundInflate::default(), InflaterPool::default());
    let text = vec![b'a'; 5_000];
    let payload = compressed(&text);
    let (begin, rest) = payload.split_at(payload.len() - 1);
    for (first, part) in [(RSV1 | TEXT, begin), (FIN, rest)] {
        let run = frame(first, part);
        inbound.next(&mut &run[..], LIMIT, &mut pool, &mut Vec::new()).unwrap();
        if first & FIN == 0 {
            let unfinished = inbound.unfinished().unwrap();
            assert_eq!(unfinished.collected, unfinished.largest);
            assert!(unfinished.collected > 0 && unfinished.collected <= text.len());
            assert!(unfinished.inflater >= INFLATER_BYTES);
            assert_eq!(pool.held(), 0);
        }
    }
    assert_eq!((inbound.unfinished(), pool.held()), (None, INFLATER_BYTES));
}

#[test]
fn a_frame_that_is_not_whole_is_refused() {
    let whole = frame(FIN | TEXT, b"text");
    check(&[whole[..5].to_vec()], &[], Some(InflateRefusal::Protocol));
}

/// One message: its text, the cuts of its payload, and whether it is compressed.
fn messages() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<prop::sample::Index>, bool)>> {
    let byte = prop_oneof![Just(b'a'), Just(b'"'), any::<u8>()];
    vec((vec(byte, 0..600), vec(any::<prop::sample::Index>(), 0..5), any::<bool>()), 1..6)
}

proptest! {
    // More if PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(4_000)))]

    #[test]
    fn any_fragmentation_gives_the_messages(messages in messages(), ping in any::<bool>()) {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        let mut compressor = FrameCompressor::with_level(1);
        for (text, cuts, is_compressed) in messages {
            let mut payload = Vec::new();
            let packing = compressor.compress(&text, &mut payload);
            let mut first = RSV1 | TEXT;
            if !is_compressed || packing == Packing::NotSmaller {
                (payload, first) = (text.clone(), TEXT);
            }
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts {
                wire.extend(frame(first, &payload[from..cut]));
                if ping {
                    wire.extend(frame(FIN | PING, b"ping"));
                }
                (from, first) = (cut, CONTINUATION);
            }
            wire.extend(frame(FIN | first, &payload[from..]));
            expected.push(text);
        }
        let (frames, refusal) = read(&[&wire], LIMIT);
        prop_assert_eq!(refusal, None);
        let mut got = vec![Vec::new()];
        for (first, payload) in frames {
            if first == FIN | PING {
                continue;
            }
            got.last_mut().unwrap().extend(payload);
            if first & FIN != 0 {
                got.push(Vec::new());
            }
        }
        prop_assert_eq!(got.pop(), Some(Vec::new()));
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn arbitrary_frames_never_panic_nor_pass_the_bound(
        frames in vec((any::<u8>(), vec(prop_oneof![Just(0u8), any::<u8>()], 0..60)), 0..12),
        limit in 0usize..200,
    ) {
        let wire: Vec<u8> = frames.iter().flat_map(|(first, text)| frame(*first, text)).collect();
        let (mut inbound, mut pool) = (InboundInflate::default(), InflaterPool::default());
        let (mut rest, mut out) = (&wire[..], Vec::new());
        while !rest.is_empty() && inbound.next(&mut rest, limit, &mut pool, &mut out).is_ok() {
            prop_assert!(inbound.unfinished().is_none_or(|held| held.collected <= limit));
        }
        prop_assert!(out.capacity() <= limit + 1 + USUAL_HEADER + 6);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _either = read_blindly(&bytes);
    }
}

fn read_blindly(mut bytes: &[u8]) -> Result<(), InflateRefusal> {
    let (mut inbound, mut pool) = (InboundInflate::default(), InflaterPool::default());
    while !bytes.is_empty() {
        inbound.next(&mut bytes, LIMIT, &mut pool, &mut Vec::new())?;
    }
    Ok(())
}
