//! RFC 6455 and RFC 7692 from the outside, section by section as Autobahn's suite has them: one row
//! for each rule, as bytes on a socket, on a node that sends messages back (`roomcast echo`).

use std::net::SocketAddr;

use roomcast_gateway::Node;

use crate::support::{self, OFFER, Opcode, RawClient, RawFrame, deflate, frame, inflate, soon};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const FIRST_TEXT: u8 = 0x01;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const RSV1: u8 = 0x40;
/// The largest message.
const LARGEST: usize = 16 << 20;

/// What comes back of what was sent.
#[derive(Debug, Clone, PartialEq)]
enum Back {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// A Close with this number (`None`: without one), and the end.
    Close(Option<u16>),
}

/// A frame that came, inflated.
fn back(RawFrame { first, payload }: RawFrame) -> Back {
    let is_compressed = first & RSV1 != 0;
    let payload = if is_compressed { inflate(&payload) } else { payload };
    match first & !RSV1 {
        TEXT => Back::Text(payload),
        BINARY => Back::Binary(payload),
        PONG if !is_compressed => Back::Pong(payload),
        CLOSE if !is_compressed => {
            let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
            assert!(payload.is_empty() || code.is_some(), "{payload:?}");
            std::str::from_utf8(payload.get(2..).unwrap_or_default()).unwrap();
            Back::Close(code)
        }
        other => panic!("a frame {other:x} {payload:?}"),
    }
}

/// Cases that are run one after the other, and what went wrong with them.
struct Cases {
    node: Node,
    address: SocketAddr,
    headers: &'static str,
    failed: Vec<String>,
    count: usize,
}

impl Cases {
    /// Clients that send these headers with their handshakes.
    async fn new(headers: &'static str) -> Self {
        let mut node = Node::start_echo("127.0.0.1:0".parse().unwrap()).await.unwrap();
        soon("the node", node.opened()).await.unwrap();
        Self { address: node.address(), node, headers, failed: Vec::new(), count: 0 }
    }

    /// Sends bytes in pieces of this size, then a Close, unless the case has the connection closed.
    async fn check(&mut self, what: &str, sent: &[u8], piece: usize, expected: &[Back]) {
        self.count += 1;
        let mut client = RawClient::upgraded(self.address, self.headers).await;
        let ends = matches!(expected.last(), Some(Back::Close(_)));
        let farewell = frame(CLOSE, &1000u16.to_be_bytes());
        let all = if ends { sent.to_vec() } else { [sent, &farewell].concat() };
        let writing = async {
            for piece in all.chunks(piece) {
                client.write(piece).await;
            }
            let mut got = Vec::new();
            while let Some(frame) = client.frame().await {
                got.push(back(frame));
            }
            got
        };
        let got = writing.await;
        let own = Back::Close(Some(1000));
        let wanted = [expected, if ends { &[] } else { std::slice::from_ref(&own) }].concat();
        if got != wanted {
            self.failed.push(format!("{what}, in pieces of {piece}: {}", short(&got)));
        }
    }

    /// The same at once and byte by byte.
    async fn both(&mut self, what: &str, sent: &[u8], expected: &[Back]) {
        self.check(what, sent, usize::MAX, expected).await;
        self.check(what, sent, 1, expected).await;
    }

    /// It breaks the protocol, and so it does after a message.
    async fn breaks(&mut self, what: &str, sent: &[u8], code: u16) {
        self.both(what, sent, &[Back::Close(Some(code))]).await;
        let after = [&frame(TEXT, b"first"), sent].concat();
        let expected = [Back::Text(b"first".into()), Back::Close(Some(code))];
        self.check(what, &after, usize::MAX, &expected).await;
    }

    async fn end(self, at_least: usize) {
        soon("the node's end", self.node.stop()).await;
        assert!(self.failed.is_empty(), "of {}: {:#?}", self.count, self.failed);
        assert!(self.count >= at_least, "{} cases", self.count);
    }
}

fn short(got: &[Back]) -> String {
    let mut text = format!("{got:?}");
    text.truncate(300);
    text
}

