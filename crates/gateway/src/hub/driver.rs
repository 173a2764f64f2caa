//! The hub's loop: commands from workers, events from the bus, pages that were read, and time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::vec;

use hashbrown::HashMap;
use roomcast_bus::{Bus, FeedEvent, Feeds, History, ReadError, RoomEvent};
use roomcast_metrics::Metrics;
use roomcast_protocol::{RoomName, Seq};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::catchup::Ask;
use super::commands::MAX_COMMANDS;
use super::ledger::{Ledger, Phase};
use super::opening::Opening;
use super::outlet::{Outlet, Sent, queue_bytes};
use super::page::{Page, Part};
use super::shares::Shares;
use super::{HubCommand, PageAnswer, WorkerEvent};
use crate::log::{Batch, Budget, Floor};
use crate::settings::Settings;

/// Opening deadlines, lingering rooms and full queues are looked at this often.
const TICK: Duration = Duration::from_millis(50);
/// How long a join waits for a room that is not open here, before the bus counts as away.
const OPEN_DEADLINE: Duration = Duration::from_secs(2);
/// Events of the bus, and commands, that are handled before the thread's other work gets a turn:
/// half of a worker's queue, so that a worker which keeps up is sent all of it; 1 ms or so.
pub(super) const BURST: usize = 512;
/// Before a page is read again that could not be read.
const RETRY: Duration = Duration::from_millis(250);

/// A page that was read, or why not.
type PageRead = (RoomName, Part, Result<History, ReadError>);

/// Owns the logs of all rooms of the node.
pub(crate) struct Hub {
    bus: Bus,
    pub(super) feeds: Feeds,
    pub(super) rooms: HashMap<RoomName, Ledger>,
    /// Every room of `rooms`, in the order in which they are looked at.
    pub(super) round: VecDeque<RoomName>,
    /// Rooms that are to be looked at now, and hundredths of a room.
    pub(super) to_sweep: usize,
    pub(super) sweep_due: usize,
    /// Rooms when this round began: they set its pace, so that it takes its time even while most of
    /// them are closed.
    pub(super) round_size: usize,
    /// Rooms that this round has not looked at, and the batches in the logs of the others.
    pub(super) unseen: usize,
    pub(super) batches: usize,
    pub(super) opening: Opening,
    /// Those who have waited too long for a room are being refused.
    pub(super) is_refusing: bool,
    pub(super) shares: Shares,
    /// Rooms that may keep pages.
    pub(super) paged: BTreeSet<RoomName>,
    pub(super) outlets: Vec<Outlet>,
    commands: mpsc::Receiver<HubCommand>,
    /// What the bus told and no turn has come to. The bus is not asked meanwhile.
    backlog: vec::IntoIter<RoomEvent>,
    /// Pages to be read, each after a pause; the loop starts the reads at the end of its turn.
    due: Vec<(RoomName, Part, Duration)>,
    /// One read at a time for each room bounds what stands here.
    reads: mpsc::UnboundedReceiver<PageRead>,
    read_done: mpsc::UnboundedSender<PageRead>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) budget: Budget,
    pub(super) metrics: Metrics,
}

