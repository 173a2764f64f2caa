//! A lane's reads: opening rooms, repairing them, comparing their tails. One read per room at a
//! time, a bounded number over all, and patience while Redis is away.

use std::time::Duration;

use roomcast_metrics::RepairCause;
use roomcast_protocol::{Epoch, RoomName, Seq};
use tokio::time::Instant;

use super::lane::{Done, Lane, Tail};
use super::order::{Need, Page};
use super::probe::Suspect;
use crate::api::ReadError;
use crate::redis::keys::Keys;
use crate::redis::link::Up;
use crate::redis::reads::Found;

/// A room is held by touching it this many times within its linger.
const HOLDS: u32 = 4;
/// How often rooms are looked at whose slot is on the move: their pushes may come from nowhere.
const POLL: Duration = Duration::from_millis(200);

impl Lane {
    /// Queues the read that a room needs, if it needs one and may have it.
    pub(super) fn ask(&mut self, room: &RoomName) {
        let Some(slot) = self.rooms.get_mut(room) else { return };
        if slot.ticket.is_some() || !self.subscriptions.is_confirmed(room) {
            return;
        }
        match slot.order.need() {
            None => {}
            Some(Need::Standing) => self.standings.queue(room),
            Some(Need::After(_, cause)) => {
                if slot.repair.is_none() {
                    slot.repair = Some(Instant::now());
                    self.tools.metrics.repairs[cause].inc();
                }
                self.ranges.queue(room);
            }
        }
    }

    /// Pushes of a room were lost.
    pub(super) fn lost(&mut self, room: &RoomName, cause: RepairCause) {
        if let Some(slot) = self.rooms.get_mut(room) {
            slot.order.lost(cause);
            self.ask(room);
        }
    }

    /// Starts what may start now.
    pub(super) fn start_reads(&mut self) {
        let now = Instant::now();
        while let Some(room) = self.standings.start(now) {
            if !self.start_read(&room, |need| matches!(need, Need::Standing)) {
                self.standings.skip();
            }
        }
        while let Some(room) = self.ranges.start(now) {
            if !self.start_read(&room, |need| matches!(need, Need::After(..))) {
                self.ranges.skip();
            }
        }
        loop {
            let rooms = self.tails.next_resubscribed();
            if rooms.is_empty() {
                break;
            }
            self.compare(rooms, RepairCause::Resubscribe);
        }
    }

    /// Starts the read of a room, if it is still of the kind that was queued.
    fn start_read(&mut self, room: &RoomName, is_kind: fn(&Need) -> bool) -> bool {
        let Some(slot) = self.rooms.get_mut(room).filter(|slot| slot.ticket.is_none()) else {
            return false;
        };
        let Some(need) = slot.order.need().filter(is_kind) else { return false };
        if !self.subscriptions.is_confirmed(room) {
            return false;
        }
        self.tickets += 1;
        let ticket = self.tickets;
        slot.ticket = Some(ticket);
        let (reader, room) = (self.tools.reader.clone(), room.clone());
        self.work.push(Box::pin(async move {
            let result = match need {
                Need::Standing => reader.standing(&room).await,
                Need::After(seq, _) => reader.after(&room, seq).await,
            };
            Done::Read(room, ticket, need, result)
        }));
        true
    }

    /// Compares rooms' tails with Redis, in one pipeline.
    fn compare(&mut self, rooms: Vec<RoomName>, cause: RepairCause) {
        let Some(up) = self.tools.link.up() else {
            if cause == RepairCause::Resubscribe {
                // Where no comparison is possible now, a read will be later.
                rooms.iter().for_each(|room| self.lost(room, cause));
            }
            return;
        };
        let (keys, generation) = (self.tools.keys.clone(), self.generation);
        self.work.push(Box::pin(async move {
            let tails = read_tails(&keys, &up, &rooms).await;
            let tails = match tails {
                Some(tails) => tails,
                None if cause == RepairCause::Resubscribe => {
                    rooms.into_iter().map(|room| (room, None)).collect()
                }
                None => return Done::Compared(generation, cause, None),
            };
            Done::Compared(generation, cause, Some(tails))
        }));
    }

    /// Something ended.
    pub(super) fn finish(&mut self, done: Done) {
        match done {
            Done::Connected(result) => self.connected(result),
            Done::Commanded(generation, result) if generation == self.generation => {
                self.commanding -= 1;
                if let Err(error) = result {
                    self.disconnect(&error.to_string());
                }
            }
            Done::Commanded(..) => {}
            Done::Elsewhere(generation, rooms) if generation == self.generation => {
                self.commanding -= 1;
                self.subscriptions.again(&rooms);
                self.tools.shards.doubt();
            }
            Done::Elsewhere(..) => {}
            Done::Left(generation) if generation == self.generation => {
                self.disconnect("the primary is elsewhere");
            }
            Done::Left(_) => {}
            Done::Read(room, ticket, need, result) => self.read(&room, ticket, need, result),
            Done::Compared(generation, cause, Some(tails)) if generation == self.generation => {
                tails.into_iter().for_each(|(room, tail)| self.compared(&room, tail, cause));
            }
            Done::Compared(..) => {}
            Done::Held(room, Ok((page, Found::Known))) => {
                self.swept(&room, page.lineage.epoch, page.last);
            }
            Done::Held(room, Ok(_)) => self.lost(&room, RepairCause::Epoch),
            Done::Held(_, Err(_)) => {}
            Done::Polled(room, Ok((page, _))) => {
                if let Some(slot) = self.rooms.get_mut(&room) {
                    slot.order.checked(page.lineage.epoch, page.last, RepairCause::Moved);
                    self.ask(&room);
                }
            }
            Done::Polled(_, Err(_)) => {}
            Done::Probed(generation, taken) => {
                if taken && generation == self.generation {
                    self.probe.taken();
                } else if !taken {
                    self.tools.link.doubt();
                }
            }
        }
    }

