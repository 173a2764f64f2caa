//! A message as it is stored in Redis: one compact MessagePack array, written by the publishing
//! node and never read by Redis. Seq, time and epoch are not in it: the script adds them before a
//! push (one head line for the whole group) and in a stream entry.

mod ephemeral_push;
pub(crate) mod presence_push;

use std::sync::Arc;

use bytes::Bytes;
use rmp_serde::config::BytesMode;
use rmp_serde::{Deserializer, Serializer};
use roomcast_protocol::{
    ConnectionId, Data, Epoch, EventName, Message, PublishKey, Seq, StateKey, UserName,
};
use serde::{Deserialize, Serialize};

use crate::api::{Ephemeral, Publication, ReceiptMarks, ReceiptNews, StateAction};
pub(crate) use ephemeral_push::encode_ephemeral;
use ephemeral_push::{SIGNAL_KIND, TYPING_KIND, decode_signal, decode_typing};
pub use presence_push::{PresenceBody, PresenceMark, PresencePush, PresenceTail};

/// The stored form: an array in this order. `data` is last, so a payload ends where its data ends.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    user: Option<&'a str>,
    connection: Option<u64>,
    event: Option<&'a str>,
    key: Option<&'a str>,
    echo: bool,
    traceparent: Option<&'a str>,
    encoding: u8,
    data: &'a [u8],
}

/// The same with what few messages have: a map of its own in MessagePack, of which a version reads
/// what it knows.
#[derive(Serialize, Deserialize)]
struct StoredMore<'a> {
    user: Option<&'a str>,
    connection: Option<u64>,
    event: Option<&'a str>,
    key: Option<&'a str>,
    echo: bool,
    traceparent: Option<&'a str>,
    encoding: u8,
    more: &'a [u8],
    data: &'a [u8],
}

/// What few messages have.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct StoredExtras<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    remove: bool,
    /// The encoding and the bytes.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    info: Option<(u8, &'a [u8])>,
}

/// First byte of a stored message with extras: an array of nine.
const WITH_EXTRAS: u8 = 0x99;

/// The encoding's number of [`Data::Json`].
const JSON: u8 = 0;
/// The encoding's number of [`Data::MsgPack`].
const MSGPACK: u8 = 1;
/// Bytes of a payload beside its data, roughly.
const HEAD_BYTES: usize = 96;

/// The bytes are no payload of a node: another program used the key or channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a payload of this version")]
pub(crate) struct BadPayload;

/// The payload of a publication.
pub(crate) fn encode(publication: &Publication) -> Vec<u8> {
    let (encoding, data) = match &publication.data {
        Data::Json(bytes) => (JSON, bytes),
        Data::MsgPack(bytes) => (MSGPACK, bytes),
    };
    let stored = Stored {
        user: publication.user.as_ref().map(UserName::as_str),
        connection: publication.connection.map(|connection| connection.0),
        event: publication.event.as_ref().map(EventName::as_str),
        key: publication.key.as_ref().map(PublishKey::as_str),
        echo: publication.echo,
        traceparent: publication.traceparent.as_deref(),
        encoding,
        data,
    };
    let extras = extras(publication);
    let mut out = Vec::with_capacity(HEAD_BYTES + data.len());
    let mut serializer = Serializer::new(&mut out).with_bytes(BytesMode::ForceAll);
    let written = if extras == StoredExtras::default() {
        stored.serialize(&mut serializer)
    } else {
        let mut more = Vec::new();
        let mut named =
            Serializer::new(&mut more).with_bytes(BytesMode::ForceAll).with_struct_map();
        extras.serialize(&mut named).expect("a vector takes every byte");
        with_extras(stored, &more).serialize(&mut serializer)
    };
    written.expect("a vector takes every byte of plain fields");
    out
}

fn extras(publication: &Publication) -> StoredExtras<'_> {
    let info = publication.info.as_ref().map(|info| match info {
        Data::Json(bytes) => (JSON, &bytes[..]),
        Data::MsgPack(bytes) => (MSGPACK, &bytes[..]),
    });
    let Some(state) = &publication.state else {
        return StoredExtras { info, ..StoredExtras::default() };
    };
    StoredExtras {
        info,
        state_key: state.key.as_ref().map(StateKey::as_str),
        ttl_ms: state.ttl_ms,
        remove: state.action != StateAction::Set,
    }
}

fn with_extras<'a>(stored: Stored<'a>, more: &'a [u8]) -> StoredMore<'a> {
    let Stored { user, connection, event, key, echo, traceparent, encoding, data } = stored;
    StoredMore { user, connection, event, key, echo, traceparent, encoding, more, data }
}

/// Reads either form.
fn read(payload: &[u8]) -> Result<(Stored<'_>, StoredExtras<'_>), BadPayload> {
    let mut reader = Deserializer::from_read_ref(payload);
    if payload.first() != Some(&WITH_EXTRAS) {
        let stored = Stored::deserialize(&mut reader).map_err(|_| BadPayload)?;
        return Ok((stored, StoredExtras::default()));
    }
    let stored = StoredMore::deserialize(&mut reader).map_err(|_| BadPayload)?;
    let extras = rmp_serde::from_slice(stored.more).map_err(|_| BadPayload)?;
    let StoredMore { user, connection, event, key, echo, traceparent, encoding, more: _, data } =
        stored;
    Ok((Stored { user, connection, event, key, echo, traceparent, encoding, data }, extras))
}

