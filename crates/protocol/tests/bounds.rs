//! What a hostile frame may cost: counts are looked at before entries, work is linear in the bytes,
//! and memory is a small multiple of the frame. Memory is the peak of the process, so the tests of
//! this file run one at a time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use roomcast_protocol::{ClientFrame, Data, Encoding, ServerFrame};

const MIB: usize = 1 << 20;
/// What reading a frame may take beside it, in multiples of it and in bytes.
const MEMORY: (usize, usize) = (3, 512 << 10);
/// Bytes of the message that answers a bad frame.
const MAX_MESSAGE: usize = 512;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Bytes by which the process grew at most while something was done.
fn peak(mut work: impl FnMut()) -> usize {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    work();
    status("VmHWM").saturating_sub(before)
}

/// The least time of a few tries.
fn time(mut work: impl FnMut()) -> Duration {
    let one = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    (0..7).map(one).min().unwrap()
}

fn json(head: &str, part: &str, tail: &str, size: usize) -> Vec<u8> {
    let parts = part.repeat(size / part.len());
    format!("{head}{}{tail}", parts.trim_end_matches(',')).into_bytes()
}

/// A MessagePack frame: a map of so many fields, then a head, then as many parts as it says.
fn msgpack(fields: &[u8], head: u8, part: &[u8], size: usize) -> Vec<u8> {
    let count = size / part.len();
    let mut bytes = fields.to_vec();
    bytes.push(head);
    bytes.extend((count as u32).to_be_bytes());
    bytes.extend(part.repeat(count));
    bytes
}