/// A message in fragments of this size.
fn fragments(first: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let parts: Vec<_> = payload.chunks(size).collect();
    let mut bytes = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let opcode = if at == 0 { first & !LAST } else { MORE };
        let is_final = if at + 1 == parts.len() { LAST } else { 0 };
        bytes.extend(frame(opcode | is_final, part));
    }
    bytes
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

#[tokio::test]
async fn any_path_is_served_without_subprotocol_and_says_nothing_first() {
    let mut node = Node::start_echo("127.0.0.1:0".parse().unwrap()).await.unwrap();
    soon("the node", node.opened()).await.unwrap();
    for path in ["/", "/ws", "/runCase?case=1&agent=x", "/any/where"] {
        let mut client = RawClient::connect(node.address()).await;
        let upgrade = support::UPGRADE.replacen("/ws", path, 1);
        let offer = "Sec-WebSocket-Protocol: chat\r\nOrigin: https://example.com\r\n";
        client.write(format!("{upgrade}{offer}\r\n").as_bytes()).await;
        let response = client.response().await;
        assert_eq!(response.status, 101, "{path}: {response:?}");
        assert_eq!(response.header("sec-websocket-protocol"), None);
        assert_eq!(response.header("sec-websocket-extensions"), None);
        client.send(PING, b"alone").await;
        assert_eq!(client.frame().await.map(back), Some(Back::Pong(b"alone".into())));
    }
    soon("the node's end", node.stop()).await;
}

/// Sections 1, 9 and 10: every length of header, and sizes to the bound.
#[tokio::test]
async fn messages_of_every_size_come_back() {
    let mut cases = Cases::new("").await;
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        let payload = vec![b'*'; length];
        for piece in [usize::MAX, 997] {
            let text = [Back::Text(payload.clone())];
            cases.check("1 text", &frame(TEXT, &payload), piece, &text).await;
            let binary = [Back::Binary(payload.clone())];
            cases.check("1 binary", &frame(BINARY, &payload), piece, &binary).await;
        }
    }
    let payload = vec![0xfe; LARGEST];
    let largest = [Back::Binary(payload.clone())];
    cases.check("9 the largest", &frame(BINARY, &payload), 1 << 20, &largest).await;
    cases.check("9 in fragments", &fragments(BINARY, &payload, 1 << 20), 1 << 20, &largest).await;
    let larger = [&payload[..], b"!"].concat();
    for sent in [frame(BINARY, &larger), fragments(BINARY, &larger, 1 << 20)] {
        cases.check("9 above it", &sent, 1 << 20, &[Back::Close(Some(1009))]).await;
    }
    let payload = vec![b'a'; 65_536];
    let sent = fragments(TEXT, &payload, 1300);
    cases.check("10", &sent, 4096, &[Back::Text(payload)]).await;
    cases.end(37).await;
}

