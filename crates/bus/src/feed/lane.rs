//! One lane: a subscribe connection, the rooms on it, and the loop that keeps both right. It owns
//! the connection's life; each room's order is judged by `order`, who is subscribed by
//! `subscriptions`, what is read when by `turns` and `tails`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hashbrown::HashMap;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, RedisResult};
use roomcast_metrics::{BusMetrics, EpochResetCause, RepairCause};
use roomcast_protocol::{Epoch, RoomName, Seq};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::LaneHandle;
use super::exit::{Exit, Session};
use super::inbox::Inbox;
use super::order::{Need, Order, Page};
use super::probe::Probe;
use super::subscriptions::{Dialect, Subscriptions};
use super::tails::Tails;
use super::turns::Turns;
use crate::api::{FeedEvent, ReadError};
use crate::redis::circuit::Circuit;
use crate::redis::health::Vitals;
use crate::redis::keys::Keys;
use crate::redis::link::Link;
use crate::redis::reads::{Found, Reader};
use crate::redis::shards::Shards;
use crate::seldom::Seldom;

/// Rooms whose standing is read at the same time: small answers, pipelined.
const STANDINGS: usize = 128;
/// Rooms whose stream is read at the same time.
const RANGES: usize = 4;
/// Rooms opened or closed in one turn of the lane.
const COMMANDS_PER_TURN: usize = 256;
/// Health, probes and the sweep go by this beat.
const TICK: Duration = Duration::from_secs(1);

/// What the feeds ask of a lane.
#[derive(Debug)]
pub(crate) enum Command {
    /// Listen to a room.
    Open(RoomName, Session),
    /// Stop listening.
    Close(RoomName),
    /// Give a room to another lane, with all that is known of it.
    HandOver(RoomName, LaneHandle),
    /// Take a room over from another lane.
    TakeOver(RoomName, Box<Slot>),
}

/// What a lane works with.
pub(crate) struct Tools {
    pub(crate) keys: Keys,
    pub(crate) shards: Shards,
    /// The primary that this lane listens to.
    pub(crate) link: Link,
    pub(crate) reader: Reader,
    pub(crate) exit: Arc<Exit>,
    pub(crate) vitals: Vitals,
    pub(crate) metrics: BusMetrics,
    /// How long a room is remembered beyond its last use; open rooms are held by touching them.
    pub(crate) linger: Duration,
    /// How long a round of the sweep takes.
    pub(crate) sweep: Duration,
    /// This run of this node.
    pub(crate) node: String,
    /// How rooms are subscribed.
    pub(crate) dialect: Dialect,
}

/// One open room.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(super) session: Session,
    pub(super) order: Order,
    /// The read under way; an answer to any other is ignored.
    pub(super) ticket: Option<u64>,
    /// When the current repair began.
    pub(super) repair: Option<Instant>,
    /// When Redis was last told that somebody listens.
    pub(super) held: Instant,
    /// When it last had a push; the busiest rooms are resubscribed first.
    pub(super) active: Instant,
}

/// Where a check saw a room stand: epoch, seq, life; `None` if Redis does not know it.
pub(super) type Tail = Option<(Epoch, Seq, String)>;

/// What ended.
pub(super) enum Done {
    Connected(RedisResult<Connection>),
    /// The primary is elsewhere than a generation of the connection leads to.
    Left(u64),
    /// A (un)subscribe command of a generation of the connection.
    Commanded(u64, RedisResult<()>),
    /// Rooms that a command was refused for, since they are elsewhere.
    Elsewhere(u64, Vec<RoomName>),
    Read(RoomName, u64, Need, Result<(Page, Found), ReadError>),
    /// Tails compared for a cause, of a generation of the connection.
    Compared(u64, RepairCause, Option<Vec<(RoomName, Tail)>>),
    /// A room was told that somebody listens, and where it stands.
    Held(RoomName, Result<(Page, Found), ReadError>),
    /// Where a room on the move stands.
    Polled(RoomName, Result<(Page, Found), ReadError>),
    /// A probe was published, or not.
    Probed(u64, bool),
}

/// A subscribe connection.
pub(super) struct Connection {
    pub(super) sender: MultiplexedConnection,
    pub(super) inbox: Arc<Inbox>,
    pub(super) at: Arc<ConnectionInfo>,
}

