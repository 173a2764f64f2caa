//! Reads of a room's whole state, in parts. While parts are read, the room goes on: the stream then
//! completes them to the state at one position.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value};
use roomcast_metrics::BusCommand;
use roomcast_protocol::{Epoch, Lineage, Message, RoomName, Seq, StateKey};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    READ_TIMEOUT, RETRY_PAUSE, ReadPurpose, ReadSpan, RoomReader, no_room, read_ancestors,
};
use crate::api::{ReadError, RoomStateRead, StateValue};
use crate::payload;
use crate::primary::link::LinkUp;
use crate::scripts::ScriptCall;
use crate::server_map::{CallFailure, CallRoute};

/// Entries of a part: a call of less than 1 ms for values of 1 KiB.
const PART_ENTRIES: u32 = 128;
/// Longest read of all parts, and of the messages that complete them, together.
const STATE_TIMEOUT: Duration = Duration::from_secs(8);
/// How often a read begins again whose room left the stream behind, or went to another epoch.
const MAX_TRIES: usize = 3;

/// A part of a room's state.
struct StatePart {
    lineage: Lineage,
    last: Seq,
    forgotten: Seq,
    /// Redis's time, in ms.
    now: u64,
    next: String,
    entries: Vec<StoredValue>,
}

/// The value of a key, as Redis has it.
struct StoredValue {
    /// When it expires by Redis's clock, in ms; 0: never.
    ends: u64,
    /// The messages that set it, the newest last.
    messages: Vec<Arc<Message>>,
}

/// The parts so far.
struct StateParts {
    lineage: Lineage,
    /// Where the first part was read.
    first: Seq,
    last: Seq,
    forgotten: Seq,
    values: HashMap<Option<StateKey>, (StateValue, Seq)>,
}

impl RoomReader {
    /// The whole state of a room at one position. Writes nothing. With `points` each value comes with
    /// so many of its last messages.
    pub(crate) async fn state(
        &self,
        room: &RoomName,
        points: u32,
    ) -> Result<RoomStateRead, ReadError> {
        let deadline = Instant::now() + STATE_TIMEOUT;
        let read = async {
            for _ in 0..MAX_TRIES {
                if let Some(read) = self.try_state(room, points, deadline).await? {
                    return Ok(read);
                }
            }
            Err(ReadError::Unavailable)
        };
        timeout_at(deadline, read).await.unwrap_or(Err(ReadError::Unavailable))
    }

    /// `None` if the room went where the parts cannot follow.
    async fn try_state(
        &self,
        room: &RoomName,
        points: u32,
        deadline: Instant,
    ) -> Result<Option<RoomStateRead>, ReadError> {
        let part = self.state_part(room, "0", deadline).await?;
        let mut next = part.next.clone();
        let mut parts = StateParts {
            lineage: part.lineage.clone(),
            first: part.last,
            last: part.last,
            forgotten: part.forgotten,
            values: HashMap::new(),
        };
        parts.take(part, points);
        while next != "0" {
            let part = self.state_part(room, &next, deadline).await?;
            if part.lineage != parts.lineage || part.last < parts.last {
                return Ok(None);
            }
            next.clone_from(&part.next);
            parts.take(part, points);
        }
        let mut at = parts.first;
        while at < parts.last {
            let purpose = ReadPurpose::Look;
            let (limit, bytes) = (super::REPAIR_LIMIT, super::REPAIR_BYTES);
            let span =
                ReadSpan { mode: "after", seq: at, newest: -1, age: -1, limit, bytes, purpose };
            let (page, _) = self.read(room, BusCommand::History, span).await?;
            if page.lineage != parts.lineage || page.messages.is_empty() {
                return Ok(None);
            }
            for message in page.messages {
                if message.seq != at + 1 {
                    return Ok(None);
                }
                at += 1;
                parts.follow(message, points);
            }
        }
        Ok(Some(parts.finish(at)))
    }

    async fn state_part(
        &self,
        room: &RoomName,
        cursor: &str,
        deadline: Instant,
    ) -> Result<StatePart, ReadError> {
        let started = Instant::now();
        self.metrics.commands[BusCommand::State].inc();
        let until = deadline.min(started + READ_TIMEOUT);
        let answer = timeout_at(until, self.call_state(room, cursor, until)).await;
        self.metrics.command[BusCommand::State].observe(started.elapsed().as_secs_f64());
        let part = answer.ok().flatten().and_then(read_part);
        if part.is_none() {
            self.metrics.command_errors[BusCommand::State].inc();
        }
        part.ok_or(ReadError::Unavailable)
    }

