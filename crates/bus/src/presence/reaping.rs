//! The reaper's task: after each advance of this node's lease it looks at partitions, and removes
//! the members of dead incarnations from their rooms. One that waits for the end of graces takes no
//! slot of those that work.

use std::collections::{BTreeSet, VecDeque};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use redis::RedisResult;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep_until;
use tracing::info;

use super::reap::{GraceRooms, next_look};
use super::reaper::{DeadWriter, Reaper};
use super::sender::PresenceSender;
use crate::leases::{Incarnation, LeaseNews};
use crate::placement::partition::Partition;
use crate::primary::link::LinkUp;

/// Own advances in a row since the links are as they are, before anything is removed: until then
/// nodes that live may have no lease yet.
const STEADY_ADVANCES: u64 = 5;
/// Partitions looked at by one pipeline.
const PARTITIONS_PER_LOOK: usize = 256;
/// Writers that are reaped at the same time.
const MAX_REAPINGS: usize = 16;

/// Whether a dead writer is gone.
pub(super) enum Reaped {
    /// Nothing of it is left.
    Done,
    /// Its members are gone, and graces of their users run.
    Graces(GraceRooms),
    /// Something failed: its partition is looked at again.
    Again,
}

/// The task's state.
pub(super) struct ReapingTask {
    pub(super) sender: PresenceSender,
    pub(super) lease: watch::Receiver<LeaseNews>,
    reaper: Reaper,
    /// The links, each with the number of advances when it came up.
    links: Vec<(LinkUp, u64)>,
    /// Dead writers that wait for their turn, with the rooms in which graces of them may be over.
    waiting: VecDeque<(DeadWriter, GraceRooms)>,
    /// Those that wait, are reaped, or are asleep.
    taken: BTreeSet<(Partition, Incarnation)>,
    /// Those of them that were found once more: data of another life may have their members again.
    found_again: BTreeSet<(Partition, Incarnation)>,
    work: FuturesUnordered<BoxFuture<'static, (DeadWriter, Reaped)>>,
    /// Those whose graces run.
    asleep: FuturesUnordered<BoxFuture<'static, (DeadWriter, GraceRooms)>>,
    /// The last advance that was acted on.
    seen: u64,
    /// The last incarnation in the log: it has many partitions.
    logged: Option<Incarnation>,
}

impl ReapingTask {
    pub(super) fn new(sender: PresenceSender, lease: watch::Receiver<LeaseNews>) -> Self {
        Self {
            sender,
            lease,
            reaper: Reaper::default(),
            links: Vec::new(),
            waiting: VecDeque::new(),
            taken: BTreeSet::new(),
            found_again: BTreeSet::new(),
            work: FuturesUnordered::new(),
            asleep: FuturesUnordered::new(),
            seen: 0,
            logged: None,
        }
    }

