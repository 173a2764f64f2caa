//! What users confirmed of rooms, in Redis: one sorted set beside a room's other keys, changed and
//! read by one script. It decides nothing but what the script decides.

use std::time::Duration;

use redis::{Cmd, Value};
use roomcast_metrics::{BusCommand, BusMetrics};
use roomcast_protocol::{ConnectionId, Epoch, Position, RoomName, Seq, UserName};
use tokio::time::{Instant, sleep, timeout};

use crate::api::{
    ReadError, ReceiptCounts, ReceiptError, ReceiptKind, ReceiptMarks, ReceiptMove, ReceiptRules,
    Retention, RoomOutline, random_epoch,
};
use crate::placement::keys::Keyspace;
use crate::primary::link::LinkUp;
use crate::scripts::{ScriptCall, millis};
use crate::server_map::{CallFailure, CallRoute, ServerMap};

/// Time limit of a call, waiting for its connection included.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two attempts while a room moves to another primary.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The way to the receipts.
#[derive(Clone)]
pub(crate) struct ReceiptStore {
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
    /// `PUBLISH`, or `SPUBLISH` in a cluster.
    pub(crate) push: &'static str,
    pub(crate) metrics: BusMetrics,
}

/// What all answers begin with.
struct RoomHead {
    epoch: Epoch,
    last: Seq,
    time: u64,
}

impl ReceiptStore {
    /// Moves users' positions in a room; one answer for each move.
    pub(crate) async fn advance(
        &self,
        room: &RoomName,
        moves: &[ReceiptMove],
        rules: ReceiptRules,
    ) -> Result<Vec<Result<ReceiptMarks, ReceiptError>>, ReadError> {
        let words = |up: &LinkUp| {
            let mut words = vec![
                "move".to_owned(),
                millis(lifetime(rules.age)).to_string(),
                self.push.to_owned(),
                up.keys.channel(room),
                rules.users.to_string(),
            ];
            for ReceiptMove { user, at, kind, by } in moves {
                let kind = match kind {
                    ReceiptKind::Received => "c",
                    ReceiptKind::Read => "d",
                };
                words.extend([
                    user.to_string(),
                    at.epoch.to_string(),
                    at.seq.to_string(),
                    kind.to_owned(),
                    by.iter().map(ConnectionId::to_string).collect::<Vec<_>>().join(","),
                ]);
            }
            words
        };
        let (head, answers) = self.ask(room, words).await?;
        let read = |answer: &String| match answer.as_str() {
            "x" => Some(Err(ReceiptError::Stranger)),
            "o" => Some(Err(ReceiptError::TooManyUsers)),
            marks => {
                let (received, read) = pair(marks)?;
                Some(Ok(ReceiptMarks { epoch: head.epoch, received, read }))
            }
        };
        let results: Option<Vec<_>> = answers.iter().map(read).collect();
        results.filter(|results| results.len() == moves.len()).ok_or(ReadError::Unavailable)
    }

    /// Where a room is, and a user in it. It creates no room.
    pub(crate) async fn outline(
        &self,
        room: &RoomName,
        user: Option<&UserName>,
        (kept, age): (Retention, Duration),
    ) -> Result<RoomOutline, ReadError> {
        let words = |_: &LinkUp| {
            vec![
                "look".to_owned(),
                millis(lifetime(age)).to_string(),
                user.map(UserName::to_string).unwrap_or_default(),
                kept.history_size.to_string(),
                millis(kept.history_age).to_string(),
            ]
        };
        let (RoomHead { epoch, last, time }, answers) = self.ask(room, words).await?;
        let read = || {
            let (marks, unread) = answers.first()?.rsplit_once(' ')?;
            let (received, read) = pair(marks)?;
            let unread = unread.parse().ok()?;
            Some(RoomOutline { epoch, last, time, received, read, unread })
        };
        read().ok_or(ReadError::Unavailable)
    }

    /// The position before the first message of a time or later.
    pub(crate) async fn position_at(
        &self,
        room: &RoomName,
        time: u64,
    ) -> Result<Position, ReadError> {
        // Exact in the script's arithmetic.
        let time = time.min(1 << 53);
        let words = |_: &LinkUp| vec!["time".to_owned(), String::new(), time.to_string()];
        let (RoomHead { epoch, .. }, answers) = self.ask(room, words).await?;
        let seq = answers.first().and_then(|answer| answer.split(' ').next()?.parse().ok());
        seq.map(|seq| Position { epoch, seq }).ok_or(ReadError::Unavailable)
    }

