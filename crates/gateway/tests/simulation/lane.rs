//! A node's real lane in the simulated network: its subscribe connection, with the server's end of
//! it, and its questions to the servers. Each is sent in one step, answered there in another, and
//! arrives in a third, if at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use roomcast_bus::simulation::{
    EventQueue, Keyspace, LaneAction, LaneCommand, LaneEvent, LaneMoment, LaneOptions, Need,
    RoomFound, RoomPage, RoomPush, SubscriptionChange,
};
use roomcast_bus::{ReadError, RoomEvent, simulation as bus};
use roomcast_metrics::{BusMetrics, RepairCause};
use roomcast_protocol::{Epoch, Message, RoomName, Seq};
use tokio::time::Instant;

use super::redis::{Redis, Refused};
use super::stream::{self, Span};
use super::truth::Truth;
use super::{ROOMS, room_index, room_name};

/// Time between two ticks.
const TICK: Duration = Duration::from_secs(1);
/// How long a room is remembered: every few ticks the lane touches a room instead of comparing it.
const LINGER: Duration = Duration::from_secs(12);

/// What comes on a subscribe connection.
#[derive(Debug, Clone)]
enum Arrival {
    Message(usize, Epoch, Vec<Arc<Message>>),
    Confirmed(usize, SubscriptionChange),
    Probe(u64),
}

/// A subscribe connection, its server's end included.
#[derive(Debug)]
struct Listening {
    server: usize,
    commands: VecDeque<(u64, SubscriptionChange, Vec<RoomName>)>,
    subscribed: [bool; ROOMS],
    queue: VecDeque<Arrival>,
}

/// Where a server says that a room ends: epoch, seq and life, if it knows the room.
type Tail = Option<(Epoch, Seq, usize)>;

/// A question to the server that the node's commands went to.
#[derive(Debug)]
struct Asked<Q, A> {
    question: Q,
    server: Option<usize>,
    answer: Option<Result<A, Refused>>,
}

/// Why a room is read.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Need(u64, Need),
    Hold,
}

/// Tails to compare.
#[derive(Debug)]
struct Comparison {
    generation: u64,
    cause: RepairCause,
    rooms: Vec<RoomName>,
}

/// A lane and what it is connected to.
pub(super) struct Lane {
    /// The server that commands and reads go to.
    pub(super) link: Option<usize>,
    state: bus::LaneState,
    now: Instant,
    keys: Keyspace,
    /// The lane wants a subscribe connection.
    connecting: bool,
    listening: Option<Listening>,
    reads: VecDeque<Asked<(usize, Purpose), (RoomPage, RoomFound)>>,
    comparisons: VecDeque<Asked<Comparison, Vec<Tail>>>,
    /// Per room: subscribed, and the server that it listens to has not said where the room ends.
    is_unsure: [bool; ROOMS],
    /// What the hub has not taken.
    queue: EventQueue,
}

impl Lane {
    pub(super) fn new(metrics: &BusMetrics) -> Self {
        let keys = Keyspace::new("simulated");
        let options =
            LaneOptions { keys: keys.clone(), index: 0, linger: LINGER, sweep: Duration::ZERO };
        let mut lane = Self {
            link: None,
            state: bus::LaneState::new(options, metrics.clone()),
            now: Instant::now(),
            keys,
            connecting: false,
            listening: None,
            reads: VecDeque::new(),
            comparisons: VecDeque::new(),
            is_unsure: [false; ROOMS],
            queue: EventQueue::default(),
        };
        lane.act();
        lane
    }

    /// Whether what was pushed to a room before its subscription is left to a sweep: it was another
    /// server that said where the room ends.
    pub(super) fn is_leaky(&self) -> bool {
        (0..ROOMS).any(|room| self.is_open(room) && self.is_unsure[room])
    }

    pub(super) fn is_open(&self, room: usize) -> bool {
        self.queue.session(&room_name(room)).is_some()
    }

    /// Begins to listen to a room.
    pub(super) fn open(&mut self, room: usize) {
        if let Some(session) = self.queue.open(&room_name(room)) {
            self.handle(LaneEvent::Command(LaneCommand::Open(room_name(room), session)));
        }
    }

    /// Stops listening to it, and forgets what the hub has not taken of it.
    pub(super) fn close(&mut self, room: usize) {
        self.queue.close(&room_name(room));
        self.handle(LaneEvent::Command(LaneCommand::Close(room_name(room))));
    }

    /// The commands' connection leads to the primary.
    pub(super) fn connect(&mut self, redis: &Redis) {
        self.link = Some(redis.primary()).filter(|&server| redis.is_alive(server));
    }

