//! The way of ephemeral events over Redis: pushes without a script. Those of one primary wait in a
//! bounded line, travel in one pipeline at a time, and are dropped where that is too slow: no primary
//! stops those of another.

use std::collections::VecDeque;
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

/// Events that may wait for the task that sends, and in each primary's line.
const MAX_ITEMS: usize = 8192;
/// Bytes above which no more of them may wait.
const MAX_BYTES: usize = 4 << 20;
/// Events in one pipeline.
const ITEMS_PER_PIPELINE: usize = 512;
/// How long a pipeline may take; what comes meanwhile waits for the next one.
const PIPELINE_TIMEOUT: Duration = Duration::from_secs(1);

/// The handle by which they are sent.
#[derive(Clone)]
pub(crate) struct EphemeralSender {
    queue: mpsc::Sender<Push>,
    /// Bytes in the queue.
    queued: Arc<AtomicUsize>,
    shards: ServerMap,
}

/// One event on its way.
struct Push {
    room: RoomName,
    payload: Vec<u8>,
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
        let (lines, running) = (Vec::new(), FuturesUnordered::new());
        let (queued, shards) = (Arc::<AtomicUsize>::default(), tools.shards.clone());
        let driver = PushDriver { tools, pushes, queued: queued.clone(), lines, running };
        (Self { queue, queued, shards }, driver.run())
    }

    /// Sends an event, unless its primary is away or too much waits. What is dropped later is counted
    /// in `bus_ephemeral_dropped`.
    pub(crate) fn send(&self, room: &RoomName, ephemeral: &Ephemeral) -> EphemeralFate {
        let is_up = self.shards.of(room).is_some_and(|shard| shard.link.is_up());
        if !is_up || self.queued.load(Ordering::Relaxed) > MAX_BYTES {
            return EphemeralFate::Dropped;
        }
        let payload = encode_ephemeral(ephemeral);
        let bytes = payload.len();
        self.queued.fetch_add(bytes, Ordering::Relaxed);
        match self.queue.try_send(Push { room: room.clone(), payload }) {
            Ok(()) => EphemeralFate::Taken,
            Err(_) => {
                self.queued.fetch_sub(bytes, Ordering::Relaxed);
                EphemeralFate::Dropped
            }
        }
    }
}

/// What waits for one primary while a pipeline to it is under way.
#[derive(Default)]
struct PushLine {
    waiting: VecDeque<Push>,
    /// Bytes that wait or are under way.
    bytes: usize,
}

impl PushLine {
    /// Adds a push; false if too much waits.
    fn add(&mut self, push: Push) -> bool {
        let is_full = self.waiting.len() >= MAX_ITEMS || self.bytes > MAX_BYTES;
        if !is_full {
            self.bytes += push.payload.len();
            self.waiting.push_back(push);
        }
        !is_full
    }

    /// The pushes of the next pipeline; `landed` takes their bytes out.
    fn next(&mut self) -> Vec<Push> {
        let count = self.waiting.len().min(ITEMS_PER_PIPELINE);
        self.waiting.drain(..count).collect()
    }

    /// A pipeline with so many bytes ended.
    fn landed(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }
}

/// The task that sends: one pipeline per primary at a time.
struct PushDriver {
    tools: EphemeralTools,
    pushes: mpsc::Receiver<Push>,
    /// Bytes in the queue.
    queued: Arc<AtomicUsize>,
    /// Primaries with a pipeline under way.
    lines: Vec<(Arc<Shard>, PushLine)>,
    /// The pipelines, with the bytes of each.
    running: FuturesUnordered<BoxFuture<'static, (Arc<Shard>, usize)>>,
}

impl PushDriver {
    async fn run(mut self) {
        let mut turn = Vec::new();
        loop {
            tokio::select! {
                count = self.pushes.recv_many(&mut turn, ITEMS_PER_PIPELINE) => {
                    if count == 0 {
                        return;
                    }
                    let fresh: Vec<_> = turn.drain(..).filter_map(|push| self.line_up(push)).collect();
                    fresh.into_iter().for_each(|shard| self.send_next(&shard));
                }
                Some((shard, bytes)) = self.running.next() => {
                    if let Some(line) = self.line(&shard) {
                        line.landed(bytes);
                    }
                    self.send_next(&shard);
                }
            }
        }
    }

    fn line(&mut self, shard: &Arc<Shard>) -> Option<&mut PushLine> {
        let line = self.lines.iter_mut().find(|(other, _)| Arc::ptr_eq(other, shard));
        line.map(|(_, line)| line)
    }

    /// Puts a push into its primary's line; returns the primary if nothing was under way to it.
    fn line_up(&mut self, push: Push) -> Option<Arc<Shard>> {
        self.queued.fetch_sub(push.payload.len(), Ordering::Relaxed);
        let Some(shard) = self.tools.shards.of(&push.room) else {
            self.dropped(1);
            return None;
        };
        if let Some(line) = self.line(&shard) {
            let is_taken = line.add(push);
            self.dropped(usize::from(!is_taken));
            return None;
        }
        let mut line = PushLine::default();
        line.add(push);
        self.lines.push((shard.clone(), line));
        Some(shard)
    }

    fn dropped(&self, count: usize) {
        self.tools.metrics.ephemeral_dropped.inc_by(count as u64);
    }

    /// Sends what waits for a primary, or forgets its line.
    fn send_next(&mut self, shard: &Arc<Shard>) {
        let Some(at) = self.lines.iter().position(|(other, _)| Arc::ptr_eq(other, shard)) else {
            return;
        };
        let line = &mut self.lines[at].1;
        let Some(up) = shard.link.up().filter(|_| !line.waiting.is_empty()) else {
            let (_, line) = self.lines.swap_remove(at);
            return self.dropped(line.waiting.len());
        };
        let batch = line.next();
        let bytes: usize = batch.iter().map(|push| push.payload.len()).sum();
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
            metrics.ephemeral_dropped.inc_by(failed as u64);
            (shard, bytes)
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_bounded_by_number_and_by_bytes() {
        let push = |bytes| Push { room: RoomName::parse("a").unwrap(), payload: vec![0; bytes] };
        let mut line = PushLine::default();
        assert!((0..MAX_ITEMS).all(|_| line.add(push(1))));
        assert!(!line.add(push(1)));
        let first = line.next();
        assert_eq!(first.len(), ITEMS_PER_PIPELINE);
        assert!((0..ITEMS_PER_PIPELINE).all(|_| line.add(push(1))), "those under way do not wait");
        let mut line = PushLine::default();
        assert!(line.add(push(MAX_BYTES)) && line.add(push(1)) && !line.add(push(1)));
        let batch = line.next();
        assert!(!line.add(push(1)), "bytes under way count");
        line.landed(batch.iter().map(|push| push.payload.len()).sum());
        assert!(line.add(push(1)));
    }
}