/// Frames of about `size` bytes that ask for as much work and memory as they can.
fn hostile(size: usize) -> Vec<(&'static str, Encoding, Vec<u8>)> {
    use Encoding::{Json, MsgPack};
    const JOIN: &[u8] = b"\x83\xa4type\xa4join\xa2id\x01\xa5rooms";
    const PUBLISH: &[u8] = b"\x83\xa4type\xa7publish\xa4room\xa1a\xa4data";
    const OTHER: &[u8] = b"\x83\xa4type\xa4ping\xa2id\x01\xa5other";
    const HISTORY: &[u8] = b"\x82\xa4type\xa7history\xa8messages";
    let join = r#"{"type":"join","id":1,"rooms":["#;
    let publish = r#"{"type":"publish","room":"a","data":["#;
    let other = r#"{"type":"ping","id":1,"other":"#;
    let string = |head: &str| json(&format!("{head}\""), "\\u0001", "\"", size);
    let nest = |part: &str, close: &str, depth: usize| {
        format!("{}{}", part.repeat(depth), close.repeat(depth))
    };
    let flat = "0,".repeat(size / 4);
    let level = "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,";
    let deep = format!("{}[{}0]{}", format!("[{level}").repeat(60), flat, "]".repeat(60));
    vec![
        ("rooms that are empty maps", MsgPack, msgpack(JOIN, 0xdd, b"\x80", size)),
        ("rooms that are nil", MsgPack, msgpack(JOIN, 0xdd, b"\xc0", size)),
        ("a map where rooms belong", MsgPack, msgpack(JOIN, 0xdf, b"\xa0\xc0", size)),
        ("rooms without bytes", MsgPack, [JOIN, b"\xdd\xff\xff\xff\xff"].concat()),
        ("messages that are empty maps", MsgPack, msgpack(HISTORY, 0xdd, b"\x80", size)),
        ("fields", MsgPack, msgpack(b"", 0xdf, b"\xa1x\xc0", size)),
        ("an unknown list", MsgPack, msgpack(OTHER, 0xdd, b"\xc0", size)),
        ("an unknown map", MsgPack, msgpack(OTHER, 0xdf, b"\xa1x\xc0", size)),
        ("an unknown list without bytes", MsgPack, [OTHER, b"\xdd\xff\xff\xff\xff"].concat()),
        ("an unknown string without bytes", MsgPack, [OTHER, b"\xdb\xff\xff\xff\xff"].concat()),
        ("unknown bytes without bytes", MsgPack, [OTHER, b"\xc6\xff\xff\xff\xff"].concat()),
        ("an unknown extension without bytes", MsgPack, [OTHER, b"\xc9\xff\xff\xff\xff"].concat()),
        ("lists in lists", MsgPack, [OTHER, &vec![0x91; size]].concat()),
        ("a long type", MsgPack, msgpack(b"\x81\xa4type", 0xdb, b"x", size)),
        ("a long room", MsgPack, msgpack(b"\x82\xa4type\xa5leave\xa4room", 0xdb, b"x", size)),
        ("a long field's name", MsgPack, msgpack(b"\x81", 0xdb, b"x", size)),
        ("data of many values", MsgPack, msgpack(PUBLISH, 0xdd, b"\xc0", size)),
        ("data with many keys", MsgPack, msgpack(PUBLISH, 0xdf, b"\xa1k\xc0", size)),
        ("rooms that are empty maps", Json, json(join, "{},", "]}", size)),
        ("rooms that are null", Json, json(join, "null,", "]}", size)),
        ("rooms that are lists in lists", Json, json(join, "[", "", size)),
        (
            "messages that are empty maps",
            Json,
            json(r#"{"type":"history","messages":["#, "{},", "]}", size),
        ),
        ("a string where rooms belong", Json, string(r#"{"type":"join","id":1,"rooms":"#)),
        ("a long string among rooms", Json, string(join)),
        (
            "a map where rooms belong",
            Json,
            json(r#"{"type":"join","rooms":{"#, "\"a\":1,", "}}", size),
        ),
        (
            "a string where a position belongs",
            Json,
            string(r#"{"type":"join","room":"a","since":"#),
        ),
        ("fields", Json, json("{", "\"x\":1,", "}", size)),
        ("escaped fields", Json, json("{", r#""\u0078":1,"#, "}", size)),
        ("the same field", Json, json("{", "\"id\":1,", "}", size)),
        ("an unknown list", Json, json(&format!("{other}["), "1,", "]}", size)),
        ("an unknown map", Json, json(&format!("{other}{{"), "\"a\":1,", "}}", size)),
        ("lists in lists", Json, format!("{other}{}}}", nest("[", "]", size / 2)).into_bytes()),
        ("maps in maps", Json, format!("{other}{}", nest("{\"a\":", "", size / 5)).into_bytes()),
        ("no map but a string", Json, string("")),
        ("a long type", Json, string(r#"{"type":"#)),
        ("a long room", Json, string(r#"{"type":"leave","room":"#)),
        ("a long key", Json, string(r#"{"type":"publish","room":"a","data":1,"key":"#)),
        ("a long field's name", Json, string("{")),
        ("a long number", Json, json(r#"{"type":"ping","id":1"#, "0", "}", size)),
        ("data of many values", Json, json(publish, "1,", "]}", size)),
        ("data of many levels with 17 values", Json, format!("{publish}{deep}]}}").into_bytes()),
        ("data that is nearly binary", Json, json(publish, r#"{"$bin":"AAA!"},"#, "]}", size)),
        ("blanks", Json, json("", " ", "{\"type\":\"ping\"}", size)),
    ]
}

/// Reads a frame as both ends do, and writes what it holds in the other encoding.
fn read(encoding: Encoding, bytes: &[u8]) {
    if let Err(error) = ClientFrame::decode(encoding, bytes) {
        assert!(error.message.len() <= MAX_MESSAGE, "{} bytes of message", error.message.len());
    }
    if let Err(error) = ServerFrame::decode(encoding, bytes) {
        assert!(error.message.len() <= MAX_MESSAGE, "{} bytes of message", error.message.len());
    }
}

#[test]
fn reading_takes_a_small_multiple_of_the_frame() {
    let _alone = alone();
    for (what, encoding, bytes) in hostile(MIB) {
        read(encoding, &bytes[..64.min(bytes.len())]);
        let grown = peak(|| read(encoding, &bytes));
        let allowed = MEMORY.0 * bytes.len() + MEMORY.1;
        assert!(grown <= allowed, "{what} in {encoding:?}: {} KiB", grown >> 10);
    }
}

/// Reading and transcoding take time in proportion to the bytes: eight times as many, at most three
/// times eight as long, where the square would be 64.
#[test]
fn work_is_linear_in_the_bytes() {
    let _alone = alone();
    let work = |(what, encoding, bytes): &(&str, Encoding, Vec<u8>)| {
        let transcoded = |frame: &ClientFrame| {
            let mut out = Vec::new();
            for encoding in Encoding::ALL {
                frame.encode(encoding, &mut out);
            }
            out.len()
        };
        let spent = time(|| {
            read(*encoding, bytes);
            if let Ok(frame) = ClientFrame::decode(*encoding, bytes) {
                assert!(transcoded(&frame) > 0, "{what}");
            }
        });
        spent.max(Duration::from_micros(50))
    };
    let (small, large) = (hostile(MIB / 16), hostile(MIB / 2));
    for (small, large) in small.iter().zip(&large) {
        // Another program's turn in the large one looks like a square: the best of three counts.
        let ratio = || work(large).div_duration_f64(work(small));
        let ratio = (0..3).map(|_| ratio()).fold(f64::INFINITY, f64::min);
        assert!(ratio < 24.0, "{} in {:?}: {ratio:.0} times as long", large.0, large.1);
    }
}

/// What has too many entries or fields is refused without a look at them: hundreds of times sooner
/// than they are read where they are data.
#[test]
fn a_count_beyond_its_bound_is_refused_at_once() {
    let _alone = alone();
    let frames = hostile(MIB);
    let of = |what: &str, encoding: Encoding| {
        let is_it = |frame: &&(&str, Encoding, Vec<u8>)| frame.0 == what && frame.1 == encoding;
        &frames.iter().find(is_it).unwrap().2
    };
    for (encoding, whats) in [
        (
            Encoding::MsgPack,
            &[
                "rooms that are empty maps",
                "rooms without bytes",
                "fields",
                "an unknown list without bytes",
            ][..],
        ),
        (
            Encoding::Json,
            &["rooms that are empty maps", "rooms that are null", "fields", "escaped fields"],
        ),
    ] {
        let data = of("data of many values", encoding);
        let whole = time(|| assert!(ClientFrame::decode(encoding, data).is_ok()));
        for what in whats {
            let bytes = of(what, encoding);
            let refused = time(|| assert!(ClientFrame::decode(encoding, bytes).is_err()));
            // Of JSON it is checked first that it is UTF-8, which takes a twentieth or so.
            let times = if encoding == Encoding::Json { 4 } else { 50 };
            assert!(
                refused * times < whole,
                "{what} in {encoding:?}: {refused:?}, whole {whole:?}"
            );
        }
    }
}

/// `docs/protocol.md` says how much larger data may become in the other encoding.
#[test]
fn transcoded_data_grows_by_a_stated_factor() {
    let _alone = alone();
    let grown = |part: &[u8], head: u8| {
        let bytes = msgpack(b"", head, part, 8_000 * part.len());
        let mut out = Vec::new();
        Data::msgpack(bytes.clone()).unwrap().write_json(&mut out);
        out.len() as f64 / bytes.len() as f64
    };
    let in_maps: [&[u8]; 6] = [
        b"\xc2\xc2",
        b"\xa1\x01\xc2",
        b"\xd4\x80\x00\xc2",
        b"\xd4\x80\x00\xd4\x80\x00",
        b"\xc4\x00\xc2",
        b"\xc4\x00\xc4\x00",
    ];
    let in_lists: [&[u8]; 6] =
        [b"\xc0", b"\xc2", b"\xd4\x80\x00", b"\xc4\x00", b"\xca\x00\x00\x00\x01", b"\xa1\x01"];
    let most = (in_maps.iter().map(|part| grown(part, 0xdf)))
        .chain(in_lists.iter().map(|part| grown(part, 0xdd)))
        .fold(0.0, f64::max);
    assert!((8.5..=9.0).contains(&most), "{most}");
    let text = json("[", "-0,", "]", 30_000);
    let mut out = Vec::new();
    Data::json(text.clone()).unwrap().write_msgpack(&mut out);
    assert!(out.len() > 2 * text.len() && out.len() <= 3 * text.len(), "{}", out.len());
}
