//! Writes the frames about members, users, state and ephemeral events.

use super::writer::MapWriter;
use crate::{
    Member, OnlineUser, PresenceCounts, PresenceStatus, ReadMarks, ServerFrame, StateEntry,
    StatePoint, UserEvent,
};

/// The rest of such a frame; others have been written.
pub(super) fn write_people(map: &mut MapWriter<'_>, frame: &ServerFrame) {
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
            let UserEvent { room: _, user, info, time, count, users, rev } = event;
            map.str("user", user.as_str());
            map.opt_data("info", info.as_ref());
            map.uint("time", *time);
            map.uint("count", *count);
            map.uint("users", *users);
            map.uint("rev", *rev);
        }
        ServerFrame::Count { count, users, rev, list, .. } => {
            map.uint("count", *count);
            map.uint("users", *users);
            map.uint("rev", *rev);
            map.flag("list", *list);
        }
        ServerFrame::PresenceReset { after_ms, .. } => map.uint("after_ms", *after_ms),
        ServerFrame::Members { members, counts, more, .. } => {
            map.maps("members", members, write_member);
            write_counts(map, Some(counts));
            map.opt_str("more", more.as_deref());
        }
        ServerFrame::Presence { user, connection, info, status, rev, .. } => {
            map.opt_str("user", user.as_ref().map(|user| user.as_str()));
            map.connection(*connection);
            map.opt_data("info", info.as_ref());
            map.opt_str("status", status.map(PresenceStatus::as_str));
            map.opt_uint("rev", *rev);
        }
        ServerFrame::State { epoch, seq, entries, more, page, .. } => {
            map.epoch(*epoch);
            map.uint("seq", *seq);
            map.maps("entries", entries, write_entry);
            map.bool("more", *more);
            map.opt_str("page", page.as_deref());
        }
        others => write_users(map, others),
    }
}

fn write_users(map: &mut MapWriter<'_>, frame: &ServerFrame) {
    match frame {
        ServerFrame::Room { epoch, seq, counts, marks, time, .. } => {
            map.epoch(*epoch);
            map.uint("seq", *seq);
            write_counts(map, counts.as_ref());
            write_marks(map, marks.as_ref());
            map.opt_uint("time", *time);
        }
        ServerFrame::Received { epoch, seq, read, .. } => {
            map.epoch(*epoch);
            map.uint("seq", *seq);
            map.uint("read", *read);
        }
        ServerFrame::Receipts { epoch, seq, received, read, .. } => {
            map.epoch(*epoch);
            map.uint("seq", *seq);
            map.uint("received", *received);
            map.uint("read", *read);
        }
        ServerFrame::Watching { users, .. } => {
            map.maps("users", users, |map, OnlineUser { user, online }| {
                map.str("user", user.as_str());
                map.bool("online", *online);
            });
        }
        ServerFrame::User { user, online, time } => {
            map.str("user", user.as_str());
            map.bool("online", *online);
            map.uint("time", *time);
        }
        _ => {}
    }
}

pub(super) fn write_counts(map: &mut MapWriter<'_>, counts: Option<&PresenceCounts>) {
    if let Some(PresenceCounts { count, users, rev, rev_epoch }) = counts {
        map.uint("count", *count);
        map.uint("users", *users);
        map.uint("rev", *rev);
        map.hex("rev_epoch", rev_epoch.0);
    }
}

pub(super) fn write_marks(map: &mut MapWriter<'_>, marks: Option<&ReadMarks>) {
    if let Some(ReadMarks { received, read, unread }) = marks {
        map.uint("received", *received);
        map.uint("read", *read);
        map.uint("unread", *unread);
    }
}

fn write_member(map: &mut MapWriter<'_>, member: &Member) {
    map.connection(member.connection);
    map.opt_str("user", member.user.as_ref().map(|user| user.as_str()));
    map.opt_data("info", member.info.as_ref());
    map.opt_str("status", member.status.map(PresenceStatus::as_str));
}

fn write_entry(map: &mut MapWriter<'_>, entry: &StateEntry) {
    map.opt_str("key", entry.key.as_ref().map(|key| key.as_str()));
    map.uint("seq", entry.seq);
    map.uint("time", entry.time);
    map.opt_str("user", entry.user.as_ref().map(|user| user.as_str()));
    map.data("data", &entry.data);
    if let Some(points) = &entry.points {
        map.maps("points", points, |map, StatePoint { seq, time, data }| {
            map.uint("seq", *seq);
            map.uint("time", *time);
            map.data("data", data);
        });
    }
}