/// Sections 2 to 5.
#[tokio::test]
async fn control_frames_bits_opcodes_and_fragments_follow_the_letter() {
    let mut cases = Cases::new("").await;
    for payload in [&b""[..], b"hello", &[0, 0xff, 0xfe], &[0xfe; 125]] {
        cases.both("2 ping", &frame(PING, payload), &[Back::Pong(payload.into())]).await;
        cases.both("2 pong", &frame(PONG, payload), &[]).await;
    }
    let ten: Vec<u8> = (0..10u8).flat_map(|n| frame(PING, &[n])).collect();
    let pongs: Vec<_> = (0..10u8).map(|n| Back::Pong(vec![n])).collect();
    cases.both("2.10", &ten, &pongs).await;
    cases.breaks("2.5", &frame(PING, &[0xfe; 126]), 1002).await;
    cases.breaks("2.5 pong", &frame(PONG, &[0xfe; 126]), 1002).await;

    for rsv in 1..8u8 {
        for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
            cases.breaks("3", &frame(opcode | rsv << 4, b""), 1002).await;
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.breaks("4", &frame(LAST | opcode, b""), 1002).await;
        cases.breaks("4", &frame(LAST | opcode, b"payload"), 1002).await;
    }

    cases.breaks("5.1", &frame(PING & !LAST, b"a"), 1002).await;
    cases.breaks("5.2", &frame(PONG & !LAST, b"a"), 1002).await;
    let whole = [Back::Text(b"onetwo".into())];
    let (one, two) = (frame(FIRST_TEXT, b"one"), frame(LAST, b"two"));
    cases.both("5.3", &[&one[..], &two].concat(), &whole).await;
    let pinged = [&one[..], &frame(PING, b"p"), &two].concat();
    cases.both("5.6", &pinged, &[Back::Pong(b"p".into()), whole[0].clone()]).await;
    let ponged = [&one[..], &frame(PONG, b"p"), &two].concat();
    cases.both("5.7", &ponged, &whole).await;
    cases.breaks("5.9", &two, 1002).await;
    cases.breaks("5.12", &frame(MORE, b"more"), 1002).await;
    let empty = [frame(FIRST_TEXT, b""), frame(MORE, b""), frame(LAST, b"")].concat();
    cases.both("5.15 empty fragments", &empty, &[Back::Text(Vec::new())]).await;
    cases.breaks("5.18", &[frame(FIRST_TEXT, b"a"), frame(TEXT, b"b")].concat(), 1002).await;
    cases.breaks("5.18", &[frame(FIRST_TEXT, b"a"), frame(FIRST_TEXT, b"b")].concat(), 1002).await;
    let many = [fragments(TEXT, b"fragment1fragment2", 9), frame(PING, b"x")].concat();
    let expected = [Back::Text(b"fragment1fragment2".into()), Back::Pong(b"x".into())];
    cases.both("5.19", &many, &expected).await;

    cases.breaks("RFC 6455, 5.1: no mask", &[TEXT, 2, b'h', b'i'], 1002).await;
    cases.end(200).await;
}

/// Section 6: what is UTF-8 comes back, in whatever pieces; what is not is 1007.
#[tokio::test]
async fn text_is_utf_8() {
    let mut cases = Cases::new("").await;
    let good: [&[u8]; 12] = [
        b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
        b"\x00",
        b"\x7f",
        b"\xc2\x80",
        b"\xdf\xbf",
        b"\xe0\xa0\x80",
        b"\xef\xbf\xbf",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xf0\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
    ];
    for text in good {
        let expected = [Back::Text(text.into())];
        cases.both("6 one frame", &frame(TEXT, text), &expected).await;
        for size in [1, 2, 3] {
            cases.both("6 in fragments", &fragments(TEXT, text, size), &expected).await;
        }
    }
    let bad: [&[u8]; 18] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\x80",
        b"\xbf",
        b"\x80\xbf\x80",
        b"\xc0\x20",
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xb0\x80",
    ];
    for text in bad {
        let text = [b"ok ", text].concat();
        cases.breaks("6 bad", &frame(TEXT, &text), 1007).await;
        for size in [1, 2, 3] {
            let sent = fragments(TEXT, &text, size);
            cases.check("6 bad fragments", &sent, usize::MAX, &[Back::Close(Some(1007))]).await;
        }
        // Bytes are bytes.
        cases.both("6 binary", &frame(BINARY, &text), &[Back::Binary(text.clone())]).await;
    }
    cases.end(200).await;
}

/// Section 7.
#[tokio::test]
async fn a_close_ends_the_connection_as_the_letter_says() {
    let mut cases = Cases::new("").await;
    let after = [frame(PING, b"late"), frame(TEXT, b"late")].concat();
    cases.both("7.3.1", &frame(CLOSE, b""), &[Back::Close(None)]).await;
    cases.breaks("7.3.2", &frame(CLOSE, b"a"), 1002).await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let expected = [Back::Close(Some(code))];
        cases.both("7.7", &close(code, b""), &expected).await;
        cases.both("7.3.4", &close(code, &[b'*'; 123]), &expected).await;
        cases.both("7.1.3", &[close(code, b"why"), after.clone()].concat(), &expected).await;
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.breaks("7.9", &close(code, b""), 1002).await;
    }
    cases.breaks("7.3.6", &close(1000, &[b'*'; 124]), 1002).await;
    cases.breaks("7.5.1", &close(1000, b"\xce\xba\xed\xa0\x80"), 1007).await;
    let open = [frame(FIRST_TEXT, b"open"), close(1000, b"")].concat();
    cases.both("7.1.6", &open, &[Back::Close(Some(1000))]).await;
    cases.end(100).await;
}