    /// The subscribe connection that the lane wants is made to the primary.
    pub(super) fn listen(&mut self, redis: &Redis) {
        let server = redis.primary();
        if !redis.is_alive(server) || !std::mem::take(&mut self.connecting) {
            return;
        }
        let (commands, queue) = (VecDeque::new(), VecDeque::new());
        self.listening = Some(Listening { server, commands, subscribed: [false; ROOMS], queue });
        self.handle(LaneEvent::Connected);
    }

    /// The subscribe connection is lost with all that was in it.
    pub(super) fn deafen(&mut self) {
        if self.listening.is_some() {
            self.handle(LaneEvent::Closed("a step of the schedule".into()));
        }
    }

    /// Drops what goes to servers that are gone.
    pub(super) fn notice_deaths(&mut self, redis: &Redis) {
        if self.link.is_some_and(|server| !redis.is_alive(server)) {
            self.link = None;
        }
        if self.listening.as_ref().is_some_and(|feed| !redis.is_alive(feed.server)) {
            self.deafen();
        }
    }

    /// A second passes.
    pub(super) fn tick(&mut self) {
        self.now += TICK;
        self.handle(LaneEvent::Tick);
    }

    /// The server takes the (un)subscribe commands.
    pub(super) fn subscribe(&mut self) {
        let Some(feed) = &mut self.listening else { return };
        let mut done = Vec::new();
        for (generation, change, rooms) in feed.commands.drain(..) {
            for room in rooms {
                let room = room_index(&room);
                feed.subscribed[room] = change == SubscriptionChange::Subscribe;
                feed.queue.push_back(Arrival::Confirmed(room, change));
            }
            done.push(LaneEvent::Commanded { generation, result: Ok(()) });
        }
        done.into_iter().for_each(|event| self.handle(event));
    }

    /// A server pushes to its subscribers.
    pub(super) fn publish(&mut self, server: usize, room: usize, (epoch, messages): &stream::Push) {
        let Some(feed) = &mut self.listening else { return };
        if feed.server == server && feed.subscribed[room] {
            feed.queue.push_back(Arrival::Message(room, *epoch, messages.clone()));
        }
    }

    /// The next `count` things arrive.
    pub(super) fn receive(&mut self, count: usize) -> bool {
        let mut any = false;
        for _ in 0..count {
            let Some(arrival) = self.listening.as_mut().and_then(|feed| feed.queue.pop_front())
            else {
                break;
            };
            any = true;
            match arrival {
                Arrival::Message(room, epoch, messages) => {
                    let push = RoomPush::Messages(epoch, messages);
                    self.handle(LaneEvent::Pushed(self.channel(room), push));
                }
                Arrival::Confirmed(room, change) => {
                    self.is_unsure[room] |= change == SubscriptionChange::Subscribe;
                    self.handle(LaneEvent::Confirmed(self.channel(room), change));
                }
                Arrival::Probe(number) => self.handle(LaneEvent::ProbeReturned(number)),
            }
        }
        any
    }

    /// A push arrives twice, or not at all.
    pub(super) fn garble(&mut self, at: usize, twice: bool) -> bool {
        let Some(feed) = &mut self.listening else { return false };
        let Some(arrival) = feed.queue.get(at) else { return false };
        if !matches!(arrival, Arrival::Message(..)) {
            return false;
        }
        if twice {
            let again = arrival.clone();
            feed.queue.insert(at, again);
        } else {
            feed.queue.remove(at);
        }
        true
    }

    /// Everything arrives but a room's pushes, of which only the first few had space.
    pub(super) fn overflow(&mut self, room: usize, kept: usize) {
        let Some(feed) = &mut self.listening else { return };
        let (mut seen, mut lost) = (0, false);
        feed.queue.retain(|arrival| {
            let is_its = matches!(arrival, Arrival::Message(of, ..) if *of == room);
            seen += usize::from(is_its);
            lost |= is_its && seen > kept;
            !is_its || seen <= kept
        });
        self.receive(usize::MAX);
        if lost {
            self.handle(LaneEvent::Overflowed(self.channel(room)));
        }
    }

    /// The servers answer the oldest questions that they have not answered.
    pub(super) fn answer(&mut self, redis: &mut Redis, truth: &mut Truth) -> bool {
        let read = self.reads.iter_mut().find(|read| read.answer.is_none());
        let comparison = self.comparisons.iter_mut().find(|it| it.answer.is_none());
        let any = read.is_some() || comparison.is_some();
        if let Some(Asked { question: (room, purpose), server, answer }) = read {
            let span = match purpose {
                Purpose::Need(_, Need::After(seq, _)) => Span::Repair(*seq),
                Purpose::Need(_, Need::Standing) | Purpose::Hold => Span::Standing,
            };
            let server = server.ok_or(Refused::Away);
            *answer = Some(server.and_then(|server| redis.read(server, *room, span, truth)));
        }
        if let Some(Asked { question, server, answer }) = comparison {
            let rooms = question.rooms.iter().map(room_index);
            let server = server.ok_or(Refused::Away);
            *answer = Some(server.and_then(|server| {
                rooms.map(|room| redis.tail(server, room)).collect::<Result<_, _>>()
            }));
        }
        any
    }

