//! Reading a room's state by a backend. Each page is of its own position and names the last key that
//! it has, so that any node can answer the next one: keys that stay are told exactly once.

use std::time::Duration;

use roomcast_access::policy::{Caller, RoomStanding};
use roomcast_bus::StateValue;
use roomcast_protocol::{Message, RoomName, StateKey};
use serde::Serialize;
use serde_json::value::RawValue;

use super::people::page_of;
use super::read::data_text;
use super::rooms::room_named;
use super::{ApiCaller, ApiError, ApiNode};
use crate::auth::wall_ms;
use crate::page_token::PageReader;
use crate::permit::{RoomAction, permit};
use crate::room_log::{StateItem, wire_bytes};

/// Largest page in bytes, unless it is one value.
const PAGE_BYTES: usize = 63 * 1024;
/// What the mark of a page begins with, so that a page of members is none of the state.
const MARK: &[u8] = b"state ";

#[derive(Serialize)]
struct StateText<'a> {
    room: &'a str,
    epoch: String,
    seq: u64,
    entries: Vec<ValueText<'a>>,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<Box<str>>,
}

#[derive(Serialize)]
struct ValueText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    seq: u64,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    data: Box<RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    points: Vec<PointText>,
}

#[derive(Serialize)]
struct PointText {
    seq: u64,
    time: u64,
    data: Box<RawValue>,
}

/// Reads a page; `query` is that of the request, undecoded. Answers JSON.
pub(crate) async fn read_state(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    room: &str,
    query: &str,
) -> Result<String, ApiError> {
    let room = room_named(room)?;
    let standing = (Caller::ApiKey(caller.scopes), RoomStanding::Outside);
    permit(node.settings, standing, &room, RoomAction::ReadState)?;
    let after = match page_of(query)? {
        Some(page) => Some(parse(page, &room, wall_ms())?),
        None => None,
    };
    let points = node.settings.namespace_of(&room).state.map_or(0, |state| state.points);
    let read = node.bus.state(&room, points).await?;
    let live = read.entries.into_iter().filter(|value| value.left != Some(Duration::ZERO));
    let is_next =
        |value: &StateValue| after.as_ref().is_none_or(|after| value.message.state_key > *after);
    let item = |value: StateValue| StateItem { message: value.message, points: value.points };
    let mut values: Vec<StateItem> = live.filter(is_next).map(item).collect();
    values.sort_unstable_by(|one, two| one.message.state_key.cmp(&two.message.state_key));
    let mut bytes = 0;
    let fits = |value: &&StateItem| {
        bytes += wire_bytes(value);
        bytes <= PAGE_BYTES
    };
    let count = values.iter().take_while(fits).count().max(1).min(values.len());
    let more = count < values.len();
    let last = values[..count].last().filter(|_| more);
    let page = last.map(|last| token(&room, last.message.state_key.as_ref(), wall_ms()));
    let text = StateText {
        room: room.as_str(),
        epoch: read.lineage.epoch.to_string(),
        seq: read.last,
        entries: values[..count].iter().map(written).collect(),
        more,
        page,
    };
    // Only maps with odd keys and failing writers make this fail, and there is neither.
    Ok(serde_json::to_string(&text).unwrap_or_default())
}

fn written(value: &StateItem) -> ValueText<'_> {
    let message = &value.message;
    let point = |point: &Message| PointText {
        seq: point.seq,
        time: point.time,
        data: data_text(&point.data),
    };
    ValueText {
        key: message.state_key.as_ref().map(|key| key.as_str()),
        seq: message.seq,
        time: message.time,
        user: message.user.as_ref().map(|user| user.as_str()),
        data: data_text(&message.data),
        points: value.points.iter().map(|message| point(message)).collect(),
    }
}

/// The token of the page after this key.
fn token(room: &RoomName, key: Option<&StateKey>, now: u64) -> Box<str> {
    let key = key.map_or("", |key| key.as_str());
    let mark = [MARK, key.as_bytes()].concat();
    PageReader::Backend.make(room, &mark, now)
}

/// The key after which a page begins; `None` for the room's own value.
fn parse(token: &str, room: &RoomName, now: u64) -> Result<Option<StateKey>, ApiError> {
    let unknown = || ApiError::bad_query("page: none of this room, or too old");
    let mark = PageReader::Backend.read(room, token, now);
    let mark = mark.ok_or_else(unknown)?;
    let key = mark.strip_prefix(MARK).and_then(|key| std::str::from_utf8(key).ok());
    match key.ok_or_else(unknown)? {
        "" => Ok(None),
        key => StateKey::parse(key).map(Some).map_err(|_| unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_room_and_its_time() {
        let (room, other) = ("a", "b");
        let [room, other] = [room, other].map(|name| RoomName::parse(name).unwrap());
        let key = StateKey::parse("kéy/1").unwrap();
        let good = token(&room, Some(&key), 1_000_000);
        assert_eq!(parse(&good, &room, 1_000_000), Ok(Some(key)));
        assert!(parse(&good, &room, 1_030_000).is_ok());
        assert_eq!(parse(&token(&room, None, 5), &room, 5), Ok(None));
        assert!(parse(&good, &room, 1_030_001).is_err(), "over");
        assert!(parse(&good, &other, 1_000_000).is_err(), "another room's");
        let of_members = PageReader::Backend.make(&room, b"12345678", 1_000_000);
        for bad in ["", "x", "1.2.3", &of_members, &good[1..]] {
            assert_eq!(parse(bad, &room, 1_000_000).unwrap_err().code, "bad_query", "{bad}");
        }
    }
}
