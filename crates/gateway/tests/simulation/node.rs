//! One node: the model's lane and publishers around the real hub and the real workers, joined by
//! their real queues, of which every end moves in a step of its own.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use roomcast_bus::{Bus, History, MemoryOptions, Publication, ReadError, RoomStateRead};
use roomcast_metrics::Metrics;
use roomcast_protocol::{Lineage, NodeId, Seq};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::lane::Lane;
use super::publisher::Publisher;
use super::redis::{Redis, Refused};
use super::state::Change;
use super::stream::Span;
use super::truth::Truth;
use super::{Climate, ROOMS, room_index, room_name};
use crate::connection::Connection;
use crate::hub::{BackfillRange, Hub, HubCommand, HubHandle, WorkerEvent};
use crate::settings::Settings;
use crate::traces::Tracer;
use crate::worker::{BusAnswer, Worker};

/// Reads in vain after which the hub may give up.
const MAX_IN_VAIN: u32 = 7;

/// Longer than any deadline or linger of a node.
const LONG: Duration = Duration::from_secs(3600);

/// A question to Redis that is not about the feed, and its answer.
#[derive(Debug)]
struct Asked<Q, A> {
    question: Q,
    server: Option<usize>,
    answer: Option<Result<A, Refused>>,
}

/// A worker and its end of the queue from the hub.
pub(super) struct Desk {
    pub(super) worker: Rc<Worker>,
    events: mpsc::Receiver<WorkerEvent>,
    /// Per room: the worker's question where it stands was seen, by the room's own number.
    asking: [Option<u64>; ROOMS],
}

pub(super) struct Node {
    /// This run of it.
    pub(super) run: u64,
    pub(super) lane: Lane,
    pub(super) publishers: [Publisher; ROOMS],
    hub: Hub,
    commands: mpsc::Receiver<HubCommand>,
    pub(super) desks: Vec<Desk>,
    /// Pages of history that the hub asked for.
    pages: VecDeque<Asked<(usize, BackfillRange), History>>,
    /// Standings that workers asked for: worker and room.
    standings: VecDeque<Asked<(usize, usize), (Lineage, Seq)>>,
    /// Reads of state that the hub asked for, with their numbers.
    states: VecDeque<Asked<(usize, u64), RoomStateRead>>,
    /// How often the values with an end were ended: each time is later than the one before.
    endings: u32,
    /// Per room: how often in a row the hub read a page in vain.
    in_vain: [u32; ROOMS],
    _settings: watch::Sender<Arc<Settings>>,
}

impl Node {
    pub(super) fn new(
        run: u64,
        climate: Climate,
        settings: Arc<Settings>,
        metrics: &Metrics,
    ) -> Self {
        let (bus, feeds) = Bus::memory(MemoryOptions::default());
        let (handle, commands) = HubHandle::holding(climate.queue);
        let (_, unused) = HubHandle::new();
        let (settings_sender, settings_receiver) = watch::channel(settings.clone());
        let (mut queues, mut desks) = (Vec::new(), Vec::new());
        for index in 0..climate.workers {
            let (sender, events) = mpsc::channel(climate.queue);
            queues.push(sender);
            let (replies, _) = mpsc::unbounded_channel();
            let means = (bus.clone(), handle.clone(), replies);
            let named = (index, NodeId::parse("simulated").expect("a name"));
            let worker = Worker::new(
                named,
                means,
                settings.clone(),
                (metrics.clone(), Tracer::default()),
                Arc::default(),
            );
            desks.push(Desk { worker: Rc::new(worker), events, asking: [None; ROOMS] });
        }
        let hub = Hub::new((bus, feeds), queues, unused, settings_receiver, metrics.clone());
        Self {
            run,
            lane: Lane::new(&metrics.bus),
            publishers: Default::default(),
            hub,
            commands,
            desks,
            pages: VecDeque::new(),
            standings: VecDeque::new(),
            states: VecDeque::new(),
            endings: 0,
            in_vain: [0; ROOMS],
            _settings: settings_sender,
        }
    }