/// A lane's state.
pub(crate) struct Lane {
    pub(super) index: usize,
    pub(super) tools: Tools,
    pub(super) probe_channel: String,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) rooms: HashMap<RoomName, Slot>,
    pub(super) channels: HashMap<Vec<u8>, RoomName>,
    pub(super) subscriptions: Subscriptions,
    pub(super) connection: Option<Connection>,
    /// Rises with each loss of the connection; answers of older ones are ignored.
    pub(super) generation: u64,
    pub(super) circuit: Circuit,
    pub(super) probe: Probe,
    pub(super) standings: Turns,
    pub(super) ranges: Turns,
    pub(super) tails: Tails,
    /// When rooms on the move are looked at next; none while no slot moves.
    pub(super) poll: Option<Instant>,
    pub(super) tickets: u64,
    /// Rooms repaired since the log last said so.
    pub(super) repaired: usize,
    /// Rooms that went on in another epoch since the log last said so.
    pub(super) resets: usize,
    /// (Un)subscribe commands under way.
    pub(super) commanding: usize,
    /// Subscriptions wanted and confirmed, as the metrics show them.
    pub(super) shown: (usize, usize),
    /// Pushes that cannot be read, for the log.
    pub(super) strangers: Seldom,
    pub(super) work: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Lane {
    /// A lane and where to send it commands.
    pub(crate) fn new(index: usize, tools: Tools) -> (Self, mpsc::UnboundedSender<Command>) {
        let (sender, commands) = mpsc::unbounded_channel();
        let lane = Self {
            index,
            probe_channel: tools.keys.probe(&tools.node, index),
            commands,
            rooms: HashMap::new(),
            channels: HashMap::new(),
            subscriptions: Subscriptions::default(),
            connection: None,
            generation: 0,
            circuit: Circuit::Closed,
            probe: Probe::default(),
            standings: Turns::new(STANDINGS),
            ranges: Turns::new(RANGES),
            tails: Tails::new(tools.sweep),
            poll: None,
            tickets: 0,
            repaired: 0,
            resets: 0,
            commanding: 0,
            shown: (0, 0),
            strangers: Seldom::new(),
            work: FuturesUnordered::new(),
            tools,
        };
        (lane, sender)
    }

    /// Runs until the feeds are gone.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.connect();
        loop {
            let jammed = self.tools.exit.is_full();
            let exit = self.tools.exit.clone();
            let inbox = self.connection.as_ref().map(|connection| connection.inbox.clone());
            let due = self.standings.due().into_iter().chain(self.ranges.due()).chain(self.poll);
            let due = due.min();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                () = ready(inbox), if !jammed => self.take_mail(),
                () = exit.taken(), if jammed => {}
                Some(done) = self.work.next() => self.finish(done),
                _ = tick.tick() => self.tick(),
                () = until(due) => self.poll_moving(),
            }
            let mut taken = 0;
            while taken < COMMANDS_PER_TURN
                && let Ok(command) = self.commands.try_recv()
            {
                self.obey(command);
                taken += 1;
            }
            self.send_commands();
            self.start_reads();
            if taken == COMMANDS_PER_TURN {
                // A crowd's rooms are many: the thread's other work has its turn between them.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Tells a room's events to the hub and counts what they mean.
    pub(super) fn tell(&mut self, room: &RoomName, events: Vec<FeedEvent>, found: Found) {
        let Some(slot) = self.rooms.get_mut(room) else { return };
        for event in &events {
            match event {
                FeedEvent::Gap { .. } => self.tools.metrics.gaps.inc(),
                FeedEvent::Reset { .. } => {
                    self.resets += 1;
                    self.tools.metrics.epoch_resets[cause(found)].inc();
                }
                FeedEvent::Opened { .. } | FeedEvent::Messages(_) => {}
            }
        }
        if slot.order.need().is_none()
            && let Some(began) = slot.repair.take()
        {
            self.repaired += 1;
            self.tools.metrics.repair.observe(began.elapsed().as_secs_f64());
        }
        if !events.is_empty() {
            self.tools.exit.tell(room, slot.session, events);
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
