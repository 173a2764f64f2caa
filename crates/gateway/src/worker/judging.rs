//! Payload rules, applied to a publish before the bus. A small payload is judged where it came. A
//! large one is judged on another thread, one of a worker at a time, and its connection is not read
//! meanwhile, so that the order of its publishes stays.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use roomcast_protocol::{ConnectionId, ErrorCode, Publish};
use roomcast_schema::{BadData, JudgingCost, PayloadRules};
use tokio::sync::Semaphore;

use super::{BusAnswer, Worker};
use crate::connection::Connection;
use crate::publication::judge_options;

/// Large payloads of a worker that are judged or wait for it; a publish with one more is refused as
/// `overloaded`. Each is up to `limits.message_bytes` in size, and the one that is judged takes a
/// multiple of that.
const MAX_LARGE_WAITING: usize = 64;

/// The judge of large payloads of one worker.
#[derive(Debug)]
pub(super) struct LargeJudge {
    /// One is judged at a time.
    turn: Arc<Semaphore>,
    waiting: Cell<usize>,
}

impl Default for LargeJudge {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), waiting: Cell::new(0) }
    }
}

/// What came of judging a publish.
#[derive(Debug)]
pub(crate) struct Verdict {
    connection: ConnectionId,
    publish: Publish,
    outcome: Result<(), BadData>,
}

impl Worker {
    /// Publishes what the namespace's rules take, and refuses the rest.
    pub(super) fn publish_judged(&self, connection: &Rc<Connection>, publish: Publish) {
        let settings = self.settings();
        if let Err(reason) = judge_options(&publish, settings.namespace_of(&publish.room)) {
            return self.refuse(connection, publish.id, Some(&publish.room), reason);
        }
        let Some(rules) = settings.rules.of(&settings.namespace_of(&publish.room).rules_name)
        else {
            return self.publish(connection, publish);
        };
        match rules.cost(publish.event.as_ref(), &publish.data) {
            JudgingCost::Inline => {
                let outcome = rules.judge(publish.event.as_ref(), &publish.data);
                self.end_judging(connection, publish, outcome);
            }
            JudgingCost::Large => self.judge_later(connection, publish, rules.clone()),
        }
    }

    fn judge_later(&self, connection: &Rc<Connection>, publish: Publish, rules: Arc<PayloadRules>) {
        if self.large_judge.waiting.get() >= MAX_LARGE_WAITING {
            let reason = (ErrorCode::Overloaded, "too many large payloads wait to be judged");
            return self.refuse(connection, publish.id, Some(&publish.room), reason);
        }
        self.large_judge.waiting.set(self.large_judge.waiting.get() + 1);
        connection.judging.set(true);
        let (turn, answers) = (self.large_judge.turn.clone(), self.answers.clone());
        let connection = connection.id;
        tokio::task::spawn_local(async move {
            let judge = move || {
                let judge = || rules.judge(publish.event.as_ref(), &publish.data);
                let judged = catch_unwind(AssertUnwindSafe(judge));
                let outcome = judged.unwrap_or_else(|_panic| Err(unjudged()));
                Verdict { connection, publish, outcome }
            };
            let Ok(_turn) = turn.acquire().await else { return };
            match tokio::task::spawn_blocking(judge).await {
                // The worker may have ended meanwhile.
                Ok(verdict) => drop(answers.send(BusAnswer::Judged(Box::new(verdict)))),
                Err(error) => tracing::error!("judging a payload failed: {error}"),
            }
        });
    }

    /// A large payload was judged.
    pub(super) fn take_verdict(&self, verdict: Verdict) {
        self.large_judge.waiting.set(self.large_judge.waiting.get() - 1);
        let Verdict { connection, publish, outcome } = verdict;
        let Some(connection) = self.connections.get(connection) else { return };
        connection.judging.set(false);
        self.end_judging(&connection, publish, outcome);
        self.release(&connection);
        self.write_soon(&connection);
    }

    fn end_judging(
        &self,
        connection: &Rc<Connection>,
        publish: Publish,
        outcome: Result<(), BadData>,
    ) {
        match outcome {
            Ok(()) => self.publish(connection, publish),
            Err(bad) => {
                let message = bad.to_string();
                let reason = (ErrorCode::BadData, message.as_str());
                self.refuse(connection, publish.id, Some(&publish.room), reason);
            }
        }
    }
}

/// A payload at which the judge failed.
fn unjudged() -> BadData {
    BadData { path: "/data".to_owned(), reason: "it cannot be judged".to_owned() }
}