    /// An answer arrives, or `fails` on its way.
    pub(super) fn read(&mut self, at: usize, fails: bool) -> bool {
        if at >= self.reads.len() {
            return false;
        }
        let Some(Asked { question, server, answer }) = self.reads.remove(at) else { return false };
        let ((room, purpose), name) = (question, room_name(question.0));
        let result = answer.filter(|_| !fails).and_then(Result::ok).ok_or(ReadError::Unavailable);
        if let (Purpose::Need(..), Ok(_)) = (purpose, &result) {
            self.is_unsure[room] &= !self.listens_to(server);
        }
        self.handle(match purpose {
            Purpose::Need(ticket, need) => LaneEvent::Read { room: name, ticket, need, result },
            Purpose::Hold => LaneEvent::Held(name, result),
        });
        true
    }

    /// A comparison of tails arrives, or `fails` on its way.
    pub(super) fn compare(&mut self, fails: bool) -> bool {
        let Some(asked) = self.comparisons.pop_front() else { return false };
        let Asked { question: Comparison { generation, cause, rooms }, server, answer } = asked;
        let tails = answer.filter(|_| !fails).and_then(Result::ok);
        if tails.is_some() && self.listens_to(server) {
            rooms.iter().for_each(|room| self.is_unsure[room_index(room)] = false);
        }
        let text = |(epoch, seq, life): (Epoch, Seq, usize)| (epoch, seq, life.to_string());
        let tails = tails.map(|tails| tails.into_iter().map(|tail| tail.map(text)).collect());
        self.handle(LaneEvent::Compared { generation, cause, rooms, tails });
        true
    }

    /// What the hub takes now.
    pub(super) fn take(&mut self) -> Vec<RoomEvent> {
        self.queue.take()
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        let heard = self.listening.as_ref().is_none_or(|feed| feed.queue.is_empty());
        heard && self.queue.is_empty() && self.state.is_whole()
    }

    fn channel(&self, room: usize) -> Vec<u8> {
        self.keys.channel(&room_name(room)).into_bytes()
    }

    fn listens_to(&self, server: Option<usize>) -> bool {
        self.listening.as_ref().is_some_and(|feed| Some(feed.server) == server)
    }

    fn handle(&mut self, event: LaneEvent) {
        let life = self.link.map(|server| server.to_string().into());
        let at = LaneMoment { now: self.now, dice: 0.0, life };
        self.state.handle(event, &at);
        self.state.advance(&at);
        self.act();
    }

    fn act(&mut self) {
        let mut probed = Vec::new();
        while let Some(action) = self.state.next_action() {
            let server = self.link;
            match action {
                LaneAction::Connect(_) => self.connecting = true,
                LaneAction::Disconnect => self.listening = None,
                LaneAction::Command { generation, change, rooms } => {
                    let Some(feed) = &mut self.listening else { continue };
                    feed.commands.push_back((generation, change, rooms));
                }
                LaneAction::Probe { generation, number } => {
                    probed.push(LaneEvent::Probed(generation, server.is_some()));
                    let Some(feed) = &mut self.listening else { continue };
                    if Some(feed.server) == server {
                        feed.queue.push_back(Arrival::Probe(number));
                    }
                }
                LaneAction::Read(room, ticket, need) => {
                    let question = (room_index(&room), Purpose::Need(ticket, need));
                    self.reads.push_back(Asked { question, server, answer: None });
                }
                LaneAction::Hold(room) => {
                    let question = (room_index(&room), Purpose::Hold);
                    self.reads.push_back(Asked { question, server, answer: None });
                }
                LaneAction::Compare { generation, cause, rooms } => {
                    let question = Comparison { generation, cause, rooms };
                    self.comparisons.push_back(Asked { question, server, answer: None });
                }
                LaneAction::Deliver(room, session, events) => {
                    self.queue.push(&room, session, events);
                }
                // A primary that moved is noticed by probes that stay away, which is later. One
                // lane has no other to hand rooms to, and there is one map only. These rooms have no
                // presence.
                LaneAction::WatchPrimary(_)
                | LaneAction::ComparePresence { .. }
                | LaneAction::Send(..)
                | LaneAction::DoubtMap
                | LaneAction::DoubtLink => {}
            }
        }
        probed.into_iter().for_each(|event| self.handle(event));
    }
}
