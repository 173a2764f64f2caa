//! Carries the desk's tasks out: those of one primary in one pipeline, each with its outcome.

use std::sync::Arc;

use redis::{ErrorKind, RedisError};
use roomcast_protocol::RoomName;

use super::call::CallOutcome;
use super::desk::{DeskTask, IndexOutcome};
use super::found::{FoundThere, Question};
use super::sender::{PresenceSender, call_outcome, index_outcome};
use crate::leases::Incarnation;
use crate::primary::link::LinkUp;
use crate::server_map::shard::Shard;

/// What became of a task.
pub(super) enum TaskOutcome {
    Indexed(IndexOutcome),
    Unindexed(IndexOutcome),
    Called(CallOutcome),
}

/// A task with its outcome.
pub(super) struct SentTask {
    pub(super) room: RoomName,
    pub(super) own: Incarnation,
    pub(super) outcome: TaskOutcome,
}

/// A task, and whether the partition does not know the incarnation as a writer yet.
type NewTask = (DeskTask, bool);

impl DeskTask {
    fn room(&self) -> &RoomName {
        match self {
            Self::Index(room, _) | Self::Unindex(room, ..) => room,
            Self::Call(call) => &call.room,
        }
    }

    fn lost(&self) -> TaskOutcome {
        match self {
            Self::Index(..) => TaskOutcome::Indexed(IndexOutcome::Lost),
            Self::Unindex(..) => TaskOutcome::Unindexed(IndexOutcome::Lost),
            Self::Call(_) => TaskOutcome::Called(CallOutcome::Lost),
        }
    }
}

impl PresenceSender {
    /// Tasks by primary; `None` for those of rooms without one.
    pub(super) fn by_primary(
        &self,
        tasks: Vec<DeskTask>,
    ) -> Vec<(Option<Arc<Shard>>, Vec<DeskTask>)> {
        self.group_all(tasks, DeskTask::room)
    }

    /// Items by the primary of their room; those of rooms without one are left out.
    pub(super) fn group<T>(
        &self,
        items: Vec<T>,
        room: impl Fn(&T) -> &RoomName,
    ) -> Vec<(Arc<Shard>, Vec<T>)> {
        let groups = self.group_all(items, room).into_iter();
        groups.filter_map(|(shard, items)| Some((shard?, items))).collect()
    }

    fn group_all<T>(
        &self,
        items: Vec<T>,
        room: impl Fn(&T) -> &RoomName,
    ) -> Vec<(Option<Arc<Shard>>, Vec<T>)> {
        let mut groups: Vec<(Option<Arc<Shard>>, Vec<T>)> = Vec::new();
        for item in items {
            let shard = self.shards.of(room(&item));
            let is_same = |other: &Option<Arc<Shard>>| match (other, &shard) {
                (Some(other), Some(shard)) => Arc::ptr_eq(other, shard),
                (None, None) => true,
                _ => false,
            };
            match groups.iter_mut().find(|(other, _)| is_same(other)) {
                Some((_, group)) => group.push(item),
                None => groups.push((shard, vec![item])),
            }
        }
        groups
    }

    /// Carries tasks of one primary out.
    pub(super) async fn send_tasks(
        &self,
        shard: Option<Arc<Shard>>,
        own: Incarnation,
        tasks: Vec<NewTask>,
    ) -> Vec<SentTask> {
        let Some(up) = shard.as_ref().and_then(|shard| shard.link.up()) else {
            let lost = |(task, _): NewTask| SentTask {
                room: task.room().clone(),
                own,
                outcome: task.lost(),
            };
            return tasks.into_iter().map(lost).collect();
        };
        let (tasks, mut sent) = self.look_before(&up, own, tasks).await;
        let mut errands = Vec::with_capacity(tasks.len());
        for (task, is_new) in &tasks {
            let room = task.room();
            match task {
                DeskTask::Index(_, number) => {
                    // Before the room: a refused write refuses what follows it.
                    errands.extend(is_new.then(|| self.writer(room, own)).into_iter().flatten());
                    errands.push(self.index(&up, room, own, ("add", *number)));
                }
                DeskTask::Unindex(_, number, _) => {
                    errands.push(self.index(&up, room, own, ("remove", *number)));
                }
                DeskTask::Call(call) => {
                    let kind = (call.kind, call.policy);
                    errands.push(self.change(&up, room, kind, &call.items));
                }
            }
        }
        let mut answers = self.send(&up, errands).await.into_iter();
        let missing = || Err(RedisError::from((ErrorKind::Io, "no answer")));
        let mut is_any_lost = false;
        sent.extend(tasks.into_iter().map(|(task, is_new)| {
            let mut is_next_refused = || answers.next().is_none_or(|answer| answer.is_err());
            let is_refused = is_new && (is_next_refused() | is_next_refused());
            let answer = answers.next().unwrap_or_else(missing);
            is_any_lost |= answer.is_err();
            let outcome = match &task {
                DeskTask::Index(..) if is_refused => task.lost(),
                DeskTask::Index(..) => TaskOutcome::Indexed(index_outcome(answer)),
                DeskTask::Unindex(..) => TaskOutcome::Unindexed(index_outcome(answer)),
                DeskTask::Call(_) => TaskOutcome::Called(call_outcome(answer)),
            };
            SentTask { room: task.room().clone(), own, outcome }
        }));
        if let (true, Some(shard)) = (is_any_lost, shard) {
            shard.link.doubt();
        }
        sent
    }

    /// A room leaves the index only if its hash has what this node wrote: after a failover it may
    /// have members that left, which the index alone leads to. Returns the tasks that go on, and the
    /// outcomes of the others.
    async fn look_before(
        &self,
        up: &LinkUp,
        own: Incarnation,
        tasks: Vec<NewTask>,
    ) -> (Vec<NewTask>, Vec<SentTask>) {
        let question = |(task, _): &NewTask| match task {
            DeskTask::Unindex(room, _, done) if *done > 0 => Some((room.clone(), *done, false)),
            _ => None,
        };
        let questions: Vec<Question> = tasks.iter().filter_map(question).collect();
        if questions.is_empty() {
            return (tasks, Vec::new());
        }
        let found = self.find(up, own, &questions).await;
        let found = found.into_iter().flatten().map(|found| found.own);
        let found = found.chain(std::iter::repeat(FoundThere::Unknown));
        let mut found = questions.into_iter().zip(found);
        let (mut left, mut sent) = (Vec::with_capacity(tasks.len()), Vec::new());
        for (task, is_new) in tasks {
            let outcome = match question(&(task.clone(), is_new)).and_then(|_| found.next()) {
                None | Some((_, FoundThere::Missing | FoundThere::Dead)) => None,
                Some(((_, done, _), FoundThere::Call(number))) => {
                    (number != done).then_some(IndexOutcome::Behind(number))
                }
                Some((_, FoundThere::Unknown)) => Some(IndexOutcome::Lost),
            };
            match outcome {
                None => left.push((task, is_new)),
                Some(outcome) => {
                    let (room, outcome) = (task.room().clone(), TaskOutcome::Unindexed(outcome));
                    sent.push(SentTask { room, own, outcome });
                }
            }
        }
        (left, sent)
    }
}
