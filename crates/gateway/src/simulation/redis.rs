//! The model of Redis: what the scripts do, on servers that are trimmed, fail over to a replica
//! that lacks the last writes, or come back empty.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Included};
use std::rc::Rc;
use std::sync::Arc;

use roomcast_bus::simulation::Page;
use roomcast_protocol::{ConnectionId, Data, Epoch, Lineage, Message, Position, PublishKey, Seq};

use super::truth::{Id, Stored, Truth};
use super::{Climate, ROOMS};
use crate::hub::Part;

/// Writes that a replica may lack.
const MAX_LAG: usize = 8;
/// Ancestors that a room remembers, as in the scripts.
const MAX_ANCESTORS: usize = 16;

/// One publication on its way.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: Id,
    pub(super) key: Option<PublishKey>,
    pub(super) connection: Option<ConnectionId>,
    pub(super) echo: bool,
}

/// Publications of one room in one call.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The run of the node that sends it.
    pub(super) node: u64,
    pub(super) number: u64,
    pub(super) items: Vec<Item>,
}

/// Where each item of a group stands.
pub(super) type Answer = Vec<Position>;

/// What subscribers get of a group.
pub(super) type Push = (Epoch, Vec<Arc<Message>>);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The server is gone.
    Away,
    /// The group is older than one that this node sent later.
    Stale,
}

/// How a read found a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Known,
    New,
    Forked,
}

/// What is asked of a room's stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Span {
    Standing,
    /// After this seq, whatever users may see.
    Repair(Seq),
    /// This part of what users may see.
    History(Part),
}

#[derive(Debug, Clone)]
struct Room {
    epoch: Epoch,
    seq: Seq,
    /// The server that its epoch began on.
    life: usize,
    ancestors: Vec<(Epoch, Seq)>,
    stream: BTreeMap<Seq, Arc<Message>>,
    groups: BTreeMap<u64, (u64, Answer)>,
    keys: BTreeMap<PublishKey, Position>,
}

/// One server process; its place in the list is its life.
#[derive(Debug, Clone, Default)]
struct Server {
    alive: bool,
    rooms: [Option<Rc<Room>>; ROOMS],
    /// The last writes, undone by a failover: the room and what it was.
    undo: VecDeque<(usize, Option<Rc<Room>>)>,
}

/// All servers there ever were.
#[derive(Debug)]
pub(super) struct Redis {
    servers: Vec<Server>,
    climate: Climate,
    clock: u64,
}

impl Redis {
    pub(super) fn new(climate: Climate) -> Self {
        Self { servers: vec![Server { alive: true, ..Server::default() }], climate, clock: 1_000 }
    }

    /// The server that nodes find when they connect.
    pub(super) fn primary(&self) -> usize {
        self.servers.len() - 1
    }

    pub(super) fn is_alive(&self, server: usize) -> bool {
        self.servers[server].alive
    }

    /// Its clock, in ms.
    pub(super) fn clock(&self) -> u64 {
        self.clock
    }

    /// Another server takes over, without the last `lost` writes. The old one lives on until it
    /// is stopped.
    pub(super) fn fail_over(&mut self, lost: usize) {
        let mut next = self.servers[self.primary()].clone();
        for _ in 0..lost {
            let Some((room, before)) = next.undo.pop_back() else { break };
            next.rooms[room] = before;
        }
        next.alive = true;
        self.servers.push(next);
        self.stop_all_but(2);
    }

    /// An empty server takes over at once.
    pub(super) fn wipe(&mut self) {
        self.servers.push(Server { alive: true, ..Server::default() });
        self.stop_all_but(1);
    }

    /// Stops all servers but the newest ones.
    pub(super) fn stop_all_but(&mut self, newest: usize) {
        let old = self.servers.len().saturating_sub(newest);
        for server in &mut self.servers[..old] {
            *server = Server::default();
        }
    }

    /// Drops a room's oldest entries.
    pub(super) fn trim(&mut self, room: usize, count: usize, truth: &mut Truth) {
        let primary = self.primary();
        let Some(room) = &mut self.servers[primary].rooms[room] else { return };
        let room = Rc::make_mut(room);
        for _ in 0..count {
            if let Some((seq, _)) = room.stream.pop_first() {
                truth.hide(room.epoch, seq);
            }
        }
    }

