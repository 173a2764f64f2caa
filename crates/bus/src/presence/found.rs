//! What Redis has of an incarnation: the numbers in rooms' hashes, and the rooms in its index.

use redis::RedisResult;
use roomcast_protocol::RoomName;

use super::sender::{KEPT_MS, PresenceSender};
use crate::leases::Incarnation;
use crate::placement::partition::Partition;
use crate::primary::link::LinkUp;

/// Rooms of an index read in one step.
const INDEX_PER_STEP: usize = 500;

/// A room that was compared.
pub(super) struct Compared {
    pub(super) room: RoomName,
    pub(super) own: Incarnation,
    /// The number of the desk's last call when the question was sent.
    pub(super) done: u64,
    pub(super) found: FoundNodes,
}

/// A room to compare, with the number that is expected, and whether its hash is prolonged.
pub(super) type Question = (RoomName, u64, bool);

/// What a room's hash says of an incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundNodes {
    pub(super) own: FoundThere,
    /// Other incarnations that have members.
    pub(super) others: Vec<Incarnation>,
}

/// What it says of this node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoundThere {
    /// The number of its last call.
    Call(u64),
    /// It is dead.
    Dead,
    /// Nothing.
    Missing,
    /// Redis gave no answer.
    Unknown,
}

impl PresenceSender {
    /// Asks for rooms, those of one primary in one pipeline.
    pub(super) async fn compare(&self, own: Incarnation, rooms: Vec<Question>) -> Vec<Compared> {
        let mut compared = Vec::with_capacity(rooms.len());
        let by_primary = self.group(rooms, |(room, ..)| room);
        for (shard, rooms) in by_primary {
            let found = match shard.link.up() {
                Some(up) => self.find(&up, own, &rooms).await,
                None => None,
            };
            let found =
                found.unwrap_or_else(|| vec![FoundNodes::none(FoundThere::Unknown); rooms.len()]);
            for ((room, done, _), found) in rooms.into_iter().zip(found) {
                compared.push(Compared { room, own, done, found });
            }
        }
        compared
    }

    /// What rooms' hashes say of an incarnation; `None` without an answer.
    pub(super) async fn find(
        &self,
        up: &LinkUp,
        own: Incarnation,
        rooms: &[Question],
    ) -> Option<Vec<FoundNodes>> {
        let mut pipeline = redis::pipe();
        for (room, _, prolongs) in rooms {
            let key = self.keys.room(room).presence();
            pipeline.cmd("HGET").arg(&key).arg("i");
            if *prolongs {
                pipeline.cmd("PEXPIRE").arg(&key).arg(KEPT_MS).ignore();
            }
        }
        let answers: Vec<RedisResult<redis::Value>> =
            pipeline.ignore_errors().query_async(&mut up.any()).await.ok()?;
        let found = |answer: RedisResult<redis::Value>| match answer {
            Ok(value) => match redis::from_redis_value::<Option<String>>(value) {
                Ok(Some(nodes)) => FoundNodes::read(&nodes, own),
                Ok(None) => FoundNodes::none(FoundThere::Missing),
                Err(_) => FoundNodes::none(FoundThere::Unknown),
            },
            Err(_) => FoundNodes::none(FoundThere::Unknown),
        };
        (answers.len() == rooms.len()).then(|| answers.into_iter().map(found).collect())
    }

    /// The rooms that the index of an incarnation has; `None` without an answer.
    pub(super) async fn read_index(
        &self,
        partition: Partition,
        own: Incarnation,
    ) -> Option<Vec<RoomName>> {
        let up = self.shards.of_partition(partition)?.link.up()?;
        let key = self.keys.presence_index(partition, &own.to_string());
        let (mut rooms, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut step = redis::cmd("ZSCAN");
            step.arg(&key).arg(&cursor).arg("COUNT").arg(INDEX_PER_STEP);
            let answer = step.query_async(&mut up.any()).await.ok()?;
            let (next, entries): (String, Vec<String>) = answer;
            rooms.extend(entries.iter().step_by(2).filter_map(|room| RoomName::parse(room).ok()));
            if next == "0" {
                return Some(rooms);
            }
            cursor = next;
        }
    }

    /// Prolongs the index of an incarnation; false if Redis does not have it.
    pub(super) async fn prolong(&self, partition: Partition, own: Incarnation) -> Result<bool, ()> {
        let shard = self.shards.of_partition(partition).ok_or(())?;
        let up = shard.link.up().ok_or(())?;
        let mut pipeline = redis::pipe();
        let index = self.keys.presence_index(partition, &own.to_string());
        pipeline.cmd("PEXPIRE").arg(index).arg(KEPT_MS);
        let writers = self.keys.presence_writers(partition);
        pipeline.cmd("SADD").arg(&writers).arg(own.to_string());
        pipeline.cmd("PEXPIRE").arg(&writers).arg(KEPT_MS);
        let answers: Result<(bool, u64, bool), _> = pipeline.query_async(&mut up.any()).await;
        answers.map(|(is_there, ..)| is_there).map_err(|_| ())
    }
}

/// The incarnations that have members, by the list of a room's hash; see `presence.lua`.
pub(super) fn incarnations_with_members(nodes: &str) -> impl Iterator<Item = Incarnation> {
    nodes.split_terminator(';').filter_map(|node| {
        let mut words = node.split(' ');
        let id = words.next().and_then(Incarnation::parse)?;
        (words.nth(1)? != "0").then_some(id)
    })
}

impl FoundNodes {
    fn none(own: FoundThere) -> Self {
        Self { own, others: Vec::new() }
    }

    /// Reads the list of a room's hash; see `presence.lua`.
    fn read(nodes: &str, own: Incarnation) -> Self {
        let mut found = Self::none(FoundThere::Missing);
        for node in nodes.split_terminator(';') {
            let mut words = node.split(' ');
            let id = words.next().and_then(Incarnation::parse);
            match (id, words.next(), words.next()) {
                (Some(id), Some("dead"), _) if id == own => found.own = FoundThere::Dead,
                (Some(id), Some(call), _) if id == own => {
                    found.own = call.parse().map_or(FoundThere::Missing, FoundThere::Call);
                }
                (Some(id), _, Some(members)) if members != "0" => found.others.push(id),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_is_found_or_not() {
        let nodes = "0000000000000001 12 3 1700 0;0000000000000002 dead 0 1600 0;";
        let read = |nodes, own| FoundNodes::read(nodes, Incarnation(own));
        let found = |own, others: &[u64]| FoundNodes {
            own,
            others: others.iter().map(|id| Incarnation(*id)).collect(),
        };
        assert_eq!(read(nodes, 1), found(FoundThere::Call(12), &[]));
        assert_eq!(read(nodes, 2), found(FoundThere::Dead, &[1]));
        assert_eq!(read(nodes, 3), found(FoundThere::Missing, &[1]));
        assert_eq!(read("", 1), found(FoundThere::Missing, &[]));
    }
}