    /// The hub takes what the lane told.
    pub(super) fn feed(&mut self) -> bool {
        let events = self.lane.take();
        let any = !events.is_empty();
        self.hub.feed(events);
        self.after_hub();
        any
    }

    /// The hub takes up to `count` commands.
    pub(super) fn command(&mut self, count: usize) -> bool {
        let mut any = false;
        for _ in 0..count {
            self.desks.iter().for_each(|desk| desk.worker.tell_hub());
            let Ok(command) = self.commands.try_recv() else { break };
            any = true;
            self.hub.command(command);
            self.after_hub();
        }
        any
    }

    /// The hub looks at its queues; `late`: and at deadlines long past.
    pub(super) fn look_at_queues(&mut self, late: bool) {
        self.hub.look_at_queues(Instant::now() + if late { LONG } else { Duration::ZERO });
        self.after_hub();
    }

    /// The hub drops what a room's log has from before `oldest`.
    pub(super) fn expire(&mut self, room: usize, oldest: u64) {
        self.hub.expire(&room_name(room), oldest);
    }

    /// The hub closes the rooms that nobody came back to.
    pub(super) fn close_idle(&mut self) {
        self.hub.sweep(Instant::now() + LONG, 0);
        self.after_hub();
    }

    /// Does what the hub asked of the bus; whether it reads a page again.
    fn after_hub(&mut self) -> bool {
        for room in 0..ROOMS {
            match (self.hub.has(&room_name(room)), self.lane.is_open(room)) {
                (true, false) => self.lane.open(room),
                (false, true) => self.lane.close(room),
                _ => {}
            }
        }
        let mut is_retried = false;
        for (room, part, pause) in self.hub.take_reads_due() {
            is_retried |= !pause.is_zero();
            let (question, server) = ((room_index(&room), part), self.lane.link);
            self.pages.push_back(Asked { question, server, answer: None });
        }
        for (room, number, pause) in self.hub.take_state_reads_due() {
            is_retried |= !pause.is_zero();
            let (question, server) = ((room_index(&room), number), self.lane.link);
            self.states.push_back(Asked { question, server, answer: None });
        }
        is_retried
    }

    /// The servers answer pages and standings.
    pub(super) fn answer(&mut self, redis: &mut Redis, truth: &mut Truth) -> bool {
        let page = self.pages.iter_mut().find(|page| page.answer.is_none());
        let standing = self.standings.iter_mut().find(|standing| standing.answer.is_none());
        let state = self.states.iter_mut().find(|state| state.answer.is_none());
        let any = page.is_some() || standing.is_some() || state.is_some();
        if let Some(page) = page {
            let (room, part) = page.question;
            let answer = page
                .server
                .ok_or(Refused::Away)
                .and_then(|server| redis.read(server, room, Span::History(part), truth));
            page.answer = Some(answer.map(|(page, _)| History {
                lineage: page.lineage,
                last: page.last,
                messages: page.messages,
                more: page.more,
            }));
        }
        if let Some(state) = state {
            let ((room, _), server) = (state.question, state.server.ok_or(Refused::Away));
            state.answer = Some(server.and_then(|server| redis.read_state(server, room)));
        }
        if let Some(standing) = standing {
            let (_, room) = standing.question;
            let answer = standing
                .server
                .ok_or(Refused::Away)
                .and_then(|server| redis.read(server, room, Span::Standing, truth));
            standing.answer = Some(answer.map(|(page, _)| (page.lineage, page.last)));
        }
        any
    }

    /// A page arrives at the hub, or `fails` on its way. `Some(true)`: the hub gave up with it.
    pub(super) fn page(&mut self, at: usize, fails: bool) -> Option<bool> {
        let page = self.pages.remove(at)?;
        let ((room, part), answer) = (page.question, page.answer.filter(|_| !fails));
        let read = answer.and_then(Result::ok).ok_or(ReadError::Unavailable);
        self.hub.read_ended(room_name(room), part, read);
        let is_retried = self.after_hub();
        let gave_up = !is_retried && self.in_vain[room] >= MAX_IN_VAIN;
        self.in_vain[room] = if is_retried { self.in_vain[room] + 1 } else { 0 };
        Some(gave_up)
    }