    /// Runs until the sender of `ended` is dropped.
    pub(super) async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut ended => return,
                changed = self.lease.changed() => match changed {
                    Ok(()) => self.advanced().await,
                    Err(_) => return,
                },
                Some((writer, reaped)) = self.work.next() => self.reaped(writer, reaped),
                Some((writer, graces)) = self.asleep.next() => self.wake(writer, graces),
            }
            self.start();
        }
    }

    fn reaped(&mut self, writer: DeadWriter, reaped: Reaped) {
        let id = (writer.partition, writer.incarnation);
        match reaped {
            Reaped::Done => {
                self.taken.remove(&id);
                if self.found_again.remove(&id) {
                    self.reaper.look_at(writer.partition);
                }
            }
            Reaped::Graces(rooms) => self.asleep.push(Box::pin(async move {
                sleep_until(next_look(&rooms)).await;
                (writer, rooms)
            })),
            Reaped::Again => {
                self.taken.remove(&id);
                self.found_again.remove(&id);
                self.reaper.look_at(writer.partition);
            }
        }
    }

    fn wake(&mut self, writer: DeadWriter, mut graces: GraceRooms) {
        if self.found_again.remove(&(writer.partition, writer.incarnation)) {
            // All rooms are cleared once more.
            graces.clear();
        }
        self.waiting.push_back((writer, graces));
    }

    /// Looks at the partitions that are due.
    async fn advanced(&mut self) {
        let news = self.lease.borrow_and_update().clone();
        let Some(own) = news.incarnation.filter(|_| news.streak > 0) else {
            return self.links.clear();
        };
        if news.advances == self.seen {
            return;
        }
        self.seen = news.advances;
        self.watch_links(news.advances);
        self.reaper.advanced(&news);
        if news.streak < STEADY_ADVANCES {
            return;
        }
        loop {
            let partitions = self.reaper.next(own, PARTITIONS_PER_LOOK);
            if partitions.is_empty() {
                break;
            }
            let (steady, unsteady): (Vec<_>, Vec<_>) =
                partitions.into_iter().partition(|partition| self.is_steady(*partition));
            let is_any = !steady.is_empty();
            let failed = self.look(steady, news.advances).await;
            let again: Vec<_> = unsteady.into_iter().chain(failed).collect();
            again.iter().for_each(|partition| self.reaper.look_at(*partition));
            // What could not be looked at is looked at after the next advance.
            if !is_any || !again.is_empty() {
                break;
            }
        }
        let dead = self.reaper.judge(&news);
        for writer in dead {
            let id = (writer.partition, writer.incarnation);
            if !self.is_steady(writer.partition) {
                self.reaper.look_at(writer.partition);
            } else if self.taken.insert(id) {
                self.waiting.push_back((writer, GraceRooms::new()));
            } else {
                self.found_again.insert(id);
            }
        }
    }

    fn watch_links(&mut self, advances: u64) {
        let old = std::mem::take(&mut self.links);
        for shard in self.sender.shards.shards() {
            let Some(up) = shard.link.up() else { continue };
            let known = old.iter().find(|(link, _)| link.is_same(&up));
            if known.is_none() {
                // Data of another life may have members of the dead again.
                Partition::all().for_each(|partition| self.reaper.look_at(partition));
            }
            let since = known.map_or(advances, |(_, since)| *since);
            self.links.push((up, since));
        }
    }

    /// Whether the way to a partition is as it was for long enough.
    fn is_steady(&self, partition: Partition) -> bool {
        let up = self.sender.shards.of_partition(partition).and_then(|shard| shard.link.up());
        let Some(up) = up else { return false };
        let link = self.links.iter().find(|(link, _)| link.is_same(&up));
        link.is_some_and(|(_, since)| self.seen - since >= STEADY_ADVANCES)
    }

    /// Reads who wrote in partitions. Returns those that gave no answer.
    async fn look(&mut self, partitions: Vec<Partition>, advances: u64) -> Vec<Partition> {
        let mut failed = Vec::new();
        let mut left = partitions;
        while let Some(first) = left.first().copied() {
            let Some(shard) = self.sender.shards.of_partition(first) else {
                failed.push(left.remove(0));
                continue;
            };
            let is_there = |partition: &Partition| {
                let other = self.sender.shards.of_partition(*partition);
                other.is_some_and(|other| std::sync::Arc::ptr_eq(&other, &shard))
            };
            let (mut here, elsewhere): (Vec<_>, Vec<_>) = left.into_iter().partition(is_there);
            left = elsewhere;
            let writers = match shard.link.up() {
                Some(up) if !here.is_empty() => self.sender.read_writers(&up, &here).await,
                _ => None,
            };
            let writers = writers.unwrap_or_default();
            for (partition, writers) in here.drain(..writers.len()).zip(writers) {
                match writers {
                    Ok(writers) => {
                        let writers: Vec<_> =
                            writers.iter().filter_map(|id| Incarnation::parse(id)).collect();
                        self.reaper.found(partition, &writers, advances);
                    }
                    Err(_) => failed.push(partition),
                }
            }
            failed.extend(here);
        }
        failed
    }

    /// Starts to reap those that wait.
    fn start(&mut self) {
        while self.work.len() < MAX_REAPINGS
            && let Some((writer, graces)) = self.waiting.pop_front()
        {
            let incarnation = writer.incarnation;
            if self.logged != Some(incarnation) {
                self.logged = Some(incarnation);
                info!(%incarnation, "removes a dead node's members");
            }
            let sender = self.sender.clone();
            self.work.push(Box::pin(async move { (writer, sender.reap(writer, graces).await) }));
        }
    }
}

impl PresenceSender {
    /// Who wrote in partitions of one primary.
    async fn read_writers(
        &self,
        up: &LinkUp,
        partitions: &[Partition],
    ) -> Option<Vec<RedisResult<Vec<String>>>> {
        let mut pipeline = redis::pipe();
        for partition in partitions {
            pipeline.cmd("SMEMBERS").arg(self.keys.presence_writers(*partition));
        }
        let answers: Vec<RedisResult<Vec<String>>> =
            pipeline.ignore_errors().query_async(&mut up.any()).await.ok()?;
        (answers.len() == partitions.len()).then_some(answers)
    }
}