    /// How many users have each of these messages.
    pub(crate) async fn count(
        &self,
        room: &RoomName,
        seqs: &[Seq],
    ) -> Result<ReceiptCounts, ReadError> {
        let words = |_: &LinkUp| {
            let mut words = vec!["count".to_owned(), String::new()];
            words.extend(seqs.iter().map(Seq::to_string));
            words
        };
        let (RoomHead { epoch, last, .. }, answers) = self.ask(room, words).await?;
        let counts: Option<Vec<_>> = answers.iter().map(|answer| pair(answer)).collect();
        let counts = counts.filter(|counts| counts.len() == seqs.len());
        counts.map(|counts| ReceiptCounts { epoch, last, counts }).ok_or(ReadError::Unavailable)
    }

    async fn ask(
        &self,
        room: &RoomName,
        words: impl Fn(&LinkUp) -> Vec<String>,
    ) -> Result<(RoomHead, Vec<String>), ReadError> {
        let command = BusCommand::Receipts;
        let started = Instant::now();
        self.metrics.commands[command].inc();
        let answer = timeout(CALL_TIMEOUT, self.call(room, words)).await;
        self.metrics.command[command].observe(started.elapsed().as_secs_f64());
        let answer = answer.ok().flatten().and_then(read_answer);
        answer.ok_or_else(|| {
            self.metrics.command_errors[command].inc();
            ReadError::Unavailable
        })
    }

    /// Tries until there is an answer; the caller limits the time. A call whose answer was lost is
    /// not sent again: positions only move forward, so that the next one makes up for it.
    async fn call(&self, room: &RoomName, words: impl Fn(&LinkUp) -> Vec<String>) -> Option<Value> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        let command = |up: &LinkUp| self.command(room, up, &words(up));
        loop {
            if let Some(shard) = self.shards.of(room) {
                let up = shard.link.soon(deadline).await.ok()?;
                let call = (ScriptCall::Receipts, room);
                match self.shards.call(call, &up, CallRoute::Room, command).await {
                    Ok((answer, _)) => return Some(answer),
                    Err(CallFailure::Elsewhere) => shard.link.doubt(),
                    Err(CallFailure::Split) if self.shards.exists(room).await == Some(false) => {
                        return Some(no_room());
                    }
                    Err(CallFailure::Split) => {
                        self.shards.prepare(room).await;
                        self.shards.prepare_receipts(room).await;
                    }
                    Err(_) => return None,
                }
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    fn command(&self, room: &RoomName, up: &LinkUp, words: &[String]) -> Cmd {
        let mut command = ScriptCall::Receipts.on_with_receipts(&self.keys, room);
        command
            .arg(up.version)
            .arg(self.keys.version())
            .arg(&*up.life)
            .arg(random_epoch().to_string())
            .arg(words);
        command
    }
}

/// The time to live that keeps receipts for `age` after any publish: publishes prolong the keys of
/// their room when a quarter of it is over.
fn lifetime(age: Duration) -> Duration {
    age.saturating_mul(4) / 3
}

/// Reads what all modes answer; `None` if it has another form.
fn read_answer(answer: Value) -> Option<(RoomHead, Vec<String>)> {
    let words: Vec<String> = redis::from_redis_value(answer).ok()?;
    let mut words = words.into_iter();
    let epoch = Epoch::parse(&words.next()?)?;
    let last = words.next()?.parse().ok()?;
    let time = words.next()?.parse().ok()?;
    Some((RoomHead { epoch, last, time }, words.collect()))
}

/// What "look" answers where there is no room; the other modes take it for no answer.
fn no_room() -> Value {
    let words = [&Epoch::NONE.to_string(), "0", "0", "0 0 0"];
    Value::Array(words.iter().map(|word| Value::BulkString(word.as_bytes().to_vec())).collect())
}

/// Reads two numbers.
fn pair(text: &str) -> Option<(u64, u64)> {
    let (one, other) = text.split_once(' ')?;
    Some((one.parse().ok()?, other.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_or_refused() {
        let answer = |words: &[&str]| {
            let word = |word: &&str| Value::BulkString(word.as_bytes().to_vec());
            read_answer(Value::Array(words.iter().map(word).collect()))
        };
        let (head, rest) = answer(&["00000000000000ff", "7", "12", "3 4"]).unwrap();
        assert_eq!((head.epoch, head.last, head.time), (Epoch(255), 7, 12));
        assert_eq!(pair(&rest[0]), Some((3, 4)));
        for bad in [&[][..], &["ff", "7", "12"], &["00000000000000ff", "-7", "1"]] {
            assert!(answer(bad).is_none(), "{bad:?}");
        }
        for bad in ["", "3", "3 ", "3 4 5", "-1 2"] {
            assert_eq!(pair(bad), None, "{bad:?}");
        }
    }
}
