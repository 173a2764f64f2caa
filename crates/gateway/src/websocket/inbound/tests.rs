//! Reading: whatever the client sends and however it is cut, the same messages come out; each
//! violation has its close code.

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::super::turn::TURN_FRAMES;
use super::*;

#[path = "deflated_tests.rs"]
mod deflated;

const MAX: usize = 1000;

/// A masked frame, as clients send them.
fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mask = [0x5a, 0x01, 0xff, 0x33];
    let header = FrameHeader { is_final, opcode, mask: Some(mask), ..FrameHeader::default() };
    let mut bytes = Vec::new();
    header.format(payload.len() as u64, &mut bytes).unwrap();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn text(payload: &[u8]) -> Vec<u8> {
    frame(OpCode::Data(Data::Text), true, payload)
}

#[derive(Debug, Clone, PartialEq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
}

/// One message as a client may send it: in fragments, with pings between them.
#[derive(Debug, Clone)]
struct Sent {
    message: Got,
    /// How many bytes each fragment takes; the last takes the rest.
    fragments: Vec<usize>,
    ping: Option<Vec<u8>>,
}

impl Sent {
    fn frames(&self) -> Vec<Vec<u8>> {
        let (mut opcode, payload) = match &self.message {
            Got::Text(text) => (Data::Text, text.as_bytes()),
            Got::Binary(bytes) => (Data::Binary, bytes.as_slice()),
        };
        let (mut frames, mut from) = (Vec::new(), 0);
        for size in &self.fragments {
            let mut to = (from + size).min(payload.len());
            // tungstenite checks each fragment's text for itself.
            while std::str::from_utf8(&payload[from..to]).is_err() && to < payload.len() {
                to += 1;
            }
            frames.push(frame(OpCode::Data(opcode), false, &payload[from..to]));
            opcode = Data::Continue;
            from = to;
            let ping = |data: &Vec<u8>| frame(OpCode::Control(Control::Ping), true, data);
            frames.extend(self.ping.as_ref().map(ping));
        }
        frames.push(frame(OpCode::Data(opcode), true, &payload[from..]));
        frames
    }

    fn pings(&self) -> usize {
        self.ping.as_ref().map_or(0, |_| self.fragments.len())
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let message = prop_oneof![
        ".{0,40}".prop_map(Got::Text),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Got::Binary),
    ];
    let ping = prop::option::of(prop::collection::vec(any::<u8>(), 0..125));
    (message, prop::collection::vec(0..60usize, 0..4), ping)
        .prop_map(|(message, fragments, ping)| Sent { message, fragments, ping })
}

/// Bytes of payload of messages in these frames, of which the last may be cut.
fn payload_in(mut bytes: &[u8]) -> usize {
    let mut payload = 0;
    while bytes.len() > 8 {
        let (header, length) = match bytes[1] & 0x7f {
            126 => (8, usize::from(bytes[2]) << 8 | usize::from(bytes[3])),
            short => (6, usize::from(short)),
        };
        if bytes[0] & 8 == 0 {
            payload += length.min(bytes.len() - header);
        }
        bytes = &bytes[(header + length).min(bytes.len())..];
    }
    payload
}

/// A connection's reading side, and what came of it.
struct Reading {
    inbound: Inbound,
    inflating: InflateScratch,
    held: Rc<Cell<usize>>,
    control: Vec<u8>,
    got: Vec<Got>,
}

impl Default for Reading {
    fn default() -> Self {
        Self::of(FrameExtension::None)
    }
}

impl Reading {
    /// A connection whose handshake settled this.
    fn of(extension: FrameExtension) -> Self {
        Self {
            inbound: Inbound::new(extension),
            inflating: InflateScratch::default(),
            held: Rc::default(),
            control: Vec::new(),
            got: Vec::new(),
        }
    }

    /// Reads what one system call brought, in as many turns as it takes; `Some` if that ended the
    /// connection.
    fn read(&mut self, bytes: &[u8]) -> Option<InboundEvent> {
        let mut left = bytes;
        loop {
            let end = self.turn(&mut left, &mut ReadTurn::new());
            if end.is_some() || left.is_empty() {
                return end;
            }
        }
    }