    /// What `publish.lua` does.
    pub(super) fn publish(
        &mut self,
        server: usize,
        room: usize,
        group: &Group,
        truth: &mut Truth,
    ) -> Result<(Answer, Option<Push>), Refused> {
        if !self.servers[server].alive {
            return Err(Refused::Away);
        }
        if let Some(known) = &self.servers[server].rooms[room]
            && let Some((number, answer)) = known.groups.get(&group.node)
        {
            if *number == group.number {
                return Ok((answer.clone(), None));
            } else if *number > group.number {
                return Err(Refused::Stale);
            }
        }
        self.clock += 1;
        let (clock, keep, visible) = (self.clock, self.climate.window, self.climate.history);
        let (state, _) = self.write(server, room, truth);
        if state.life != server {
            fork(state, (server, room), truth);
        }
        let (mut answer, mut pushed) = (Vec::new(), Vec::new());
        for item in &group.items {
            if let Some(known) = item.key.as_ref().and_then(|key| state.keys.get(key)) {
                answer.push(*known);
                continue;
            }
            state.seq += 1;
            let at = Position { epoch: state.epoch, seq: state.seq };
            let Item { id, connection, echo, .. } = *item;
            truth.stored(at, Stored { id, connection, echo });
            let message = Arc::new(message(at.seq, clock, item));
            state.stream.insert(at.seq, message.clone());
            pushed.push(message);
            answer.push(at);
            if let Some(key) = &item.key {
                state.keys.insert(key.clone(), at);
            }
        }
        while state.stream.len() > keep {
            state.stream.pop_first();
        }
        let gone = state.stream.first_key_value().map_or(state.seq, |(&first, _)| first - 1);
        truth.hide(state.epoch, gone.max(state.seq.saturating_sub(visible)));
        state.groups.insert(group.node, (group.number, answer.clone()));
        let push = (!pushed.is_empty()).then_some((state.epoch, pushed));
        Ok((answer, push))
    }

    /// What `read.lua` does for a caller that is connected to this server.
    pub(super) fn read(
        &mut self,
        server: usize,
        room: usize,
        span: Span,
        truth: &mut Truth,
    ) -> Result<(Page, Found), Refused> {
        if !self.servers[server].alive {
            return Err(Refused::Away);
        }
        let known = self.servers[server].rooms[room].as_ref().map(|room| room.life);
        let mut found = Found::Known;
        if known != Some(server) {
            let (state, is_new) = self.write(server, room, truth);
            found = if is_new { Found::New } else { Found::Forked };
            if !is_new {
                fork(state, (server, room), truth);
            }
        }
        let Climate { page, history, .. } = self.climate;
        let state = self.servers[server].rooms[room].as_ref().expect("it was begun above");
        let oldest = state.seq.saturating_sub(history);
        let (after, to) = match span {
            Span::Standing => (Seq::MAX - 1, Seq::MAX),
            Span::Repair(after) => (after, Seq::MAX),
            Span::History(Part::After(after)) => (after.max(oldest), Seq::MAX),
            Span::History(Part::UpTo(to, _)) => (oldest.min(to), to),
        };
        let range = state.stream.range((Excluded(after), Included(to)));
        let mut messages: Vec<_> = range.map(|(_, message)| message.clone()).collect();
        let all = messages.len();
        if let Span::History(Part::UpTo(_, limit)) = span {
            messages.drain(..all.saturating_sub(page.min(limit as usize)));
        } else {
            messages.truncate(page);
        }
        let lineage = Lineage { epoch: state.epoch, ancestors: state.ancestors.clone() };
        let more = messages.len() < all;
        Ok((Page { lineage, last: state.seq, messages, more }, found))
    }

    /// Where a room stands, as the tail checks see it; `None` if the server does not know it.
    pub(super) fn tail(
        &self,
        server: usize,
        room: usize,
    ) -> Result<Option<(Epoch, Seq, usize)>, Refused> {
        let server = &self.servers[server];
        if !server.alive {
            return Err(Refused::Away);
        }
        Ok(server.rooms[room].as_ref().map(|room| (room.epoch, room.seq, room.life)))
    }

    /// Where a room stands on the primary.
    pub(super) fn end(&self, room: usize) -> Option<Position> {
        let room = self.servers[self.primary()].rooms[room].as_ref()?;
        Some(Position { epoch: room.epoch, seq: room.seq })
    }

    /// A room about to be changed, and whether it begins now.
    fn write(&mut self, server: usize, at: usize, truth: &mut Truth) -> (&mut Room, bool) {
        let Server { rooms, undo, .. } = &mut self.servers[server];
        undo.push_back((at, rooms[at].clone()));
        if undo.len() > MAX_LAG {
            undo.pop_front();
        }
        let is_new = rooms[at].is_none();
        let room = rooms[at].get_or_insert_with(|| {
            Rc::new(Room {
                epoch: truth.begin(at, None),
                seq: 0,
                life: server,
                ancestors: Vec::new(),
                stream: BTreeMap::new(),
                groups: BTreeMap::new(),
                keys: BTreeMap::new(),
            })
        });
        (Rc::make_mut(room), is_new)
    }
}

/// The room's life is another server's: it goes on in a new epoch.
fn fork(room: &mut Room, (life, index): (usize, usize), truth: &mut Truth) {
    room.ancestors.push((room.epoch, room.seq));
    if room.ancestors.len() > MAX_ANCESTORS {
        room.ancestors.remove(0);
    }
    room.epoch = truth.begin(index, Some((room.epoch, room.seq)));
    room.life = life;
}

fn message(seq: Seq, time: u64, item: &Item) -> Message {
    Message {
        seq,
        time,
        user: None,
        connection: item.connection,
        event: None,
        key: item.key.clone(),
        echo: item.echo,
        traceparent: None,
        data: Data::Json(item.id.to_string().into()),
    }
}
