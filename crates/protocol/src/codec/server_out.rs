//! Writes the frames of nodes. `encode_message` is the hot one: once per message and encoding.

use super::people_out::{write_counts, write_marks, write_people};
use super::writer::MapWriter;
use crate::{Encoding, Message, RoomName, ServerFrame};

/// Whether a message is written with its idempotency key, which only its author may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyVisibility {
    /// For everyone else.
    Hidden,
    /// For the connection that published it.
    Shown,
}

/// Appends a `message` frame. `echo` and `traceparent` are not part of it.
pub fn encode_message(
    room: &RoomName,
    message: &Message,
    key: KeyVisibility,
    encoding: Encoding,
    buffer: &mut Vec<u8>,
) {
    let mut map = MapWriter::frame(encoding, buffer, "message");
    map.str("room", room.wire());
    write_message(&mut map, message, key);
    map.end();
}

fn write_message(map: &mut MapWriter<'_>, message: &Message, key: KeyVisibility) {
    map.uint("seq", message.seq);
    map.uint("time", message.time);
    map.opt_str("user", message.user.as_ref().map(|user| user.as_str()));
    map.connection(message.connection);
    map.opt_str("event", message.event.as_ref().map(|event| event.as_str()));
    if key == KeyVisibility::Shown {
        map.opt_str("key", message.key.as_ref().map(|key| key.as_str()));
    }
    map.opt_str("state_key", message.state_key.as_ref().map(|key| key.as_str()));
    map.opt_uint("ttl_ms", message.ttl_ms);
    map.flag("remove", message.remove);
    map.opt_data("info", message.info.as_ref());
    map.data("data", &message.data);
}

impl ServerFrame {
    /// Appends the frame: a JSON text or a MessagePack map. A `Message` is written with its key,
    /// if it has one: for readers other than its author use `encode_message`. The messages of
    /// `History` are written without keys.
    pub fn encode(&self, encoding: Encoding, buffer: &mut Vec<u8>) {
        let mut map = MapWriter::frame(encoding, buffer, self.type_name());
        map.opt_uint("id", self.id());
        map.opt_str("room", self.room().map(RoomName::wire));
        match self {
            Self::Connected {
                connection,
                user,
                node,
                time,
                expires,
                online,
                heartbeat,
                limits,
            } => {
                map.connection(Some(*connection));
                map.opt_str("user", user.as_ref().map(|user| user.as_str()));
                map.str("node", node.as_str());
                map.uint("time", *time);
                map.opt_uint("expires", *expires);
                map.opt_uint("online", *online);
                map.map("heartbeat", |map| {
                    map.uint("interval_ms", heartbeat.interval_ms);
                    map.uint("timeout_ms", heartbeat.timeout_ms);
                });
                map.map("limits", |map| {
                    map.uint("message_bytes", limits.message_bytes);
                    map.uint("rooms", limits.rooms);
                });
            }
            Self::Joined { epoch, seq, recovered, counts, marks, state, .. } => {
                map.epoch(*epoch);
                map.uint("seq", *seq);
                if let Some(recovered) = recovered {
                    map.bool("recovered", *recovered);
                }
                write_counts(&mut map, counts.as_ref());
                write_marks(&mut map, marks.as_ref());
                map.flag("state", *state);
            }
            Self::Left { reason, .. } => map.opt_str("reason", reason.as_deref()),
            Self::Ack { epoch, seq, time, .. } => {
                map.epoch(*epoch);
                map.uint("seq", *seq);
                map.uint("time", *time);
            }
            Self::Message { message, .. } => write_message(&mut map, message, KeyVisibility::Shown),
            Self::Gap { from, to, conflated, state, .. } => {
                map.uint("from", *from);
                map.uint("to", *to);
                map.flag("conflated", *conflated);
                map.flag("state", *state);
            }
            Self::Reset { epoch, seq, lost, state, .. } => {
                map.epoch(*epoch);
                map.uint("seq", *seq);
                map.uint("lost", *lost);
                map.flag("state", *state);
            }
            Self::History { epoch, messages, more, .. } => {
                map.epoch(*epoch);
                map.maps("messages", messages, |map, message| {
                    write_message(map, message, KeyVisibility::Hidden);
                });
                map.bool("more", *more);
            }
            Self::Pong { time, .. } => map.uint("time", *time),
            Self::Reconnect { after_ms, reason } => {
                map.uint("after_ms", *after_ms);
                map.str("reason", reason);
            }
            Self::Error { code, message, retry_after_ms, .. } => {
                map.str("code", code.as_str());
                map.str("message", message);
                map.opt_uint("retry_after_ms", *retry_after_ms);
            }
            Self::Refreshed { expires, time, .. } => {
                map.uint("expires", *expires);
                map.uint("time", *time);
            }
            others => write_people(&mut map, others),
        }
        map.end();
    }
}
