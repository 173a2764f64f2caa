//! Compares what Redis has of this node's members with the desk: a room's hash must have the number
//! of the desk's last call. And prolongs what is there.

use std::time::Duration;

use roomcast_protocol::RoomName;
use tokio::time::{Instant, sleep};

use super::driver::{DeskDone, PresenceDriver};
use super::found::Question;
use super::scan::scan;
use super::upkeep::DueComparison;
use crate::leases::Incarnation;
use crate::primary::link::LinkUp;

impl PresenceDriver {
    /// A second passed.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        // Without a writer nothing is compared.
        if self.lease.borrow().writer(now).is_some() {
            let desk = &self.desk;
            self.upkeep.second(|room| desk.has(room));
        }
        self.prolong(now);
    }

    /// After a change of the way to Redis everything there is to be compared, and written into the
    /// index before anything else is written.
    pub(super) fn watch_links(&mut self) {
        let links: Vec<LinkUp> =
            self.sender.shards.shards().iter().filter_map(|shard| shard.link.up()).collect();
        let is_known = |link: &LinkUp| self.links.iter().any(|old| old.is_same(link));
        if !links.iter().all(is_known) {
            self.upkeep.hurry();
            // Data of another life may lack places in the index that were there before.
            self.upkeep.doubt_all();
            self.desk.reindex(|_| true);
        }
        self.links = links;
    }

    /// Compares the next rooms, if no comparison is under way.
    pub(super) fn compare(&mut self, now: Instant) {
        let Some(own) = self.lease.borrow().writer(now) else { return };
        if self.is_comparing {
            return;
        }
        let due = self.upkeep.next(now);
        if due.is_empty() {
            return;
        }
        let question = |due: DueComparison| {
            Some((due.room.clone(), self.desk.settled(&due.room)?, due.prolongs))
        };
        let rooms: Vec<Question> = due.into_iter().filter_map(question).collect();
        self.is_comparing = true;
        let sender = self.sender.clone();
        self.work
            .push(Box::pin(async move { DeskDone::Compared(sender.compare(own, rooms).await) }));
    }

    /// Compares the next indexes with the desk: after a failover they may have rooms that this node's
    /// members left.
    pub(super) fn audit(&mut self, now: Instant) {
        let Some(own) = self.lease.borrow().writer(now) else { return };
        if self.is_auditing {
            return;
        }
        let partitions = self.upkeep.next_audit();
        if partitions.is_empty() {
            return;
        }
        self.is_auditing = true;
        let sender = self.sender.clone();
        self.work.push(Box::pin(async move {
            let (mut rooms, mut failed) = (Vec::new(), Vec::new());
            for partition in partitions {
                match sender.read_index(partition, own).await {
                    Some(found) => rooms.extend(found),
                    None => failed.push(partition),
                }
            }
            DeskDone::Audited(own, rooms, failed)
        }));
    }

    /// Writes a room into the indexes of incarnations that have members there and no lease: the
    /// reaper finds it there.
    pub(super) fn report(&mut self, room: RoomName, dead: Vec<Incarnation>) {
        let sender = self.sender.clone();
        self.work.push(Box::pin(async move {
            if let Some(up) = sender.shards.of(&room).and_then(|shard| shard.link.up()) {
                for dead in dead {
                    let mut errands = vec![sender.index(&up, &room, dead, ("found", 1))];
                    errands.extend(sender.writer(&room, dead));
                    // What fails is reported with the next comparison.
                    sender.send(&up, errands).await;
                }
            }
            DeskDone::Reported
        }));
    }

    /// Reads what a room's hash has of this node.
    pub(super) fn scan(&mut self, room: RoomName, own: Incarnation) {
        self.scan_after(Duration::ZERO, room, own);
    }

    /// The same after a pause.
    pub(super) fn scan_after(&mut self, pause: Duration, room: RoomName, own: Incarnation) {
        let sender = self.sender.clone();
        self.work.push(Box::pin(async move {
            sleep(pause).await;
            let up = sender.shards.of(&room).and_then(|shard| shard.link.up());
            let found = match up {
                Some(up) => scan((&sender.shards, &sender.keys), &up, &room).await.ok(),
                None => None,
            };
            DeskDone::Scanned(room, own, found)
        }));
    }

    /// Prolongs the index of the partitions that are due.
    fn prolong(&mut self, now: Instant) {
        let Some(own) = self.lease.borrow().writer(now) else { return };
        let due = self.upkeep.due_partitions(now);
        if due.is_empty() {
            return;
        }
        let sender = self.sender.clone();
        self.work.push(Box::pin(async move {
            let mut lost = Vec::new();
            for partition in due {
                if sender.prolong(partition, own).await == Ok(false) {
                    lost.push(partition);
                }
            }
            DeskDone::Prolonged(lost)
        }));
    }
}
