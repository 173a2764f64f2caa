//! The hub's loop: commands from workers, events from the bus, pages that were read, and time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::vec;

use hashbrown::HashMap;
use roomcast_bus::{Bus, FeedEvent, Feeds, RoomEvent};
use roomcast_metrics::Metrics;
use roomcast_protocol::RoomName;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::backfill_page::BackfillRange;
use super::backfill_reads::BackfillRead;
use super::commands::MAX_COMMANDS;
use super::ledger::RoomLedger;
use super::opening::Opening;
use super::room_states::StateRead;
use super::shares::Shares;
use super::typing::Typings;
use super::worker_queue::{Sent, WorkerQueue, queue_bytes};
use super::{HubCommand, WorkerEvent};
use crate::peers::PeerDesk;
use crate::room_log::{Batch, Budget, Floor};
use crate::settings::Settings;

/// Period of the hub's upkeep.
const TICK_PERIOD: Duration = Duration::from_millis(50);
/// Events of the bus, and commands, that are handled before the thread's other work gets a turn.
/// Half of a worker's queue, so that a worker which keeps up loses none of them; about 1 ms.
pub(super) const BURST: usize = 512;

/// Owns the logs of all rooms of the node.
pub(crate) struct Hub {
    pub(super) bus: Bus,
    pub(super) feeds: Feeds,
    pub(super) rooms: HashMap<RoomName, RoomLedger>,
    /// Every room of `rooms`, in the order in which the upkeep looks at them.
    pub(super) round: VecDeque<RoomName>,
    /// Rooms that the upkeep is to look at now.
    pub(super) to_sweep: usize,
    /// Fractions of a room that the upkeep is to look at, in units of one part of a round's ticks.
    pub(super) sweep_due: usize,
    /// Rooms when this round began. They set its pace, so that a round takes as long even if most
    /// rooms are closed during it.
    pub(super) round_size: usize,
    /// Rooms that this round has not looked at.
    pub(super) unseen: usize,
    /// Batches in the logs of the rooms that this round has looked at.
    pub(super) batches: usize,
    pub(super) opening: Opening,
    /// The upkeep is refusing workers that have waited too long for a room.
    pub(super) is_refusing: bool,
    pub(super) shares: Shares,
    /// Rooms that may keep pages.
    pub(super) paged: BTreeSet<RoomName>,
    /// Rooms with a state, which can be read again, by its size.
    pub(super) stated: Shares,
    /// When a value of which room is to be removed, or its state read for that; each room once.
    pub(super) state_ends: BTreeSet<(Instant, RoomName)>,
    pub(super) queues: Vec<WorkerQueue>,
    /// The node's part in questions between nodes.
    pub(super) peers: Option<Arc<PeerDesk>>,
    /// Rooms of which this turn has something for the workers beside their logs.
    pub(super) told: Vec<RoomName>,
    pub(super) typings: Typings,
    /// Rooms of whose people something is due, each once.
    pub(super) people_due: BTreeSet<(Instant, RoomName)>,
    commands: mpsc::Receiver<HubCommand>,
    /// Events of the bus that are not handled yet. The bus is not asked for more meanwhile.
    backlog: vec::IntoIter<RoomEvent>,
    /// Typings or rooms' people may be due that the upkeep has not looked at.
    pub(super) is_telling: bool,
    /// Reads to be started at the end of this turn of the loop, each after a pause.
    pub(super) reads_due: Vec<(RoomName, BackfillRange, Duration)>,
    /// Finished reads. Bounded by the number of rooms: each has one read at a time.
    reads: mpsc::UnboundedReceiver<BackfillRead>,
    pub(super) read_done: mpsc::UnboundedSender<BackfillRead>,
    /// Reads of state to be started at the end of this turn of the loop, each after a pause.
    pub(super) state_reads_due: Vec<(RoomName, u64, Duration)>,
    /// Finished reads of state. Bounded by the number of rooms, too.
    state_reads: mpsc::UnboundedReceiver<StateRead>,
    pub(super) state_read_done: mpsc::UnboundedSender<StateRead>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) budget: Budget,
    pub(super) metrics: Metrics,
}

