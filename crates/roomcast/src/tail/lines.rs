//! The lines that `roomcast tail` prints, one JSON value for one event. Messages, gaps and resets
//! have a shape of their own, with the epoch; all others are printed as frames of the wire.

use std::io;

use roomcast_client::{ConfirmedMarks, Event};
use roomcast_protocol::{Data, Encoding, Message, Position, RoomName, ServerFrame};
use serde::Serialize;
use serde_json::value::RawValue;

/// What comes from the members of a room, or about them.
pub(super) fn is_about_people(event: &Event) -> bool {
    matches!(
        event,
        Event::Signal { .. }
            | Event::Typing { .. }
            | Event::UserJoined(_)
            | Event::UserLeft(_)
            | Event::Count { .. }
            | Event::PresenceReset { .. }
            | Event::Presence { .. }
            | Event::Received { .. }
    )
}

/// The frame that the event came by.
pub(super) fn frame_line(event: &Event) -> io::Result<Box<RawValue>> {
    let frame = frame(event.clone()).ok_or(io::ErrorKind::InvalidInput)?;
    let mut json = Vec::new();
    frame.encode(Encoding::Json, &mut json);
    on_one_line(json)
}

fn frame(event: Event) -> Option<ServerFrame> {
    Some(match event {
        Event::State { room, position: Position { epoch, seq }, more, entries, .. } => {
            ServerFrame::State { id: None, room, epoch, seq, entries, more, page: None }
        }
        Event::Signal { room, user, connection, event, data } => {
            ServerFrame::Signal { room, user, connection, event, data }
        }
        Event::Typing { room, user, connection, active } => {
            ServerFrame::Typing { room, user, connection, active }
        }
        Event::UserJoined(event) => ServerFrame::UserJoined(event),
        Event::UserLeft(event) => ServerFrame::UserLeft(event),
        Event::Count { room, count, users, rev, list } => {
            ServerFrame::Count { room, count, users, rev, list }
        }
        Event::PresenceReset { room, after } => {
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            ServerFrame::PresenceReset { room, after_ms }
        }
        Event::Presence { room, user, connection, info, status, rev } => {
            ServerFrame::Presence { id: None, room, user, connection, info, status, rev }
        }
        Event::Received { room, confirmation: ConfirmedMarks { epoch, received, read } } => {
            ServerFrame::Received { id: None, room, epoch, seq: received, read }
        }
        _ => return None,
    })
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum HoleLine<'a> {
    Gap {
        room: &'a str,
        from: u64,
        to: u64,
        #[serde(skip_serializing_if = "is_false")]
        conflated: bool,
        #[serde(skip_serializing_if = "is_false")]
        state: bool,
    },
    Reset {
        room: &'a str,
        epoch: String,
        seq: u64,
        lost: u64,
        #[serde(skip_serializing_if = "is_false")]
        state: bool,
    },
}

impl<'a> HoleLine<'a> {
    /// The line of a hole; `None` of anything else.
    pub(super) fn new(event: &'a Event) -> Option<Self> {
        match *event {
            Event::Gap { ref room, from, to, conflated, state, .. } => {
                Some(Self::Gap { room: room.as_str(), from, to, conflated, state })
            }
            Event::Reset { ref room, position: Position { epoch, seq }, lost, state } => {
                let (room, epoch) = (room.as_str(), epoch.to_string());
                Some(Self::Reset { room, epoch, seq, lost, state })
            }
            _ => None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !flag
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
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    remove: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Box<RawValue>>,
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
            ttl_ms: message.ttl_ms,
            remove: message.remove,
            info: message.info.as_ref().map(json).transpose()?,
            data: json(&message.data)?,
        })
    }
}

fn json(data: &Data) -> io::Result<Box<RawValue>> {
    let mut json = Vec::with_capacity(data.len());
    data.write_json(&mut json);
    on_one_line(json)
}

