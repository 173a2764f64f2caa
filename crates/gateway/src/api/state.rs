//! Reading a room's state by a backend. Each page is of its own position and names the last key that
//! it has, so that any node can answer the next one: keys that stay are told exactly once.

use std::time::Duration;

use roomcast_access::policy::{Caller, RoomStanding};
use roomcast_bus::{StateValue, client_fingerprint};
use roomcast_protocol::{Message, RoomName, StateKey};
use serde::Serialize;
use serde_json::value::RawValue;

use super::read::data_text;
use super::rooms::room_named;
use super::{ApiCaller, ApiError, ApiNode};
use crate::hub::now_ms;
use crate::permit::{RoomAction, permit};
use crate::room_log::{StateItem, wire_bytes};

/// Largest page in bytes, unless it is one value.
const PAGE_BYTES: usize = 63 * 1024;
/// How long a page's token is good, in ms.
const PAGE_LIFE_MS: u64 = 30_000;
/// How far the clocks of two nodes may differ, in ms.
const CLOCK_SKEW_MS: u64 = 30_000;

#[derive(Serialize)]
struct StateText<'a> {
    room: &'a str,
    epoch: String,
    seq: u64,
    entries: Vec<ValueText<'a>>,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
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
        Some(page) => Some(parse(page, &room, now_ms())?),
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
    let page = last.map(|last| token(&room, last.message.state_key.as_ref(), now_ms()));
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

/// The `page` of a query.
fn page_of(query: &str) -> Result<Option<&str>, ApiError> {
    let mut pages = query.split('&').filter_map(|pair| pair.strip_prefix("page="));
    match (pages.next(), pages.next()) {
        (page, None) => Ok(page),
        _ => Err(ApiError::bad_query("page comes twice")),
    }
}

/// The token of the page after this key: its time, a check and the key, in hexadecimal digits.
fn token(room: &RoomName, key: Option<&StateKey>, now: u64) -> String {
    let key = key.map_or("", |key| key.as_str());
    let digits: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{now:x}.{:016x}.{digits}", check(room, key, now))
}

/// The key after which a page begins; `None` for the room's own value.
fn parse(token: &str, room: &RoomName, now: u64) -> Result<Option<StateKey>, ApiError> {
    let unknown = || ApiError::bad_query("page: not one of this room's, or over");
    let mut words = token.split('.');
    let (Some(time), Some(sum), Some(digits), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(unknown());
    };
    let time = u64::from_str_radix(time, 16).map_err(|_| unknown())?;
    let key = unhex(digits).ok_or_else(unknown)?;
    let is_of_this_room = sum == format!("{:016x}", check(room, &key, time));
    let is_over = time.saturating_add(PAGE_LIFE_MS) < now || time > now + CLOCK_SKEW_MS;
    if !is_of_this_room || is_over {
        return Err(unknown());
    }
    match key.is_empty() {
        true => Ok(None),
        false => StateKey::parse(&key).map(Some).map_err(|_| unknown()),
    }
}

fn check(room: &RoomName, key: &str, time: u64) -> u64 {
    client_fingerprint(&format!("state {time} {room} {key}"))
}

fn unhex(digits: &str) -> Option<String> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
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
        for bad in ["", "x", "1.2.3", "1.2", "1..", "1.2.zz", "1.2.é", &format!("{good}00")] {
            assert_eq!(parse(bad, &room, 1_000_000).unwrap_err().code, "bad_query", "{bad}");
        }
        assert_eq!(page_of("x=1&page=2.3"), Ok(Some("2.3")));
        assert_eq!(page_of(""), Ok(None));
        assert!(page_of("page=1&page=1").is_err());
    }
}
