//! Writes the frames of clients: for the Rust client and the load test. Optional fields and
//! defaults are left out.

use super::writer::MapWriter;
use crate::{ClientFrame, DEFAULT_HISTORY_LIMIT, Encoding, JoinRoom, Publish};

impl ClientFrame {
    /// Appends the frame: a JSON text or a MessagePack map.
    pub fn encode(&self, encoding: Encoding, buffer: &mut Vec<u8>) {
        let mut map = MapWriter::frame(encoding, buffer, self.frame_type().as_str());
        map.opt_uint("id", self.id());
        match self {
            Self::Join { id: _, rooms } => match &rooms[..] {
                [room] => write_join_room(&mut map, room),
                rooms => map.maps("rooms", rooms, write_join_room),
            },
            Self::Leave { id: _, room } => map.str("room", room.as_str()),
            Self::Publish(publish) => write_publish(&mut map, publish),
            Self::Signal { id: _, room, event, data } => {
                map.str("room", room.as_str());
                map.str("event", event.as_str());
                map.opt_data("data", data.as_ref());
            }
            Self::Typing { id: _, room, active } => {
                map.str("room", room.as_str());
                if !active {
                    map.bool("active", false);
                }
            }
            Self::History(query) => {
                map.str("room", query.room.as_str());
                map.opt_uint("after", query.after);
                map.opt_uint("before", query.before);
                if query.limit != DEFAULT_HISTORY_LIMIT {
                    map.uint("limit", query.limit.into());
                }
            }
            Self::Members { id: _, room, page } => {
                map.str("room", room.as_str());
                map.opt_str("page", page.as_deref());
            }
            Self::Presence { id: _, room, info, state } => {
                map.str("room", room.as_str());
                map.opt_data("info", info.as_ref());
                map.opt_str("state", state.as_deref());
            }
            Self::Refresh { id: _, token } => map.str("token", token),
            Self::Ping { id: _ } => {}
        }
        map.end();
    }
}

fn write_publish(map: &mut MapWriter<'_>, publish: &Publish) {
    map.str("room", publish.room.as_str());
    map.opt_str("event", publish.event.as_ref().map(|event| event.as_str()));
    map.opt_str("key", publish.key.as_ref().map(|key| key.as_str()));
    if let Some(position) = publish.if_seq {
        map.uint("if_seq", position.seq);
        map.epoch(position.epoch);
    }
    if !publish.echo {
        map.bool("echo", false);
    }
    map.opt_str("traceparent", publish.traceparent.as_deref());
    map.data("data", &publish.data);
}

fn write_join_room(map: &mut MapWriter<'_>, room: &JoinRoom) {
    map.str("room", room.room.as_str());
    if let Some(since) = room.since {
        map.map("since", |map| {
            map.epoch(since.epoch);
            map.uint("seq", since.seq);
        });
    }
    map.opt_uint("history", room.history.map(u64::from));
    if room.presence {
        map.bool("presence", true);
    }
    map.opt_data("info", room.info.as_ref());
    map.opt_str("token", room.token.as_deref());
}
