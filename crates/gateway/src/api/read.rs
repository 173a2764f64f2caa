//! Reading a room's messages by a backend: the query, and a page as JSON.

use roomcast_access::policy::{Caller, RoomStanding};
use roomcast_bus::{History, HistoryRange, HistoryRequest};
use roomcast_protocol::{DEFAULT_HISTORY_LIMIT, Data, MAX_HISTORY_LIMIT, Message, RoomName};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{ApiCaller, ApiError, ApiNode};
use crate::permit::{RoomAction, permit};

/// Bytes of data in one answer, but always one message; `more` tells that there are others.
const ANSWER_DATA_BYTES: usize = 1 << 20;

/// A message as an answer has it.
#[derive(Serialize)]
struct MessageText<'a> {
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    remove: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Box<RawValue>>,
    data: Box<RawValue>,
}

#[derive(Serialize)]
struct PageText<'a> {
    epoch: String,
    messages: Vec<MessageText<'a>>,
    more: bool,
}

/// Reads a page; `query` is that of the request, undecoded. Answers JSON.
pub(crate) async fn read(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    room: RoomName,
    query: &str,
) -> Result<String, ApiError> {
    let standing = (Caller::ApiKey(caller.scopes), RoomStanding::Outside);
    permit(node.settings, standing, &room, RoomAction::ReadHistory)?;
    let (range, limit) = parse(query)?;
    let retention = node.settings.namespace_of(&room).retention;
    let request = HistoryRequest { range, limit, max_bytes: ANSWER_DATA_BYTES, retention };
    let History { lineage, messages, more, .. } = node.bus.history(&room, request).await?;
    let messages = messages.iter().map(|message| written(message)).collect();
    let page = PageText { epoch: lineage.epoch.to_string(), messages, more };
    // Only maps with odd keys and failing writers make this fail, and there is neither.
    Ok(serde_json::to_string(&page).unwrap_or_default())
}

fn written(message: &Message) -> MessageText<'_> {
    MessageText {
        seq: message.seq,
        time: message.time,
        user: message.user.as_ref().map(|user| user.as_str()),
        connection: message.connection.map(|connection| connection.to_string()),
        event: message.event.as_ref().map(|event| event.as_str()),
        state_key: message.state_key.as_ref().map(|key| key.as_str()),
        ttl_ms: message.ttl_ms,
        remove: message.remove,
        info: message.info.as_ref().map(data_text),
        data: data_text(&message.data),
    }
}

/// Data as JSON.
pub(super) fn data_text(data: &Data) -> Box<RawValue> {
    let mut text = Vec::with_capacity(data.len());
    data.write_json(&mut text);
    let text = String::from_utf8(text).ok().and_then(|text| RawValue::from_string(text).ok());
    text.unwrap_or_else(|| RawValue::NULL.to_owned())
}

/// The part of the room that a query asks for.
fn parse(query: &str) -> Result<(HistoryRange, u32), ApiError> {
    let (mut after, mut before, mut limit) = (None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match name {
            "after" => &mut after,
            "before" => &mut before,
            "limit" => &mut limit,
            _ => continue,
        };
        // Below 2^53, as JavaScript reads it.
        let number = value.parse().ok().filter(|number| *number < 1_u64 << 53);
        let number = number.ok_or_else(|| ApiError::bad_query(format!("{name}: a number")))?;
        if place.replace(number).is_some() {
            return Err(ApiError::bad_query(format!("{name} comes twice")));
        }
    }
    let limit = limit.unwrap_or(u64::from(DEFAULT_HISTORY_LIMIT));
    if limit == 0 || limit > u64::from(MAX_HISTORY_LIMIT) {
        return Err(ApiError::bad_query(format!("limit: 1 to {MAX_HISTORY_LIMIT}")));
    }
    let range = match (after, before) {
        (Some(_), Some(_)) => return Err(ApiError::bad_query("give after or before, not both")),
        (Some(after), None) => HistoryRange::After(after),
        (None, Some(before)) => HistoryRange::Before(before),
        (None, None) => HistoryRange::Latest,
    };
    Ok((range, limit as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_part() {
        for (query, range, limit) in [
            ("", HistoryRange::Latest, 50),
            ("after=3&limit=1000", HistoryRange::After(3), 1_000),
            ("before=9&other=x", HistoryRange::Before(9), 50),
        ] {
            assert_eq!(parse(query).unwrap(), (range, limit), "{query}");
        }
        for bad in ["after=1&before=2", "limit=0", "limit=1001", "after=", "after=-1", "before=x"] {
            assert_eq!(parse(bad).unwrap_err().code, "bad_query", "{bad}");
        }
        assert!(parse("after=1&after=1").unwrap_err().detail.contains("twice"));
        assert!(parse("after=9007199254740992").is_err());
    }
}
