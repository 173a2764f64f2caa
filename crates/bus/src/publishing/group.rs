//! One group being sent to Redis: under its number, again under the same number while its outcome
//! is unknown, and answered item by item.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Cmd, Value};
use roomcast_metrics::{BusCommand, BusMetrics};
use roomcast_protocol::RoomName;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use super::answer::{self, GroupAnswer};
use super::pending::PendingPublication;
use crate::api::{KEY_WINDOW, PublishAck, PublishError, random_epoch};
use crate::log_throttle::LogThrottle;
use crate::placement::keys::Keyspace;
use crate::primary::link::LinkUp;
use crate::primary::server::ANSWER_TIMEOUT;
use crate::scripts::{ScriptCall, millis};
use crate::server_map::shard::Shard;
use crate::server_map::{CallFailure, CallRoute, ServerMap};

/// Longest time from taking a publication to its outcome.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);

/// Begins the condition of an item for which the room's rate does not hold.
const FREE_OF_RATE: &str = "*";

/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Sends groups under this node's incarnation.
pub(crate) struct GroupSender {
    /// The id of this run of this node in the rooms' metas.
    pub(crate) node: String,
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
    /// `PUBLISH`, or `SPUBLISH` in a cluster.
    pub(crate) push: &'static str,
    /// How long Redis keeps a room after its history and its readers.
    pub(crate) linger: Duration,
    pub(crate) metrics: BusMetrics,
    /// The last group's number. One counter for all rooms, so that it rises in each.
    pub(crate) number: AtomicU64,
    /// Limits log lines about refused publishes.
    pub(crate) refusal_log: LogThrottle,
}

/// The outcome of an item.
type Outcome = Result<PublishAck, PublishError>;

impl GroupSender {
    /// Publishes a group and answers its items.
    pub(crate) async fn send(&self, room: &RoomName, mut group: Vec<PendingPublication>) {
        let started = Instant::now();
        let oldest = group.iter().map(|pending| pending.submitted).min().unwrap_or(started);
        self.metrics.groups.inc();
        self.metrics.group_messages.observe(group.len() as f64);
        let outcome = self.resolve(room, &mut group, oldest + PUBLISH_TIMEOUT).await;
        self.metrics.command[BusCommand::Publish].observe(started.elapsed().as_secs_f64());
        match outcome {
            Ok(results) if results.len() == group.len() => {
                group.into_iter().zip(results).for_each(|(item, result)| item.answer(result));
            }
            Ok(_) => self.answer_all(group, PublishError::Unknown),
            Err(error) => self.answer_all(group, error),
        }
    }

    fn answer_all(&self, group: Vec<PendingPublication>, error: PublishError) {
        if error == PublishError::Unknown {
            self.metrics.publish_unknown.inc_by(group.len() as u64);
        }
        group.into_iter().for_each(|pending| pending.answer(Err(error)));
    }

    /// Sends the group until its outcome is known or the deadline has passed.
    async fn resolve(
        &self,
        room: &RoomName,
        group: &mut [PendingPublication],
        deadline: Instant,
    ) -> Result<Vec<Outcome>, PublishError> {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        // The shard that got the group without answering: it may have stored it.
        let mut sent: Option<Arc<Shard>> = None;
        let mut tried = false;
        loop {
            let given_up = match &sent {
                Some(_) => PublishError::Unknown,
                None => PublishError::Unavailable,
            };
            if let Some(shard) = self.shards.of(room) {
                // In a cluster a room's data moves with it to its next primary. A changed list of
                // servers leaves the data behind: sent again, the group could be stored twice.
                if sent.as_ref().is_some_and(|at| at.address.is_empty() && at.id != shard.id) {
                    return Err(given_up);
                }
                let link = &shard.link;
                let up = if tried { link.by(deadline).await } else { link.soon(deadline).await };
                let up = up.map_err(|_| given_up)?;
                tried = true;
                group.iter_mut().for_each(|pending| pending.sent = true);
                match self.attempt(room, group, number, (&up, deadline)).await {
                    Ok(GroupAnswer::Results(results)) => return Ok(results),
                    Ok(GroupAnswer::Stale) => return Err(PublishError::Unknown),
                    Err(CallFailure::Refused(error)) if sent.is_none() => {
                        if self.refusal_log.is_time() {
                            warn!(%error, "Redis refuses publishes");
                        }
                        return Err(given_up);
                    }
                    Err(CallFailure::Partial(error)) => {
                        if self.refusal_log.is_time() {
                            warn!(%error, "a publish failed half-way; its outcome is unknown");
                        }
                        return Err(PublishError::Unknown);
                    }
                    Err(CallFailure::Split) => self.shards.prepare(room).await,
                    // A refusal does not say what an earlier attempt did: ask again under the same
                    // number.
                    Err(CallFailure::Elsewhere | CallFailure::Refused(_)) => link.doubt(),
                    Err(CallFailure::Lost) => {
                        link.doubt();
                        sent = Some(shard);
                    }
                }
            }
            // Time for the link to check its connection.
            sleep(RETRY_PAUSE).await;
            if Instant::now() >= deadline {
                return Err(match sent {
                    Some(_) => PublishError::Unknown,
                    None => PublishError::Unavailable,
                });
            }
        }
    }