    /// One turn, which may leave some of the bytes.
    fn turn(&mut self, bytes: &mut &[u8], turn: &mut ReadTurn) -> Option<InboundEvent> {
        self.inbound.begin(&self.held);
        while let Some(run) = self.inbound.run(bytes, MAX, turn) {
            let frame = match self.inbound.unpack(&run, MAX, &mut self.inflating) {
                Ok(frame) => frame,
                Err(code) => return Some(InboundEvent::Broken(code)),
            };
            let mut run = frame.bytes();
            loop {
                match self.inbound.next(&mut run, MAX, &mut self.control) {
                    InboundEvent::Text(text) => self.got.push(Got::Text(text.as_str().to_owned())),
                    InboundEvent::Binary(bytes) => self.got.push(Got::Binary(bytes.to_vec())),
                    InboundEvent::Pause => break,
                    end => return Some(end),
                }
            }
            assert!(run.is_empty(), "tungstenite leaves nothing of a run");
        }
        self.inbound.refused().map(InboundEvent::Broken)
    }

    /// What it holds besides its state's own size.
    fn held_bytes(&self) -> usize {
        self.held.get().saturating_sub(size_of::<Open>())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// 500 streams of up to 8 messages, each cut into pieces of 1 to 80 bytes.
    #[test]
    fn cuts_do_not_matter(
        all in prop::collection::vec(sent(), 1..8), cuts in prop::collection::vec(1..80usize, 1..40),
    ) {
        let mut stream = Vec::new();
        let mut ends = vec![0];
        for sent in &all {
            sent.frames().iter().for_each(|frame| stream.extend_from_slice(frame));
            ends.push(stream.len());
        }
        let mut reading = Reading::default();
        let (mut at, mut cuts) = (0, cuts.iter().cycle());
        while at < stream.len() {
            let to = (at + cuts.next().unwrap()).min(stream.len());
            prop_assert!(reading.read(&stream[at..to]).is_none());
            let from = std::mem::replace(&mut at, to);
            let rests = ends.contains(&at);
            let began = ends.iter().rev().find(|&&end| end <= at).unwrap();
            let expected = match rests {
                true => Arriving::Nothing,
                false if *began >= from => Arriving::Begun,
                false => Arriving::Still,
            };
            prop_assert_eq!(reading.inbound.settle(), expected, "at {}", at);
            prop_assert_eq!(reading.inbound.open.is_none(), rests, "state is dropped");
            // What is unfinished is counted; a fragmented message in tungstenite's buffers, which
            // grow by doubling.
            let unfinished = at - began;
            let collected = if unfinished == 0 { 0 } else { 2 * (READ_BUFFER + 2 * unfinished) };
            let held = reading.held_bytes();
            let payload = payload_in(&stream[*began..at]);
            prop_assert!(payload <= held && held <= 2 * unfinished + collected, "{} of {}", held, unfinished);
        }
        let expected: Vec<Got> = all.iter().map(|sent| sent.message.clone()).collect();
        prop_assert_eq!(reading.got, expected);
        let pongs: usize = all.iter().map(|sent| {
            sent.pings() * (2 + sent.ping.as_ref().map_or(0, Vec::len))
        }).sum();
        prop_assert_eq!(reading.control.len(), pongs, "every ping is answered");
    }
}

#[test]
fn a_client_that_never_pauses_holds_only_what_is_unfinished() {
    let mut reading = Reading::default();
    let stream: Vec<u8> = text(&[b'x'; 94]).repeat(1000);
    // Every read ends in the middle of a message, none of which takes longer than one read.
    for bytes in stream[..99_950].chunks(150) {
        assert!(reading.read(bytes).is_none());
        assert!(reading.inbound.settle() != Arriving::Still);
        assert!(reading.held_bytes() < 100, "{} bytes", reading.held_bytes());
    }
    assert_eq!(reading.got.len(), 999);
}

#[test]
fn an_unfinished_messages_share_goes_with_its_connection() {
    let held = Rc::new(Cell::new(0));
    let mut readings = [(); 3].map(|()| Reading { held: held.clone(), ..Reading::default() });
    for reading in &mut readings {
        assert!(reading.read(&text(b"hello")[..7]).is_none());
        assert_eq!(reading.inbound.settle(), Arriving::Begun);
    }
    assert_eq!(held.get(), 3 * (size_of::<Open>() + 7));
    drop(readings);
    assert_eq!(held.get(), 0);
}

#[test]
fn a_pong_alone_leaves_nothing_behind() {
    let mut reading = Reading::default();
    assert!(reading.read(&frame(OpCode::Control(Control::Pong), true, b"x")).is_none());
    assert_eq!(reading.inbound.settle(), Arriving::Nothing);
    assert!(reading.control.is_empty() && reading.got.is_empty());
}

/// Reads `bytes` at once and byte by byte; both must break the connection with this code.
#[track_caller]
fn check_broken(what: &str, bytes: &[u8], expected: CloseCode) {
    let whole = Reading::default().read(bytes);
    assert!(
        matches!(whole, Some(InboundEvent::Broken(code)) if code == expected),
        "{what}: {whole:?}"
    );
    let mut reading = Reading::default();
    let end = bytes.chunks(1).find_map(|byte| reading.read(byte));
    assert!(matches!(end, Some(InboundEvent::Broken(code)) if code == expected), "{what}: {end:?}");
    assert_eq!(reading.got, [], "{what}");
    drop(reading.inbound);
    assert_eq!(reading.held.get(), 0, "{what}");
}

#[test]
fn every_violation_has_its_close_code() {
    let protocol = CloseCode::Protocol;
    let unmasked = [0x81, 2, b'h', b'i'];
    check_broken("unmasked", &unmasked, protocol);
    for (bit, name) in [(0x40, "RSV1"), (0x20, "RSV2"), (0x10, "RSV3")] {
        let mut bytes = text(b"hi");
        bytes[0] |= bit;
        check_broken(name, &bytes, protocol);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let mut bytes = text(b"hi");
        bytes[0] = 0x80 | opcode;
        check_broken("reserved opcode", &bytes, protocol);
    }
    let more = frame(OpCode::Data(Data::Continue), true, b"hi");
    check_broken("a continuation of nothing", &more, protocol);
    let open = frame(OpCode::Data(Data::Text), false, b"hi");
    check_broken("a message in a message", &[open, text(b"hi")].concat(), protocol);
    let ping = OpCode::Control(Control::Ping);
    check_broken("a fragmented control frame", &frame(ping, false, b""), protocol);
    check_broken("a large control frame", &frame(ping, true, &[0; 126]), protocol);
    let close = OpCode::Control(Control::Close);
    check_broken("a Close of one byte", &frame(close, true, &[3]), protocol);
    check_broken(
        "a Close with bad UTF-8",
        &frame(close, true, b"\x03\xe8\xff"),
        CloseCode::BadUtf8,
    );

    check_broken("bad UTF-8", &text(b"ok \xc3\x28"), CloseCode::BadUtf8);
    check_broken("truncated UTF-8", &text(b"ok \xe2\x82"), CloseCode::BadUtf8);
    let first = frame(OpCode::Data(Data::Text), false, b"fine");
    let second = frame(OpCode::Data(Data::Continue), true, b"\xff");
    check_broken("bad UTF-8 in a fragment", &[first, second].concat(), CloseCode::BadUtf8);
}

#[test]
fn messages_above_the_limit_are_too_big() {
    let binary = OpCode::Data(Data::Binary);
    let mut reading = Reading::default();
    assert!(reading.read(&frame(binary, true, &[1; MAX])).is_none());
    assert_eq!(reading.got, [Got::Binary(vec![1; MAX])]);
    check_broken("one frame", &frame(binary, true, &[1; MAX + 1]), CloseCode::TooBig);
    let half = frame(binary, false, &[1; MAX / 2]);
    let last = frame(OpCode::Data(Data::Continue), true, &[1; MAX / 2 + 1]);
    check_broken("fragments", &[half, last].concat(), CloseCode::TooBig);

    // Its header is enough: nothing of it is waited for, let alone reserved.
    let header = FrameHeader { opcode: binary, mask: Some([0; 4]), ..FrameHeader::default() };
    let mut bytes = Vec::new();
    header.format(1 << 40, &mut bytes).unwrap();
    check_broken("a header", &bytes, CloseCode::TooBig);
}

/// What the client is answered to a Close.
#[track_caller]
fn check_close(payload: &[u8], expected: &[u8]) {
    let mut reading = Reading::default();
    let end = reading.read(&frame(OpCode::Control(Control::Close), true, payload));
    assert!(matches!(end, Some(InboundEvent::Close)), "{payload:?}: {end:?}");
    let [0x88, length, answer @ ..] = reading.control.as_slice() else {
        panic!("no Close: {:?}", reading.control)
    };
    assert_eq!(*length as usize, answer.len());
    assert!(answer.starts_with(expected), "{payload:?}: {answer:?}");
}

#[test]
fn a_close_is_answered_with_its_code_or_breaks_the_protocol() {
    check_close(b"", b"");
    let allowed = [1000u16, 1001, 1003, 1007, 1011, 1012, 3000, 4999];
    for code in allowed {
        check_close(&code.to_be_bytes(), &code.to_be_bytes());
    }
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        let bytes = frame(OpCode::Control(Control::Close), true, &code.to_be_bytes());
        check_broken("a Close with a code that must not be sent", &bytes, CloseCode::Protocol);
    }
}

