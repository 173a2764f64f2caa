//! Reads of rooms: a room's position and a part of its stream, by one atomic script call. Ranges
//! use their own pool of connections, so that their bytes never delay a publish.

mod standings;
mod state;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value};
use roomcast_metrics::{BusCommand, BusMetrics};
use roomcast_protocol::{Epoch, Lineage, RoomName, Seq};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::api::{
    History, HistoryRange, HistoryRequest, ReadError, RoomFound, RoomPage, random_epoch,
};
use crate::log_throttle::LogThrottle;
use crate::payload;
use crate::placement::keys::Keyspace;
use crate::primary::link::LinkUp;
use crate::scripts::{ScriptCall, millis};
use crate::server_map::{CallFailure, CallRoute, ServerMap};

/// Time limit of a read, waiting for its connection included.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two attempts while a room moves to another primary.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Messages per page of a repair.
const REPAIR_LIMIT: u32 = 512;
/// Payload bytes per page of a repair.
const REPAIR_BYTES: usize = 1 << 20;

/// Higher than every seq, and still exact in a script's arithmetic.
const MAX_SEQ: Seq = 1 << 53;

/// What a read may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadPurpose {
    /// Nothing.
    Look,
    /// Create the room or its next epoch, and prolong its keys: a node listens to it.
    Hold,
}

/// Reads rooms on the primaries that have them.
#[derive(Clone)]
pub(crate) struct RoomReader {
    pub(crate) shards: ServerMap,
    pub(crate) keys: Keyspace,
    /// How long Redis keeps a room without publications.
    pub(crate) linger: Duration,
    pub(crate) metrics: BusMetrics,
    /// Limits log lines about answers that cannot be read.
    pub(crate) unreadable_log: Arc<LogThrottle>,
}

/// Which entries a script call reads; see `read.lua`.
struct ReadSpan {
    mode: &'static str,
    seq: Seq,
    newest: i64,
    age: i64,
    limit: u32,
    bytes: usize,
    purpose: ReadPurpose,
}

impl ReadSpan {
    /// No entries, only the position of the room.
    const STANDING: Self = Self {
        mode: "stand",
        seq: 0,
        newest: -1,
        age: -1,
        limit: 0,
        bytes: 0,
        purpose: ReadPurpose::Hold,
    };
}

/// The answer of a read: a page, and in which state the room was found.
type RoomStanding = (RoomPage, RoomFound);

impl RoomReader {
    /// The position of a room that a node listens to, or is about to: this creates a room that does
    /// not exist.
    pub(crate) async fn standing(&self, room: &RoomName) -> Result<RoomStanding, ReadError> {
        self.read(room, BusCommand::Meta, ReadSpan::STANDING).await
    }

    /// The messages of the stream after a seq, including those that users may not see; for repair.
    /// This creates a room that does not exist.
    pub(crate) async fn after(&self, room: &RoomName, seq: Seq) -> Result<RoomStanding, ReadError> {
        let (limit, bytes) = (REPAIR_LIMIT, REPAIR_BYTES);
        let purpose = ReadPurpose::Hold;
        let span = ReadSpan { mode: "after", seq, newest: -1, age: -1, limit, bytes, purpose };
        self.read(room, BusCommand::History, span).await
    }

    /// The messages that users may see. Writes nothing.
    pub(crate) async fn history(
        &self,
        room: &RoomName,
        request: HistoryRequest,
    ) -> Result<History, ReadError> {
        let HistoryRequest { range, limit, max_bytes, retention } = request;
        let (mode, seq) = match range {
            HistoryRange::After(seq) => ("after", seq),
            // There is nothing before the first message.
            HistoryRange::Before(seq) => ("before", seq.max(1)),
            HistoryRange::Latest => ("before", 0),
        };
        let newest = retention.history_size.into();
        let age = millis(retention.history_age) as i64;
        let purpose = ReadPurpose::Look;
        let span = ReadSpan { mode, seq, newest, age, limit, bytes: max_bytes, purpose };
        let (mut page, _) = self.read(room, BusCommand::History, span).await?;
        if mode == "before" {
            page.messages.reverse();
        }
        let RoomPage { lineage, last, messages, more } = page;
        Ok(History { lineage, last, messages, more })
    }

