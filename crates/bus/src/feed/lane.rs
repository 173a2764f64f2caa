//! One lane: the rooms on one subscribe connection, which of them are subscribed, what is read
//! when. Pure: an event goes in with the moment it happens at, actions come out. `driver` carries
//! both from and to Redis; the simulation drives the same state.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_metrics::{BusMetrics, EpochResetCause, RepairCause};
use roomcast_protocol::{Epoch, RoomName, Seq};
use tokio::time::Instant;

use super::LaneHandle;
use super::order::{Need, Order};
use super::probe::Probe;
use super::read_queue::Turns;
use super::subscriptions::{Change, Subscriptions};
use super::tail_checks::Tails;
use crate::api::{FeedEvent, Found, Page, ReadError};
use crate::circuit::Circuit;
use crate::event_queue::Session;
use crate::log_throttle::Seldom;
use crate::payload::Push;
use crate::placement::keys::Keys;

/// Rooms whose standing is read at the same time: small answers, pipelined.
const STANDINGS: usize = 128;
/// Rooms whose stream is read at the same time.
const RANGES: usize = 4;

/// What the feeds ask of a lane.
#[derive(Debug)]
pub enum LaneCommand {
    /// Listen to a room.
    Open(RoomName, Session),
    /// Stop listening.
    Close(RoomName),
    /// Give a room to another lane, with all that is known of it.
    HandOver(RoomName, LaneHandle),
    /// Take a room over from another lane.
    TakeOver(RoomName, Box<LaneRoom>),
}

/// What a read found: the page and how the room was found.
pub type ReadResult = Result<(Page, Found), ReadError>;

/// Where a check saw a room's end: epoch, seq, life; `None` if Redis does not know the room.
pub type Tail = Option<(Epoch, Seq, String)>;

/// Everything that happens to a lane. Numbers named `generation` count the subscribe connections:
/// an answer that belongs to an older connection is ignored.
#[derive(Debug)]
pub enum LaneEvent {
    /// The feeds, or another lane, ask for something.
    Command(LaneCommand),
    /// The subscribe connection is made.
    Connected,
    /// It could not be made.
    ConnectFailed,
    /// It is lost.
    Closed(String),
    /// The primary is elsewhere than a connection of this generation leads to.
    PrimaryLeft(u64),
    /// A payload came on a channel.
    Pushed(Vec<u8>, Push),
    /// A command took effect for a channel.
    Confirmed(Vec<u8>, Change),
    /// Payloads of a channel were dropped: the inbox was full.
    Overflowed(Vec<u8>),
    /// All answers to a command came (`Ok`), or the command failed.
    Commanded {
        /// Of the connection that the command went out on.
        generation: u64,
        /// Why it failed.
        result: Result<(), String>,
    },
    /// A command was refused for some of its rooms, since they are elsewhere.
    Elsewhere {
        /// Of the connection that the command went out on.
        generation: u64,
        /// All rooms of the command.
        rooms: Vec<RoomName>,
    },
    /// A read ended.
    Read {
        /// The room that was read.
        room: RoomName,
        /// The number of the read.
        ticket: u64,
        /// What was asked for.
        need: Need,
        /// What came.
        result: ReadResult,
    },
    /// Tails were compared; `None`: Redis did not answer.
    Compared {
        /// Of the connection at the time of the question.
        generation: u64,
        /// Why they were compared.
        cause: RepairCause,
        /// Which rooms.
        rooms: Vec<RoomName>,
        /// Each room's tail.
        tails: Option<Vec<Tail>>,
    },
    /// A room was kept alive in Redis, and its end was seen.
    Held(RoomName, ReadResult),
    /// The end of a room whose slot is on the move was seen.
    Polled(RoomName, ReadResult),
    /// A probe was published (true) or refused.
    Probed(u64, bool),
    /// A probe came back.
    ProbeReturned(u64),
    /// A second passed.
    Tick,
}