    /// Tries until there is an answer; the caller limits the time.
    async fn call_state(
        &self,
        room: &RoomName,
        cursor: &str,
        deadline: Instant,
    ) -> Option<Vec<Value>> {
        loop {
            if let Some(shard) = self.shards.of(room) {
                let up = shard.link.soon(deadline).await.ok()?;
                let command = |up: &LinkUp| self.state_command(room, cursor, up);
                let call = (ScriptCall::ReadState, room);
                match self.shards.call(call, &up, CallRoute::Pool, command).await {
                    Ok((Value::Array(values), _)) => return Some(values),
                    Err(CallFailure::Elsewhere) => shard.link.doubt(),
                    Err(CallFailure::Split) if self.shards.exists(room).await == Some(false) => {
                        return Some(no_state());
                    }
                    Err(CallFailure::Split) => self.shards.prepare(room).await,
                    Ok(_) | Err(_) => return None,
                }
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    fn state_command(&self, room: &RoomName, cursor: &str, up: &LinkUp) -> Cmd {
        let mut command = ScriptCall::ReadState.on(&self.keys, room);
        command.arg(up.version).arg(self.keys.version()).arg(&*up.life).arg("");
        command.arg(cursor).arg(PART_ENTRIES);
        command
    }
}

impl StateParts {
    fn take(&mut self, part: StatePart, points: u32) {
        self.last = part.last;
        self.forgotten = self.forgotten.max(part.forgotten);
        for StoredValue { ends, messages } in part.entries {
            let Some(message) = messages.last().cloned() else { continue };
            let left = (ends > 0).then(|| Duration::from_millis(ends.saturating_sub(part.now)));
            let seq = message.seq;
            let key = message.state_key.clone();
            if self.values.get(&key).is_some_and(|(_, known)| *known > seq) {
                continue;
            }
            let skipped = messages.len().saturating_sub(points as usize);
            let points = messages[skipped..].to_vec();
            self.values.insert(key, (StateValue { message, left, points }, seq));
        }
    }

    /// The stream's next message: what a part has of a later time is the truth already.
    fn follow(&mut self, message: Arc<Message>, points: u32) {
        let key = message.state_key.clone();
        let known = self.values.get_mut(&key);
        if known.as_ref().is_some_and(|(_, seq)| *seq >= message.seq) {
            return;
        }
        if message.remove {
            self.forgotten = self.forgotten.max(message.seq);
            self.values.remove(&key);
            return;
        }
        let mut kept = known.map_or_else(Vec::new, |(entry, _)| std::mem::take(&mut entry.points));
        kept.push(message.clone());
        kept.drain(..kept.len().saturating_sub(points as usize));
        let left = message.ttl_ms.map(Duration::from_millis);
        let seq = message.seq;
        self.values.insert(key, (StateValue { message, left, points: kept }, seq));
    }

    /// The state at `last`, up to which the stream was followed.
    fn finish(self, last: Seq) -> RoomStateRead {
        let entries = self.values.into_values().map(|(entry, _)| entry).collect();
        RoomStateRead { lineage: self.lineage, last, forgotten: self.forgotten, entries }
    }
}

/// What the script answers where there is no room.
fn no_state() -> Vec<Value> {
    let mut values = no_room();
    values.truncate(3);
    values.extend(["0", "0", "0"].map(|text| Value::BulkString(text.into())));
    values
}

/// Reads the script's answer; `None` if it has another form.
fn read_part(values: Vec<Value>) -> Option<StatePart> {
    let mut values = values.into_iter();
    let mut text = || match values.next()? {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    };
    let epoch = Epoch::parse(&text()?)?;
    let last = text()?.parse().ok()?;
    let lineage = Lineage::of(epoch, read_ancestors(&text()?)?);
    let forgotten = text()?.parse().ok()?;
    let now = text()?.parse().ok()?;
    let next = text()?;
    let mut entries = Vec::with_capacity(values.len() / 2);
    while let (Some(field), Some(value)) = (values.next(), values.next()) {
        let (Value::BulkString(field), Value::BulkString(value)) = (field, value) else {
            return None;
        };
        // One field is there only so that the hash exists.
        if !field.is_empty() {
            entries.extend(read_value(Bytes::from(value)));
        }
    }
    Some(StatePart { lineage, last, forgotten, now, next, entries })
}

/// Reads a value as `scripts/state.lua` writes it. Records that this version cannot read are left out.
fn read_value(value: Bytes) -> Option<StoredValue> {
    let (head, mut rest) = take_line(value)?;
    let [_, ends, _, count] = numbers(&head)?;
    let mut messages = Vec::new();
    for _ in 0..count {
        let (head, payload) = take_line(rest)?;
        let [seq, time, _, length] = numbers(&head)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= payload.len())?;
        if let Ok((message, _)) = payload::decode(&payload.slice(..length), seq, time) {
            messages.push(Arc::new(message));
        }
        rest = payload.slice(length..);
    }
    Some(StoredValue { ends, messages })
}

/// The first line, and what follows its end.
fn take_line(bytes: Bytes) -> Option<(Bytes, Bytes)> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    Some((bytes.slice(..end), bytes.slice(end + 1..)))
}

fn numbers(line: &[u8]) -> Option<[u64; 4]> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ').map(|word| word.parse().ok());
    let numbers = [words.next()??, words.next()??, words.next()??, words.next()??];
    words.next().is_none().then_some(numbers)
}
