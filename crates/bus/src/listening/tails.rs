//! Reads the ends of many rooms in one pipeline of cheap commands; the lane compares its feeds with
//! them.

use redis::RedisResult;
use roomcast_protocol::{Epoch, RoomName, Seq};

use crate::feed::events::RoomTail;
use crate::placement::keys::Keyspace;
use crate::primary::link::LinkUp;

/// The ends of rooms; `None` if Redis does not answer.
pub(super) async fn read_tails(
    keys: &Keyspace,
    up: &LinkUp,
    rooms: &[RoomName],
) -> Option<Vec<RoomTail>> {
    let mut pipeline = redis::pipe();
    for room in rooms {
        pipeline.cmd("HMGET").arg(keys.room(room).meta()).arg(&["epoch", "seq", "life"]);
    }
    type Fields = (Option<String>, Option<Seq>, Option<String>);
    let tails: Vec<RedisResult<Fields>> =
        pipeline.ignore_errors().query_async(&mut up.any()).await.ok()?;
    // A room that another primary has is reported as unknown: a read finds it.
    let tail = |fields: RedisResult<Fields>| {
        let (epoch, seq, life) = fields.ok()?;
        Some((Epoch::parse(&epoch?)?, seq?, life?))
    };
    Some(tails.into_iter().map(tail).collect())
}
