//! The hub's loop: commands from workers, events from the bus, pages that were read, and time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hashbrown::HashMap;
use roomcast_bus::{Bus, FeedEvent, Feeds, History, ReadError, RoomEvent};
use roomcast_metrics::Metrics;
use roomcast_protocol::{RoomName, Seq};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::catchup::Ask;
use super::ledger::{Ledger, Phase};
use super::outlet::{Outlet, Sent};
use super::page::{Page, Part};
use super::{Floor, HubCommand, PageAnswer, WorkerEvent};
use crate::log::{Batch, Budget};
use crate::settings::Settings;

/// Opening deadlines, lingering rooms and full queues are looked at this often.
const TICK: Duration = Duration::from_millis(50);
/// How long a join waits for a room that is not open here, before the bus counts as away.
const OPEN_DEADLINE: Duration = Duration::from_secs(2);
/// Before a page is read again that could not be read.
const RETRY: Duration = Duration::from_millis(250);

/// A page that was read, or why not.
type PageRead = (RoomName, Part, Result<History, ReadError>);

/// Owns the logs of all rooms of the node.
pub(crate) struct Hub {
    bus: Bus,
    pub(super) feeds: Feeds,
    pub(super) rooms: HashMap<RoomName, Ledger>,
    pub(super) outlets: Vec<Outlet>,
    commands: mpsc::UnboundedReceiver<HubCommand>,
    /// Pages to be read, each after a pause; the loop starts the reads at the end of its turn.
    due: Vec<(RoomName, Part, Duration)>,
    /// One read at a time for each room bounds what stands here.
    reads: mpsc::UnboundedReceiver<PageRead>,
    read_done: mpsc::UnboundedSender<PageRead>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) budget: Budget,
    pub(super) metrics: Metrics,
    pub(super) ticks: u32,
}

impl Hub {
    /// A hub that feeds these workers.
    pub(crate) fn new(
        (bus, feeds): (Bus, Feeds),
        workers: Vec<mpsc::Sender<WorkerEvent>>,
        commands: mpsc::UnboundedReceiver<HubCommand>,
        settings: watch::Receiver<Arc<Settings>>,
        metrics: Metrics,
    ) -> Self {
        let (read_done, reads) = mpsc::unbounded_channel();
        let outlets = workers.into_iter().map(Outlet::new).collect();
        Self {
            bus,
            feeds,
            rooms: HashMap::new(),
            outlets,
            commands,
            due: Vec::new(),
            reads,
            read_done,
            settings,
            budget: Budget::default(),
            metrics,
            ticks: 0,
        }
    }

    /// Runs until the last worker has let go of its handle.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                events = self.feeds.next() => self.feed(events),
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                Some((room, part, read)) = self.reads.recv() => self.page_read(room, part, read),
                now = tick.tick() => self.tick(now),
            }
            for (room, part, pause) in self.take_due() {
                self.start_read(room, part, pause);
            }
        }
    }

    /// The reads to start now.
    pub(crate) fn take_due(&mut self) -> Vec<(RoomName, Part, Duration)> {
        std::mem::take(&mut self.due)
    }

    pub(crate) fn feed(&mut self, events: Vec<RoomEvent>) {
        let now = now_ms();
        for RoomEvent { room, event } in events {
            if let FeedEvent::Messages(messages) = &event {
                for message in messages {
                    self.metrics.delivery.observe_bus(message.time, now);
                }
            }
            self.apply(room, event);
        }
        self.keep_budget();
    }

    fn apply(&mut self, room: RoomName, event: FeedEvent) {
        let Some(ledger) = self.rooms.get_mut(&room) else { return };
        if let FeedEvent::Opened { lineage, last } = event {
            ledger.open(lineage, last);
            return self.announce(&room);
        }
        let is_reset = matches!(event, FeedEvent::Reset { .. });
        let max = self.settings.borrow().limits.lag_bytes;
        let batches = ledger.batches(&room, event, &self.budget);
        for batch in batches {
            let floor = ledger.append(batch.clone(), max);
            pass_on(&mut self.outlets, &self.metrics, &room, ledger, (batch, floor, is_reset));
        }
        if is_reset {
            let answers = ledger.catch_up.reset();
            self.answer(&room, answers);
        }
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
        let event = WorkerEvent::Attached {
            room: room.clone(),
            number,
            log: ledger.log.clone(),
            lineage: ledger.lineage.clone(),
            slow: ledger.floor().slow,
        };
        self.send(worker, room, event);
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
            Ledger::opening(Instant::now() + OPEN_DEADLINE)
        });
        ledger.attach(worker, number);
        match &mut ledger.phase {
            Phase::Open => self.attach_again(worker, &room),
            Phase::Opening { until } => *until = (*until).max(Instant::now() + OPEN_DEADLINE),
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
            Some(page) => ledger.catch_up.arrived(part, page),
            None => match ledger.catch_up.failed(part) {
                Ok(part) => return self.read(room, part, RETRY),
                Err(answers) => (answers, Ask::Wait),
            },
        };
        self.answer(&room, answers);
        if let Ask::Read(part) = next {
            self.read(room, part, Duration::ZERO);
        }
        self.keep_budget();
    }
}

/// Sends a batch to every worker that attached.
fn pass_on(
    outlets: &mut [Outlet],
    metrics: &Metrics,
    room: &RoomName,
    ledger: &Ledger,
    (batch, floor, is_reset): (Arc<Batch>, Floor, bool),
) {
    let number = ledger.log.end_cursor().batch - 1;
    for &(worker, _) in &ledger.workers {
        let event = WorkerEvent::Append {
            room: room.clone(),
            number,
            batch: batch.clone(),
            floor,
            lineage: is_reset.then(|| ledger.lineage.clone()),
            appended: Instant::now(),
        };
        if outlets[worker].send(room, event) == Sent::Marked {
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
