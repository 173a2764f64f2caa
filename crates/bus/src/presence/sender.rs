//! Carries calls of presence to the primaries: those of one primary travel in one pipeline. What a
//! pipeline did not bring, because a slot moves or a script is missing there, goes once more alone.

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use roomcast_metrics::{BusCommand, BusMetrics};
use roomcast_protocol::RoomName;
use tokio::time::Instant;

use super::call::{CallItem, CallKind, CallOutcome, read_answer, words};
use super::desk::IndexOutcome;
use crate::api::{PresencePolicy, random_epoch};
use crate::leases::Incarnation;
use crate::placement::keys::Keyspace;
use crate::placement::partition::Partition;
use crate::primary::link::LinkUp;
use crate::scripts::ScriptCall;
use crate::server_map::{CallRoute, ServerMap};

/// How long Redis keeps presence that is not prolonged, in ms; the scripts have the same number.
pub(super) const KEPT_MS: u64 = 7_200_000;

/// The way to the primaries.
#[derive(Clone)]
pub(super) struct PresenceSender {
    pub(super) shards: ServerMap,
    pub(super) keys: Keyspace,
    /// `PUBLISH`, or `SPUBLISH` in a cluster.
    pub(super) push: &'static str,
    pub(super) metrics: BusMetrics,
}

/// A command of a pipeline, with what is needed to send it alone.
pub(super) struct Errand<'a> {
    pub(super) room: &'a RoomName,
    /// The script that it calls; `None` for a plain command.
    pub(super) script: Option<ScriptCall>,
    pub(super) command: Cmd,
}

impl PresenceSender {
    /// A change of a room.
    pub(super) fn change<'a>(
        &self,
        up: &LinkUp,
        room: &'a RoomName,
        (kind, policy): (CallKind, Option<PresencePolicy>),
        items: &[CallItem],
    ) -> Errand<'a> {
        let key = self.keys.room(room).presence();
        let mut command = self.script(ScriptCall::Presence, &key, up);
        command.arg(&*up.life).arg(random_epoch().to_string());
        command.arg(words(kind, policy, (self.push, up.keys.channel(room)), items));
        Errand { room, script: Some(ScriptCall::Presence), command }
    }

    /// Adds a room to the index of an incarnation, or removes it.
    pub(super) fn index<'a>(
        &self,
        up: &LinkUp,
        room: &'a RoomName,
        own: Incarnation,
        (what, number): (&str, u64),
    ) -> Errand<'a> {
        let key = self.keys.presence_index(Partition::of(room), &own.to_string());
        let mut command = self.script(ScriptCall::PresenceIndex, &key, up);
        command.arg(what).arg(room.as_str()).arg(number);
        Errand { room, script: Some(ScriptCall::PresenceIndex), command }
    }

    /// Adds an incarnation to those that write in a room's partition.
    pub(super) fn writer<'a>(&self, room: &'a RoomName, own: Incarnation) -> [Errand<'a>; 2] {
        let key = self.keys.presence_writers(Partition::of(room));
        let (mut add, mut keep) = (redis::cmd("SADD"), redis::cmd("PEXPIRE"));
        add.arg(&key).arg(own.to_string());
        keep.arg(&key).arg(KEPT_MS);
        [add, keep].map(|command| Errand { room, script: None, command })
    }

    /// A call of a script on one key.
    pub(super) fn script(&self, script: ScriptCall, key: &str, up: &LinkUp) -> Cmd {
        let mut command = script.on_keys(&[key]);
        command.arg(up.version).arg(self.keys.version());
        command
    }

    /// Sends commands in one pipeline; one answer for each.
    pub(super) async fn send(
        &self,
        up: &LinkUp,
        errands: Vec<Errand<'_>>,
    ) -> Vec<RedisResult<Value>> {
        let started = Instant::now();
        let mut pipeline = redis::pipe();
        for errand in &errands {
            pipeline.add_command(errand.command.clone());
        }
        let answers: RedisResult<Vec<RedisResult<Value>>> =
            pipeline.ignore_errors().query_async(&mut up.any()).await;
        let missing = || Err(RedisError::from((ErrorKind::Io, "no answer")));
        let mut answers = match answers {
            Ok(answers) => answers,
            Err(_) => errands.iter().map(|_| missing()).collect(),
        };
        answers.resize_with(errands.len(), missing);
        for (answer, errand) in answers.iter_mut().zip(&errands) {
            if let Err(error) = answer {
                *answer = self.alone(up, errand, std::mem::replace(error, lost())).await;
            }
        }
        let (command, metrics) = (BusCommand::Presence, &self.metrics);
        metrics.commands[command].inc_by(errands.len() as u64);
        metrics.command[command].observe(started.elapsed().as_secs_f64());
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        metrics.command_errors[command].inc_by(failed as u64);
        answers
    }

    /// Sends a command alone that failed in a pipeline, where that may help.
    async fn alone(
        &self,
        up: &LinkUp,
        errand: &Errand<'_>,
        error: RedisError,
    ) -> RedisResult<Value> {
        use ServerErrorKind::{Ask, NoScript};
        let may_help = matches!(error.kind(), ErrorKind::Server(Ask | NoScript));
        if error.is_cluster_error() {
            self.shards.doubt();
        }
        match (may_help, errand.script) {
            (false, _) => Err(error),
            (true, None) => {
                self.shards.ask(up, errand.room, std::slice::from_ref(&errand.command)).await
            }
            (true, Some(script)) => {
                let call = (script, errand.room);
                let command = |_: &LinkUp| errand.command.clone();
                let answer = self.shards.call(call, up, CallRoute::Room, command).await;
                answer.map(|(value, _)| value).map_err(|_| lost())
            }
        }
    }
}

fn lost() -> RedisError {
    (ErrorKind::Io, "no answer").into()
}

/// What became of a change.
pub(super) fn call_outcome(answer: RedisResult<Value>) -> CallOutcome {
    match answer {
        Ok(answer) => read_answer(answer),
        Err(error) => {
            tracing::debug!(%error, "presence was not written");
            CallOutcome::Lost
        }
    }
}

/// What became of a change of an index.
pub(super) fn index_outcome(answer: RedisResult<Value>) -> IndexOutcome {
    let words = answer.and_then(|answer| Ok(redis::from_redis_value::<Vec<String>>(answer)?));
    match words.as_ref().map(|words| words.first().map(String::as_str)) {
        Ok(Some("ok")) => IndexOutcome::Done,
        Ok(Some("dead")) => IndexOutcome::Dead,
        _ => IndexOutcome::Lost,
    }
}
