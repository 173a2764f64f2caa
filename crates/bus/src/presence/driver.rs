//! The desk's task: it takes what the node says of its members, carries the desk's calls out in
//! pipelines, and compares what Redis has with the desk.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use roomcast_metrics::PresenceChangeKind;
use roomcast_protocol::{ConnectionId, RoomName};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::call::CallOutcome;
use super::desk::{Desk, DeskTask, IndexOutcome, NumberFound};
use super::found::{Compared, FoundThere};
use super::scan::Scan;
use super::sender::PresenceSender;
use super::sending::{SentTask, TaskOutcome};
use super::upkeep::Upkeep;
use crate::api::{ChangeTally, Departure, PresenceMember, PresencePolicy, PresenceReply};
use crate::event_queue::EventQueue;
use crate::leases::{Incarnation, LeaseNews};
use crate::placement::partition::Partition;
use crate::primary::link::LinkUp;

/// Commands taken in one turn.
const COMMANDS_PER_TURN: usize = 512;
/// Calls in one pipeline.
const CALLS_PER_PIPELINE: usize = 64;
/// Pipelines under way at a time.
const MAX_PIPELINES: usize = 8;
/// Pause before a room that gave no answer is read again.
const SCAN_PAUSE: Duration = Duration::from_millis(500);
/// Interval of the upkeep.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// What the node says of its members.
pub(super) enum DeskCommand {
    Enter(RoomName, PresenceMember, PresencePolicy, PresenceReply),
    Show(RoomName, PresenceMember, PresenceReply),
    Exit(RoomName, ConnectionId, Departure),
    /// Answered when all is written.
    Flush(oneshot::Sender<()>),
}

/// What ended.
pub(super) enum DeskDone {
    Sent(Vec<SentTask>),
    Compared(Vec<Compared>),
    Scanned(RoomName, Incarnation, Option<Scan>),
    /// The rooms that the index of an incarnation has in some partitions, and those of them that gave
    /// no answer.
    Audited(Incarnation, Vec<RoomName>, Vec<Partition>),
    /// Members of incarnations without a lease were reported.
    Reported,
    /// Partitions whose index Redis does not have any more.
    Prolonged(Vec<Partition>),
}

/// The task's state.
pub(super) struct PresenceDriver {
    pub(super) desk: Desk<PresenceReply>,
    pub(super) sender: PresenceSender,
    pub(super) upkeep: Upkeep,
    pub(super) events: Arc<EventQueue>,
    pub(super) commands: mpsc::UnboundedReceiver<DeskCommand>,
    /// Rooms whose feed is open.
    pub(super) opened: mpsc::UnboundedReceiver<RoomName>,
    pub(super) lease: watch::Receiver<LeaseNews>,
    /// Tells the lease that an incarnation of this node is dead in a room.
    pub(super) refuse: mpsc::UnboundedSender<Incarnation>,
    pub(super) work: FuturesUnordered<BoxFuture<'static, DeskDone>>,
    /// Pipelines of calls under way.
    pub(super) pipelines: usize,
    /// Whether a comparison is under way.
    pub(super) is_comparing: bool,
    /// Whether an audit is under way.
    pub(super) is_auditing: bool,
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    /// The links as they were in the last turn.
    pub(super) links: Vec<LinkUp>,
}

