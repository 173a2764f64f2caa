//! Writes the frames of nodes. `encode_message` is the hot one: once per message and encoding.

use super::writer::MapWriter;
use crate::{Encoding, Member, Message, RoomName, ServerFrame, UserEvent};

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
    map.str("room", room.as_str());
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
    map.data("data", &message.data);
}

impl ServerFrame {
    /// Appends the frame: a JSON text or a MessagePack map. A `Message` is written with its key,
    /// if it has one: for readers other than its author use `encode_message`. The messages of
    /// `History` are written without keys.
    pub fn encode(&self, encoding: Encoding, buffer: &mut Vec<u8>) {
        let mut map = MapWriter::frame(encoding, buffer, self.type_name());
        map.opt_uint("id", self.id());
        map.opt_str("room", self.room().map(RoomName::as_str));
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
            Self::Joined { epoch, seq, recovered, count, rev, members, .. } => {
                map.epoch(*epoch);
                map.uint("seq", *seq);
                if let Some(recovered) = recovered {
                    map.bool("recovered", *recovered);
                }
                map.opt_uint("count", *count);
                map.opt_uint("rev", *rev);
                if let Some(members) = members {
                    map.maps("members", members, write_member);
                }
            }
            Self::Left { reason, .. } => map.opt_str("reason", reason.as_deref()),
            Self::Ack { epoch, seq, time, .. } => {
                map.epoch(*epoch);
                map.uint("seq", *seq);
                map.uint("time", *time);
            }
            Self::Message { message, .. } => write_message(&mut map, message, KeyVisibility::Shown),
            Self::Gap { from, to, .. } => {
                map.uint("from", *from);
                map.uint("to", *to);
            }
            Self::Reset { epoch, seq, lost, .. } => {
                map.epoch(*epoch);
                map.uint("seq", *seq);
                map.uint("lost", *lost);
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
            others => write_presence(&mut map, others),
        }
        map.end();
    }
}

/// The frames about members and ephemeral events; the others have been written.
fn write_presence(map: &mut MapWriter<'_>, frame: &ServerFrame) {
    match frame {
        ServerFrame::Signal { user, connection, event, data, .. } => {
            map.opt_str("user", user.as_ref().map(|user| user.as_str()));
            map.connection(*connection);
            map.str("event", event.as_str());
            map.opt_data("data", data.as_ref());
        }
        ServerFrame::Typing { user, connection, active, .. } => {
            map.opt_str("user", user.as_ref().map(|user| user.as_str()));
            map.connection(*connection);
            map.bool("active", *active);
        }
        ServerFrame::UserJoined(event) | ServerFrame::UserLeft(event) => {
            let UserEvent { room: _, user, info, time, count, rev } = event;
            map.str("user", user.as_str());
            map.opt_data("info", info.as_ref());
            map.uint("time", *time);
            map.uint("count", *count);
            map.uint("rev", *rev);
        }
        ServerFrame::Members { members, count, users, rev, more, .. } => {
            map.maps("members", members, write_member);
            map.uint("count", *count);
            map.uint("users", *users);
            map.uint("rev", *rev);
            map.opt_str("more", more.as_deref());
        }
        ServerFrame::Presence { user, connection, info, state, rev, .. } => {
            map.opt_str("user", user.as_ref().map(|user| user.as_str()));
            map.connection(*connection);
            map.opt_data("info", info.as_ref());
            map.opt_str("state", state.as_deref());
            map.opt_uint("rev", *rev);
        }
        _ => {}
    }
}

fn write_member(map: &mut MapWriter<'_>, member: &Member) {
    map.connection(Some(member.connection));
    map.opt_str("user", member.user.as_ref().map(|user| user.as_str()));
    map.opt_data("info", member.info.as_ref());
    map.opt_str("state", member.state.as_deref());
}
