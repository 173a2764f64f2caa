//! Removes the members of one dead incarnation from the rooms of one partition: the index is marked
//! first, so that nothing is added any more; then each room is marked and cleared; a room leaves the
//! index when no grace of it runs.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Value};
use roomcast_metrics::PresenceChangeKind;
use roomcast_protocol::{RoomName, UserName};
use tokio::time::{Instant, sleep_until};

use super::call::{CallAnswer, CallItem, CallKind, CallOutcome, ITEMS_PER_CALL};
use super::reaper::DeadWriter;
use super::reaping::{MAX_WAIT, Reaped};
use super::scan::scan;
use super::sender::{PresenceSender, call_outcome};
use crate::api::Departure;
use crate::placement::partition::Partition;
use crate::primary::link::LinkUp;
use crate::scripts::{Escort, ScriptCall};

/// Rooms read from the index at a time.
const ROOMS_PER_PAGE: usize = 64;
/// Rooms that are cleared at the same time.
const ROOMS_AT_ONCE: usize = 8;
/// Added to a grace, so that the call comes after its end by Redis's clock.
const GRACE_MARGIN: Duration = Duration::from_millis(5);

/// A room whose graces still run.
struct Waiting {
    room: RoomName,
    users: Vec<UserName>,
    due: Instant,
}

impl PresenceSender {
    /// Removes a dead writer.
    pub(super) async fn reap(&self, writer: DeadWriter) -> Reaped {
        match self.clear(writer).await {
            Ok(()) => Reaped::Done,
            Err(error) => {
                let DeadWriter { incarnation, .. } = writer;
                tracing::debug!(%incarnation, %error, "members of a dead node are still there");
                Reaped::Again
            }
        }
    }