    async fn read(
        &self,
        room: &RoomName,
        command: BusCommand,
        span: ReadSpan,
    ) -> Result<RoomStanding, ReadError> {
        let started = Instant::now();
        self.metrics.commands[command].inc();
        let answer = timeout(READ_TIMEOUT, self.call(room, &span)).await;
        self.metrics.command[command].observe(started.elapsed().as_secs_f64());
        if let Ok(Some(values)) = answer {
            match read_answer(values) {
                Some(page) => return Ok(page),
                None if self.unreadable_log.is_time() => {
                    warn!(%room, "Redis holds what no node writes in this room's keys");
                }
                None => {}
            }
        }
        self.metrics.command_errors[command].inc();
        Err(ReadError::Unavailable)
    }

    /// Tries until there is an answer; the caller limits the time.
    async fn call(&self, room: &RoomName, span: &ReadSpan) -> Option<Vec<Value>> {
        let deadline = Instant::now() + READ_TIMEOUT;
        let line = if span.mode == "stand" { CallRoute::Room } else { CallRoute::Pool };
        loop {
            if let Some(shard) = self.shards.of(room) {
                let up = shard.link.soon(deadline).await.ok()?;
                let command = |up: &LinkUp| self.command(room, span, up);
                match self.shards.call((ScriptCall::Read, room), &up, line, command).await {
                    Ok((Value::Array(values), _)) => return Some(values),
                    Err(CallFailure::Elsewhere) => shard.link.doubt(),
                    Err(CallFailure::Split) if span.purpose == ReadPurpose::Hold => {
                        self.shards.prepare(room).await;
                    }
                    Err(CallFailure::Split) if self.shards.exists(room).await == Some(false) => {
                        return Some(no_room());
                    }
                    Err(CallFailure::Split) => {}
                    Ok(_) | Err(_) => return None,
                }
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    fn command(&self, room: &RoomName, span: &ReadSpan, up: &LinkUp) -> Cmd {
        let mut command = ScriptCall::Read.on(&self.keys, room);
        command
            .arg(up.version)
            .arg(self.keys.version())
            .arg(&*up.life)
            .arg(random_epoch().to_string())
            .arg(millis(self.linger))
            .arg(span.mode)
            .arg(span.seq.min(MAX_SEQ))
            .arg(span.newest)
            .arg(span.age)
            .arg(span.limit)
            .arg(span.bytes)
            .arg(match span.purpose {
                ReadPurpose::Look => "look",
                ReadPurpose::Hold => "hold",
            });
        command
    }
}

/// Reads the script's answer; `None` if it has another form.
fn read_answer(values: Vec<Value>) -> Option<(RoomPage, RoomFound)> {
    let mut values = values.into_iter();
    let mut text = || match values.next()? {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    };
    let epoch = Epoch::parse(&text()?)?;
    let last = text()?.parse().ok()?;
    let lineage = Lineage::of(epoch, read_ancestors(&text()?)?);
    let found = match text()?.as_str() {
        "" => RoomFound::Known,
        "new" => RoomFound::New,
        "fork" => RoomFound::Forked,
        "unforked" => RoomFound::Unforked,
        "none" => RoomFound::Missing,
        _ => return None,
    };
    let more = text()? == "1";
    let mut messages = Vec::with_capacity(values.len() / 3);
    while let Some(seq) = values.next() {
        let (seq, time) = (number(seq)?, number(values.next()?)?);
        let Value::BulkString(payload) = values.next()? else { return None };
        // An entry that this version cannot read is left out, and readers get a gap.
        if let Ok((message, _)) = payload::decode(&Bytes::from(payload), seq, time) {
            messages.push(Arc::new(message));
        }
    }
    Some((RoomPage { lineage, last, messages, more }, found))
}

/// What the script answers where there is no room.
fn no_room() -> Vec<Value> {
    let text = |text: &str| Value::BulkString(text.into());
    let epoch = text(&Epoch::NONE.to_string());
    vec![epoch, text("0"), text(""), text("none"), Value::Int(0)]
}

fn number(value: Value) -> Option<u64> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(&bytes).ok()?.parse().ok(),
        _ => None,
    }
}

/// Reads `epoch:base,…`, oldest first.
fn read_ancestors(text: &str) -> Option<Vec<(Epoch, Seq)>> {
    let words = text.split(',').filter(|word| !word.is_empty());
    let ancestor = |word: &str| {
        let (epoch, base) = word.split_once(':')?;
        Some((Epoch::parse(epoch)?, base.parse().ok()?))
    };
    words.map(ancestor).collect()
}
