//! A room's state on one worker. Everything that changes is in [`RoomState`], which is borrowed
//! for one step at a time and never across an await.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use roomcast_protocol::{Lineage, Position, RoomName, Seq};

use super::followed::FollowedMessages;
use super::slow::Laggard;
use super::{
    LocalPeople, MemberReader, Members, PassState, PendingJoin, PositionCheck, StartPoint,
    WaitingItems, start_point,
};
use crate::connection::{Connection, RoomId};
use crate::room_log::{Batch, Cursor, Floor, RoomLog};
use crate::settings::Namespace;

/// A room with local members, or one that is about to have some.
#[derive(Debug)]
pub(crate) struct Room {
    /// Its place among the rooms of its worker.
    pub(crate) id: RoomId,
    /// Its name.
    pub(crate) name: RoomName,
    /// The policy it follows; replaced when the configuration is.
    pub(crate) namespace: RefCell<Arc<Namespace>>,
    /// What changes.
    pub(crate) state: RefCell<RoomState>,
}

impl Room {
    /// Whether the room keeps state: its readers get that where the log does not reach.
    pub(crate) fn keeps_state(&self) -> bool {
        self.namespace.borrow().state.is_some()
    }
}

/// Whether the worker has the room's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attachment {
    /// The hub was asked; the number distinguishes its answer from that to an earlier question.
    Asked(u64),
    /// The log is here and follows the hub's; the number is still that of the question.
    Live(u64),
}

impl Attachment {
    /// The number of the question.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Asked(number) | Self::Live(number) => number,
        }
    }
}

/// A room's place among a worker's rooms with waiting joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PendingPlace {
    /// When it is looked at.
    pub(crate) at: tokio::time::Instant,
    /// Tells it from others of the same moment.
    pub(crate) number: u64,
}

/// What changes in a room.
#[derive(Debug)]
pub(crate) struct RoomState {
    pub(crate) attachment: Attachment,
    pub(crate) log: RoomLog,
    pub(crate) lineage: Arc<Lineage>,
    pub(crate) members: Members,
    /// What members show of themselves, where the namespace has presence.
    pub(crate) people: LocalPeople,
    /// Joins that wait for the log, a page or a position, the first of them longest.
    pub(crate) pending: Vec<PendingJoin>,
    /// Its place among the worker's rooms with waiting joins.
    pub(crate) watch: Option<PendingPlace>,
    /// A page was asked for and has not come.
    pub(crate) page_asked: bool,
    /// The bus was asked for the room's position.
    pub(crate) standing_asked: bool,
    /// What the next pass gives members beside the log.
    pub(crate) waiting_items: WaitingItems,
    /// The pass under way.
    pub(super) pass: Option<PassState>,
    /// It is in the worker's queue of passes.
    pub(crate) queued: bool,
    /// Joins are being answered: the room is kept although none of them may be a member yet.
    pub(crate) admitting: bool,
    /// When the oldest message that no pass has finished came to this worker.
    pub(crate) arrived: Option<Instant>,
    /// Messages whose authors want to know how many users have them.
    pub(crate) followed: FollowedMessages,
    /// A member may be waiting for a page.
    may_wait: bool,
    /// No member reads the log before this batch.
    pub(super) lowest: u64,
    /// Batches before this one were written by a whole pass …
    pub(super) passed: u64,
    /// … and of those, the ones before this were measured.
    measured: u64,
}

impl RoomState {
    /// A room whose log was asked for.
    pub(crate) fn asked(number: u64) -> Self {
        let nowhere = Position { epoch: roomcast_protocol::Epoch(0), seq: 0 };
        Self {
            attachment: Attachment::Asked(number),
            log: RoomLog::new(nowhere),
            lineage: Arc::new(Lineage::new(nowhere.epoch)),
            members: Members::default(),
            people: LocalPeople::default(),
            pending: Vec::new(),
            watch: None,
            page_asked: false,
            standing_asked: false,
            waiting_items: WaitingItems::default(),
            pass: None,
            queued: false,
            admitting: false,
            arrived: None,
            followed: FollowedMessages::default(),
            may_wait: false,
            lowest: u64::MAX,
            passed: 0,
            measured: 0,
        }
    }

    /// The log is here, for the first time or again after this worker's queue was full. Members
    /// keep their cursors: the numbers of batches are the hub's. Returns those that fell off.
    pub(crate) fn attach(
        &mut self,
        log: RoomLog,
        lineage: Arc<Lineage>,
        slow: u64,
    ) -> Vec<Laggard> {
        // Who had everything that was here is not slow: this worker was.
        let slow = slow.min(self.log.end_cursor().batch);
        let fallen = self.fallen(Floor { slow, all: log.base() });
        if let Attachment::Asked(number) = self.attachment {
            self.attachment = Attachment::Live(number);
            self.measured = log.end_cursor().batch;
        }
        self.page_asked = false;
        self.log = log;
        self.follow(lineage);
        fallen
    }

    /// Appends the next batch.
    pub(crate) fn append(&mut self, batch: Arc<Batch>, lineage: Option<Arc<Lineage>>) {
        self.log.append(batch);
        if let Some(lineage) = lineage {
            self.follow(lineage);
        }
        self.arrived.get_or_insert_with(Instant::now);
    }