impl Hub {
    /// A hub that feeds these workers.
    pub(crate) fn new(
        (bus, feeds): (Bus, Feeds),
        workers: Vec<mpsc::Sender<WorkerEvent>>,
        commands: mpsc::Receiver<HubCommand>,
        settings: watch::Receiver<Arc<Settings>>,
        metrics: Metrics,
    ) -> Self {
        let (read_done, reads) = mpsc::unbounded_channel();
        let outlets = workers.into_iter().map(Outlet::new).collect();
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
            outlets,
            commands,
            backlog: Vec::new().into_iter(),
            due: Vec::new(),
            reads,
            read_done,
            settings,
            budget: Budget::default(),
            metrics,
        }
    }

    /// Runs until the last worker has let go of its handle. What concerns many rooms at once is done
    /// in slices, with the thread's other work between them.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(TICK);
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
                Some((room, part, read)) = self.reads.recv() => self.page_read(room, part, read),
                now = tick.tick() => self.tick(now),
                () = tokio::task::yield_now(), if self.has_slices() => self.slice(),
            }
            for (room, part, pause) in self.take_due() {
                self.start_read(room, part, pause);
            }
        }
    }

    /// Whether some of what was begun is left for other turns.
    fn has_slices(&self) -> bool {
        self.backlog.len() > 0 || self.has_upkeep()
    }

    /// Does a part of what is left.
    fn slice(&mut self) {
        if self.has_slices() {
            self.feed_some();
            self.upkeep_some(Instant::now(), now_ms());
        }
    }

    /// The reads to start now.
    pub(crate) fn take_due(&mut self) -> Vec<(RoomName, Part, Duration)> {
        std::mem::take(&mut self.due)
    }

    /// Takes in the next events of the bus.
    fn feed_some(&mut self) {
        let now = now_ms();
        for _ in 0..BURST {
            let Some(event) = self.backlog.next() else { break };
            self.take_in(event, now);
        }
    }

    /// Takes in an event of the bus; `now` is Unix time in ms.
    pub(super) fn take_in(&mut self, RoomEvent { room, event }: RoomEvent, now: u64) {
        if let FeedEvent::Messages(messages) = &event {
            for message in messages {
                self.metrics.delivery.observe_bus(message.time, now);
            }
        }
        self.apply(room, event);
    }

    fn apply(&mut self, room: RoomName, event: FeedEvent) {
        let Some(ledger) = self.rooms.get_mut(&room) else { return };
        if let FeedEvent::Opened { lineage, last } = event {
            ledger.open(lineage, last);
            self.shares.put(&mut ledger.place, 0, &room);
            return self.announce(&room);
        }
        let is_reset = matches!(event, FeedEvent::Reset { .. });
        let answers = if is_reset { ledger.catch_up.reset() } else { Vec::new() };
        let batches = ledger.batches(&room, event, &self.budget);
        let (lag_bytes, log_bytes) = self.log_limits();
        let max = queue_bytes(log_bytes, self.outlets.len());
        for batch in batches {
            let Some(ledger) = self.rooms.get_mut(&room) else { return };
            let floor = ledger.append(batch.clone(), lag_bytes);
            self.shares.settle(&mut ledger.place, ledger.log.bytes(), &room);
            let news = News { batch, floor, is_reset };
            pass_on(&mut self.outlets, &self.metrics, &room, ledger, (&news, max));
            if self.budget.kept() > log_bytes {
                self.keep_budget(Some(&room));
            }
        }
        self.answer(&room, answers);
    }

    /// The room is open: everybody who asked gets its log.
    fn announce(&mut self, room: &RoomName) {
        let Some(ledger) = self.rooms.get(room) else { return };
        let workers = ledger.workers.clone();
        for (worker, _) in workers {
            self.attach_again(worker, room);
        }
    }

    /// Sends a worker the log of a room it asked for, as it is now.
    pub(super) fn attach_again(&mut self, worker: usize, room: &RoomName) {
        let Some(ledger) = self.rooms.get(room) else { return };
        if ledger.phase != Phase::Open {
            return;
        }
        let Some(&(_, number)) = ledger.workers.iter().find(|(known, _)| *known == worker) else {
            return;
        };
        let max = queue_bytes(self.log_limits().1, self.outlets.len());
        let sent = self.outlets[worker].send_log(room, (ledger.log.bytes(), max), |held| {
            WorkerEvent::Attached {
                room: room.clone(),
                number,
                log: ledger.log.clone(),
                lineage: ledger.lineage.clone(),
                slow: ledger.floor().slow,
                held,
            }
        });
        if sent == Sent::Marked {
            self.metrics.rooms.hub_queue_full.inc();
        }
    }

    pub(super) fn send(&mut self, worker: usize, room: &RoomName, event: WorkerEvent) {
        if self.outlets[worker].send(room, event) == Sent::Marked {
            self.metrics.rooms.hub_queue_full.inc();
        }
    }

    pub(crate) fn command(&mut self, command: HubCommand) {
        match command {
            HubCommand::Attach { worker, room, number } => self.attach(worker, room, number),
            HubCommand::Detach { worker, room } => self.detach(worker, &room),
            HubCommand::Page { worker, room, after } => self.page(worker, &room, after),
        }
    }

    fn attach(&mut self, worker: usize, room: RoomName, number: u64) {
        let feeds = &mut self.feeds;
        let ledger = self.rooms.entry(room.clone()).or_insert_with(|| {
            feeds.open(room.clone());
            self.round.push_back(room.clone());
            Ledger::opening(Instant::now() + OPEN_DEADLINE)
        });
        ledger.attach(worker, number);
        match &mut ledger.phase {
            Phase::Open => self.attach_again(worker, &room),
            Phase::Opening { until } => {
                *until = (*until).max(Instant::now() + OPEN_DEADLINE);
                if !std::mem::replace(&mut ledger.is_watched, true) {
                    self.opening.watch(*until, room);
                }
            }
        }
    }

    fn detach(&mut self, worker: usize, room: &RoomName) {
        self.outlets[worker].forget(room);
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        ledger.detach(worker);
        if ledger.workers.is_empty() {
            ledger.idle_since = Some(Instant::now());
        }
    }

    fn page(&mut self, worker: usize, room: &RoomName, after: Seq) {
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        match ledger.catch_up.ask(worker, after, &ledger.log) {
            Ask::Answer(answer) => self.answer(room, vec![(worker, answer)]),
            Ask::Read(part) => self.read(room.clone(), part, Duration::ZERO),
            Ask::Wait => {}
        }
    }

    fn answer(&mut self, room: &RoomName, answers: Vec<(usize, PageAnswer)>) {
        for (worker, answer) in answers {
            let event = WorkerEvent::Page { room: room.clone(), answer };
            self.send(worker, room, event);
        }
    }

    fn read(&mut self, room: RoomName, part: Part, pause: Duration) {
        self.due.push((room, part, pause));
    }

    fn start_read(&self, room: RoomName, part: Part, pause: Duration) {
        self.metrics.rooms.catchup_reads.inc();
        let (bus, done) = (self.bus.clone(), self.read_done.clone());
        let request = part.request(self.settings.borrow().namespace_of(&room).retention);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let read = bus.history(&room, request).await;
            // The hub that asked may have ended meanwhile.
            let _ = done.send((room, part, read));
        });
    }

    pub(crate) fn page_read(
        &mut self,
        room: RoomName,
        part: Part,
        read: Result<History, ReadError>,
    ) {
        let Some(ledger) = self.rooms.get_mut(&room) else { return };
        let page =
            read.ok().and_then(|history| Page::of(&room, part, history, &ledger.log, &self.budget));
        let (answers, next) = match page {
            Some(page) => {
                let arrived = ledger.catch_up.arrived(part, page);
                if ledger.catch_up.has_pages() && !self.paged.contains(&room) {
                    self.paged.insert(room.clone());
                }
                arrived
            }
            None => match ledger.catch_up.failed(part) {
                Ok(part) => return self.read(room, part, RETRY),
                Err(answers) => (answers, Ask::Wait),
            },
        };
        self.answer(&room, answers);
        if let Ask::Read(part) = next {
            self.read(room, part, Duration::ZERO);
        }
        self.keep_budget(None);
    }
}

/// What was appended to a log.
struct News {
    batch: Arc<Batch>,
    floor: Floor,
    is_reset: bool,
}

/// Sends a batch to every worker that attached; none of their queues may hold more than `max` bytes.
fn pass_on(
    outlets: &mut [Outlet],
    metrics: &Metrics,
    room: &RoomName,
    ledger: &Ledger,
    (news, max): (&News, usize),
) {
    let number = ledger.log.end_cursor().batch - 1;
    let News { batch, floor, is_reset } = news;
    for &(worker, _) in &ledger.workers {
        let sent =
            outlets[worker].send_log(room, (batch.weight(), max), |held| WorkerEvent::Append {
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

/// Unix time in ms by the node's clock, which may be set: never for a duration within this node.
#[expect(
    clippy::disallowed_methods,
    reason = "it is compared with the times of messages, and shown"
)]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |time| time.as_millis() as u64)
}
