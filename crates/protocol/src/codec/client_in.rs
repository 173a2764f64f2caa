//! Reads the frames of clients. Called once for each published message.

use super::field::{MAX_SAFE, required, unknown_type, wrong};
use super::object::{Known, Object, Value};
use crate::{
    ClientFrame, DEFAULT_HISTORY_LIMIT, DecodeError, Encoding, HistoryQuery, JoinRoom,
    MAX_HISTORY_LIMIT, MAX_JOIN_ROOMS, MAX_LISTED_USERS, MAX_PAGE_BYTES, MAX_ROOM_QUERIES,
    MAX_TRACEPARENT_BYTES, MAX_TTL_MS, MIN_TTL_MS, Position, Publish, RoomName, Since, UserName,
};

const FIELDS: Known = Known {
    names: FIELD_NAMES,
    // An empty list is refused where the frame is made.
    lists: &[("rooms", MAX_JOIN_ROOMS), ("users", MAX_LISTED_USERS)],
};
const FIELD_NAMES: &[&str] = &[
    "type",
    "id",
    "room",
    "data",
    "event",
    "key",
    "echo",
    "if_seq",
    "epoch",
    "traceparent",
    "rooms",
    "since",
    "history",
    "presence",
    "info",
    "token",
    "active",
    "after",
    "before",
    "limit",
    "page",
    "status",
    "strict",
    "state_key",
    "ttl_ms",
    "remove",
    "if_key_seq",
    "receipts",
    "seq",
    "read",
    "users",
];
const ROOM_FIELDS: Known =
    Known::plain(&["room", "since", "history", "presence", "strict", "info", "token"]);
const SINCE_FIELDS: Known = Known::plain(&["epoch", "seq", "time"]);

impl ClientFrame {
    /// Reads one frame: a JSON text or a MessagePack map, complete and nothing after it. On
    /// failure answer with `DecodeError::answer` and go on with the next frame.
    pub fn decode(encoding: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut object = Object::new();
        Value::of_frame(encoding, bytes)
            .and_then(|value| object.read_frame(value, &FIELDS))
            .and_then(|()| frame(&object))
            .map_err(|error| object.explain(error))
    }
}

fn frame(object: &Object<'_>) -> Result<ClientFrame, DecodeError> {
    let name = required("type", object.str("type")?)?;
    let id = object.id()?;
    Ok(match &*name {
        "publish" => ClientFrame::Publish(publish(object)?),
        "join" => ClientFrame::Join { id, rooms: rooms(object)? },
        "leave" => ClientFrame::Leave { id, room: object.room()? },
        "signal" => ClientFrame::Signal {
            id,
            room: object.room()?,
            event: required("event", object.name("event")?)?,
            data: object.data("data")?,
        },
        "typing" => ClientFrame::Typing {
            id,
            room: object.room()?,
            active: object.bool("active")?.unwrap_or(true),
        },
        "history" => ClientFrame::History(history(object)?),
        "members" => ClientFrame::Members {
            id,
            room: object.room()?,
            page: object.ascii("page", MAX_PAGE_BYTES)?,
        },
        "presence" => presence(object)?,
        "state" => ClientFrame::State {
            id,
            room: object.room()?,
            page: object.ascii("page", MAX_PAGE_BYTES)?,
        },
        "room" => ClientFrame::Room { id, rooms: queried_rooms(object)? },
        "received" => ClientFrame::Received {
            id,
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            seq: required("seq", object.seq("seq")?)?,
            read: object.bool("read")?.unwrap_or(false),
        },
        "watch" => ClientFrame::Watch { id, users: users(object)? },
        "unwatch" => ClientFrame::Unwatch { id, users: users(object)? },
        "refresh" => ClientFrame::Refresh { id, token: required("token", object.text("token")?)? },
        "ping" => ClientFrame::Ping { id },
        other => return Err(unknown_type(other)),
    })
}

fn publish(object: &Object<'_>) -> Result<Publish, DecodeError> {
    Ok(Publish {
        id: object.id()?,
        room: object.room()?,
        data: required("data", object.data("data")?)?,
        event: object.name("event")?,
        key: object.name("key")?,
        if_seq: condition(object, "if_seq")?,
        if_key_seq: condition(object, "if_key_seq")?,
        state_key: object.name("state_key")?,
        ttl_ms: object.uint_from("ttl_ms", MIN_TTL_MS, MAX_TTL_MS)?,
        remove: object.bool("remove")?.unwrap_or(false),
        receipts: object.bool("receipts")?.unwrap_or(false),
        echo: object.bool("echo")?.unwrap_or(true),
        traceparent: object.ascii("traceparent", MAX_TRACEPARENT_BYTES)?,
    })
}

