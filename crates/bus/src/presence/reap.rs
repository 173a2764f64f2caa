//! Removes the members of one dead incarnation from the rooms of one partition: the index is marked
//! first, so that nothing is added any more; then each room is marked and cleared; a room leaves the
//! index when no grace of it runs. Nothing here waits for the end of a grace.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Value};
use roomcast_metrics::PresenceChangeKind;
use roomcast_protocol::{RoomName, UserName};
use tokio::time::Instant;

use super::call::{CallAnswer, CallItem, CallKind, CallOutcome, GRACE_MARGIN, ITEMS_PER_CALL};
use super::reaper::DeadWriter;
use super::reaping::Reaped;
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
/// A grace is looked at again at least this often.
const MAX_GRACE_SLEEP: Duration = Duration::from_secs(60);

/// Rooms in which graces of a dead writer's users run.
pub(super) type GraceRooms = BTreeMap<RoomName, RoomGraces>;

/// The graces of one room.
pub(super) struct RoomGraces {
    users: Vec<UserName>,
    due: Instant,
}

/// When the first of these is to be looked at.
pub(super) fn next_look(rooms: &GraceRooms) -> Instant {
    let latest = Instant::now() + MAX_GRACE_SLEEP;
    rooms.values().map(|graces| graces.due).fold(latest, Instant::min)
}

impl PresenceSender {
    /// Removes a dead writer, as far as no grace runs. These are known to have graces.
    pub(super) async fn reap(&self, writer: DeadWriter, mut graces: GraceRooms) -> Reaped {
        match self.clear(writer, &mut graces).await {
            Ok(()) if graces.is_empty() => Reaped::Done,
            Ok(()) => Reaped::Graces(graces),
            Err(error) => {
                let DeadWriter { incarnation, .. } = writer;
                tracing::debug!(%incarnation, %error, "members of a dead node are still there");
                Reaped::Again
            }
        }
    }

    async fn clear(&self, writer: DeadWriter, graces: &mut GraceRooms) -> RedisResult<()> {
        self.end_due(writer, graces).await?;
        // From the beginning each time: the index may have got rooms that others found.
        let mut kept = 0;
        loop {
            let rooms = self.page(writer, kept).await?;
            if rooms.is_empty() {
                break;
            }
            let (known, fresh): (Vec<_>, Vec<_>) =
                rooms.into_iter().partition(|room| graces.contains_key(room));
            kept += known.len();
            let cleared = stream::iter(fresh).map(|room| self.clear_room(writer, room));
            let cleared: Vec<_> = cleared.buffer_unordered(ROOMS_AT_ONCE).collect().await;
            let mut done = Vec::new();
            for room in cleared {
                match room? {
                    (room, running) if running.users.is_empty() => done.push(room),
                    (room, running) => {
                        kept += 1;
                        graces.insert(room, running);
                    }
                }
            }
            self.drop_rooms(writer, &done).await?;
        }
        if !graces.is_empty() {
            return Ok(());
        }
        // The last page was empty, and it was that of the whole index.
        let writers = self.keys.presence_writers(writer.partition);
        let mut remove = redis::cmd("SREM");
        remove.arg(writers).arg(writer.incarnation.to_string());
        let up = self.up(writer.partition)?;
        remove.exec_async(&mut up.any()).await
    }

    /// Ends the graces that are over.
    async fn end_due(&self, writer: DeadWriter, graces: &mut GraceRooms) -> RedisResult<()> {
        let now = Instant::now();
        let mut done = Vec::new();
        for (room, running) in graces.iter_mut().filter(|(_, running)| running.due <= now) {
            self.end_graces(room, running).await?;
            done.extend(running.users.is_empty().then(|| room.clone()));
        }
        self.drop_rooms(writer, &done).await?;
        graces.retain(|_, running| !running.users.is_empty());
        Ok(())
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
    async fn clear_room(
        &self,
        writer: DeadWriter,
        room: RoomName,
    ) -> RedisResult<(RoomName, RoomGraces)> {
        let up = self.up(writer.partition)?;
        let DeadWriter { incarnation: dead, last_advance, .. } = writer;
        let found = scan((&self.shards, &self.keys), &up, &room).await?;
        let (seats, leaving) = found.of(dead);
        let ended = |(connection, user)| CallItem::Gone(connection, user, Departure::Ended);
        let items: Vec<_> =
            seats.into_iter().map(ended).chain(leaving.into_iter().map(CallItem::Due)).collect();
        let mut running = RoomGraces { users: Vec::new(), due: Instant::now() };
        let kind = CallKind::Dead { dead, last_advance };
        // One call at least: it marks the room.
        let mut chunks = items.chunks(ITEMS_PER_CALL);
        let mut next = Some(chunks.next().unwrap_or_default());
        while let Some(items) = next {
            let answer = self.change_alone(&up, &room, kind, items).await?;
            running.add(answer);
            next = chunks.next();
        }
        Ok((room, running))
    }

    /// Ends the graces of a room that are over.
    async fn end_graces(&self, room: &RoomName, running: &mut RoomGraces) -> RedisResult<()> {
        let up = self.up(Partition::of(room))?;
        let users = std::mem::take(&mut running.users);
        let items: Vec<_> = users.into_iter().map(CallItem::Due).collect();
        running.due = Instant::now();
        for items in items.chunks(ITEMS_PER_CALL) {
            let answer = self.change_alone(&up, room, CallKind::Due, items).await?;
            running.add(answer);
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

impl RoomGraces {
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
