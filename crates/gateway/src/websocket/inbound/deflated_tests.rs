//! Reading a client that compresses: however its bytes are cut, and whatever they are, what comes
//! out is what a reader says that was written for this test, with another inflater's interface and
//! whole messages only.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::sample::Index;

use super::*;

/// How a stream of frames ended, for the reference: it went on, or is closed with this number.
type End = Option<u16>;

/// A message as a client may send it.
#[derive(Debug, Clone)]
struct Packed {
    message: Got,
    level: Option<u32>,
    fragments: Vec<usize>,
    ping: bool,
}

fn packed() -> impl Strategy<Value = Packed> {
    let message = prop_oneof![
        "[a-cä€😀]{0,400}".prop_map(Got::Text),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Got::Binary),
        // Some are larger than the bound, once inflated.
        (0..1200usize).prop_map(|length| Got::Binary(vec![7; length])),
    ];
    (message, prop::option::of(0..=9u32), prop::collection::vec(0..60usize, 0..4), any::<bool>())
        .prop_map(|(message, level, fragments, ping)| Packed { message, level, fragments, ping })
}

/// As zlib compresses for RFC 7692: without the last four bytes of a sync flush.
fn deflate(payload: &[u8], level: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() * 2 + 64);
    let mut deflate = Compress::new(Compression::new(level), false);
    deflate.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
    assert_eq!(deflate.total_in(), payload.len() as u64);
    if payload.is_empty() {
        return vec![0];
    }
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

impl Packed {
    fn append(&self, stream: &mut Vec<u8>) {
        let (mut opcode, payload) = match &self.message {
            Got::Text(text) => (Data::Text, text.as_bytes()),
            Got::Binary(bytes) => (Data::Binary, bytes.as_slice()),
        };
        let (mut rsv1, whole) = match self.level {
            Some(level) => (0x40, deflate(payload, level)),
            None => (0, payload.to_vec()),
        };
        let mut left = &whole[..];
        let ends = self.fragments.iter().map(Some).chain([None]);
        for size in ends {
            let (part, rest) = left.split_at(size.map_or(left.len(), |&size| size.min(left.len())));
            let mut bytes = frame(OpCode::Data(opcode), size.is_none(), part);
            bytes[0] |= std::mem::take(&mut rsv1);
            stream.extend(bytes);
            if self.ping && size.is_some() {
                stream.extend(frame(OpCode::Control(Control::Ping), true, b"?"));
            }
            (opcode, left) = (Data::Continue, rest);
        }
    }
}

/// All that a message's compressed bytes inflate to, or why they do not.
fn inflate_whole(payload: &[u8]) -> Result<Vec<u8>, u16> {
    // The flush that was left out, and a last block, without which the stream ends early.
    let input = [payload, &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff]].concat();
    let (mut out, mut at) = (Vec::new(), 0);
    let mut inflater = Decompress::new(false);
    loop {
        let mut step = [0; 512];
        let (used, made) = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress(&input[at..], &mut step, FlushDecompress::Sync);
        let status = status.map_err(|_| 1007u16)?;
        let used = (inflater.total_in() - used) as usize;
        let made = (inflater.total_out() - made) as usize;
        at += used;
        out.extend_from_slice(&step[..made]);
        if out.len() > MAX {
            return Err(1009);
        }
        match status {
            Status::StreamEnd if at == payload.len() || at == input.len() => return Ok(out),
            // What follows a last block is another stream.
            Status::StreamEnd => inflater = Decompress::new(false),
            _ if used == 0 && made == 0 => return Err(1007),
            _ => {}
        }
    }
}

/// The reference: messages of a stream of frames by the letter of RFC 6455 and RFC 7692, and how it
/// ends. It looks at a compressed message when its last frame is there.
fn read_by_the_letter(mut stream: &[u8]) -> (Vec<Got>, End) {
    let mut got = Vec::new();
    let mut open: Option<(u8, Vec<u8>)> = None;
    while let [first, second, rest @ ..] = stream {
        let (extra, claimed) = match second & 0x7f {
            126 => (2, None),
            127 => (8, None),
            short => (0, Some(u64::from(short))),
        };
        let Some(length) = rest.get(..extra) else { break };
        let length = length.iter().fold(0u64, |length, &byte| length << 8 | u64::from(byte));
        let length = claimed.unwrap_or(length);
        let Some(key) = rest.get(extra..extra + 4) else {
            // Without a mask the header has ended here.
            match second & 0x80 {
                0 => return (got, Some(1002)),
                _ => break,
            }
        };
        let (is_final, rsv, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let is_wrong = match opcode {
            0 => open.is_none() || rsv != 0,
            1 | 2 => open.is_some() || rsv & 0x30 != 0,
            8..=10 => !is_final || rsv != 0 || length > 125,
            _ => true,
        };
        if is_wrong || second & 0x80 == 0 {
            return (got, Some(1002));
        }
        let before = open.as_ref().map_or(0, |(_, payload)| payload.len() as u64);
        if opcode <= 2 && length > (MAX as u64).saturating_sub(before) {
            return (got, Some(1009));
        }
        let Some(masked) = rest[extra + 4..].get(..length as usize) else { break };
        let payload = masked.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        stream = &rest[extra + 4 + length as usize..];
        if opcode == 8 {
            return (got, Some(1000));
        }
        if opcode > 2 {
            continue;
        }
        let (_, message) = open.get_or_insert((*first, Vec::new()));
        message.extend(payload);
        if !is_final {
            continue;
        }
        let (first, mut message) = open.take().unwrap();
        if first & 0x40 != 0 {
            message = match inflate_whole(&message) {
                Ok(message) => message,
                Err(code) => return (got, Some(code)),
            };
        }
        match (first & 0x0f, String::from_utf8(message)) {
            (1, Ok(text)) => got.push(Got::Text(text)),
            (1, Err(_)) => return (got, Some(1007)),
            (_, Ok(text)) => got.push(Got::Binary(text.into_bytes())),
            (_, Err(bytes)) => got.push(Got::Binary(bytes.into_bytes())),
        }
    }
    (got, None)
}

/// What the node reads of a stream that comes in these pieces, and how it ends.
fn read_in_pieces(stream: &[u8], pieces: &[usize]) -> (Vec<Got>, End) {
    let mut reading = Reading::of(FrameExtension::Deflate);
    let (mut left, mut pieces) = (stream, pieces.iter().cycle());
    while !left.is_empty() {
        let (piece, rest) = left.split_at((*pieces.next().unwrap()).min(left.len()));
        left = rest;
        let end = reading.read(piece);
        if let Some(end) = end {
            let number = match end {
                InboundEvent::Close => 1000,
                InboundEvent::Broken(code) => code.code(),
                other => panic!("{other:?}"),
            };
            drop(reading.inbound);
            assert_eq!(reading.held.get(), 0, "nothing is held of it");
            return (reading.got, Some(number));
        }
        reading.inbound.settle();
    }
    (reading.got, None)
}

/// The bytes as they came decide, not how they were cut; the reference agrees. It looks at a message
/// when it is whole: the node may end the connection earlier, in the message that is open, and the
/// reference may then find another fault first or none.
fn check_stream(stream: &[u8], pieces: &[usize]) {
    let whole = read_in_pieces(stream, &[usize::MAX]);
    assert_eq!(read_in_pieces(stream, pieces), whole, "cuts do not matter");
    let (expected, end) = read_by_the_letter(stream);
    assert_eq!(whole.0, expected);
    match (whole.1, end) {
        (ours, theirs) if ours == theirs => {}
        // Found before the message was whole, or by a Close that cannot be read.
        (Some(1007 | 1009), _) | (Some(1002), Some(1000)) => {}
        other => panic!("{other:?}"),
    }
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..90usize, 1..40)
}

