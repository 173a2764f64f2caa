//! Reads the frames of clients. Called once for each published message.

use super::field::{required, unknown_type, wrong};
use super::object::{Known, Object, Value};
use crate::{
    ClientFrame, DEFAULT_HISTORY_LIMIT, DecodeError, Encoding, HistoryQuery, JoinRoom,
    MAX_HISTORY_LIMIT, MAX_JOIN_ROOMS, MAX_PAGE_BYTES, MAX_TRACEPARENT_BYTES, Position, Publish,
};

const FIELDS: Known = Known {
    names: FIELD_NAMES,
    // An empty list is refused where the frame is made.
    lists: &[("rooms", MAX_JOIN_ROOMS)],
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
    "state",
];
const ROOM_FIELDS: Known = Known::plain(&["room", "since", "history", "presence", "info", "token"]);
const POSITION_FIELDS: Known = Known::plain(&["epoch", "seq"]);

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
        "refresh" => ClientFrame::Refresh { id, token: required("token", object.text("token")?)? },
        "ping" => ClientFrame::Ping { id },
        other => return Err(unknown_type(other)),
    })
}

fn publish(object: &Object<'_>) -> Result<Publish, DecodeError> {
    let if_seq = match object.seq("if_seq")? {
        None => None,
        Some(seq) => {
            let epoch = object.epoch("epoch")?;
            let epoch = epoch.ok_or_else(|| wrong("epoch", "is missing: `if_seq` requires it"))?;
            Some(Position { epoch, seq })
        }
    };
    Ok(Publish {
        id: object.id()?,
        room: object.room()?,
        data: required("data", object.data("data")?)?,
        event: object.name("event")?,
        key: object.name("key")?,
        if_seq,
        echo: object.bool("echo")?.unwrap_or(true),
        traceparent: object.ascii("traceparent", MAX_TRACEPARENT_BYTES)?,
    })
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
            info: object.data("info")?,
            token: object.text("token")?,
        })
    };
    options()
        .map_err(|error: DecodeError| DecodeError { room: Some(room.as_str().into()), ..error })
}

fn since(object: &Object<'_>) -> Result<Option<Position>, DecodeError> {
    let Some(since) = object.object("since", &POSITION_FIELDS)? else { return Ok(None) };
    let epoch = since.epoch("epoch")?.ok_or_else(|| wrong("since.epoch", "is missing"))?;
    let seq = since.seq("seq")?.ok_or_else(|| wrong("since.seq", "is missing"))?;
    Ok(Some(Position { epoch, seq }))
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
    let (info, state) = (object.data("info")?, object.text("state")?);
    if state.as_deref().is_some_and(|state| !matches!(state, "active" | "away")) {
        return Err(wrong("state", "must be \"active\" or \"away\""));
    }
    if info.is_none() && state.is_none() {
        return Err(wrong("info", "and `state` are both missing: give one"));
    }
    Ok(ClientFrame::Presence { id: object.id()?, room: object.room()?, info, state })
}
