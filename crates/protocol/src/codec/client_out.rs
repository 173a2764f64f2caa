//! Writes the frames of clients: for the Rust client and the load test. Optional fields and
//! defaults are left out.

use super::writer::MapWriter;
use crate::{
    ClientFrame, DEFAULT_HISTORY_LIMIT, Encoding, JoinRoom, PresenceStatus, Publish, RoomName,
    Since, UserName,
};

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
            Self::Presence { id: _, room, info, status } => {
                map.str("room", room.as_str());
                map.opt_data("info", info.as_ref());
                map.opt_str("status", status.map(PresenceStatus::as_str));
            }
            Self::State { id: _, room, page } => {
                map.str("room", room.as_str());
                map.opt_str("page", page.as_deref());
            }
            Self::Room { id: _, rooms } => match &rooms[..] {
                [room] => map.str("room", room.as_str()),
                rooms => map.strs("rooms", rooms, RoomName::as_str),
            },
            Self::Received { id: _, room, epoch, seq, read } => {
                map.str("room", room.as_str());
                map.epoch(*epoch);
                map.uint("seq", *seq);
                map.flag("read", *read);
            }
            Self::Watch { id: _, users } | Self::Unwatch { id: _, users } => {
                map.strs("users", users, UserName::as_str);
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
    map.opt_str("state_key", publish.state_key.as_ref().map(|key| key.as_str()));
    map.opt_uint("ttl_ms", publish.ttl_ms);
    map.flag("remove", publish.remove);
    map.opt_uint("if_seq", publish.if_seq.map(|position| position.seq));
    map.opt_uint("if_key_seq", publish.if_key_seq.map(|position| position.seq));
    if let Some(position) = publish.if_seq.or(publish.if_key_seq) {
        map.epoch(position.epoch);
    }
    map.flag("receipts", publish.receipts);
    if !publish.echo {
        map.bool("echo", false);
    }
    map.opt_str("traceparent", publish.traceparent.as_deref());
    map.data("data", &publish.data);
}

fn write_join_room(map: &mut MapWriter<'_>, room: &JoinRoom) {
    map.str("room", room.room.as_str());
    if let Some(since) = room.since {
        map.map("since", |map| match since {
            Since::Position(since) => {
                map.epoch(since.epoch);
                map.uint("seq", since.seq);
            }
            Since::Time(time) => map.uint("time", time),
        });
    }
    map.opt_uint("history", room.history.map(u64::from));
    map.flag("presence", room.presence);
    map.flag("strict", room.strict);
    map.opt_data("info", room.info.as_ref());
    map.opt_str("token", room.token.as_deref());
}