impl PresenceDriver {
    /// Runs until the last handle is dropped.
    pub(super) async fn run(mut self) {
        let mut tick = interval(TICK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.desk.due();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                Some(room) = self.opened.recv() => self.desk.opened(&room),
                Some(done) = self.work.next() => self.finish(done),
                Ok(()) = self.lease.changed() => {}
                _ = tick.tick() => self.tick(),
                () = until(due) => {}
            }
            let mut taken = 0;
            while taken < COMMANDS_PER_TURN
                && let Ok(command) = self.commands.try_recv()
            {
                self.command(command);
                taken += 1;
            }
            self.turn();
            if taken == COMMANDS_PER_TURN {
                tokio::task::yield_now().await;
            }
        }
    }

    fn command(&mut self, command: DeskCommand) {
        match command {
            DeskCommand::Enter(room, member, policy, reply) => {
                let is_open = self.events.is_opened(&room);
                self.upkeep.add(&room, Instant::now());
                self.desk.enter(&room, member, policy, (is_open, reply));
            }
            DeskCommand::Show(room, member, reply) => self.desk.show(&room, member, reply),
            DeskCommand::Exit(room, connection, how) => self.desk.exit(&room, connection, how),
            DeskCommand::Flush(done) => self.flushes.push(done),
        }
    }

    /// Starts what may start now, and answers what is answered.
    fn turn(&mut self) {
        let now = Instant::now();
        self.desk.tick(now);
        self.watch_links();
        let writer = self.lease.borrow_and_update().writer(now);
        if let Some(own) = writer {
            if self.desk.write_as(own) {
                self.upkeep.begin_again();
            }
            while self.pipelines < MAX_PIPELINES && self.start_pipelines(own) {}
        }
        self.compare(now);
        self.audit(now);
        for (reply, counts) in self.desk.answers.drain(..) {
            reply(counts);
        }
        if !self.flushes.is_empty() && self.desk.is_idle() {
            for done in self.flushes.drain(..) {
                // Its caller may have stopped waiting.
                let _ = done.send(());
            }
        }
    }

    /// Starts a pipeline to each primary that has one of the next rooms; false if there is none.
    fn start_pipelines(&mut self, own: Incarnation) -> bool {
        let next = std::iter::from_fn(|| self.desk.next());
        let tasks: Vec<DeskTask> = next.take(CALLS_PER_PIPELINE).collect();
        let is_any = !tasks.is_empty();
        for (shard, tasks) in self.sender.by_primary(tasks) {
            let is_new = |room: &RoomName| !self.upkeep.is_written(Partition::of(room));
            let tasks = tasks.into_iter().map(|task| {
                let is_new = matches!(&task, DeskTask::Index(room, _) if is_new(room));
                (task, is_new)
            });
            let (sender, tasks) = (self.sender.clone(), tasks.collect());
            self.pipelines += 1;
            self.work.push(Box::pin(async move {
                DeskDone::Sent(sender.send_tasks(shard, own, tasks).await)
            }));
        }
        is_any
    }

    fn finish(&mut self, done: DeskDone) {
        let now = Instant::now();
        match done {
            DeskDone::Sent(tasks) => {
                self.pipelines -= 1;
                tasks.into_iter().for_each(|task| self.sent(task, now));
            }
            DeskDone::Compared(rooms) => {
                self.is_comparing = false;
                rooms.into_iter().for_each(|compared| self.compared(compared));
            }
            DeskDone::Scanned(room, own, Some(scan)) => {
                let (seats, leaving) = scan.of(own);
                self.desk.scanned(&room, seats, leaving, now);
            }
            DeskDone::Scanned(room, own, None) => {
                if self.lease.borrow().incarnation == Some(own) {
                    self.scan_after(SCAN_PAUSE, room, own);
                } else {
                    // What it had is replaced or reaped.
                    self.desk.scanned(&room, Vec::new(), Vec::new(), now);
                }
            }
            DeskDone::Audited(own, rooms, failed) => {
                self.is_auditing = false;
                failed.into_iter().for_each(|partition| self.upkeep.audit_again(partition));
                for room in rooms {
                    if self.desk.adopt(&room) {
                        self.scan(room, own);
                    }
                }
            }
            DeskDone::Reported => {}
            DeskDone::Prolonged(lost) if lost.is_empty() => {}
            DeskDone::Prolonged(lost) => {
                lost.iter().for_each(|partition| self.upkeep.doubt(*partition));
                self.desk.reindex(|room| lost.contains(&Partition::of(room)));
            }
        }
    }

    fn sent(&mut self, SentTask { room, own, outcome }: SentTask, now: Instant) {
        let is_dead = matches!(
            outcome,
            TaskOutcome::Called(CallOutcome::Dead) | TaskOutcome::Indexed(IndexOutcome::Dead)
        );
        if is_dead {
            // The receiver ends with the bus.
            let _ = self.refuse.send(own);
        }
        match outcome {
            TaskOutcome::Indexed(outcome) => {
                if outcome == IndexOutcome::Done && self.lease.borrow().incarnation == Some(own) {
                    self.upkeep.wrote(Partition::of(&room), now);
                }
                self.desk.indexed(&room, own, outcome, now);
            }
            TaskOutcome::Unindexed(outcome) => {
                if self.desk.unindexed(&room, own, outcome, now) {
                    self.scan(room, own);
                }
            }
            TaskOutcome::Called(outcome) => {
                if let CallOutcome::Done(answer) = &outcome {
                    self.count(answer.tally);
                }
                if self.desk.called(&room, own, outcome, now) {
                    self.upkeep.doubt(Partition::of(&room));
                    self.scan(room, own);
                }
            }
        }
    }

    fn count(&self, tally: ChangeTally) {
        let changes = &self.sender.metrics.presence_changes;
        changes[PresenceChangeKind::Joined].inc_by(tally.joined);
        changes[PresenceChangeKind::Left].inc_by(tally.left);
        changes[PresenceChangeKind::Info].inc_by(tally.infos);
        changes[PresenceChangeKind::Status].inc_by(tally.statuses);
    }

    fn compared(&mut self, Compared { room, own, done, found }: Compared) {
        let live = self.lease.borrow().live.clone();
        let dead: Vec<_> = found.others.into_iter().filter(|it| !live.contains(it)).collect();
        if !dead.is_empty() {
            self.report(room.clone(), dead);
        }
        let found = match found.own {
            FoundThere::Call(number) => NumberFound::Call(number),
            FoundThere::Missing => NumberFound::Missing,
            FoundThere::Dead => {
                let _ = self.refuse.send(own);
                return;
            }
            FoundThere::Unknown => return,
        };
        if self.desk.compared(&room, done, found) {
            self.upkeep.doubt(Partition::of(&room));
            self.scan(room, own);
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
