//! The lines that `tail` prints, as JSON: messages, holes, and parts of a room's state.

use std::io;

use roomcast_protocol::{Data, Message, Position, RoomName, StateEntry};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum HoleLine<'a> {
    Gap { room: &'a str, from: u64, to: u64 },
    Reset { room: &'a str, epoch: String, seq: u64, lost: u64 },
    Conflated { room: &'a str, from: u64, to: u64 },
}

#[derive(Serialize)]
pub(super) struct MessageLine<'a> {
    r#type: &'static str,
    room: &'a str,
    epoch: String,
    seq: u64,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    remove: bool,
    data: Box<RawValue>,
}

impl<'a> MessageLine<'a> {
    pub(super) fn new(
        room: &'a RoomName,
        position: Position,
        message: &'a Message,
    ) -> io::Result<Self> {
        Ok(Self {
            r#type: "message",
            room: room.as_str(),
            epoch: position.epoch.to_string(),
            seq: position.seq,
            time: message.time,
            user: message.user.as_ref().map(|user| user.as_str()),
            connection: message.connection.map(|connection| connection.to_string()),
            event: message.event.as_ref().map(|event| event.as_str()),
            state_key: message.state_key.as_ref().map(|key| key.as_str()),
            remove: message.remove,
            data: on_one_line(&message.data)?,
        })
    }
}

/// A part of a snapshot.
#[derive(Serialize)]
pub(super) struct StateLine<'a> {
    r#type: &'static str,
    room: &'a str,
    /// The part is the first: what was known of the state is over.
    begins: bool,
    entries: Vec<StateText<'a>>,
    /// Where the last part leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

/// One value of it.
#[derive(Serialize)]
struct StateText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    seq: u64,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    data: Box<RawValue>,
}

impl<'a> StateLine<'a> {
    pub(super) fn new(
        room: &'a RoomName,
        begins: bool,
        entries: &'a [StateEntry],
        position: Option<Position>,
    ) -> io::Result<Self> {
        let value = |entry: &'a StateEntry| {
            Ok(StateText {
                key: entry.key.as_ref().map(|key| key.as_str()),
                seq: entry.seq,
                time: entry.time,
                user: entry.user.as_ref().map(|user| user.as_str()),
                data: on_one_line(&entry.data)?,
            })
        };
        Ok(Self {
            r#type: "state",
            room: room.as_str(),
            begins,
            entries: entries.iter().map(value).collect::<io::Result<_>>()?,
            epoch: position.map(|position| position.epoch.to_string()),
            seq: position.map(|position| position.seq),
        })
    }
}

/// The payload as JSON without line ends. Those stand between tokens only, where blanks do as well:
/// within strings they are escaped.
fn on_one_line(data: &Data) -> io::Result<Box<RawValue>> {
    let mut json = Vec::with_capacity(data.len());
    data.write_json(&mut json);
    for byte in &mut json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    let text = String::from_utf8(json).map_err(io::Error::other)?;
    RawValue::from_string(text).map_err(io::Error::from)
}