#[test]
fn what_follows_a_close_is_not_read() {
    let mut reading = Reading::default();
    let close = frame(OpCode::Control(Control::Close), true, b"\x03\xe8");
    let end = reading.read(&[text(b"before"), close, text(b"after")].concat());
    assert!(matches!(end, Some(InboundEvent::Close)));
    assert_eq!(reading.got, [Got::Text("before".to_owned())]);
}

/// A header that claims the largest message, and one byte of it: what is held is what came.
#[test]
fn a_claim_reserves_nothing() {
    let mut reading = Reading::default();
    let large = frame(OpCode::Data(Data::Binary), true, &[7; MAX]);
    assert!(reading.read(&large[..9]).is_none());
    assert_eq!(reading.inbound.settle(), Arriving::Begun);
    assert_eq!(reading.held.get(), size_of::<Open>() + 9);
    // Byte by byte it grows by half at most, and never beyond the frame.
    for at in 9..large.len() - 1 {
        assert!(reading.read(&large[at..=at]).is_none());
        assert_eq!(reading.inbound.settle(), Arriving::Still);
        let held = reading.held_bytes();
        assert!(held <= (at + 1) * 3 / 2 && held <= large.len(), "{held} at {at}");
    }
    assert!(reading.read(&large[large.len() - 1..]).is_none());
    assert_eq!(reading.inbound.settle(), Arriving::Nothing);
    assert_eq!(reading.got, [Got::Binary(vec![7; MAX])]);
    assert_eq!(reading.held.get(), 0);
}

/// A turn takes so many frames and no more; what is left is counted, and comes in later turns.
#[test]
fn a_turn_ends_after_so_many_frames() {
    const ALL: usize = 3 * TURN_FRAMES + 10;
    let mut reading = Reading::default();
    let stream = [text(b"hi").repeat(ALL), text(b"cut")[..5].to_vec()].concat();
    let mut left = &stream[..];
    for turn in 1..=3 {
        assert!(reading.turn(&mut left, &mut ReadTurn::new()).is_none());
        assert_eq!(reading.got.len(), turn * TURN_FRAMES);
        reading.inbound.postpone(Bytes::copy_from_slice(left), left.len());
        assert_eq!(reading.inbound.settle(), Arriving::Postponed);
        assert_eq!(reading.held_bytes(), left.len());
        assert!(reading.inbound.has_postponed());
        assert_eq!(reading.inbound.take_postponed().0, left);
    }
    assert!(reading.turn(&mut left, &mut ReadTurn::new()).is_none());
    assert_eq!((reading.got.len(), left.len()), (ALL, 0));
    assert_eq!(reading.inbound.settle(), Arriving::Begun);
    assert_eq!(reading.held_bytes(), 5);
}