    fn read(
        &mut self,
        room: &RoomName,
        ticket: u64,
        need: Need,
        result: Result<(Page, Found), ReadError>,
    ) {
        let turns = match need {
            Need::Standing => &mut self.standings,
            Need::After(..) => &mut self.ranges,
        };
        match &result {
            Ok(_) => turns.done(),
            Err(_) => turns.failed(Instant::now(), rand::random()),
        }
        let Some(slot) = self.rooms.get_mut(room).filter(|slot| slot.ticket == Some(ticket)) else {
            return;
        };
        slot.ticket = None;
        if let Ok((page, found)) = result {
            let mut events = Vec::new();
            slot.order.read(page, &mut events);
            self.tell(room, events, found);
        }
        self.ask(room);
    }

    fn compared(&mut self, room: &RoomName, tail: Tail, cause: RepairCause) {
        let life = self.tools.link.up().map(|up| up.life);
        match tail {
            Some((epoch, seq, known)) if life.is_none_or(|life| *life == *known) => {
                if cause == RepairCause::Resubscribe {
                    if let Some(slot) = self.rooms.get_mut(room) {
                        slot.order.checked(epoch, seq, cause);
                        self.ask(room);
                    }
                } else {
                    self.swept(room, epoch, seq);
                }
            }
            // Unknown to Redis or of another life: a read brings it the next epoch.
            _ => self.lost(room, RepairCause::Epoch),
        }
    }

    /// The sweep saw a room stand there; its pushes may just be late.
    fn swept(&mut self, room: &RoomName, epoch: Epoch, seq: Seq) {
        if self.rooms.get(room).is_some_and(|slot| slot.order.is_behind(epoch, seq)) {
            self.probe.suspect(Suspect { room: room.clone(), epoch, seq });
        }
    }

    /// Compares the tails of the rooms whose turn it is, and touches those held too long ago.
    pub(super) fn sweep(&mut self) {
        let rooms = &self.rooms;
        let mut due = self.tails.sweep(|room| rooms.contains_key(room));
        let now = Instant::now();
        let hold = self.tools.linger / HOLDS;
        due.retain(|room| {
            let Some(slot) = self.rooms.get_mut(room) else { return false };
            if now.duration_since(slot.held) < hold {
                return true;
            }
            slot.held = now;
            let (reader, room) = (self.tools.reader.clone(), room.clone());
            self.work.push(Box::pin(async move {
                let result = reader.standing(&room).await;
                Done::Held(room, result)
            }));
            false
        });
        if !due.is_empty() && self.connection.is_some() {
            self.compare(due, RepairCause::Tail);
        }
    }

    /// Looks where rooms on their way to another primary stand, as long as there are any: they may
    /// be pushed where nobody listens yet.
    pub(super) fn poll_moving(&mut self) {
        let now = Instant::now();
        if self.poll.is_some_and(|due| due > now) {
            return;
        }
        let shards = &self.tools.shards;
        let moving = shards.is_any_moving();
        self.poll = moving.then(|| now + POLL);
        for room in self.rooms.keys().filter(|room| moving && shards.is_moving(room)) {
            let (reader, room) = (self.tools.reader.clone(), room.clone());
            self.work.push(Box::pin(async move {
                let result = reader.standing(&room).await;
                Done::Polled(room, result)
            }));
        }
    }
}

/// Where rooms stand; `None` if Redis does not say.
async fn read_tails(keys: &Keys, up: &Up, rooms: &[RoomName]) -> Option<Vec<(RoomName, Tail)>> {
    let mut pipeline = redis::pipe();
    for room in rooms {
        pipeline.cmd("HMGET").arg(keys.room(room).meta()).arg(&["epoch", "seq", "life"]);
    }
    type Fields = (Option<String>, Option<Seq>, Option<String>);
    let tails: Vec<redis::RedisResult<Fields>> =
        pipeline.ignore_errors().query_async(&mut up.any()).await.ok()?;
    // A room that is elsewhere now is as good as unknown: a read finds it.
    let tail = |fields: redis::RedisResult<Fields>| {
        let (epoch, seq, life) = fields.ok()?;
        Some((Epoch::parse(&epoch?)?, seq?, life?))
    };
    Some(rooms.iter().cloned().zip(tails.into_iter().map(tail)).collect())
}