impl Hub {
    /// A hub that sends events to these workers.
    pub(crate) fn new(
        (bus, feeds): (Bus, Feeds),
        workers: Vec<mpsc::Sender<WorkerEvent>>,
        commands: mpsc::Receiver<HubCommand>,
        settings: watch::Receiver<Arc<Settings>>,
        metrics: Metrics,
    ) -> Self {
        let (read_done, reads) = mpsc::unbounded_channel();
        let (state_read_done, state_reads) = mpsc::unbounded_channel();
        let budget = Budget::default();
        budget.deflate().set_min(settings.borrow().http.deflate_min);
        let queues = workers.into_iter().map(WorkerQueue::new).collect();
        Self {
            bus,
            feeds,
            rooms: HashMap::new(),
            round: VecDeque::new(),
            to_sweep: 0,
            sweep_due: 0,
            round_size: 0,
            unseen: 0,
            batches: 0,
            opening: Opening::default(),
            is_refusing: false,
            shares: Shares::default(),
            paged: BTreeSet::new(),
            stated: Shares::default(),
            state_ends: BTreeSet::new(),
            queues,
            peers: None,
            told: Vec::new(),
            typings: Typings::default(),
            people_due: BTreeSet::new(),
            is_telling: false,
            commands,
            backlog: Vec::new().into_iter(),
            reads_due: Vec::new(),
            reads,
            read_done,
            state_reads_due: Vec::new(),
            state_reads,
            state_read_done,
            settings,
            budget,
            metrics,
        }
    }

    /// The same hub, which hears what other nodes ask.
    pub(crate) fn with_peers(mut self, peers: Arc<PeerDesk>) -> Self {
        self.feeds.open(RoomName::nodes());
        self.peers = Some(peers);
        self
    }

