//! A message as it lies in Redis: one compact MessagePack array, written by the node that
//! publishes and never looked into by Redis. Seq, time and epoch are not in it: the script adds
//! them before a push (one head line for the whole group) and in a stream entry.

use std::sync::Arc;

use bytes::Bytes;
use rmp::decode;
use rmp::encode;
use roomcast_protocol::{ConnectionId, Data, Epoch, EventName, Message, PublishKey, Seq, UserName};

use crate::api::Publication;

/// Fields of the array: user, connection, event, key, echo, traceparent, encoding, data.
const FIELDS: u32 = 8;
/// The encoding's number of [`Data::Json`].
const JSON: u8 = 0;
/// The encoding's number of [`Data::MsgPack`].
const MSGPACK: u8 = 1;
/// Fewest bytes of a payload with its field heads, beside names and data.
const HEAD_BYTES: usize = 32;

/// What stands in Redis is not what a node writes; another program used the key or channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a payload of this version")]
pub(crate) struct BadPayload;

impl<E: decode::RmpReadErr> From<decode::ValueReadError<E>> for BadPayload {
    fn from(_: decode::ValueReadError<E>) -> Self {
        Self
    }
}

/// The payload of a publication.
pub(crate) fn encode(publication: &Publication) -> Vec<u8> {
    let (encoding, data) = match &publication.data {
        Data::Json(bytes) => (JSON, bytes),
        Data::MsgPack(bytes) => (MSGPACK, bytes),
    };
    let mut out = Vec::with_capacity(HEAD_BYTES + 64 + data.len());
    let written = (|| {
        encode::write_array_len(&mut out, FIELDS)?;
        write_text(&mut out, publication.user.as_ref().map(UserName::as_str))?;
        match publication.connection {
            Some(connection) => encode::write_u64(&mut out, connection.0)?,
            None => write_nil(&mut out),
        }
        write_text(&mut out, publication.event.as_ref().map(EventName::as_str))?;
        write_text(&mut out, publication.key.as_ref().map(PublishKey::as_str))?;
        write_flag(&mut out, publication.echo);
        write_text(&mut out, publication.traceparent.as_deref())?;
        // A number this small is its own encoding.
        out.push(encoding);
        encode::write_bin(&mut out, data)
    })();
    written.map_or_else(|_| unreachable!("a vector takes every byte"), |()| out)
}

type Written = Result<(), encode::ValueWriteError>;

fn write_text(out: &mut Vec<u8>, text: Option<&str>) -> Written {
    match text {
        Some(text) => encode::write_str(out, text),
        None => {
            write_nil(out);
            Ok(())
        }
    }
}

fn write_nil(out: &mut Vec<u8>) {
    out.push(rmp::Marker::Null.to_u8());
}

fn write_flag(out: &mut Vec<u8>, flag: bool) {
    out.push(if flag { rmp::Marker::True } else { rmp::Marker::False }.to_u8());
}

/// One push: a group's epoch and its messages.
pub(crate) fn decode_push(push: &Bytes) -> Result<(Epoch, Vec<Arc<Message>>), BadPayload> {
    let end = push.iter().take(80).position(|&byte| byte == b'\n').ok_or(BadPayload)?;
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
        seq += 1;
    }
    Ok((epoch, messages))
}

/// One message, and how many bytes it took. Its data shares the payload's memory.
pub(crate) fn decode(payload: &Bytes, seq: Seq, time: u64) -> Result<(Message, usize), BadPayload> {
    let mut reader = payload.as_ref();
    if decode::read_array_len(&mut reader)? != FIELDS {
        return Err(BadPayload);
    }
    let user = read_text(&mut reader)?.map(UserName::parse).transpose();
    let connection = match peek_nil(&mut reader) {
        true => None,
        false => Some(ConnectionId(decode::read_u64(&mut reader)?)),
    };
    let event = read_text(&mut reader)?.map(EventName::parse).transpose();
    let key = read_text(&mut reader)?.map(PublishKey::parse).transpose();
    let echo = decode::read_bool(&mut reader)?;
    let traceparent = read_text(&mut reader)?.map(Box::from);
    let encoding = decode::read_pfix(&mut reader)?;
    let length = decode::read_bin_len(&mut reader)? as usize;
    let start = payload.len() - reader.len();
    if reader.len() < length {
        return Err(BadPayload);
    }
    let bytes = payload.slice(start..start + length);
    let data = match encoding {
        JSON => Data::Json(bytes),
        MSGPACK => Data::MsgPack(bytes),
        _ => return Err(BadPayload),
    };
    let message = Message {
        seq,
        time,
        user: user.map_err(|_| BadPayload)?,
        connection,
        event: event.map_err(|_| BadPayload)?,
        key: key.map_err(|_| BadPayload)?,
        echo,
        traceparent,
        data,
    };
    Ok((message, start + length))
}

fn peek_nil(reader: &mut &[u8]) -> bool {
    let nil = reader.first() == Some(&rmp::Marker::Null.to_u8());
    if nil {
        *reader = &reader[1..];
    }
    nil
}

fn read_text<'a>(reader: &mut &'a [u8]) -> Result<Option<&'a str>, BadPayload> {
    if peek_nil(reader) {
        return Ok(None);
    }
    let (text, rest) = decode::read_str_from_slice(*reader).map_err(|_| BadPayload)?;
    *reader = rest;
    Ok(Some(text))
}

#[cfg(test)]
mod tests;