    async fn attempt(
        &self,
        room: &RoomName,
        // Only read, but exclusive: a shared reference could not be sent between threads, because
        // items are not `Sync`.
        group: &mut [PendingPublication],
        number: u64,
        (up, deadline): (&LinkUp, Instant),
    ) -> Result<GroupAnswer, CallFailure> {
        self.metrics.commands[BusCommand::Publish].inc();
        let replicas = group.last().expect("a group has items").retention.replicas;
        let line = if replicas == 0 { CallRoute::Room } else { CallRoute::Replicated(replicas) };
        let command = move |up: &LinkUp| self.command(room, group, number, up);
        let answer = self.shards.call((ScriptCall::Publish, room), up, line, command);
        // The connection has its own timeout; the second timer is for the last attempt only.
        let answer = if deadline.duration_since(Instant::now()) > ANSWER_TIMEOUT {
            answer.await
        } else {
            timeout_at(deadline, answer).await.unwrap_or(Err(CallFailure::Lost))
        };
        let read = |(value, reached): (Value, u32)| match value {
            // Stored, but on too few replicas: the same number asks again.
            Value::BulkString(_) if reached < replicas => Err(CallFailure::Lost),
            Value::BulkString(text) => {
                let text = std::str::from_utf8(&text).ok();
                text.and_then(answer::read).ok_or(CallFailure::Lost)
            }
            _ => Err(CallFailure::Lost),
        };
        let answer = answer.and_then(read);
        if answer.is_err() {
            self.metrics.command_errors[BusCommand::Publish].inc();
        }
        answer
    }

    fn command(
        &self,
        room: &RoomName,
        group: &[PendingPublication],
        number: u64,
        up: &LinkUp,
    ) -> Cmd {
        // The last item decides for the room: its settings of the namespace are the newest.
        let kept = group.last().expect("a group has items").retention;
        let entries = kept.history_size.max(kept.repair_window).max(1);
        let bounds = group.iter().rev().find_map(|pending| pending.state_bounds);
        let ttl = kept.history_age.saturating_add(self.linger).max(2 * KEY_WINDOW);
        // The script prolongs keys when a quarter of their time is over.
        let age = group.last().expect("a group has items").keys_age;
        let age = bounds.map_or(age, |bounds| age.max(bounds.age));
        let ttl = ttl.max(age.saturating_mul(4) / 3);
        let mut command = ScriptCall::Publish.on(&self.keys, room);
        command
            .arg(up.version)
            .arg(self.keys.version())
            .arg(&*up.life)
            .arg(random_epoch().to_string())
            .arg(&self.node)
            .arg(number)
            .arg(self.push)
            .arg(up.keys.channel(room))
            .arg(entries)
            .arg(kept.repair_window)
            .arg(millis(kept.history_age))
            .arg(millis(ttl))
            .arg(millis(KEY_WINDOW))
            .arg(kept.keys_per_user)
            .arg(kept.keys_per_room);
        let limited = group.iter().rev().find(|pending| pending.room_rate > 0);
        let room_rate = limited.map_or(0, |pending| pending.room_rate);
        command.arg(room_rate).arg(bounds.map_or_else(String::new, |bounds| {
            format!("{} {} {}", bounds.keys, bounds.bytes, bounds.points)
        }));
        for pending in group {
            command.arg(&pending.payload).arg(&pending.key);
            let free = if pending.room_rate == 0 && room_rate > 0 { FREE_OF_RATE } else { "" };
            match pending.if_seq {
                Some(at) => command.arg(format!("{free}{}:{}", at.epoch, at.seq)),
                None => command.arg(free),
            };
            if bounds.is_some() {
                command.arg(&pending.state);
            }
        }
        command
    }
}
