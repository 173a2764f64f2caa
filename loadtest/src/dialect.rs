//! How a client of the load talks to one kind of server in one encoding: the requests, and the
//! frames it sends and reads. The only file that knows the wire's codecs.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::ValueEnum;
use roomcast_protocol::{
    ClientFrame, Data, Encoding as Wire, JoinRoom, Publish, RequestId, RoomName, ServerFrame,
};

use crate::door::Door;
use crate::server::{Kind, Server};
use crate::wire;

/// The encoding of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WireEncoding {
    /// Text frames, JSON.
    Json,
    /// Binary frames, MessagePack.
    Msgpack,
}

impl WireEncoding {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
        }
    }

    /// The same, as the protocol calls it.
    pub(crate) fn wire(self) -> Wire {
        match self {
            Self::Json => Wire::Json,
            Self::Msgpack => Wire::MsgPack,
        }
    }

    fn opcode(self) -> u8 {
        match self {
            Self::Json => wire::TEXT,
            Self::Msgpack => wire::BINARY,
        }
    }

    /// A text value that takes exactly so many bytes in this encoding, or the shortest longer one:
    /// `text`, filled up.
    pub(crate) fn payload(self, text: &str, bytes: usize) -> Data {
        match self {
            Self::Json => {
                let fill = "x".repeat(bytes.saturating_sub(2 + text.len()));
                Data::Json(Bytes::from(format!("\"{text}{fill}\"")))
            }
            Self::Msgpack => {
                let head = match bytes {
                    0..=32 => 1,
                    33..=257 => 2,
                    258..=65_538 => 3,
                    _ => 5,
                };
                let len = bytes.saturating_sub(head).max(text.len());
                let mut value = Vec::with_capacity(len + 5);
                match (u8::try_from(len), u16::try_from(len)) {
                    (Ok(short @ 0..=31), _) => value.push(0xa0 | short),
                    (Ok(short), _) => value.extend([0xd9, short]),
                    (_, Ok(middle)) => {
                        value.push(0xda);
                        value.extend(middle.to_be_bytes());
                    }
                    _ => {
                        value.push(0xdb);
                        value.extend((len as u32).to_be_bytes());
                    }
                }
                value.extend(text.bytes());
                value.extend(std::iter::repeat_n(b'x', len - text.len()));
                Data::MsgPack(Bytes::from(value))
            }
        }
    }
}

/// One way to talk.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    pub(crate) kind: Kind,
    pub(crate) encoding: WireEncoding,
    pub(crate) addr: SocketAddr,
    /// How clients come in.
    pub(crate) door: Arc<Door>,
}

impl Dialect {
    /// The way to talk to this server.
    pub(crate) fn of(server: &Server, encoding: WireEncoding) -> Self {
        Self { kind: server.kind, encoding, addr: server.addr, door: Arc::clone(&server.door) }
    }

    /// The upgrade request of a client that will be in `rooms`; the floor is told here.
    pub(crate) fn request(&self, rooms: &[usize]) -> Rc<[u8]> {
        let path = match (self.kind, rooms.first()) {
            (Kind::Floor(_), Some(room)) => format!("/ws?room={room}"),
            _ => "/ws".to_owned(),
        };
        let subprotocol = self.encoding.wire().subprotocol();
        wire::upgrade_request(&self.addr.to_string(), &path, Some(subprotocol)).into()
    }

    /// The upgrade request of a client that goes by a name of its own.
    pub(crate) fn request_as(&self, user: &str) -> Rc<[u8]> {
        let subprotocol = self.encoding.wire().subprotocol();
        let path = format!("/ws?user={user}");
        wire::upgrade_request(&self.addr.to_string(), &path, Some(subprotocol)).into()
    }

    /// A frame that joins these rooms.
    pub(crate) fn join(&self, rooms: &[usize]) -> Result<Vec<u8>> {
        let rooms = rooms.iter().map(|&room| Ok(JoinRoom::new(room_name(room)?)));
        let frame = ClientFrame::Join { id: Some(1), rooms: rooms.collect::<Result<_>>()? };
        Ok(self.frame(&frame))
    }

    /// A frame that publishes in a room; with an id it will be answered.
    pub(crate) fn publish(
        &self,
        room: usize,
        data: Data,
        id: Option<RequestId>,
    ) -> Result<Vec<u8>> {
        Ok(self
            .frame(&ClientFrame::Publish(Publish { id, ..Publish::new(room_name(room)?, data) })))
    }

    /// Any frame, as a client sends it.
    pub(crate) fn frame(&self, frame: &ClientFrame) -> Vec<u8> {
        let mut payload = Vec::new();
        frame.encode(self.encoding.wire(), &mut payload);
        let mut bytes = Vec::with_capacity(payload.len() + 14);
        wire::push_client_frame(self.encoding.opcode(), &payload, &mut bytes);
        bytes
    }

    /// Reads a frame of a node.
    pub(crate) fn decode(&self, payload: &[u8]) -> Result<ServerFrame> {
        ServerFrame::decode(self.encoding.wire(), payload).with_context(|| {
            format!("the node sent a frame that cannot be read: {}", payload.escape_ascii())
        })
    }
}

/// The text in a payload that `Encoding::payload` made, whichever encoding it is in by now.
pub(crate) fn text_of(data: &Data) -> Result<&[u8]> {
    let text = match data {
        Data::Json(json) => json.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")),
        Data::MsgPack(value) => match value.first() {
            Some(0xa0..=0xbf) => value.get(1..),
            Some(0xd9) => value.get(2..),
            Some(0xda) => value.get(3..),
            Some(0xdb) => value.get(5..),
            _ => None,
        },
    };
    text.context("the data is no text")
}

/// The name of the load's room of this number, for servers that know no `RoomName`.
pub(crate) fn room_text(number: usize) -> String {
    format!("load-{number}")
}

/// The name of a room of the load; the floor reads the number back.
pub(crate) fn room_name(number: usize) -> Result<RoomName> {
    Ok(RoomName::parse(&room_text(number))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_the_size_that_was_asked_for() {
        for bytes in [2, 16, 32, 33, 64, 128, 257, 258, 1024, 65_536, 100_000] {
            for encoding in [WireEncoding::Json, WireEncoding::Msgpack] {
                let data = encoding.payload("", bytes);
                // MessagePack has no string of exactly 33 or 258 bytes.
                let slack = usize::from(bytes == 33 || bytes == 258);
                assert!(data.len().abs_diff(bytes) <= slack, "{encoding:?} {bytes}");
            }
        }
        let Data::Json(text) = WireEncoding::Json.payload("ab", 6) else { panic!("not JSON") };
        assert_eq!(text, r#""abxx""#);
        assert_eq!(WireEncoding::Json.payload("abcdef", 2).len(), 8);
        assert_eq!(WireEncoding::Msgpack.payload("abcdef", 2).len(), 7);
    }

    #[test]
    fn texts_are_read_back() {
        for bytes in [2, 40, 128, 300, 70_000] {
            for encoding in [WireEncoding::Json, WireEncoding::Msgpack] {
                let data = encoding.payload("r1p2n3|", bytes);
                assert!(text_of(&data).unwrap().starts_with(b"r1p2n3|"), "{encoding:?} {bytes}");
            }
        }
        assert!(text_of(&Data::Json(Bytes::from_static(b"17"))).is_err());
    }
}