    /// Runs until the last worker has dropped its handle. Work on many rooms at once is done in
    /// slices, with the thread's other work between them.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(TICK_PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut commands = Vec::with_capacity(MAX_COMMANDS.min(BURST));
        loop {
            tokio::select! {
                events = self.feeds.next(), if self.backlog.len() == 0 => {
                    self.backlog = events.into_iter();
                    self.feed_some();
                }
                count = self.commands.recv_many(&mut commands, BURST) => {
                    if count == 0 {
                        return;
                    }
                    commands.drain(..).for_each(|command| self.command(command));
                    self.slice();
                }
                Some((room, range, read)) = self.reads.recv() => {
                    self.read_ended(room, range, read);
                }
                Some((room, number, read)) = self.state_reads.recv() => {
                    self.state_read_ended(room, number, read);
                }
                now = tick.tick() => self.tick(now),
                () = tokio::task::yield_now(), if self.has_slices() => self.slice(),
            }
            for (room, range, pause) in self.take_reads_due() {
                self.start_read(room, range, pause);
            }
            for (room, number, pause) in self.take_state_reads_due() {
                self.start_state_read(room, number, pause);
            }
        }
    }

    /// Whether work that was begun is left for the next turns.
    fn has_slices(&self) -> bool {
        self.backlog.len() > 0 || self.has_upkeep()
    }

    /// Does a slice of the work that is left.
    fn slice(&mut self) {
        if self.has_slices() {
            self.feed_some();
            self.upkeep_some(Instant::now(), now_ms());
        }
    }

    /// Handles the next events of the bus.
    fn feed_some(&mut self) {
        let now = now_ms();
        for _ in 0..BURST {
            let Some(event) = self.backlog.next() else { break };
            self.take_in(event, now);
        }
        self.flush_told();
    }

    /// Handles an event of the bus; `now` is Unix time in ms.
    pub(super) fn take_in(&mut self, RoomEvent { room, event }: RoomEvent, now: u64) {
        if let FeedEvent::Messages(messages) = &event {
            for message in messages {
                self.metrics.delivery.observe_bus(message.time, now);
            }
        }
        match event {
            FeedEvent::Ephemeral(ephemeral) => self.hear(room, ephemeral),
            FeedEvent::Presence(news) => self.hear_news(room, news),
            event => self.apply(room, event),
        }
    }

    fn apply(&mut self, room: RoomName, event: FeedEvent) {
        let Some(ledger) = self.rooms.get_mut(&room) else { return };
        if let FeedEvent::Opened { lineage, last } = event {
            ledger.open(lineage, last);
            self.shares.put(&mut ledger.place, 0, &room);
            self.begin_state(&room);
            return self.send_log_to_all(&room);
        }
        if let FeedEvent::Receipts(news) = event {
            return self.tell_receipts(&room, &news);
        }
        let is_reset = matches!(event, FeedEvent::Reset { .. });
        let keeps_state = ledger.state.is_some();
        let is_cut =
            keeps_state && matches!(event, FeedEvent::Gap { .. } | FeedEvent::Reset { .. });
        let answers = if is_reset { ledger.backfill.reset() } else { Vec::new() };
        let batches = ledger.batches(&room, event, &self.budget);
        let (lag_bytes, log_bytes) = self.log_limits();
        let max = queue_bytes(log_bytes, self.queues.len());
        for batch in batches {
            let Some(ledger) = self.rooms.get_mut(&room) else { return };
            let mut floor = ledger.append(batch.clone(), lag_bytes);
            if is_cut {
                // Readers get the state behind it, and the frame that belongs to it.
                floor = ledger.cut();
            } else if keeps_state {
                let end = ledger.follow_state(&batch);
                self.end_by(&room, end);
            }
            let Some(ledger) = self.rooms.get_mut(&room) else { return };
            self.shares.settle(&mut ledger.place, ledger.log.bytes(), &room);
            let append = AppendedBatch { batch, floor, is_reset };
            pass_on(&mut self.queues, &self.metrics, &room, ledger, (&append, max));
            if self.budget.kept() > log_bytes {
                self.keep_budget(Some(&room));
            }
        }
        self.answer_backfill(&room, answers);
        if is_cut {
            self.begin_state(&room);
        } else if keeps_state {
            self.serve_state(&room);
        }
    }

    /// Sends an event that concerns a room to a worker. If the worker's queue is full, the room is
    /// marked instead.
    pub(super) fn send(&mut self, worker: usize, room: &RoomName, event: WorkerEvent) {
        if self.queues[worker].send(room, event) == Sent::Marked {
            self.metrics.rooms.hub_queue_full.inc();
        }
    }

    /// Handles a command of a worker.
    pub(crate) fn command(&mut self, command: HubCommand) {
        match command {
            HubCommand::Attach { worker, room, number } => self.attach(worker, room, number),
            HubCommand::Detach { worker, room } => self.detach(worker, &room),
            HubCommand::Backfill { worker, room, after } => {
                self.request_backfill(worker, &room, after);
            }
            HubCommand::State { worker, room, least } => self.request_state(worker, &room, least),
        }
    }
}

/// A batch that was appended to a log.
struct AppendedBatch {
    batch: Arc<Batch>,
    /// Batches that the log has dropped.
    floor: Floor,
    /// It begins a new epoch, so the workers need the lineage.
    is_reset: bool,
}

/// Sends a batch to every worker that is attached. None of their queues may hold more than `max`
/// bytes of logs.
fn pass_on(
    queues: &mut [WorkerQueue],
    metrics: &Metrics,
    room: &RoomName,
    ledger: &RoomLedger,
    (append, max): (&AppendedBatch, usize),
) {
    let number = ledger.log.end_cursor().batch - 1;
    let AppendedBatch { batch, floor, is_reset } = append;
    for &(worker, _) in &ledger.workers {
        let sent =
            queues[worker].send_log(room, (batch.weight(), max), |held| WorkerEvent::Append {
                room: room.clone(),
                number,
                batch: batch.clone(),
                floor: *floor,
                lineage: is_reset.then(|| ledger.lineage.clone()),
                appended: Instant::now(),
                held,
            });
        if sent == Sent::Marked {
            metrics.rooms.hub_queue_full.inc();
        }
    }
}

/// Unix time in ms by the node's clock. That clock may be set, so no duration within this node is
/// measured by it.
#[expect(
    clippy::disallowed_methods,
    reason = "it is compared with the times of messages, and shown"
)]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |time| time.as_millis() as u64)
}
