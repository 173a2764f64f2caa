//! The way of ephemeral events over Redis: pushes without a script. They wait in a bounded queue,
//! travel in one pipeline per primary at a time, and are dropped where that is too slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use redis::{RedisResult, Value};
use roomcast_metrics::{BusCommand, BusMetrics};
use roomcast_protocol::RoomName;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::api::{Ephemeral, EphemeralFate};
use crate::payload::encode_ephemeral;
use crate::placement::keys::Keyspace;
use crate::server_map::ServerMap;
use crate::server_map::shard::Shard;

/// Events that may wait in one node, all rooms together.
const MAX_ITEMS: usize = 8192;
/// Their bytes.
const MAX_BYTES: usize = 4 << 20;
/// Events in one pipeline.
const ITEMS_PER_PIPELINE: usize = 512;
/// How long a pipeline may take; what comes meanwhile waits for the next one.
const PIPELINE_TIMEOUT: Duration = Duration::from_secs(1);

/// The handle by which they are sent.
#[derive(Clone)]
pub(crate) struct EphemeralSender {
    queue: mpsc::Sender<Push>,
    /// Bytes that wait.
    bytes: Arc<AtomicUsize>,
}

/// One event on its way.
struct Push {
    room: RoomName,
    payload: Vec<u8>,
    bytes: Arc<AtomicUsize>,
}

impl Drop for Push {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.payload.len(), Ordering::Relaxed);
    }
}

/// What the task that sends works with.
pub(crate) struct EphemeralTools {
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
    /// `PUBLISH`, or `SPUBLISH` in a cluster.
    pub(crate) push: &'static str,
    pub(crate) metrics: BusMetrics,
}

impl EphemeralSender {
    /// A sender and the task that serves it until the last handle is gone.
    pub(crate) fn new(tools: EphemeralTools) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, pushes) = mpsc::channel(MAX_ITEMS);
        let lines = Vec::new();
        let driver = PushDriver { tools, pushes, lines, running: FuturesUnordered::new() };
        (Self { queue, bytes: Arc::default() }, driver.run())
    }

    pub(crate) fn send(&self, room: &RoomName, ephemeral: &Ephemeral) -> EphemeralFate {
        if self.bytes.load(Ordering::Relaxed) > MAX_BYTES {
            return EphemeralFate::Dropped;
        }
        let payload = encode_ephemeral(ephemeral);
        self.bytes.fetch_add(payload.len(), Ordering::Relaxed);
        let push = Push { room: room.clone(), payload, bytes: self.bytes.clone() };
        match self.queue.try_send(push) {
            Ok(()) => EphemeralFate::Taken,
            Err(_) => EphemeralFate::Dropped,
        }
    }
}

/// What waits for one primary while a pipeline to it is under way.
struct Line {
    shard: Arc<Shard>,
    waiting: Vec<Push>,
}

/// The task that sends: one pipeline per primary at a time.
struct PushDriver {
    tools: EphemeralTools,
    pushes: mpsc::Receiver<Push>,
    /// Primaries with a pipeline under way.
    lines: Vec<Line>,
    running: FuturesUnordered<BoxFuture<'static, Arc<Shard>>>,
}

impl PushDriver {
    async fn run(mut self) {
        let mut turn = Vec::new();
        loop {
            // While much waits for slow primaries, the queue fills and its end drops.
            let waiting: usize = self.lines.iter().map(|line| line.waiting.len()).sum();
            tokio::select! {
                count = self.pushes.recv_many(&mut turn, ITEMS_PER_PIPELINE),
                    if waiting < MAX_ITEMS =>
                {
                    if count == 0 {
                        return;
                    }
                    let fresh: Vec<_> = turn.drain(..).filter_map(|push| self.line_up(push)).collect();
                    fresh.into_iter().for_each(|shard| self.send_next(&shard));
                }
                Some(shard) = self.running.next() => self.send_next(&shard),
            }
        }
    }

    /// Puts a push into its primary's line; returns the primary if nothing was under way to it.
    fn line_up(&mut self, push: Push) -> Option<Arc<Shard>> {
        let shard = self.tools.shards.of(&push.room)?;
        let known = self.lines.iter_mut().find(|line| Arc::ptr_eq(&line.shard, &shard));
        if let Some(line) = known {
            line.waiting.push(push);
            return None;
        }
        self.lines.push(Line { shard: shard.clone(), waiting: vec![push] });
        Some(shard)
    }

    /// Sends what waits for a primary, or forgets its line.
    fn send_next(&mut self, shard: &Arc<Shard>) {
        let Some(at) = self.lines.iter().position(|line| Arc::ptr_eq(&line.shard, shard)) else {
            return;
        };
        let waiting = &mut self.lines[at].waiting;
        let Some(up) = shard.link.up().filter(|_| !waiting.is_empty()) else {
            self.lines.swap_remove(at);
            return;
        };
        let batch: Vec<Push> = waiting.drain(..waiting.len().min(ITEMS_PER_PIPELINE)).collect();
        let mut pipeline = redis::pipe();
        for push in &batch {
            let channel = self.tools.keys.channel(&push.room);
            pipeline.cmd(self.tools.push).arg(channel).arg(push.payload.as_slice());
        }
        let (metrics, shards) = (self.tools.metrics.clone(), self.tools.shards.clone());
        metrics.commands[BusCommand::Push].inc_by(batch.len() as u64);
        let shard = shard.clone();
        self.running.push(Box::pin(async move {
            let mut connection = up.any();
            let answers = pipeline.ignore_errors().query_async(&mut connection);
            let answers: Result<RedisResult<Vec<RedisResult<Value>>>, _> =
                timeout(PIPELINE_TIMEOUT, answers).await;
            let failed = match answers {
                Ok(Ok(answers)) => {
                    let errors = answers.iter().filter_map(|answer| answer.as_ref().err());
                    let (count, moved) = errors.fold((0, false), |(count, moved), error| {
                        (count + 1, moved || error.is_cluster_error())
                    });
                    if moved {
                        shards.doubt();
                    }
                    count
                }
                _ => batch.len(),
            };
            metrics.command_errors[BusCommand::Push].inc_by(failed as u64);
            shard
        }));
    }
}
