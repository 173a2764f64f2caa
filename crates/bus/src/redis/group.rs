//! One group on its way to Redis: sent under its number, sent again under the same number while
//! its outcome is unknown, and answered item by item.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError};
use roomcast_metrics::{BusCommand, BusMetrics};
use roomcast_protocol::RoomName;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use super::answer::{self, Answer};
use super::keys::Keys;
use super::link::{Link, Up};
use super::pending::Pending;
use super::scripts::Call;
use super::server::ANSWER_TIMEOUT;
use crate::api::{KEY_WINDOW, MAX_KEYS, PublishError, random_epoch};
use crate::seldom::Seldom;

/// From taking a publication to its outcome, at most.
const DEADLINE: Duration = Duration::from_secs(2);

/// Between two attempts.
const BREATH: Duration = Duration::from_millis(20);

/// Sends groups under this node's incarnation.
pub(crate) struct Sender {
    /// Names this run of this node in the rooms' metas.
    pub(crate) node: String,
    pub(crate) keys: Keys,
    pub(crate) link: Link,
    /// How long a room outlives its history and its readers.
    pub(crate) linger: Duration,
    pub(crate) metrics: BusMetrics,
    /// The last group's number. One count for all rooms: it rises in each.
    pub(crate) number: AtomicU64,
    /// For the log.
    pub(crate) refusals: Seldom,
}

/// How one attempt ended.
enum Attempt {
    Answered(Answer),
    /// Redis said no before it changed anything.
    Refused(RedisError),
    /// No answer, or none that says what happened.
    Lost,
}

impl Sender {
    /// Publishes a group and answers its items.
    pub(crate) async fn send(&self, room: &RoomName, mut group: Vec<Pending>) {
        let started = Instant::now();
        let oldest = group.iter().map(|pending| pending.submitted).min().unwrap_or(started);
        self.metrics.groups.inc();
        self.metrics.group_messages.observe(group.len() as f64);
        let outcome = self.resolve(room, &mut group, oldest + DEADLINE).await;
        self.metrics.command[BusCommand::Publish].observe(started.elapsed().as_secs_f64());
        match outcome {
            Ok(results) if results.len() == group.len() => {
                group.into_iter().zip(results).for_each(|(item, result)| item.answer(result));
            }
            Ok(_) => self.answer_all(group, PublishError::Unknown),
            Err(error) => self.answer_all(group, error),
        }
    }

    fn answer_all(&self, group: Vec<Pending>, error: PublishError) {
        if error == PublishError::Unknown {
            self.metrics.publish_unknown.inc_by(group.len() as u64);
        }
        group.into_iter().for_each(|pending| pending.answer(Err(error)));
    }

    /// Sends the group until its outcome is known or the deadline is over.
    async fn resolve(
        &self,
        room: &RoomName,
        group: &mut [Pending],
        deadline: Instant,
    ) -> Result<Vec<Result<crate::api::Ack, PublishError>>, PublishError> {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let mut up = self.link.soon(deadline).await.map_err(|_| PublishError::Unavailable)?;
        let mut sent = false;
        loop {
            let command = self.command(room, group, number, &up.life);
            group.iter_mut().for_each(|pending| pending.sent = true);
            match self.attempt(&command, &up, room, deadline).await {
                Attempt::Answered(Answer::Results(results)) => return Ok(results),
                Attempt::Refused(error) if !sent => {
                    if self.refusals.is_time() {
                        warn!(%error, "Redis refuses publishes");
                    }
                    return Err(PublishError::Unavailable);
                }
                Attempt::Answered(Answer::Stale) => return Err(PublishError::Unknown),
                // A refusal says nothing of an earlier attempt: ask again under the same number.
                Attempt::Refused(_) => {}
                Attempt::Lost => sent = true,
            }
            // The link needs a moment to see for itself whether its connection still works.
            sleep(BREATH).await;
            if Instant::now() >= deadline {
                return Err(PublishError::Unknown);
            }
            up = self.link.by(deadline).await.map_err(|_| PublishError::Unknown)?;
        }
    }

    async fn attempt(&self, command: &Cmd, up: &Up, room: &RoomName, deadline: Instant) -> Attempt {
        self.metrics.commands[BusCommand::Publish].inc();
        let mut connection = up.of(room);
        let answer = Call::Publish.send::<String>(command, &mut connection);
        // The connection has a timeout of its own; a second timer is only for the last attempt.
        let answer = if deadline.duration_since(Instant::now()) > ANSWER_TIMEOUT {
            answer.await.map_err(Some)
        } else {
            timeout_at(deadline, answer).await.map_or(Err(None), |answer| answer.map_err(Some))
        };
        let error = match answer.map(|text| answer::read(&text)) {
            Ok(Some(answer)) => return Attempt::Answered(answer),
            Ok(None) => return Attempt::Lost,
            Err(error) => error,
        };
        self.metrics.command_errors[BusCommand::Publish].inc();
        match error {
            Some(error) if is_refusal(&error) => Attempt::Refused(error),
            _ => {
                self.link.doubt();
                Attempt::Lost
            }
        }
    }

    fn command(&self, room: &RoomName, group: &[Pending], number: u64, life: &str) -> Cmd {
        // The last item speaks for the room: its namespace's settings are the newest.
        let kept = group.last().expect("a group has items").retention;
        let entries = kept.history_size.max(kept.repair_window).max(1);
        let ttl = kept.history_age.saturating_add(self.linger).max(KEY_WINDOW);
        let mut command = Call::Publish.on(&self.keys, room);
        command
            .arg(&self.node)
            .arg(number)
            .arg(life)
            .arg(random_epoch().to_string())
            .arg(self.keys.channel(room))
            .arg(entries)
            .arg(kept.repair_window)
            .arg(millis(kept.history_age))
            .arg(millis(ttl))
            .arg(millis(KEY_WINDOW))
            .arg(MAX_KEYS / 2);
        for pending in group {
            command.arg(&pending.payload).arg(&pending.key);
            match pending.if_seq {
                Some(at) => command.arg(format!("{}:{}", at.epoch, at.seq)),
                None => command.arg(""),
            };
        }
        command
    }
}

/// Milliseconds, within what Redis takes as an expiry.
pub(crate) fn millis(duration: Duration) -> u64 {
    /// A hundred years.
    const MAX: u64 = 100 * 365 * 24 * 3600 * 1000;
    u64::try_from(duration.as_millis()).unwrap_or(MAX).min(MAX)
}

/// An error that the server answered with before the script changed anything: out of memory,
/// loading, read-only, no permission … The scripts raise none of their own half-way.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}
