//! An ephemeral event as it is pushed: a head of one word, its kind, and a MessagePack array.

use bytes::Bytes;
use rmp_serde::config::BytesMode;
use rmp_serde::{Deserializer, Serializer};
use roomcast_protocol::{ConnectionId, Data, EventName, UserName};
use serde::{Deserialize, Serialize};

use crate::api::{Ephemeral, Signal, TypingWord, Writer};

/// The kind of a push with a signal.
pub(super) const SIGNAL_KIND: &[u8] = b"s";
/// The kind of a push with a word about somebody who writes.
pub(super) const TYPING_KIND: &[u8] = b"t";

#[derive(Serialize, Deserialize)]
struct PushedSignal<'a> {
    user: Option<&'a str>,
    connection: Option<u64>,
    event: &'a str,
    /// 0: JSON, 1: MessagePack, 2: there is no payload.
    encoding: u8,
    data: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct PushedTyping<'a> {
    user: Option<&'a str>,
    connection: Option<u64>,
    active: bool,
}

pub(crate) fn encode_ephemeral(ephemeral: &Ephemeral) -> Vec<u8> {
    match ephemeral {
        Ephemeral::Signal(Signal { user, connection, event, data }) => {
            let (encoding, data): (u8, &[u8]) = match data {
                Some(Data::Json(bytes)) => (0, bytes),
                Some(Data::MsgPack(bytes)) => (1, bytes),
                // The serializer writes no bytes as an array, which no node reads as bytes.
                None => (2, &[0]),
            };
            let (user, connection) =
                (user.as_ref().map(UserName::as_str), connection.map(|id| id.0));
            write(
                SIGNAL_KIND,
                &PushedSignal { user, connection, event: event.as_str(), encoding, data },
            )
        }
        Ephemeral::Typing(TypingWord { writer, active }) => {
            let (user, connection) = match writer {
                Writer::User(user) => (Some(user.as_str()), None),
                Writer::Connection(connection) => (None, Some(connection.0)),
            };
            write(TYPING_KIND, &PushedTyping { user, connection, active: *active })
        }
    }
}

fn write(kind: &[u8], pushed: &impl Serialize) -> Vec<u8> {
    let mut out = kind.to_vec();
    out.push(b'\n');
    let mut serializer = Serializer::new(&mut out).with_bytes(BytesMode::ForceAll);
    pushed.serialize(&mut serializer).expect("a vector takes every byte of plain fields");
    out
}

/// Reads what follows the head of a push with a signal.
pub(super) fn decode_signal(body: &Bytes) -> Option<Signal> {
    let mut reader = Deserializer::from_read_ref(body.as_ref());
    let pushed = PushedSignal::deserialize(&mut reader).ok()?;
    let bytes = body.slice_ref(pushed.data);
    Some(Signal {
        user: pushed.user.map(UserName::parse).transpose().ok()?,
        connection: pushed.connection.map(ConnectionId),
        event: EventName::parse(pushed.event).ok()?,
        data: match pushed.encoding {
            0 => Some(Data::Json(bytes)),
            1 => Some(Data::MsgPack(bytes)),
            2 => None,
            _ => return None,
        },
    })
}

/// Reads what follows the head of a push with a word about somebody who writes.
pub(super) fn decode_typing(body: &Bytes) -> Option<TypingWord> {
    let mut reader = Deserializer::from_read_ref(body.as_ref());
    let pushed = PushedTyping::deserialize(&mut reader).ok()?;
    let writer = match (pushed.user, pushed.connection) {
        (Some(user), None) => Writer::User(UserName::parse(user).ok()?),
        (None, Some(connection)) => Writer::Connection(ConnectionId(connection)),
        _ => return None,
    };
    Some(TypingWord { writer, active: pushed.active })
}