    async fn clear(&self, writer: DeadWriter) -> RedisResult<()> {
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            let rooms = self.page(writer, waiting.len()).await?;
            if rooms.is_empty() {
                break;
            }
            let cleared = stream::iter(rooms).map(|room| self.clear_room(writer, room));
            let cleared: Vec<_> = cleared.buffer_unordered(ROOMS_AT_ONCE).collect().await;
            let mut done = Vec::new();
            for room in cleared {
                match room? {
                    room if room.users.is_empty() => done.push(room.room),
                    room => waiting.push(room),
                }
            }
            self.drop_rooms(writer, &done).await?;
        }
        while let Some(first) = waiting.iter().map(|room| room.due).min() {
            sleep_until(first.min(Instant::now() + MAX_WAIT)).await;
            let now = Instant::now();
            let mut done = Vec::new();
            for room in waiting.iter_mut().filter(|room| room.due <= now) {
                self.end_graces(room).await?;
                done.extend(room.users.is_empty().then(|| room.room.clone()));
            }
            self.drop_rooms(writer, &done).await?;
            waiting.retain(|room| !room.users.is_empty());
        }
        let writers = self.keys.presence_writers(writer.partition);
        let mut remove = redis::cmd("SREM");
        remove.arg(writers).arg(writer.incarnation.to_string());
        let up = self.up(writer.partition)?;
        remove.exec_async(&mut up.any()).await
    }

    /// Marks the index, and answers its next rooms after so many.
    async fn page(&self, writer: DeadWriter, after: usize) -> RedisResult<Vec<RoomName>> {
        let mut words = vec!["dead".to_owned(), after.to_string()];
        words.push(ROOMS_PER_PAGE.to_string());
        let answer = self.on_index(writer, &words).await?;
        let rooms: Vec<String> = redis::from_redis_value(answer)?;
        let mut found = Vec::with_capacity(rooms.len());
        let mut foreign = Vec::new();
        for room in rooms {
            match RoomName::parse(&room) {
                Ok(name) => found.push(name),
                Err(_) => foreign.push(room),
            }
        }
        if !foreign.is_empty() {
            // No node writes such a name; it would be read again and again.
            let words: Vec<_> = std::iter::once("drop".to_owned()).chain(foreign).collect();
            self.on_index(writer, &words).await?;
        }
        Ok(found)
    }

    async fn drop_rooms(&self, writer: DeadWriter, rooms: &[RoomName]) -> RedisResult<()> {
        if rooms.is_empty() {
            return Ok(());
        }
        let rooms = rooms.iter().map(|room| room.as_str().to_owned());
        let words: Vec<_> = std::iter::once("drop".to_owned()).chain(rooms).collect();
        self.on_index(writer, &words).await.map(drop)
    }

    async fn on_index(&self, writer: DeadWriter, words: &[String]) -> RedisResult<Value> {
        let up = self.up(writer.partition)?;
        let DeadWriter { partition, incarnation, .. } = writer;
        let key = self.keys.presence_index(partition, &incarnation.to_string());
        let mut command: Cmd = self.script(ScriptCall::PresenceIndex, &key, &up);
        command.arg(words);
        let call = ScriptCall::PresenceIndex;
        call.send(&command, Escort::None, &mut up.any()).await.map(|(answer, _)| answer)
    }

    fn up(&self, partition: Partition) -> RedisResult<LinkUp> {
        let shard = self.shards.of_partition(partition);
        shard.and_then(|shard| shard.link.up()).ok_or_else(away)
    }

    /// Marks a room and removes the incarnation's members from it.
    async fn clear_room(&self, writer: DeadWriter, room: RoomName) -> RedisResult<Waiting> {
        let up = self.up(writer.partition)?;
        let DeadWriter { incarnation: dead, last_advance, .. } = writer;
        let found = scan((&self.shards, &self.keys), &up, &room).await?;
        let (seats, leaving) = found.of(dead);
        let ended = |(connection, user)| CallItem::Gone(connection, user, Departure::Ended);
        let items: Vec<_> =
            seats.into_iter().map(ended).chain(leaving.into_iter().map(CallItem::Due)).collect();
        let mut waiting = Waiting { room, users: Vec::new(), due: Instant::now() };
        let kind = CallKind::Dead { dead, last_advance };
        // One call at least: it marks the room.
        let mut chunks = items.chunks(ITEMS_PER_CALL);
        let mut next = Some(chunks.next().unwrap_or_default());
        while let Some(items) = next {
            let answer = self.change_alone(&up, &waiting.room, kind, items).await?;
            waiting.add(answer);
            next = chunks.next();
        }
        Ok(waiting)
    }

    /// Ends the graces that are over.
    async fn end_graces(&self, waiting: &mut Waiting) -> RedisResult<()> {
        let up = self.up(Partition::of(&waiting.room))?;
        let users = std::mem::take(&mut waiting.users);
        let items: Vec<_> = users.into_iter().map(CallItem::Due).collect();
        waiting.due = Instant::now();
        for items in items.chunks(ITEMS_PER_CALL) {
            let room = waiting.room.clone();
            let answer = self.change_alone(&up, &room, CallKind::Due, items).await?;
            waiting.add(answer);
        }
        Ok(())
    }

    async fn change_alone(
        &self,
        up: &LinkUp,
        room: &RoomName,
        kind: CallKind,
        items: &[CallItem],
    ) -> RedisResult<CallAnswer> {
        let errand = self.change(up, room, (kind, None), items);
        let answer = self.send(up, vec![errand]).await.pop();
        match call_outcome(answer.unwrap_or_else(|| Err(away()))) {
            CallOutcome::Done(answer) => {
                self.metrics.presence_changes[PresenceChangeKind::Left].inc_by(answer.tally.left);
                Ok(answer)
            }
            CallOutcome::Dead | CallOutcome::Lost => Err(away()),
        }
    }
}

impl Waiting {
    fn add(&mut self, answer: CallAnswer) {
        for grace in answer.graces {
            self.due = self.due.max(Instant::now() + grace.left + GRACE_MARGIN);
            self.users.push(grace.user);
        }
    }
}

fn away() -> RedisError {
    (ErrorKind::Io, "the partition has no primary here").into()
}