/// What must hold for a publish to be stored; its seq counts in `epoch`.
fn condition(object: &Object<'_>, name: &'static str) -> Result<Option<Position>, DecodeError> {
    let Some(seq) = object.seq(name)? else { return Ok(None) };
    let epoch = object.epoch("epoch")?;
    let epoch =
        epoch.ok_or_else(|| wrong("epoch", &format!("is missing: `{name}` requires it")))?;
    Ok(Some(Position { epoch, seq }))
}

/// The rooms of a `room` frame.
fn queried_rooms(object: &Object<'_>) -> Result<Vec<RoomName>, DecodeError> {
    if !object.has("rooms") {
        return object.room().map(|room| vec![room]);
    }
    if object.has("room") {
        return Err(wrong("room", "and `rooms` exclude each other"));
    }
    let rooms = object.room_names("rooms")?.unwrap_or_default();
    if rooms.is_empty() || rooms.len() > MAX_ROOM_QUERIES {
        return Err(wrong("rooms", &format!("must have 1 to {MAX_ROOM_QUERIES} entries")));
    }
    Ok(rooms)
}

fn users(object: &Object<'_>) -> Result<Vec<UserName>, DecodeError> {
    let users = required("users", object.names("users")?)?;
    if users.is_empty() {
        return Err(wrong("users", "must have an entry"));
    }
    Ok(users)
}

fn rooms(object: &Object<'_>) -> Result<Vec<JoinRoom>, DecodeError> {
    if !object.has("rooms") {
        return join_room(object).map(|room| vec![room]);
    }
    // Silently passed over, a `since` in the wrong place would lose messages.
    if let Some(name) = ROOM_FIELDS.names.iter().find(|name| object.has(name)) {
        return Err(wrong(name, "belongs into the entries of `rooms`"));
    }
    let rooms = object.each("rooms", &ROOM_FIELDS, join_room)?.unwrap_or_default();
    if rooms.is_empty() {
        return Err(wrong("rooms", &format!("must have 1 to {MAX_JOIN_ROOMS} entries")));
    }
    Ok(rooms)
}

fn join_room(object: &Object<'_>) -> Result<JoinRoom, DecodeError> {
    // The room first: its text goes with the errors about the other fields.
    let room = object.room()?;
    let options = || {
        Ok(JoinRoom {
            room: room.clone(),
            since: since(object)?,
            history: object.uint("history", MAX_HISTORY_LIMIT.into())?.map(|limit| limit as u32),
            presence: object.bool("presence")?.unwrap_or(false),
            strict: object.bool("strict")?.unwrap_or(false),
            info: object.data("info")?,
            token: object.text("token")?,
        })
    };
    options()
        .map_err(|error: DecodeError| DecodeError { room: Some(room.as_str().into()), ..error })
}

fn since(object: &Object<'_>) -> Result<Option<Since>, DecodeError> {
    let Some(since) = object.object("since", &SINCE_FIELDS)? else { return Ok(None) };
    if let Some(time) = since.uint("time", MAX_SAFE)? {
        if since.has("epoch") || since.has("seq") {
            return Err(wrong("since.time", "and a position exclude each other"));
        }
        return Ok(Some(Since::Time(time)));
    }
    let epoch = since.epoch("epoch")?.ok_or_else(|| wrong("since.epoch", "is missing"))?;
    let seq = since.seq("seq")?.ok_or_else(|| wrong("since.seq", "is missing"))?;
    Ok(Some(Since::Position(Position { epoch, seq })))
}

fn history(object: &Object<'_>) -> Result<HistoryQuery, DecodeError> {
    let (after, before) = (object.seq("after")?, object.seq("before")?);
    if after.is_some() && before.is_some() {
        return Err(wrong("after", "and `before` exclude each other"));
    }
    let limit = object.uint_from("limit", 1, MAX_HISTORY_LIMIT.into())?;
    let limit = limit.map_or(DEFAULT_HISTORY_LIMIT, |limit| limit as u32);
    Ok(HistoryQuery { id: object.id()?, room: object.room()?, after, before, limit })
}

fn presence(object: &Object<'_>) -> Result<ClientFrame, DecodeError> {
    let (info, status) = (object.data("info")?, object.status()?);
    if info.is_none() && status.is_none() {
        return Err(wrong("info", "and `status` are both missing: give one"));
    }
    Ok(ClientFrame::Presence { id: object.id()?, room: object.room()?, info, status })
}