/// What a push carried. Its head is one line, whose first word is its kind. A kind of upper-case
/// letters carries a seq; one of lower-case letters is ephemeral.
#[derive(Debug, Clone, PartialEq)]
pub enum RoomPush {
    /// `M`: a group of messages of one epoch.
    Messages(Epoch, Vec<Arc<Message>>),
    /// `receipts`: users' positions in the room moved.
    Receipts(Arc<[ReceiptNews]>),
    /// `p`: who is in the room changed.
    Presence(PresencePush),
    /// `s` or `t`: a signal, or a word about somebody who writes.
    Ephemeral(Ephemeral),
    /// An ephemeral kind that this version does not know, or one that it cannot read: no message is
    /// missing without it.
    Ignored,
    /// Bytes or a kind that this version cannot read: messages may be missing.
    Unreadable,
}

/// Longest head of a push.
const MAX_HEAD_BYTES: usize = 80;

/// Reads a push.
pub(crate) fn decode_push(push: &Bytes) -> RoomPush {
    let head = &push[..push.len().min(MAX_HEAD_BYTES)];
    let end = head.iter().position(|&byte| byte == b' ' || byte == b'\n').unwrap_or(head.len());
    match &head[..end] {
        b"M" if push.get(end) == Some(&b' ') => match decode_messages(&push.slice(end + 1..)) {
            Ok((epoch, messages)) => RoomPush::Messages(epoch, messages),
            Err(BadPayload) => RoomPush::Unreadable,
        },
        b"receipts" => decode_receipts(&push[end..]).map_or(RoomPush::Ignored, RoomPush::Receipts),
        SIGNAL_KIND if push.get(end) == Some(&b'\n') => {
            let signal = decode_signal(&push.slice(end + 1..));
            signal
                .map_or(RoomPush::Ignored, |signal| RoomPush::Ephemeral(Ephemeral::Signal(signal)))
        }
        TYPING_KIND if push.get(end) == Some(&b'\n') => {
            let word = decode_typing(&push.slice(end + 1..));
            word.map_or(RoomPush::Ignored, |word| RoomPush::Ephemeral(Ephemeral::Typing(word)))
        }
        b"p" if push.get(end) == Some(&b' ') => match presence_push::decode(&push.slice(end + 1..))
        {
            Ok(push) => RoomPush::Presence(push),
            Err(BadPayload) => RoomPush::Ignored,
        },
        kind if !kind.is_empty() && kind.iter().all(u8::is_ascii_lowercase) => RoomPush::Ignored,
        _ => RoomPush::Unreadable,
    }
}

/// The rest of a push of messages: epoch, time and first seq, then the payloads.
fn decode_messages(push: &Bytes) -> Result<(Epoch, Vec<Arc<Message>>), BadPayload> {
    let line = &push[..push.len().min(MAX_HEAD_BYTES)];
    let end = line.iter().position(|&byte| byte == b'\n').ok_or(BadPayload)?;
    let head = std::str::from_utf8(&push[..end]).map_err(|_| BadPayload)?;
    let mut words = head.split(' ');
    let mut word = || words.next().ok_or(BadPayload);
    let epoch = Epoch::parse(word()?).ok_or(BadPayload)?;
    let time = word()?.parse().map_err(|_| BadPayload)?;
    let mut seq: Seq = word()?.parse().map_err(|_| BadPayload)?;
    let mut rest = push.slice(end + 1..);
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let (message, used) = decode(&rest, seq, time)?;
        messages.push(Arc::new(message));
        rest = rest.slice(used..);
        // No seq follows the highest.
        seq = seq.checked_add(1).ok_or(BadPayload)?;
    }
    Ok((epoch, messages))
}

/// The rest of a push of receipts: the epoch, then a line for each user.
fn decode_receipts(rest: &[u8]) -> Option<Arc<[ReceiptNews]>> {
    let mut lines = std::str::from_utf8(rest).ok()?.lines();
    let epoch = Epoch::parse(lines.next()?.trim_start())?;
    let line = |line: &str| {
        let mut words = line.split(' ');
        let user = UserName::parse(words.next()?).ok()?;
        let (received, read) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let by = words.next()?.split(',').filter(|id| !id.is_empty()).map(ConnectionId::parse);
        let marks = ReceiptMarks { epoch, received, read };
        Some(ReceiptNews { user, marks, by: by.collect::<Option<_>>()? })
    };
    lines.map(line).collect()
}

/// One message, and how many bytes it took. Its data shares the payload's memory.
pub(crate) fn decode(payload: &Bytes, seq: Seq, time: u64) -> Result<(Message, usize), BadPayload> {
    let (stored, extras) = read(payload)?;
    let used = stored.data.as_ptr_range().end as usize - payload.as_ptr() as usize;
    let data_of = |encoding: u8, bytes: &[u8]| match encoding {
        JSON => Ok(Data::Json(payload.slice_ref(bytes))),
        MSGPACK => Ok(Data::MsgPack(payload.slice_ref(bytes))),
        _ => Err(BadPayload),
    };
    let data = data_of(stored.encoding, stored.data)?;
    let info = extras.info.map(|(encoding, bytes)| data_of(encoding, bytes)).transpose()?;
    let message = Message {
        seq,
        time,
        user: stored.user.map(UserName::parse).transpose().map_err(|_| BadPayload)?,
        connection: stored.connection.map(ConnectionId),
        event: stored.event.map(EventName::parse).transpose().map_err(|_| BadPayload)?,
        key: stored.key.map(PublishKey::parse).transpose().map_err(|_| BadPayload)?,
        echo: stored.echo,
        traceparent: stored.traceparent.map(Box::from),
        state_key: extras.state_key.map(StateKey::parse).transpose().map_err(|_| BadPayload)?,
        ttl_ms: extras.ttl_ms,
        remove: extras.remove,
        info,
        data,
    };
    Ok((message, used))
}

#[cfg(test)]
mod tests;
