//! One lane: the rooms on one subscribe connection, which of them are subscribed, which reads are
//! made and when. Pure: an event goes in with its time, actions come out. `listening` connects it
//! to Redis; the simulation drives the same state.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_metrics::{BusMetrics, EpochResetCause, RepairCause};
use roomcast_protocol::{RoomKind, RoomName};
use tokio::time::Instant;

use super::events::{LaneAction, LaneEvent, LaneMoment};
use super::order::Order;
use super::presence_checks::PresenceChecks;
use super::presence_order::PresenceOrder;
use super::probe::Probe;
use super::read_queue::ReadQueue;
use super::subscriptions::Subscriptions;
use super::tail_checks::TailChecks;
use crate::api::{FeedEvent, RoomFound};
use crate::circuit::Circuit;
use crate::event_queue::FeedSession;
use crate::log_throttle::LogThrottle;
use crate::placement::keys::Keyspace;

/// Rooms whose position is read at the same time: small answers, pipelined.
const MAX_STANDING_READS: usize = 128;
/// Rooms whose stream is read at the same time.
const MAX_RANGE_READS: usize = 4;

/// One open room.
#[derive(Debug)]
pub struct LaneRoom {
    pub(super) session: FeedSession,
    pub(super) order: Order,
    /// The order of its presence.
    pub(super) presence: PresenceOrder,
    /// The read under way; any other answer is ignored.
    pub(super) ticket: Option<u64>,
    /// When the current repair began.
    pub(super) repair: Option<Instant>,
    /// When the room's keys were last prolonged in Redis.
    pub(super) held: Instant,
    /// When its last push arrived. The busiest rooms are resubscribed first.
    pub(super) active: Instant,
}

impl LaneRoom {
    /// The opening of the room that this state belongs to.
    pub(crate) fn session(&self) -> FeedSession {
        self.session
    }
}

/// What a lane is made with.
#[derive(Debug, Clone)]
pub struct LaneOptions {
    /// Names the channels.
    pub keys: Keyspace,
    /// Which of its primary's lanes it is, for the log.
    pub index: usize,
    /// How long Redis keeps a room after its last use; open rooms are prolonged before that.
    pub linger: Duration,
    /// How long a round of the sweep takes.
    pub sweep: Duration,
}

/// A lane's state.
#[derive(Debug)]
pub struct LaneState {
    pub(super) options: LaneOptions,
    pub(super) metrics: BusMetrics,
    pub(super) rooms: HashMap<RoomName, LaneRoom>,
    pub(super) channels: HashMap<Vec<u8>, RoomName>,
    pub(super) subscriptions: Subscriptions,
    pub(super) connected: bool,
    /// Rises by one with each loss of the connection; answers of older ones are ignored.
    pub(super) generation: u64,
    pub(super) circuit: Circuit,
    pub(super) probe: Probe,
    pub(super) standings: ReadQueue,
    pub(super) ranges: ReadQueue,
    pub(super) tail_checks: TailChecks,
    pub(super) presence_checks: PresenceChecks,
    pub(super) tickets: u64,
    /// (Un)subscribe commands under way.
    pub(super) commanding: usize,
    /// Rooms repaired since the last log line about them.
    pub(super) repaired: usize,
    /// Rooms that got another epoch since the last log line about them.
    pub(super) resets: usize,
    /// Subscriptions wanted and confirmed, as this lane last added them to the metrics.
    pub(super) shown: (usize, usize),
    /// Limits log lines about pushes that cannot be read.
    pub(super) unreadable_log: LogThrottle,
    actions: VecDeque<LaneAction>,
}

impl LaneState {
    /// A lane without rooms and without a connection. Its first action is to connect.
    pub fn new(options: LaneOptions, metrics: BusMetrics) -> Self {
        let mut lane = Self {
            tail_checks: TailChecks::new(options.sweep),
            presence_checks: PresenceChecks::default(),
            options,
            metrics,
            rooms: HashMap::new(),
            channels: HashMap::new(),
            subscriptions: Subscriptions::default(),
            connected: false,
            generation: 0,
            circuit: Circuit::Closed,
            probe: Probe::default(),
            standings: ReadQueue::new(MAX_STANDING_READS),
            ranges: ReadQueue::new(MAX_RANGE_READS),
            tickets: 0,
            commanding: 0,
            repaired: 0,
            resets: 0,
            shown: (0, 0),
            unreadable_log: LogThrottle::new(),
            actions: VecDeque::new(),
        };
        lane.act(LaneAction::Connect(Duration::ZERO));
        lane
    }

    /// Takes one event in. Call [`Self::advance`] after the last one of a turn.
    pub fn handle(&mut self, event: LaneEvent, at: &LaneMoment) {
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
                    self.doubt_presence(&room);
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
            LaneEvent::PresenceCompared { generation, cause, seen } => {
                self.presence_compared(generation, cause, seen);
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
    pub fn advance(&mut self, at: &LaneMoment) {
        self.send_commands();
        self.start_reads(at);
        self.check_presence();
    }

    /// The next thing to do. Actions must be done in this order.
    pub fn next_action(&mut self) -> Option<LaneAction> {
        self.actions.pop_front()
    }

    /// When the next read may start, if reads wait for the end of a pause.
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

    /// True if no room waits for a read.
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
        found: RoomFound,
        at: &LaneMoment,
    ) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        // The nodes' own room has no messages: nothing that happens to it is news.
        let counted = if name.kind() == RoomKind::Nodes { &[][..] } else { &events[..] };
        for event in counted {
            match event {
                FeedEvent::Gap { .. } => self.metrics.gaps.inc(),
                FeedEvent::Reset { .. } => {
                    self.resets += 1;
                    self.metrics.epoch_resets[cause(found)].inc();
                }
                FeedEvent::Opened { .. }
                | FeedEvent::Messages(_)
                | FeedEvent::Presence(_)
                | FeedEvent::Receipts(_)
                | FeedEvent::Ephemeral(_) => {}
            }
        }
        if room.order.need().is_none()
            && let Some(began) = room.repair.take()
        {
            self.repaired += usize::from(name.kind() != RoomKind::Nodes);
            self.metrics.repair.observe(at.now.duration_since(began).as_secs_f64());
        }
        if !events.is_empty() {
            let session = room.session;
            self.act(LaneAction::Deliver(name.clone(), session, events));
        }
    }
}

fn cause(found: RoomFound) -> EpochResetCause {
    match found {
        RoomFound::Known => EpochResetCause::Foreign,
        RoomFound::New | RoomFound::Missing => EpochResetCause::Missing,
        RoomFound::Forked | RoomFound::Unforked => EpochResetCause::Life,
    }
}
