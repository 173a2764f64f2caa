//! Where rooms are and how many users have a message, for backends; and which rooms their paths mean.

use std::time::Duration;

use roomcast_access::policy::{Caller, RoomStanding};
use roomcast_protocol::{Epoch, RoomName, Seq, ServerFrame, UserName};
use serde_json::{Value, json};

use super::people::frame_text;
use super::{ApiCaller, ApiError, ApiNode};
use crate::permit::{RoomAction, permit};

/// The room of this name. Reserved names, and others that are none, are refused; `@me` is a
/// connection's word.
pub(crate) fn room_named(text: &str) -> Result<RoomName, ApiError> {
    let refused = |detail: String| ApiError::new("bad_room", detail);
    let room = RoomName::parse(text).map_err(|error| refused(error.to_string()))?.of_user(None);
    match room.as_str() {
        "@me" => Err(refused("a backend has no room of its own: use /v1/users".to_owned())),
        _ => Ok(room),
    }
}

/// The own room of the user of this name.
pub(crate) fn own_room(node: &ApiNode<'_>, text: &str) -> Result<RoomName, ApiError> {
    let bad = |detail: String| ApiError::bad_query(format!("user: {detail}"));
    let user = UserName::parse(text).map_err(|error| bad(error.to_string()))?;
    node.settings.limits.names.judge_user(&user).map_err(|error| bad(error.to_string()))?;
    Ok(RoomName::user(&user))
}

/// Where a room is.
pub(crate) async fn room_info(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    room: RoomName,
) -> Result<String, ApiError> {
    permit_read(node, caller, &room)?;
    let retention = node.settings.namespace_of(&room).retention;
    let standing = (Caller::ApiKey(caller.scopes), RoomStanding::Outside);
    let sees_members = permit(node.settings, standing, &room, RoomAction::SeeMembers).is_ok();
    let outline = node.bus.outline(&room, None, (retention, Duration::ZERO)).await?;
    let counts = match sees_members {
        true => Some(node.bus.presence_counts(&room).await?),
        false => None,
    };
    // A room that only was joined is as one that does not exist.
    let was_published = outline.last > 0;
    Ok(frame_text(&ServerFrame::Room {
        id: None,
        room,
        epoch: if was_published { outline.epoch } else { Epoch::NONE },
        seq: outline.last,
        counts,
        marks: None,
        time: was_published.then_some(outline.time),
    }))
}

/// How many users have the message that the query names.
pub(crate) async fn receipts(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    room: RoomName,
    query: &str,
) -> Result<Value, ApiError> {
    permit_read(node, caller, &room)?;
    if node.settings.namespace_of(&room).receipts.is_none() {
        return Err(ApiError::new("unsupported", "this room keeps no receipts"));
    }
    let seq = seq_of(query)?;
    let counts = node.bus.count_receipts(&room, &[seq]).await?;
    let (received, read) = counts.counts.first().copied().unwrap_or_default();
    Ok(json!({
        "room": room.wire(),
        "epoch": counts.epoch.to_string(),
        "seq": seq,
        "received": received,
        "read": read,
    }))
}

fn permit_read(node: &ApiNode<'_>, caller: &ApiCaller, room: &RoomName) -> Result<(), ApiError> {
    let standing = (Caller::ApiKey(caller.scopes), RoomStanding::Outside);
    Ok(permit(node.settings, standing, room, RoomAction::ReadHistory)?)
}

/// The `seq` of a query.
fn seq_of(query: &str) -> Result<Seq, ApiError> {
    let wrong = || ApiError::bad_query("seq: a number from 1 on, once");
    let mut all = query.split('&').filter_map(|pair| pair.strip_prefix("seq="));
    match (all.next(), all.next()) {
        (Some(seq), None) => {
            let seq = seq.parse().ok().filter(|seq| (1..1 << 53).contains(seq));
            seq.ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_rooms_are_refused() {
        for name in ["$node", "$all", "$user:ann", "@me", "@other", "", "a b"] {
            assert_eq!(room_named(name).unwrap_err().code, "bad_room", "{name:?}");
        }
        assert_eq!(room_named("@all").unwrap().wire(), "@all");
    }

    #[test]
    fn a_query_names_one_message() {
        assert_eq!(seq_of("seq=7").unwrap(), 7);
        assert_eq!(seq_of("a=b&seq=9007199254740991").unwrap(), (1 << 53) - 1);
        for bad in ["", "seq=", "seq=0", "seq=-1", "seq=1&seq=1", "seq=9007199254740992"] {
            assert_eq!(seq_of(bad).unwrap_err().code, "bad_query", "{bad}");
        }
    }
}
