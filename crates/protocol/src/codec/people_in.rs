//! Reads the frames of nodes about members, users, state and ephemeral events, for clients.

use super::field::{required, unknown_type};
use super::object::{Known, Object};
use super::server_in::number;
use crate::{
    DecodeError, MAX_LISTED_USERS, MAX_STATE_POINTS, Member, OnlineUser, PresenceCounts, ReadMarks,
    ServerFrame, StateEntry, StatePoint, UserEvent,
};

const MEMBER_FIELDS: Known = Known::plain(&["connection", "user", "info", "status"]);
const ENTRY_FIELDS: Known = Known {
    names: &["key", "seq", "time", "user", "data", "points"],
    lists: &[("points", MAX_STATE_POINTS)],
};
const POINT_FIELDS: Known = Known::plain(&["seq", "time", "data"]);
const ONLINE_FIELDS: Known = Known::plain(&["user", "online"]);

pub(super) fn people(object: &Object<'_>, name: &str) -> Result<ServerFrame, DecodeError> {
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
        "count" => ServerFrame::Count {
            room: object.room()?,
            count: number(object, "count")?,
            users: number(object, "users")?,
            rev: number(object, "rev")?,
            list: object.bool("list")?.unwrap_or(false),
        },
        "presence_reset" => ServerFrame::PresenceReset {
            room: object.room()?,
            after_ms: object.uint("after_ms", u64::MAX)?.unwrap_or(0),
        },
        "members" => ServerFrame::Members {
            id,
            room: object.room()?,
            members: members(object)?,
            counts: required("count", counts(object)?)?,
            more: object.text("more")?,
        },
        "presence" => ServerFrame::Presence {
            id,
            room: object.room()?,
            user: object.name("user")?,
            connection: object.connection()?,
            info: object.data("info")?,
            status: object.status()?,
            rev: object.uint("rev", u64::MAX)?,
        },
        "state" => ServerFrame::State {
            id,
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            seq: number(object, "seq")?,
            entries: required("entries", object.each("entries", &ENTRY_FIELDS, entry)?)?,
            more: required("more", object.bool("more")?)?,
            page: object.text("page")?,
        },
        "refreshed" => ServerFrame::Refreshed {
            id,
            expires: number(object, "expires")?,
            time: number(object, "time")?,
        },
        other => return users(object, other),
    })
}

fn users(object: &Object<'_>, name: &str) -> Result<ServerFrame, DecodeError> {
    let id = object.id()?;
    Ok(match name {
        "room" => ServerFrame::Room {
            id,
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            seq: number(object, "seq")?,
            counts: counts(object)?,
            marks: marks(object)?,
            time: object.uint("time", u64::MAX)?,
        },
        "received" => ServerFrame::Received {
            id,
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            seq: number(object, "seq")?,
            read: number(object, "read")?,
        },
        "receipts" => ServerFrame::Receipts {
            room: object.room()?,
            epoch: required("epoch", object.epoch("epoch")?)?,
            seq: number(object, "seq")?,
            received: number(object, "received")?,
            read: number(object, "read")?,
        },
        "watching" => ServerFrame::Watching { id, users: watched(object)? },
        "user" => ServerFrame::User {
            user: required("user", object.name("user")?)?,
            online: required("online", object.bool("online")?)?,
            time: number(object, "time")?,
        },
        other => return Err(unknown_type(other)),
    })
}

/// A room's members in numbers: all four or none.
pub(super) fn counts(object: &Object<'_>) -> Result<Option<PresenceCounts>, DecodeError> {
    if !object.has("count") {
        return Ok(None);
    }
    Ok(Some(PresenceCounts {
        count: number(object, "count")?,
        users: number(object, "users")?,
        rev: number(object, "rev")?,
        rev_epoch: required("rev_epoch", object.epoch("rev_epoch")?)?,
    }))
}

/// How far the user has confirmed the room: all three or none.
pub(super) fn marks(object: &Object<'_>) -> Result<Option<ReadMarks>, DecodeError> {
    if !object.has("received") {
        return Ok(None);
    }
    Ok(Some(ReadMarks {
        received: number(object, "received")?,
        read: number(object, "read")?,
        unread: number(object, "unread")?,
    }))
}

fn members(object: &Object<'_>) -> Result<Vec<Member>, DecodeError> {
    let members = object.each("members", &MEMBER_FIELDS, |member| {
        Ok(Member {
            connection: member.connection()?,
            user: member.name("user")?,
            info: member.data("info")?,
            status: member.status()?,
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
        users: number(object, "users")?,
        rev: number(object, "rev")?,
    })
}

fn entry(object: &Object<'_>) -> Result<StateEntry, DecodeError> {
    Ok(StateEntry {
        key: object.name("key")?,
        seq: number(object, "seq")?,
        time: number(object, "time")?,
        user: object.name("user")?,
        data: required("data", object.data("data")?)?,
        points: object.each("points", &POINT_FIELDS, |point| {
            Ok(StatePoint {
                seq: number(point, "seq")?,
                time: number(point, "time")?,
                data: required("data", point.data("data")?)?,
            })
        })?,
    })
}

/// `users` is a number in other frames, so it is read as a list here.
fn watched(object: &Object<'_>) -> Result<Vec<OnlineUser>, DecodeError> {
    let users = object.each_late("users", MAX_LISTED_USERS, &ONLINE_FIELDS, |user| {
        Ok(OnlineUser {
            user: required("user", user.name("user")?)?,
            online: required("online", user.bool("online")?)?,
        })
    })?;
    required("users", users)
}