/// JSON without line ends. Those stand between tokens only, where blanks do as well: within strings
/// they are escaped.
fn on_one_line(mut json: Vec<u8>) -> io::Result<Box<RawValue>> {
    for byte in &mut json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    let text = String::from_utf8(json).map_err(io::Error::other)?;
    RawValue::from_string(text).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::{ConnectionId, Epoch, StateKey, UserEvent, UserName};

    use super::super::{Shown, tell};
    use super::*;

    fn told_with(event: Event, shown: Shown) -> String {
        let mut out = Vec::new();
        tell(&mut out, event, shown).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn told(event: Event) -> String {
        told_with(event, Shown::default())
    }

    fn position() -> Position {
        Position { epoch: Epoch(0xe1), seq: 7 }
    }

    fn room() -> RoomName {
        RoomName::parse("lobby").unwrap()
    }

    #[test]
    fn a_message_is_one_line_whatever_its_payload() {
        let message = |user: Option<&str>, data: &'static str| {
            let message = Message {
                seq: 7,
                time: 9,
                user: user.map(|user| UserName::parse(user).unwrap()),
                connection: user.map(|_| ConnectionId(1)),
                event: None,
                key: None,
                echo: true,
                traceparent: None,
                state_key: None,
                ttl_ms: None,
                remove: false,
                info: None,
                data: Data::Json(data.into()),
            };
            told(Event::Message { room: room(), position: position(), message: message.into() })
        };
        assert_eq!(
            message(Some("ann"), "{\n\"a\":\r\n1.50}"),
            "{\"type\":\"message\",\"room\":\"lobby\",\"epoch\":\"00000000000000e1\",\"seq\":7,\
             \"time\":9,\"user\":\"ann\",\"connection\":\"0000000000000001\",\
             \"data\":{ \"a\":  1.50}}\n"
        );
        assert_eq!(
            message(None, "\"a\\nb\""),
            "{\"type\":\"message\",\"room\":\"lobby\",\"epoch\":\"00000000000000e1\",\"seq\":7,\
             \"time\":9,\"data\":\"a\\nb\"}\n"
        );
        assert_eq!(
            message(None, "{\"\u{9b}31m\":\"\u{7f}\u{2028}\u{202e}\"}"),
            "{\"type\":\"message\",\"room\":\"lobby\",\"epoch\":\"00000000000000e1\",\"seq\":7,\
             \"time\":9,\"data\":{\"\\u009b31m\":\"\\u007f\\u2028\\u202e\"}}\n"
        );
    }

    #[test]
    fn holes_are_lines_too() {
        let gap = |conflated| {
            let (from, to, state) = (3, 7, false);
            told(Event::Gap { room: room(), from, to, position: position(), conflated, state })
        };
        assert_eq!(gap(false), "{\"type\":\"gap\",\"room\":\"lobby\",\"from\":3,\"to\":7}\n");
        assert!(gap(true).ends_with(",\"to\":7,\"conflated\":true}\n"), "{}", gap(true));
        let reset = Event::Reset { room: room(), position: position(), lost: 2, state: false };
        assert_eq!(
            told(reset),
            "{\"type\":\"reset\",\"room\":\"lobby\",\"epoch\":\"00000000000000e1\",\"seq\":7,\
             \"lost\":2}\n"
        );
    }

    #[test]
    fn people_and_state_are_printed_if_they_are_asked_for() {
        let user = UserEvent {
            room: room(),
            user: UserName::parse("ann").unwrap(),
            info: Some(Data::Json("{\n}".into())),
            time: 1,
            count: 2,
            users: 2,
            rev: 3,
        };
        let shown = Shown { presence: true, state: false };
        assert_eq!(told(Event::UserJoined(user.clone())), "");
        assert_eq!(
            told_with(Event::UserJoined(user), shown),
            "{\"type\":\"user_joined\",\"room\":\"lobby\",\"user\":\"ann\",\"info\":{ },\"time\":1,\
             \"count\":2,\"users\":2,\"rev\":3}\n"
        );
        let entries = Vec::new();
        let state = Event::State {
            room: room(),
            position: position(),
            is_first: true,
            more: false,
            entries,
        };
        assert_eq!(told_with(state.clone(), shown), "");
        assert_eq!(
            told_with(state, Shown { presence: false, state: true }),
            "{\"type\":\"state\",\"room\":\"lobby\",\"epoch\":\"00000000000000e1\",\"seq\":7,\
             \"entries\":[],\"more\":false}\n"
        );
    }

    #[test]
    fn a_message_says_what_it_does_to_the_state() {
        let mut message = Message::new(7, 9, Data::Json("null".into()));
        message.state_key = Some(StateKey::parse("k").unwrap());
        message.remove = true;
        let line =
            told(Event::Message { room: room(), position: position(), message: message.into() });
        assert!(line.contains("\"state_key\":\"k\",\"remove\":true,\"data\":null"), "{line}");
    }
}
