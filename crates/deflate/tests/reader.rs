//! What tungstenite reads of a client that compresses: the messages, or the refusal that is due.

use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use roomcast_deflate::{FrameCompressor, InboundInflate, InflateRefusal, InflaterPool, Packing};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

const LIMIT: usize = 64 * 1024;

/// A socket that has these bytes and no more.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client's frame, masked.
fn append(header: FrameHeader, payload: &[u8], out: &mut Vec<u8>) {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let header = FrameHeader { mask: Some(key), ..header };
    header.format(payload.len() as u64, out).expect("writing to a Vec cannot fail");
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// A message in one frame for each part of its payload, with pings between them.
fn append_message(parts: &[&[u8]], rsv1: bool, out: &mut Vec<u8>) {
    for (at, part) in parts.iter().enumerate() {
        let opcode = OpCode::Data(if at == 0 { Data::Binary } else { Data::Continue });
        let is_final = at + 1 == parts.len();
        let rsv1 = rsv1 && at == 0;
        append(FrameHeader { is_final, rsv1, opcode, ..FrameHeader::default() }, part, out);
        let opcode = OpCode::Control(Control::Ping);
        append(FrameHeader { opcode, ..FrameHeader::default() }, b"?", out);
    }
}

/// The data messages of a client's bytes.
fn messages(mut wire: &[u8]) -> Result<Vec<Vec<u8>>, InflateRefusal> {
    let config = WebSocketConfig::default().max_message_size(Some(LIMIT));
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let (mut inbound, mut pool) = (InboundInflate::default(), InflaterPool::default());
    let mut messages = Vec::new();
    while !wire.is_empty() {
        let mut out = Vec::new();
        let mut readable = Wire(inbound.next(&mut wire, LIMIT, &mut pool, &mut out)?);
        loop {
            match context.read(&mut readable) {
                Ok(Message::Binary(message)) => messages.push(message.to_vec()),
                Ok(Message::Ping(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                other => panic!("{other:?}"),
            }
        }
    }
    Ok(messages)
}

#[test]
fn a_message_of_exactly_the_bound_is_read() {
    for (length, expected) in [(LIMIT, Ok(())), (LIMIT + 1, Err(InflateRefusal::TooBig))] {
        let message = vec![b'a'; length];
        let (mut payload, mut wire) = (Vec::new(), Vec::new());
        FrameCompressor::new().compress(&message, &mut payload);
        append_message(&[&payload], true, &mut wire);
        assert_eq!(messages(&wire).map(|got| assert_eq!(got, [message])), expected);
    }
}

#[test]
fn a_refusal_names_its_close_code() {
    for (payload, rsv1_at, expected) in [(&b"\x07"[..], 0, 1007), (b"\x00", 1, 1002)] {
        let mut wire = Vec::new();
        append_message(&[payload, payload], rsv1_at == 0, &mut wire);
        if rsv1_at == 1 {
            let opcode = OpCode::Control(Control::Ping);
            append(FrameHeader { rsv1: true, opcode, ..FrameHeader::default() }, b"", &mut wire);
        }
        assert_eq!(messages(&wire).unwrap_err().close_code(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn messages_are_read_however_they_are_cut(
        all in vec((vec(prop_oneof![Just(b'a'), any::<u8>()], 0..2_000), 1usize..90), 1..5),
    ) {
        let (mut compressor, mut wire) = (FrameCompressor::new(), Vec::new());
        for (message, size) in &all {
            let mut payload = Vec::new();
            let packing = compressor.compress(message, &mut payload);
            let payload = if packing == Packing::Compressed { &payload } else { message };
            let parts: Vec<&[u8]> = payload.chunks(*size).collect();
            append_message(&parts, packing == Packing::Compressed, &mut wire);
        }
        let expected: Vec<_> = all.into_iter().map(|(message, _)| message).collect();
        prop_assert_eq!(messages(&wire), Ok(expected));
    }
}