    /// A read of state arrives at the hub, or `fails` on its way. Whether the hub reads it no more.
    pub(super) fn state(&mut self, at: usize, fails: bool) -> bool {
        let Some(state) = self.states.remove(at) else { return false };
        let ((room, number), answer) = (state.question, state.answer.filter(|_| !fails));
        let read = answer.and_then(Result::ok).ok_or(ReadError::Unavailable);
        self.hub.state_read_ended(room_name(room), number, read);
        !self.after_hub()
    }

    /// The time of all values with an end is over: what the hub publishes.
    pub(super) fn ends(&mut self) -> Vec<(usize, Change)> {
        self.endings += 1;
        let ends = self.hub.take_ends(Instant::now() + LONG * self.endings);
        let change = |(room, publication): (_, Publication)| {
            (room_index(&room), Change::end(&publication.state.expect("it changes the state")))
        };
        let mut ends: Vec<_> = ends.into_iter().map(change).collect();
        // The hub's order has chance in it.
        ends.sort_by_key(|(_, change)| change.key);
        ends
    }

    /// A standing arrives at its worker, or `fails` on its way.
    pub(super) fn standing(&mut self, at: usize, fails: bool) -> bool {
        let Some(standing) = self.standings.remove(at) else { return false };
        let ((worker, room), answer) = (standing.question, standing.answer.filter(|_| !fails));
        let standing = answer.and_then(Result::ok).ok_or(ReadError::Unavailable);
        let desk = &mut self.desks[worker];
        desk.worker.reply(BusAnswer::Standing { room: room_name(room), standing });
        desk.asking[room] = None;
        self.after_worker(worker);
        true
    }

    /// A worker takes the next event of the hub.
    pub(super) fn take_in(&mut self, worker: usize) -> bool {
        let desk = &mut self.desks[worker];
        let Ok(event) = desk.events.try_recv() else { return false };
        desk.worker.take_in(event);
        self.after_worker(worker);
        true
    }

    /// Whether the worker has begun to write everything that it has for a connection, so that
    /// nobody may call it slow: rooms it has closed already aside.
    pub(super) fn has_written_all(&self, worker: usize, connection: &Rc<Connection>) -> bool {
        let worker = &self.desks[worker].worker;
        let all = (0..ROOMS).filter_map(|room| worker.room(&room_name(room))).all(|room| {
            let Some((_, slot)) = connection.membership_in(room.id) else { return true };
            let state = room.state.borrow();
            !state.is_behind(slot) && !state.is_waiting(slot)
        });
        all && connection.is_open()
    }

    /// Nobody is here any more: in the end the node holds nothing.
    pub(super) fn wind_down(&mut self) {
        for _ in 0..2 {
            for worker in 0..self.desks.len() {
                while self.take_in(worker) {}
                while self.desks[worker].worker.turn() {}
                self.refuse_late(worker);
            }
            self.command(usize::MAX);
            self.close_idle();
            self.look_at_queues(false);
        }
        assert!(self.hub.is_bare(), "a node without connections keeps a room");
    }

    /// A worker refuses the joins that have waited too long.
    pub(super) fn refuse_late(&mut self, worker: usize) {
        while self.desks[worker].worker.refuse_late(Instant::now() + LONG, 1) {}
        self.after_worker(worker);
    }

    /// Notes which rooms a worker has asked the bus about.
    pub(super) fn after_worker(&mut self, worker: usize) {
        let server = self.lane.link;
        let desk = &mut self.desks[worker];
        for room in 0..ROOMS {
            let asking = desk.worker.room(&room_name(room)).and_then(|room| {
                let state = room.state.borrow();
                state.standing_asked.then(|| state.attachment.number())
            });
            if asking.is_some() && asking != desk.asking[room] {
                let question = (worker, room);
                self.standings.push_back(Asked { question, server, answer: None });
            }
            desk.asking[room] = asking;
        }
    }
}
