//! Reads the frames of nodes, for clients.

use std::sync::Arc;

use super::field::{required, unknown_type};
use super::object::{Known, Object, Value};
use crate::{
    DecodeError, Encoding, ErrorCode, Heartbeat, Limits, MAX_HISTORY_LIMIT, MAX_PAGE_MEMBERS,
    Member, Message, ServerFrame, UserEvent,
};

const FIELDS: Known = Known {
    names: FIELD_NAMES,
    lists: &[("messages", MAX_HISTORY_LIMIT as usize), ("members", MAX_PAGE_MEMBERS)],
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
    "active",
    "expires",
];
const MESSAGE_FIELDS: Known =
    Known::plain(&["seq", "time", "user", "connection", "event", "key", "data"]);
const MEMBER_FIELDS: Known = Known::plain(&["connection", "user", "info", "state"]);
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
            count: object.uint("count", u64::MAX)?,
            rev: object.uint("rev", u64::MAX)?,
            members: if object.has("members") { Some(members(object)?) } else { None },
        },
        "left" => ServerFrame::Left { id, room: object.room()?, reason: object.text("reason")? },
        "gap" => ServerFrame::Gap {
            room: object.room()?,
            from: number(object, "from")?,
            to: number(object, "to")?,
        },
        "reset" => ServerFrame::Reset {
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            seq: number(object, "seq")?,
            lost: number(object, "lost")?,
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
        other => return presence(object, other),
    })
}

/// The frames about members, ephemeral events and tokens.
fn presence(object: &Object<'_>, name: &str) -> Result<ServerFrame, DecodeError> {
    let id = object.id()?;
    Ok(match name {
        "signal" => ServerFrame::Signal {
            room: object.room()?,
            user: object.name("user")?,
            connection: object.connection()?,
            event: required("event", object.name("event")?)?,
            data: object.data("data")?,
        },
        "typing" => ServerFrame::Typing {
            room: object.room()?,
            user: object.name("user")?,
            connection: object.connection()?,
            active: required("active", object.bool("active")?)?,
        },
        "user_joined" => ServerFrame::UserJoined(user_event(object)?),
        "user_left" => ServerFrame::UserLeft(user_event(object)?),
        "presence_reset" => ServerFrame::PresenceReset { room: object.room()? },
        "members" => ServerFrame::Members {
            id,
            room: object.room()?,
            members: members(object)?,
            count: number(object, "count")?,
            users: number(object, "users")?,
            rev: number(object, "rev")?,
            more: object.text("more")?,
        },
        "presence" => ServerFrame::Presence {
            id,
            room: object.room()?,
            user: object.name("user")?,
            connection: object.connection()?,
            info: object.data("info")?,
            state: object.text("state")?,
            rev: object.uint("rev", u64::MAX)?,
        },
        "refreshed" => ServerFrame::Refreshed {
            id,
            expires: number(object, "expires")?,
            time: number(object, "time")?,
        },
        other => return Err(unknown_type(other)),
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
        data: required("data", object.data("data")?)?,
    }))
}

fn members(object: &Object<'_>) -> Result<Vec<Member>, DecodeError> {
    let members = object.each("members", &MEMBER_FIELDS, |member| {
        Ok(Member {
            connection: required("connection", member.connection()?)?,
            user: member.name("user")?,
            info: member.data("info")?,
            state: member.text("state")?,
        })
    })?;
    required("members", members)
}

fn user_event(object: &Object<'_>) -> Result<UserEvent, DecodeError> {
    Ok(UserEvent {
        room: object.room()?,
        user: required("user", object.name("user")?)?,
        info: object.data("info")?,
        time: number(object, "time")?,
        count: number(object, "count")?,
        rev: number(object, "rev")?,
    })
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

fn number(object: &Object<'_>, name: &'static str) -> Result<u64, DecodeError> {
    required(name, object.uint(name, u64::MAX)?)
}