    /// The room goes on in this epoch. A position that the bus knew in an older one may never come.
    fn follow(&mut self, lineage: Arc<Lineage>) {
        if lineage.epoch != self.lineage.epoch {
            self.pending.iter_mut().for_each(|pending| pending.known = PositionCheck::Unasked);
        }
        self.lineage = lineage;
    }

    /// Drops what the hub dropped. Returns the members that fell off.
    pub(crate) fn trim(&mut self, floor: Floor) -> Vec<Laggard> {
        let fallen = self.fallen(floor);
        self.log.trim(floor.all);
        fallen
    }

    /// Moves a member, and remembers the oldest batch that a member reads.
    pub(crate) fn place(&mut self, slot: u32, reader: MemberReader) {
        match reader {
            MemberReader::Log(Cursor { batch, .. }) => self.lowest = self.lowest.min(batch),
            MemberReader::Waiting(_) => self.may_wait = true,
            MemberReader::Page { .. } => {}
        }
        self.members.at_mut(slot).reader = reader;
    }

    /// A member's write got as far as `cursor`: in the log, or in its page.
    pub(crate) fn advance(&mut self, slot: u32, cursor: Cursor) {
        let next = match &self.members.at(slot).reader {
            MemberReader::Log(_) => MemberReader::Log(cursor),
            MemberReader::Page { page, .. } if cursor.batch == 0 => {
                MemberReader::Page { page: page.clone(), frame: cursor.frame }
            }
            MemberReader::Page { page, .. } => self.after(page.end()),
            MemberReader::Waiting(_) => return,
        };
        self.place(slot, next);
    }

    /// A member in a page, whose socket takes nothing, lets go of it: it asks for it again when the
    /// socket takes more. A snapshot has to be read to its end: begun again for each full socket, one
    /// that is larger would never end.
    pub(crate) fn put_page_down(&mut self, slot: u32) {
        if let MemberReader::Page { page, frame } = &self.members.at(slot).reader
            && !page.is_snapshot()
        {
            let position = page.position_before(*frame);
            self.place(slot, MemberReader::Waiting(position));
        }
    }

    /// Where a reader goes on that has everything up to `position`: in the log if it reaches back.
    pub(crate) fn after(&self, position: Position) -> MemberReader {
        let known = (position.epoch == self.lineage.epoch).then_some(position.seq);
        match known.and_then(|seq| self.log.cursor_after(seq)) {
            Some(cursor) => MemberReader::Log(cursor),
            None => MemberReader::Waiting(position),
        }
    }

    /// The position in the current epoch of a reader at `position`, perhaps of an older epoch: it keeps
    /// the messages that both epochs share, as far as the log has come.
    pub(crate) fn rebase(&self, position: Position) -> Position {
        let Lineage { epoch, .. } = *self.lineage;
        if position.epoch == epoch {
            return position;
        }
        let shared = self.lineage.shares(position.epoch).unwrap_or(0).min(self.log.end().seq);
        Position { epoch, seq: position.seq.min(shared) }
    }

    /// Whether there are frames for this member.
    pub(crate) fn is_behind(&self, slot: u32) -> bool {
        match &self.members.at(slot).reader {
            MemberReader::Log(cursor) => *cursor < self.log.end_cursor(),
            MemberReader::Page { .. } => true,
            MemberReader::Waiting(_) => false,
        }
    }

    /// Whether this member waits for a page.
    pub(crate) fn is_waiting(&self, slot: u32) -> bool {
        matches!(self.members.at(slot).reader, MemberReader::Waiting(_))
    }

    /// Members that wait for a page, with their slots and positions.
    pub(crate) fn waiting(&mut self) -> Vec<(u32, Rc<Connection>, Position)> {
        if !self.may_wait {
            return Vec::new();
        }
        let waiting: Vec<_> = (self.members.iter_mut())
            .filter_map(|(slot, member)| match (&member.reader, &member.connection) {
                (MemberReader::Waiting(position), Some(connection)) => {
                    Some((slot, connection.clone(), *position))
                }
                _ => None,
            })
            .collect();
        self.may_wait = !waiting.is_empty();
        waiting
    }

    /// Members that wait for a page and whose sockets take nothing.
    pub(crate) fn stalled(&mut self) -> Vec<Rc<Connection>> {
        let waiting = self.waiting().into_iter().map(|(_, connection, _)| connection);
        waiting.filter(|connection| connection.is_blocked()).collect()
    }

    /// The seq after which the oldest reader behind the log needs a page; not counting the stalled.
    pub(crate) fn oldest_wanted(&mut self) -> Option<Seq> {
        let takes = |(_, connection, _): &(u32, Rc<Connection>, Position)| !connection.is_blocked();
        let waiting = self.waiting().into_iter().filter(takes);
        let members = waiting.map(|(_, _, position)| position.seq);
        let joins = self.pending.iter().filter_map(|pending| {
            match start_point(&self.log, &self.lineage, pending) {
                StartPoint::Page { after } => Some(after),
                _ => None,
            }
        });
        members.chain(joins).min()
    }

    /// What a pass has finished since this was asked last: when the first of it came, and the
    /// batches.
    pub(crate) fn passed(&mut self) -> (Option<Instant>, Vec<Arc<Batch>>) {
        let from = self.measured.max(self.log.base());
        let batches = (from..self.passed).filter_map(|number| self.log.batch(number).cloned());
        let batches = batches.collect();
        self.measured = self.passed;
        (self.arrived.take(), batches)
    }
}

#[cfg(test)]
mod tests;