proptest! {
    // `PROPTEST_CASES` asks for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1_500)))]

    /// Streams of good frames, with messages below and above the bound.
    #[test]
    fn compressed_messages_are_read_however_they_are_cut(
        all in prop::collection::vec(packed(), 1..8), pieces in pieces(),
    ) {
        let mut stream = Vec::new();
        all.iter().for_each(|packed| packed.append(&mut stream));
        check_stream(&stream, &pieces);
    }

    /// The same with some bytes changed, left out or added.
    #[test]
    fn damaged_streams_end_as_the_letter_says(
        all in prop::collection::vec(packed(), 1..6), pieces in pieces(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>(), 0..3u8), 1..5),
    ) {
        let mut stream = Vec::new();
        all.iter().for_each(|packed| packed.append(&mut stream));
        for (at, byte, kind) in damage {
            let at = at.index(stream.len());
            match kind {
                0 => stream[at] = byte,
                1 => stream.insert(at, byte),
                _ if stream.len() > 1 => drop(stream.remove(at)),
                _ => {}
            }
        }
        check_stream(&stream, &pieces);
    }

    /// Any bytes at all, and any bytes as the payload of a compressed message.
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 1..600), pieces in pieces(),
    ) {
        check_stream(&bytes, &pieces);
        let mut message = frame(OpCode::Data(Data::Binary), true, &bytes);
        message[0] |= 0x40;
        check_stream(&message, &pieces);
    }
}

/// What is held of a message that is open counts its inflater, and goes with it.
#[test]
fn an_open_compressed_message_counts_with_its_inflater() {
    let whole = deflate(&vec![b'a'; MAX], 6);
    let mut reading = Reading::of(FrameExtension::Deflate);
    let mut first = frame(OpCode::Data(Data::Text), false, &whole[..whole.len() - 1]);
    first[0] |= 0x40;
    assert!(reading.read(&first).is_none());
    assert_eq!(reading.inbound.settle(), Arriving::Begun);
    assert!(reading.held.get() > 48 * 1024, "{}", reading.held.get());
    let last = frame(OpCode::Data(Data::Continue), true, &whole[whole.len() - 1..]);
    assert!(reading.read(&last).is_none());
    assert_eq!(reading.inbound.settle(), Arriving::Nothing);
    assert_eq!(reading.held.get(), 0);
    assert_eq!(reading.got, [Got::Text("a".repeat(MAX))]);
}

/// RSV1 means something where deflate was negotiated, and on the first frame of a message only.
#[test]
fn rsv1_elsewhere_breaks_the_protocol() {
    let with_rsv1 = |mut bytes: Vec<u8>| {
        bytes[0] |= 0x40;
        bytes
    };
    let ping = with_rsv1(frame(OpCode::Control(Control::Ping), true, b""));
    let open = frame(OpCode::Data(Data::Text), false, b"a");
    let more = with_rsv1(frame(OpCode::Data(Data::Continue), true, b"a"));
    let packed_open = with_rsv1(frame(OpCode::Data(Data::Text), false, &[0]));
    for stream in [ping, [open, more.clone()].concat(), [packed_open, more].concat()] {
        assert_eq!(read_in_pieces(&stream, &[1]), (vec![], Some(1002)));
        assert_eq!(read_in_pieces(&stream, &[usize::MAX]), (vec![], Some(1002)));
    }
    let packed = with_rsv1(frame(OpCode::Data(Data::Text), true, &deflate(b"hello", 6)));
    assert!(matches!(
        Reading::default().read(&packed),
        Some(InboundEvent::Broken(CloseCode::Protocol))
    ));
    assert_eq!(read_in_pieces(&packed, &[1]), (vec![Got::Text("hello".into())], None));
}
