//! A lane's task: its loop, and what the lane's actions mean on Redis. `feed::lane` makes the
//! decisions.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use redis::RedisResult;
use roomcast_metrics::BusMetrics;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::inbox::{Inbox, Received};
use super::subscriber::{SubscribeDialect, Subscriber};
use super::tails::read_tails;
use crate::event_queue::EventQueue;
use crate::feed::LaneHandle;
use crate::feed::events::{LaneAction, LaneCommand, LaneEvent, LaneMoment};
use crate::feed::lane::{LaneOptions, LaneState};
use crate::feed::order::Need;
use crate::payload;
use crate::placement::keys::Keyspace;
use crate::primary::health::Vitals;
use crate::primary::link::RedisLink;
use crate::reads::RoomReader;
use crate::server_map::ServerMap;

/// Rooms opened or closed in one turn of the lane.
const COMMANDS_PER_TURN: usize = 256;
/// Rooms opened by one pipeline.
const ROOMS_PER_PIPELINE: usize = 64;
/// Interval of health reports, probes and the sweep.
const TICK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a room is read while its slot is on the move: its pushes may arrive where this node
/// does not listen yet.
const MOVING_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What a lane's driver works with.
pub(crate) struct LaneTools {
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
    /// The primary that this lane listens to.
    pub(crate) link: RedisLink,
    pub(crate) reader: RoomReader,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) vitals: Vitals,
    pub(crate) metrics: BusMetrics,
    /// How long Redis keeps a room after its last use; open rooms are prolonged before that.
    pub(crate) linger: Duration,
    /// How long a round of the sweep takes.
    pub(crate) sweep: Duration,
    /// The id of this run of this node.
    pub(crate) node: String,
    /// How rooms are subscribed.
    pub(crate) dialect: SubscribeDialect,
}

/// What ended: an event for the lane, or an attempt to connect.
pub(super) enum Done {
    Connected(RedisResult<Subscriber>),
    Event(LaneEvent),
    Events(Vec<LaneEvent>),
}

