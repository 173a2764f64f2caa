//! The model of Redis: what the scripts do, on servers that are trimmed, fail over to a replica
//! that lacks the last writes, or come back empty.

use std::collections::VecDeque;
use std::rc::Rc;

use roomcast_bus::RoomStateRead;
use roomcast_bus::simulation::{RoomFound, RoomPage};
use roomcast_protocol::{Epoch, Lineage, Position, Seq};

use super::state::StateHash;
use super::stream::{Answer, Group, Push, Room, Span};
use super::truth::Truth;
use super::{Climate, ROOMS};

/// Writes that a replica may lack.
const MAX_LAG: usize = 8;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The server is gone.
    Away,
    /// The group is older than one that this node sent later.
    Stale,
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
        let most = room.len().saturating_sub(count);
        Rc::make_mut(room).keep(most, self.climate.history, truth);
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
        let (clock, Climate { window, history, .. }) = (self.clock, self.climate);
        let width = self.climate.width(room);
        let (room, _) = self.write(server, room, truth);
        if room.life != server {
            room.fork(server, truth);
        }
        let pushed = room.take(group, (clock, width), truth);
        room.keep(window, history, truth);
        let push = (!pushed.is_empty()).then_some((room.epoch, pushed));
        Ok((room.groups[&group.node].1.clone(), push))
    }

    /// What `read.lua` does for a caller that is connected to this server: what looks at a room
    /// writes nothing, what holds it does.
    pub(super) fn read(
        &mut self,
        server: usize,
        room: usize,
        span: Span,
        truth: &mut Truth,
    ) -> Result<(RoomPage, RoomFound), Refused> {
        if !self.servers[server].alive {
            return Err(Refused::Away);
        }
        let climate = self.climate;
        match (&self.servers[server].rooms[room], span) {
            (Some(room), _) if room.life == server => {
                Ok((room.page(span, climate), RoomFound::Known))
            }
            (Some(room), Span::History(_)) => Ok((room.page(span, climate), RoomFound::Unforked)),
            (None, Span::History(_)) => {
                let lineage = Lineage::new(Epoch::NONE);
                let page = RoomPage { lineage, last: 0, messages: Vec::new(), more: false };
                Ok((page, RoomFound::Missing))
            }
            _ => {
                let (room, is_new) = self.write(server, room, truth);
                if !is_new {
                    room.fork(server, truth);
                }
                let found = if is_new { RoomFound::New } else { RoomFound::Forked };
                Ok((room.page(span, climate), found))
            }
        }
    }

    /// What `read_state.lua` does: it writes nothing, and finds a room that has not forked yet in the
    /// epoch of the server before.
    pub(super) fn read_state(&self, server: usize, room: usize) -> Result<RoomStateRead, Refused> {
        let Server { alive, rooms, .. } = &self.servers[server];
        if !alive {
            return Err(Refused::Away);
        }
        let nothing = || StateHash::default().read(Lineage::new(Epoch::NONE), 0);
        Ok(rooms[room].as_ref().map_or_else(nothing, |room| room.state()))
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
        let room = rooms[at].get_or_insert_with(|| Rc::new(Room::begin(at, server, truth)));
        (Rc::make_mut(room), is_new)
    }
}