/// Sections 12 and 13: what a client may offer, and what it is answered.
#[tokio::test]
async fn an_offer_is_met_or_declined() {
    let mut node = Node::start_echo("127.0.0.1:0".parse().unwrap()).await.unwrap();
    soon("the node", node.opened()).await.unwrap();
    let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let window = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                  server_max_window_bits=15";
    let rows = [
        ("permessage-deflate", Some(plain)),
        ("permessage-deflate; client_max_window_bits", Some(plain)),
        ("permessage-deflate; client_max_window_bits=9", Some(plain)),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", Some(plain)),
        ("permessage-deflate; server_max_window_bits=15", Some(window)),
        ("permessage-deflate; server_max_window_bits=\"15\"", Some(window)),
        ("permessage-deflate; server_max_window_bits=9", None),
        ("permessage-deflate; server_max_window_bits=14; client_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", Some(plain)),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=015", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; unknown", None),
        ("x-webkit-deflate-frame", None),
        ("foo, permessage-deflate", Some(plain)),
        ("permessage-bzip2\r\nSec-WebSocket-Extensions: permessage-deflate", Some(plain)),
        (
            "permessage-deflate; unknown\r\nSec-WebSocket-Extensions: permessage-deflate",
            Some(plain),
        ),
    ];
    for (offer, answer) in rows {
        let mut client = RawClient::connect(node.address()).await;
        let head = format!("{}Sec-WebSocket-Extensions: {offer}\r\n\r\n", support::UPGRADE);
        client.write(head.as_bytes()).await;
        let response = client.response().await;
        assert_eq!(response.status, 101, "{offer}");
        assert_eq!(response.header("sec-websocket-extensions"), answer, "{offer}");
        client.send(TEXT | RSV1, &deflate(b"hello")).await;
        let expected = match answer {
            Some(_) => Back::Text(b"hello".into()),
            None => Back::Close(Some(1002)),
        };
        assert_eq!(client.frame().await.map(back), Some(expected), "{offer}");
    }
    soon("the node's end", node.stop()).await;
}