/// What a lane wants done.
#[derive(Debug)]
pub enum LaneAction {
    /// Make a subscribe connection after a pause: `Connected` or `ConnectFailed` follows.
    Connect(Duration),
    /// Drop the subscribe connection.
    Disconnect,
    /// Watch whether the primary moves away from the connection: `PrimaryLeft`.
    WatchPrimary(u64),
    /// Subscribe or unsubscribe rooms: confirmations and `Commanded` or `Elsewhere` follow.
    Command {
        /// Of the connection it goes out on.
        generation: u64,
        /// What to do.
        change: Change,
        /// For these rooms.
        rooms: Vec<RoomName>,
    },
    /// Publish a probe of this number: `Probed` follows, and `ProbeReturned` if pushes work.
    Probe {
        /// Of the connection that should hear it.
        generation: u64,
        /// The number to publish.
        number: u64,
    },
    /// Read a room: `Read` follows.
    Read(RoomName, u64, Need),
    /// Compare tails: `Compared` follows.
    Compare {
        /// Of the connection now.
        generation: u64,
        /// Why.
        cause: RepairCause,
        /// Which rooms.
        rooms: Vec<RoomName>,
    },
    /// Keep a room alive in Redis: `Held` follows.
    Hold(RoomName),
    /// Hand events of one session of a room to the hub.
    Deliver(RoomName, Session, Vec<FeedEvent>),
    /// Send another lane a command.
    Send(LaneHandle, LaneCommand),
    /// The map of primaries may be wrong.
    DoubtMap,
    /// The primary may be gone.
    DoubtLink,
}

/// When an event happens, with what it may need from outside.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The time.
    pub now: Instant,
    /// A random number within 0 and 1, for jitter.
    pub dice: f64,
    /// The life of the primary's data, while the commands' connection is up.
    pub life: Option<Arc<str>>,
}

/// One open room.
#[derive(Debug)]
pub struct LaneRoom {
    pub(super) session: Session,
    pub(super) order: Order,
    /// The read under way; an answer to any other is ignored.
    pub(super) ticket: Option<u64>,
    /// When the current repair began.
    pub(super) repair: Option<Instant>,
    /// When the room was last kept alive in Redis.
    pub(super) held: Instant,
    /// When it last had a push; the busiest rooms are resubscribed first.
    pub(super) active: Instant,
}

impl LaneRoom {
    /// The opening of the room that this state belongs to.
    pub(crate) fn session(&self) -> Session {
        self.session
    }
}

/// What a lane is made with.
#[derive(Debug, Clone)]
pub struct LaneOptions {
    /// Names the channels.
    pub keys: Keys,
    /// Which of its primary's lanes it is, for the log.
    pub index: usize,
    /// How long a room is remembered beyond its last use; open rooms are held by touching them.
    pub linger: Duration,
    /// How long a round of the sweep takes.
    pub sweep: Duration,
}

/// A lane's state.
#[derive(Debug)]
pub struct Lane {
    pub(super) options: LaneOptions,
    pub(super) metrics: BusMetrics,
    pub(super) rooms: HashMap<RoomName, LaneRoom>,
    pub(super) channels: HashMap<Vec<u8>, RoomName>,
    pub(super) subscriptions: Subscriptions,
    pub(super) connected: bool,
    /// Rises with each loss of the connection; answers of older ones are ignored.
    pub(super) generation: u64,
    pub(super) circuit: Circuit,
    pub(super) probe: Probe,
    pub(super) standings: Turns,
    pub(super) ranges: Turns,
    pub(super) tails: Tails,
    pub(super) tickets: u64,
    /// (Un)subscribe commands under way.
    pub(super) commanding: usize,
    /// Rooms repaired since the log last named their number.
    pub(super) repaired: usize,
    /// Rooms that went on in another epoch since the log last named their number.
    pub(super) resets: usize,
    /// Subscriptions wanted and confirmed, as the metrics show them.
    pub(super) shown: (usize, usize),
    /// Pushes that cannot be read, for the log.
    pub(super) strangers: Seldom,
    actions: VecDeque<LaneAction>,
}

impl Lane {
    /// A lane without rooms or connection. Its first action is to connect.
    pub fn new(options: LaneOptions, metrics: BusMetrics) -> Self {
        let mut lane = Self {
            tails: Tails::new(options.sweep),
            options,
            metrics,
            rooms: HashMap::new(),
            channels: HashMap::new(),
            subscriptions: Subscriptions::default(),
            connected: false,
            generation: 0,
            circuit: Circuit::Closed,
            probe: Probe::default(),
            standings: Turns::new(STANDINGS),
            ranges: Turns::new(RANGES),
            tickets: 0,
            commanding: 0,
            repaired: 0,
            resets: 0,
            shown: (0, 0),
            strangers: Seldom::new(),
            actions: VecDeque::new(),
        };
        lane.act(LaneAction::Connect(Duration::ZERO));
        lane
    }

