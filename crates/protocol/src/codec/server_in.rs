//! Reads the frames of nodes, for clients.

use std::sync::Arc;

use super::field::required;
use super::object::{Known, Object, Value};
use super::people_in::{counts, marks, people};
use crate::{
    DecodeError, Encoding, ErrorCode, Heartbeat, Limits, MAX_HISTORY_LIMIT, MAX_PAGE_ENTRIES,
    MAX_PAGE_MEMBERS, Message, ServerFrame,
};

const FIELDS: Known = Known {
    names: FIELD_NAMES,
    lists: &[
        ("messages", MAX_HISTORY_LIMIT as usize),
        ("members", MAX_PAGE_MEMBERS),
        ("entries", MAX_PAGE_ENTRIES),
    ],
};
const FIELD_NAMES: &[&str] = &[
    "type",
    "room",
    "seq",
    "time",
    "user",
    "connection",
    "event",
    "key",
    "data",
    "id",
    "epoch",
    "recovered",
    "count",
    "rev",
    "members",
    "reason",
    "from",
    "to",
    "lost",
    "messages",
    "more",
    "after_ms",
    "code",
    "message",
    "retry_after_ms",
    "node",
    "online",
    "heartbeat",
    "limits",
    "info",
    "users",
    "state",
    "status",
    "active",
    "expires",
    "rev_epoch",
    "received",
    "read",
    "unread",
    "list",
    "conflated",
    "entries",
    "page",
    "state_key",
    "ttl_ms",
    "remove",
];
const MESSAGE_FIELDS: Known = Known::plain(&[
    "seq",
    "time",
    "user",
    "connection",
    "event",
    "key",
    "state_key",
    "ttl_ms",
    "remove",
    "info",
    "data",
]);
const HEARTBEAT_FIELDS: Known = Known::plain(&["interval_ms", "timeout_ms"]);
const LIMITS_FIELDS: Known = Known::plain(&["message_bytes", "rooms"]);

impl ServerFrame {
    /// Reads one frame: a JSON text or a MessagePack map, complete and nothing after it. A frame
    /// that fails with the code `unknown_type` comes from a newer node: ignore it. An error code
    /// that this version does not know reads as `internal`, and stands before the message.
    pub fn decode(encoding: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut object = Object::new();
        Value::of_frame(encoding, bytes)
            .and_then(|value| object.read_frame(value, &FIELDS))
            .and_then(|()| frame(&object))
            .map_err(|error| object.explain(error))
    }
}

fn frame(object: &Object<'_>) -> Result<ServerFrame, DecodeError> {
    let name = required("type", object.str("type")?)?;
    let id = object.id()?;
    Ok(match &*name {
        "message" => ServerFrame::Message { room: object.room()?, message: message(object)? },
        "ack" => ServerFrame::Ack {
            id: required("id", id)?,
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            seq: number(object, "seq")?,
            time: number(object, "time")?,
        },
        "connected" => connected(object)?,
        "joined" => ServerFrame::Joined {
            id,
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            seq: number(object, "seq")?,
            recovered: object.bool("recovered")?,
            counts: counts(object)?,
            marks: marks(object)?,
            state: object.bool("state")?.unwrap_or(false),
        },
        "left" => ServerFrame::Left { id, room: object.room()?, reason: object.text("reason")? },
        "gap" => ServerFrame::Gap {
            room: object.room()?,
            from: number(object, "from")?,
            to: number(object, "to")?,
            conflated: object.bool("conflated")?.unwrap_or(false),
            state: object.bool("state")?.unwrap_or(false),
        },
        "reset" => ServerFrame::Reset {
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            seq: number(object, "seq")?,
            lost: number(object, "lost")?,
            state: object.bool("state")?.unwrap_or(false),
        },
        "history" => ServerFrame::History {
            id,
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            messages: required("messages", object.each("messages", &MESSAGE_FIELDS, message)?)?,
            more: required("more", object.bool("more")?)?,
        },
        "pong" => ServerFrame::Pong { id, time: number(object, "time")? },
        "reconnect" => ServerFrame::Reconnect {
            after_ms: number(object, "after_ms")?,
            reason: required("reason", object.text("reason")?)?,
        },
        "error" => error(object)?,
        other => return people(object, other),
    })
}

fn connected(object: &Object<'_>) -> Result<ServerFrame, DecodeError> {
    let heartbeat = required("heartbeat", object.object("heartbeat", &HEARTBEAT_FIELDS)?)?;
    let limits = required("limits", object.object("limits", &LIMITS_FIELDS)?)?;
    Ok(ServerFrame::Connected {
        connection: required("connection", object.connection()?)?,
        user: object.name("user")?,
        node: required("node", object.name("node")?)?,
        time: number(object, "time")?,
        expires: object.uint("expires", u64::MAX)?,
        online: object.uint("online", u64::MAX)?,
        heartbeat: Heartbeat {
            interval_ms: number(&heartbeat, "interval_ms")?,
            timeout_ms: number(&heartbeat, "timeout_ms")?,
        },
        limits: Limits {
            message_bytes: number(&limits, "message_bytes")?,
            rooms: number(&limits, "rooms")?,
        },
    })
}

/// What the wire does not tell (`echo`, `traceparent`) takes its default.
fn message(object: &Object<'_>) -> Result<Arc<Message>, DecodeError> {
    Ok(Arc::new(Message {
        seq: number(object, "seq")?,
        time: number(object, "time")?,
        user: object.name("user")?,
        connection: object.connection()?,
        event: object.name("event")?,
        key: object.name("key")?,
        echo: true,
        traceparent: None,
        state_key: object.name("state_key")?,
        ttl_ms: object.uint("ttl_ms", u64::MAX)?,
        remove: object.bool("remove")?.unwrap_or(false),
        info: object.data("info")?,
        data: required("data", object.data("data")?)?,
    }))
}

fn error(object: &Object<'_>) -> Result<ServerFrame, DecodeError> {
    let code = required("code", object.str("code")?)?;
    let message = required("message", object.text("message")?)?;
    let (code, message) = match ErrorCode::parse(&code) {
        Some(code) => (code, message),
        None => (ErrorCode::Internal, format!("{code}: {message}").into()),
    };
    Ok(ServerFrame::Error {
        id: object.id()?,
        room: if object.has("room") { Some(object.room()?) } else { None },
        code,
        message,
        retry_after_ms: object.uint("retry_after_ms", u64::MAX)?,
    })
}

pub(super) fn number(object: &Object<'_>, name: &'static str) -> Result<u64, DecodeError> {
    required(name, object.uint(name, u64::MAX)?)
}