/// Sections 12 and 13: what a client that compresses may send.
#[tokio::test]
async fn compressed_messages_come_back_or_are_refused() {
    let mut cases = Cases::new(OFFER).await;
    for length in [0usize, 16, 125, 126, 127, 1024, 65_535, 65_536, 131_072] {
        let payload: Vec<u8> = (0..length).map(|n| b"{\"text\":\"hello world\"}"[n % 22]).collect();
        let (packed, expected) = (deflate(&payload), [Back::Text(payload.clone())]);
        for piece in [usize::MAX, 997] {
            cases.check("12 text", &frame(TEXT | RSV1, &packed), piece, &expected).await;
        }
        // Only the first frame has the bit; control frames stand between them.
        let mut sent = fragments(TEXT, &packed, packed.len() / 3 + 1);
        sent[0] |= RSV1;
        cases.check("12 in fragments", &sent, 997, &expected).await;
        cases.check("12 plain", &frame(TEXT, &payload), usize::MAX, &expected).await;
    }
    let packed = deflate(b"hello hello hello hello");
    let message = [Back::Text(b"hello hello hello hello".into())];
    let first = frame(FIRST_TEXT | RSV1, &packed[..4]);
    let between = [&first[..], &frame(PING, b"p"), &frame(LAST, &packed[4..])].concat();
    cases.both("13 ping between", &between, &[Back::Pong(b"p".into()), message[0].clone()]).await;
    let twice = frame(TEXT | RSV1, &packed).repeat(2);
    cases.both("13 twice", &twice, &[message[0].clone(), message[0].clone()]).await;

    // RFC 7692, 7.2.3: a block without compression, a last block, several blocks, an empty message.
    let letters: [(&str, &[u8], &[u8]); 5] = [
        ("7.2.3.3 no compression", b"\x00\x05\x00\xfa\xffHello\x00", b"Hello"),
        ("7.2.3.4 last block", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", b"Hello"),
        ("7.2.3.5 two blocks", b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", b"Hello"),
        ("7.2.3.1", b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"Hello"),
        ("7.2.3.6 empty", b"\x00", b""),
    ];
    for (what, packed, text) in letters {
        cases.both(what, &frame(TEXT | RSV1, packed), &[Back::Text(text.into())]).await;
    }
    // 7.2.3.2: the second message refers to the first: no window is kept.
    let shared = [
        frame(TEXT | RSV1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        frame(TEXT | RSV1, b"\xf2\x00\x11\x00\x00"),
    ];
    let expected = [Back::Text(b"Hello".into()), Back::Close(Some(1007))];
    cases.both("7.2.3.2 context takeover", &shared.concat(), &expected).await;

    cases.breaks("no DEFLATE", &frame(TEXT | RSV1, b"\xff\xff\xff\xff"), 1007).await;
    cases.breaks("reserved block", &frame(BINARY | RSV1, b"\x07"), 1007).await;
    cases.breaks("ends early", &frame(TEXT | RSV1, &packed[..packed.len() / 2]), 1007).await;
    cases.breaks("bad UTF-8 inside", &frame(TEXT | RSV1, &deflate(b"ok \xff")), 1007).await;
    for opcode in [PING, PONG, CLOSE] {
        cases.breaks("RSV1 on a control frame", &frame(opcode | RSV1, b""), 1002).await;
    }
    for begin in [frame(FIRST_TEXT, b"a"), first] {
        let sent = [begin, frame(LAST | RSV1, &packed)].concat();
        cases.breaks("RSV1 on a continuation", &sent, 1002).await;
    }
    for rsv in [0x10, 0x20, 0x50, 0x60, 0x70] {
        cases.breaks("RSV2, RSV3", &frame(TEXT | rsv, &packed), 1002).await;
    }
    for opcode in [3, 7, 11, 15] {
        cases.breaks("reserved opcode", &frame(LAST | RSV1 | opcode, &packed), 1002).await;
    }

    // Exactly the bound, inflated, and one byte more; then a bomb.
    let largest = vec![b'a'; LARGEST];
    let sent = frame(TEXT | RSV1, &deflate(&largest));
    cases.check("the largest", &sent, usize::MAX, &[Back::Text(largest.clone())]).await;
    for length in [LARGEST + 1, 8 * LARGEST] {
        let sent = frame(TEXT | RSV1, &deflate(&vec![b'a'; length]));
        cases.check("above it", &sent, usize::MAX, &[Back::Close(Some(1009))]).await;
        let mut sent = fragments(TEXT, &deflate(&vec![b'a'; length]), 1000);
        sent[0] |= RSV1;
        cases.check("above it", &sent, usize::MAX, &[Back::Close(Some(1009))]).await;
    }
    cases.end(100).await;
}

/// The same message is written in the same bytes each time: nothing is kept between messages, and
/// what is compressed becomes smaller.
#[tokio::test]
async fn the_node_keeps_no_window() {
    let cases = Cases::new(OFFER).await;
    let mut client = RawClient::upgraded(cases.address, OFFER).await;
    let payload = b"{\"text\":\"hello hello hello hello\"}".repeat(20);
    let mut frames = Vec::new();
    for _ in 0..3 {
        client.send(TEXT, &payload).await;
        frames.push(client.frame().await.unwrap());
    }
    assert!(frames[0].first == TEXT | RSV1 && frames[0].payload.len() < payload.len() / 2);
    assert!(frames.iter().all(|frame| *frame == frames[0] && inflate(&frame.payload) == payload));
    client.send_text("!").await;
    let small = client.frame().await.unwrap();
    assert!(small.is(Opcode::Text) && back(small) == Back::Text(b"!".into()));
    drop(client);
    cases.end(0).await;
}