    /// Takes one event in. Call [`Self::advance`] after the last one of a turn.
    pub fn handle(&mut self, event: LaneEvent, at: &Moment) {
        match event {
            LaneEvent::Command(command) => self.obey(command, at),
            LaneEvent::Connected => self.connected(at),
            LaneEvent::ConnectFailed => self.connect_failed(at),
            LaneEvent::Closed(reason) => self.disconnect(&reason, at),
            LaneEvent::PrimaryLeft(generation) if generation == self.generation => {
                self.disconnect("the primary is elsewhere", at);
            }
            LaneEvent::PrimaryLeft(_) => {}
            LaneEvent::Pushed(channel, push) => self.pushed(&channel, push, at),
            LaneEvent::Confirmed(channel, change) => self.confirmed(&channel, change, at),
            LaneEvent::Overflowed(channel) => {
                if let Some(room) = self.channels.get(&channel).cloned() {
                    self.lost(&room, RepairCause::Overflow, at);
                }
            }
            LaneEvent::Commanded { generation, result } => self.commanded(generation, result, at),
            LaneEvent::Elsewhere { generation, rooms } => self.elsewhere(generation, &rooms),
            LaneEvent::Read { room, ticket, need, result } => {
                self.read(&room, ticket, need, result, at);
            }
            LaneEvent::Compared { generation, cause, rooms, tails } => {
                self.compared(generation, cause, &rooms, tails, at);
            }
            LaneEvent::Held(room, result) => self.held(&room, result, at),
            LaneEvent::Polled(room, result) => self.polled(&room, result, at),
            LaneEvent::Probed(generation, taken) => {
                if !taken {
                    self.act(LaneAction::DoubtLink);
                } else if generation == self.generation {
                    self.probe.taken();
                }
            }
            LaneEvent::ProbeReturned(number) => self.probe_returned(number, at),
            LaneEvent::Tick => self.tick(at),
        }
    }

    /// Ends a turn: sends the commands and starts the reads that may go now.
    pub fn advance(&mut self, at: &Moment) {
        self.send_commands();
        self.start_reads(at);
    }

    /// The next thing to do. Actions must be done in this order.
    pub fn next_action(&mut self) -> Option<LaneAction> {
        self.actions.pop_front()
    }

    /// When a read may start again that waits for the end of a pause.
    pub fn due(&self) -> Option<Instant> {
        self.standings.due().into_iter().chain(self.ranges.due()).min()
    }

    /// The rooms on this lane.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.rooms.keys()
    }

    /// Since when the longest waiting subscription is wanted without being confirmed.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.subscriptions.waiting_since()
    }

    /// Whether no room waits for a read.
    pub fn is_whole(&self) -> bool {
        self.rooms.values().all(|room| room.order.need().is_none())
    }

    pub(super) fn act(&mut self, action: LaneAction) {
        self.actions.push_back(action);
    }

    /// Hands a room's events to the hub and counts what they mean.
    pub(super) fn deliver(
        &mut self,
        name: &RoomName,
        events: Vec<FeedEvent>,
        found: Found,
        at: &Moment,
    ) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        for event in &events {
            match event {
                FeedEvent::Gap { .. } => self.metrics.gaps.inc(),
                FeedEvent::Reset { .. } => {
                    self.resets += 1;
                    self.metrics.epoch_resets[cause(found)].inc();
                }
                FeedEvent::Opened { .. } | FeedEvent::Messages(_) => {}
            }
        }
        if room.order.need().is_none()
            && let Some(began) = room.repair.take()
        {
            self.repaired += 1;
            self.metrics.repair.observe(at.now.duration_since(began).as_secs_f64());
        }
        if !events.is_empty() {
            let session = room.session;
            self.act(LaneAction::Deliver(name.clone(), session, events));
        }
    }
}

fn cause(found: Found) -> EpochResetCause {
    match found {
        Found::Known => EpochResetCause::Foreign,
        Found::New | Found::Missing => EpochResetCause::Missing,
        Found::Forked | Found::Unforked => EpochResetCause::Life,
    }
}
