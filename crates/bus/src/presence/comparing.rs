//! Compares what Redis has of this node's members with the desk: a room's hash must have the number
//! of the desk's last call. And prolongs what is there.

use std::time::Duration;

use redis::RedisResult;
use roomcast_protocol::RoomName;
use tokio::time::{Instant, sleep};

use super::driver::{DeskDone, PresenceDriver};
use super::scan::scan;
use super::sender::{KEPT_MS, PresenceSender};
use crate::leases::Incarnation;
use crate::placement::partition::Partition;
use crate::primary::link::LinkUp;

/// Rooms of an index read in one step.
const INDEX_PER_STEP: usize = 500;

/// What a room's hash says of an incarnation.
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

/// A room that was compared.
pub(super) struct Compared {
    pub(super) room: RoomName,
    pub(super) own: Incarnation,
    /// The number of the desk's last call when the question was sent.
    pub(super) done: u64,
    pub(super) found: FoundThere,
}

/// A room to compare, with the number that is expected, and whether its hash is prolonged.
pub(super) type Question = (RoomName, u64, bool);

impl PresenceDriver {
    /// A second passed.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let desk = &self.desk;
        self.upkeep.second(|room| desk.has(room));
        let links: Vec<LinkUp> =
            self.sender.shards.shards().iter().filter_map(|shard| shard.link.up()).collect();
        let is_known = |link: &LinkUp| self.links.iter().any(|old| old.is_same(link));
        if !links.iter().all(is_known) {
            self.upkeep.hurry();
            // Data of another life may lack places in the index that were there before.
            self.upkeep.forget_all();
            self.desk.reindex(|_| true);
        }
        self.links = links;
        self.prolong(now);
    }

    /// Compares the next rooms, if no comparison is under way.
    pub(super) fn compare(&mut self, now: Instant) {
        let Some(own) = self.lease.borrow().writer(now) else { return };
        if self.is_comparing {
            return;
        }
        let due = self.upkeep.next(now);
        if due.is_empty() {
            return;
        }
        let question = |due: super::upkeep::DueComparison| {
            Some((due.room.clone(), self.desk.settled(&due.room)?, due.prolongs))
        };
        let rooms: Vec<Question> = due.into_iter().filter_map(question).collect();
        self.is_comparing = true;
        let sender = self.sender.clone();
        self.work
            .push(Box::pin(async move { DeskDone::Compared(sender.compare(own, rooms).await) }));
    }

    /// Compares the next indexes with the desk: after a failover they may have rooms that this node's
    /// members left.
    pub(super) fn audit(&mut self, now: Instant) {
        let Some(own) = self.lease.borrow().writer(now) else { return };
        if self.is_auditing {
            return;
        }
        let partitions = self.upkeep.next_audit();
        if partitions.is_empty() {
            return;
        }
        self.is_auditing = true;
        let sender = self.sender.clone();
        self.work.push(Box::pin(async move {
            let mut rooms = Vec::new();
            for partition in partitions {
                rooms.extend(sender.read_index(partition, own).await.unwrap_or_default());
            }
            DeskDone::Audited(own, rooms)
        }));
    }

    /// Reads what a room's hash has of this node.
    pub(super) fn scan(&mut self, room: RoomName, own: Incarnation) {
        self.scan_after(Duration::ZERO, room, own);
    }

    /// The same after a pause.
    pub(super) fn scan_after(&mut self, pause: Duration, room: RoomName, own: Incarnation) {
        let sender = self.sender.clone();
        self.work.push(Box::pin(async move {
            sleep(pause).await;
            let up = sender.shards.of(&room).and_then(|shard| shard.link.up());
            let found = match up {
                Some(up) => scan((&sender.shards, &sender.keys), &up, &room).await.ok(),
                None => None,
            };
            DeskDone::Scanned(room, own, found)
        }));
    }

    /// Prolongs the index of the partitions that are due.
    fn prolong(&mut self, now: Instant) {
        let Some(own) = self.lease.borrow().writer(now) else { return };
        let due = self.upkeep.due_partitions(now);
        if due.is_empty() {
            return;
        }
        let sender = self.sender.clone();
        self.work.push(Box::pin(async move {
            let mut lost = Vec::new();
            for partition in due {
                if sender.prolong(partition, own).await == Ok(false) {
                    lost.push(partition);
                }
            }
            DeskDone::Prolonged(lost)
        }));
    }
}

impl PresenceSender {
    async fn compare(&self, own: Incarnation, rooms: Vec<Question>) -> Vec<Compared> {
        let mut compared = Vec::with_capacity(rooms.len());
        let by_primary = self.group(rooms, |(room, ..)| room);
        for (shard, rooms) in by_primary {
            let found = match shard.link.up() {
                Some(up) => self.find(&up, own, &rooms).await,
                None => None,
            };
            let found = found.unwrap_or_else(|| vec![FoundThere::Unknown; rooms.len()]);
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
    ) -> Option<Vec<FoundThere>> {
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
                Ok(Some(nodes)) => find_number(&nodes, own),
                Ok(None) => FoundThere::Missing,
                Err(_) => FoundThere::Unknown,
            },
            Err(_) => FoundThere::Unknown,
        };
        (answers.len() == rooms.len()).then(|| answers.into_iter().map(found).collect())
    }

    /// The rooms that the index of an incarnation has; `None` without an answer.
    async fn read_index(&self, partition: Partition, own: Incarnation) -> Option<Vec<RoomName>> {
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
    async fn prolong(&self, partition: Partition, own: Incarnation) -> Result<bool, ()> {
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

/// Finds an incarnation in the list of a room's hash; see `presence.lua`.
fn find_number(nodes: &str, own: Incarnation) -> FoundThere {
    let own = own.to_string();
    let node = nodes.split(';').find_map(|node| node.strip_prefix(&own));
    match node.and_then(|node| node.split(' ').nth(1)) {
        Some("dead") => FoundThere::Dead,
        Some(number) => number.parse().map_or(FoundThere::Missing, FoundThere::Call),
        None => FoundThere::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_is_found_or_not() {
        let nodes = "0000000000000001 12 3 1700;0000000000000002 dead 0 1600;";
        assert_eq!(find_number(nodes, Incarnation(1)), FoundThere::Call(12));
        assert_eq!(find_number(nodes, Incarnation(2)), FoundThere::Dead);
        assert_eq!(find_number(nodes, Incarnation(3)), FoundThere::Missing);
        assert_eq!(find_number("", Incarnation(1)), FoundThere::Missing);
    }
}
