//! Reads where the presence of many rooms is, in one pipeline; the lane compares it with what was
//! pushed.

use redis::RedisResult;
use roomcast_protocol::{Epoch, RoomName};

use crate::api::PresenceCounts;
use crate::feed::events::PresenceSeen;
use crate::payload::presence_push::read_parting;
use crate::payload::{PresenceMark, PresenceTail};
use crate::placement::keys::Keyspace;
use crate::primary::link::LinkUp;

/// The fields that tell where a room's presence is; see `presence.lua`.
const FIELDS: [&str; 6] = ["e", "s", "r", "n", "u", "p"];

/// What is there of each room.
pub(super) async fn read_presence(
    keys: &Keyspace,
    up: Option<&LinkUp>,
    rooms: &[RoomName],
) -> Vec<PresenceSeen> {
    let unknown = || vec![PresenceSeen::Unknown; rooms.len()];
    let Some(up) = up else { return unknown() };
    let mut pipeline = redis::pipe();
    for room in rooms {
        pipeline.cmd("HMGET").arg(keys.room(room).presence()).arg(&FIELDS);
    }
    let answers: RedisResult<Vec<RedisResult<Vec<Option<String>>>>> =
        pipeline.ignore_errors().query_async(&mut up.any()).await;
    let Ok(answers) = answers else { return unknown() };
    let seen = |fields: RedisResult<Vec<Option<String>>>| match fields {
        Ok(fields) if fields.first().is_some_and(Option::is_none) => PresenceSeen::Missing,
        Ok(fields) => read_tail(fields).map_or(PresenceSeen::Unknown, PresenceSeen::At),
        Err(_) => PresenceSeen::Unknown,
    };
    answers.into_iter().map(seen).collect()
}

fn read_tail(fields: Vec<Option<String>>) -> Option<PresenceTail> {
    let mut fields = fields.into_iter();
    let mut text = || fields.next().flatten();
    let epoch = Epoch::parse(&text()?)?.0;
    let mut number = || text()?.parse::<u64>().ok();
    let (change, rev, count, users) = (number()?, number()?, number()?, number()?);
    let parting = text().as_deref().and_then(read_parting);
    let counts = PresenceCounts { rev_epoch: Epoch(epoch), rev, count, users };
    Some(PresenceTail { mark: PresenceMark { epoch, change }, parting, counts })
}