/// A lane with its connection and all work under way.
pub(crate) struct LaneDriver {
    index: usize,
    pub(super) tools: LaneTools,
    lane: LaneState,
    pub(super) probe_channel: String,
    commands: mpsc::UnboundedReceiver<LaneCommand>,
    pub(super) subscriber: Option<Subscriber>,
    /// When rooms on the move are read next; `None` while no slot moves.
    poll: Option<Instant>,
    pub(super) work: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl LaneDriver {
    /// A driver, and the handle that sends its lane commands.
    pub(crate) fn new(index: usize, tools: LaneTools) -> (Self, LaneHandle) {
        let (sender, commands) = mpsc::unbounded_channel();
        let LaneTools { keys, linger, sweep, .. } = &tools;
        let (linger, sweep) = (*linger, *sweep);
        let options = LaneOptions { keys: keys.clone(), index, linger, sweep };
        let driver = Self {
            index,
            lane: LaneState::new(options, tools.metrics.clone()),
            probe_channel: tools.keys.probe(&tools.node, index),
            commands,
            subscriber: None,
            poll: None,
            work: FuturesUnordered::new(),
            tools,
        };
        (driver, sender)
    }

    /// Runs until the last handle is dropped.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(TICK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.act();
        loop {
            let jammed = self.tools.events.is_full();
            let events = self.tools.events.clone();
            let inbox = self.subscriber.as_ref().map(|subscriber| subscriber.inbox.clone());
            let due = self.lane.due().into_iter().chain(self.poll).min();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                () = ready(inbox), if !jammed => self.take_mail(),
                () = events.taken(), if jammed => {}
                Some(done) = self.work.next() => self.finish(done),
                _ = tick.tick() => self.tick(),
                () = until(due) => self.poll_moving(),
            }
            let mut taken = 0;
            while taken < COMMANDS_PER_TURN
                && let Ok(command) = self.commands.try_recv()
            {
                self.command(command);
                taken += 1;
            }
            self.lane.advance(&self.moment());
            self.act();
            if taken == COMMANDS_PER_TURN {
                // Thousands of rooms may open at once: other tasks of the thread run between two
                // turns.
                tokio::task::yield_now().await;
            }
        }
    }

    fn moment(&self) -> LaneMoment {
        LaneMoment { now: Instant::now(), dice: rand::random(), life: self.tools.link.life() }
    }

    fn handle(&mut self, event: LaneEvent) {
        let at = self.moment();
        self.lane.handle(event, &at);
    }

    fn command(&mut self, command: LaneCommand) {
        // A room that another lane hands over may have been closed, or closed and opened again.
        if let LaneCommand::TakeOver(name, room) = &command
            && self.tools.events.session(name) != Some(room.session())
        {
            return;
        }
        self.handle(LaneEvent::Command(command));
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Connected(Ok(subscriber)) => {
                self.subscriber = Some(subscriber);
                self.handle(LaneEvent::Connected);
            }
            Done::Connected(Err(error)) => {
                tracing::debug!(lane = self.index, %error, "cannot connect for subscriptions");
                self.handle(LaneEvent::ConnectFailed);
            }
            Done::Event(event) => self.handle(event),
            Done::Events(events) => events.into_iter().for_each(|event| self.handle(event)),
        }
    }

    /// Takes what the connection received.
    fn take_mail(&mut self) {
        let Some(subscriber) = &self.subscriber else { return };
        let mail = subscriber.inbox.take();
        let at = self.moment();
        for received in mail.received {
            match received {
                Received::Message(channel, payload) if channel == self.probe_channel.as_bytes() => {
                    let number = std::str::from_utf8(&payload).ok().and_then(|it| it.parse().ok());
                    if let Some(number) = number {
                        self.tools.vitals.probed(self.index);
                        self.lane.handle(LaneEvent::ProbeReturned(number), &at);
                    }
                }
                Received::Message(channel, payload) => {
                    self.tools.metrics.pushes.inc();
                    self.tools.metrics.push_bytes.inc_by(payload.len() as u64);
                    let push = payload::decode_push(&payload);
                    self.lane.handle(LaneEvent::Pushed(channel, push), &at);
                }
                Received::Confirmed(channel, change) => {
                    self.lane.handle(LaneEvent::Confirmed(channel, change), &at);
                }
                Received::Closed => {
                    let reason = "the connection was closed".to_owned();
                    self.lane.handle(LaneEvent::Closed(reason), &at);
                    break;
                }
            }
        }
        for channel in mail.overflowed {
            self.lane.handle(LaneEvent::Overflowed(channel), &at);
        }
    }

    fn tick(&mut self) {
        self.handle(LaneEvent::Tick);
        self.tools.vitals.waiting(self.index, self.lane.waiting_since());
        self.tools.shards.show(&self.tools.metrics);
        self.poll_moving();
    }

    /// Reads the ends of rooms whose slot is on the move: they may be pushed where this node does
    /// not listen yet.
    fn poll_moving(&mut self) {
        let now = Instant::now();
        if self.poll.is_some_and(|due| due > now) {
            return;
        }
        let shards = &self.tools.shards;
        let moving = shards.is_any_moving();
        self.poll = moving.then(|| now + MOVING_POLL_INTERVAL);
        for room in self.lane.rooms().filter(|room| moving && shards.is_moving(room)) {
            let (reader, room) = (self.tools.reader.clone(), room.clone());
            self.work.push(Box::pin(async move {
                let result = reader.standing(&room).await;
                Done::Event(LaneEvent::Polled(room, result))
            }));
        }
    }

    /// Does what the lane wants done.
    fn act(&mut self) {
        let mut opening = Vec::new();
        while let Some(action) = self.lane.next_action() {
            match action {
                LaneAction::Connect(pause) => self.connect(pause),
                LaneAction::Disconnect => self.subscriber = None,
                LaneAction::WatchPrimary(generation) => self.watch_primary(generation),
                LaneAction::Command { generation, change, rooms } => {
                    self.send_command(generation, change, rooms);
                }
                LaneAction::Probe { generation, number } => self.send_probe(generation, number),
                LaneAction::Read(room, ticket, Need::Standing) => opening.push((room, ticket)),
                LaneAction::Read(room, ticket, need) => self.read(room, ticket, need),
                LaneAction::Compare { generation, cause, rooms } => {
                    let keys = self.tools.keys.clone();
                    let up = self.tools.link.up();
                    self.work.push(Box::pin(async move {
                        let tails = match up {
                            Some(up) => read_tails(&keys, &up, &rooms).await,
                            None => None,
                        };
                        Done::Event(LaneEvent::Compared { generation, cause, rooms, tails })
                    }));
                }
                LaneAction::ComparePresence { generation, cause, rooms } => {
                    self.compare_presence(generation, cause, rooms);
                }
                LaneAction::Hold(room) => {
                    let reader = self.tools.reader.clone();
                    self.work.push(Box::pin(async move {
                        let result = reader.standing(&room).await;
                        Done::Event(LaneEvent::Held(room, result))
                    }));
                }
                LaneAction::Deliver(room, session, delivered) => {
                    self.tools.events.push(&room, session, delivered);
                }
                // The send fails only when the bus ends.
                LaneAction::Send(lane, command) => drop(lane.send(command)),
                LaneAction::DoubtMap => self.tools.shards.doubt(),
                LaneAction::DoubtLink => self.tools.link.doubt(),
            }
        }
        opening.chunks(ROOMS_PER_PIPELINE).for_each(|rooms| self.read_standings(rooms));
    }
}

async fn ready(inbox: Option<Arc<Inbox>>) {
    match inbox {
        Some(inbox) => inbox.ready().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
