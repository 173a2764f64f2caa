//! Which confirmations are written when: a user's at most once a second in a room, the newest of
//! those that came meanwhile. Users of one room that are due together are written together. Pure.

use std::collections::BTreeSet;
use std::time::Duration;
use std::{fmt, mem};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use roomcast_bus::{
    ReceiptError, ReceiptKind, ReceiptMarks, ReceiptMove, ReceiptRules, partition_of,
};
use roomcast_protocol::{ConnectionId, Position, RoomName, UserName};
use tokio::time::Instant;

/// A user's position in a room is written once in this time.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// When a user is looked at again whose last write takes longer than that.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// Users that are taken at once, and users of one call: about 20 KiB of it where each has one move.
const USERS_PER_WRITE: usize = 256;
/// Calls under way for the rooms of one partition, which are on one primary: one that answers slowly
/// holds up no other. A crowd's confirmations of one room are few calls.
const WRITES_PER_PARTITION: usize = 2;
/// Different moves of a user that may wait, by epoch and kind; an honest client has two.
const MAX_MOVES: usize = 8;
/// Connections that one move names; what is beyond is told as if another had moved.
const MAX_NAMED: usize = 16;

/// Answers one confirmation.
pub(crate) type ReceiptReply = Box<dyn FnOnce(Result<ReceiptMarks, ReceiptError>) + Send>;

/// A user confirms a room.
pub(crate) struct ReceiptRequest {
    pub(crate) user: UserName,
    pub(crate) at: Position,
    pub(crate) kind: ReceiptKind,
    pub(crate) by: ConnectionId,
    pub(crate) reply: ReceiptReply,
}

/// One call of the bus.
pub(super) struct ReceiptWrite {
    pub(super) room: RoomName,
    pub(super) rules: ReceiptRules,
    pub(super) moves: Vec<ReceiptMove>,
    /// Of each move.
    pub(super) replies: Vec<Vec<ReceiptReply>>,
}

/// The users of all rooms that confirmed something a short time ago.
#[derive(Default)]
pub(super) struct ReceiptQueue {
    rooms: HashMap<RoomName, HashMap<UserName, UserConfirms>>,
    /// When each user is looked at: every user of `rooms` is here or in `held` once.
    due: BTreeSet<QueuedUser>,
    /// Partitions with calls under way.
    busy: HashMap<u16, BusyPartition>,
}

type QueuedUser = (Instant, RoomName, UserName);

/// A partition with calls under way.
#[derive(Default)]
struct BusyPartition {
    writes: usize,
    /// Users that are due, and wait for the end of one of these calls.
    held: Vec<QueuedUser>,
}

/// A user in a room.
struct UserConfirms {
    rules: ReceiptRules,
    is_writing: bool,
    waiting: Vec<(ReceiptMove, Vec<ReceiptReply>)>,
}

impl fmt::Debug for ReceiptQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users due", self.due.len())
    }
}

impl ReceiptQueue {
    /// Takes a request. It is given back if too many different ones of the user wait.
    pub(super) fn ask(
        &mut self,
        (room, rules): (&RoomName, ReceiptRules),
        request: ReceiptRequest,
        now: Instant,
    ) -> Option<ReceiptReply> {
        let ReceiptRequest { user, at, kind, by, reply } = request;
        let users = self.rooms.entry_ref(room).or_default();
        let due = &mut self.due;
        let known = users.entry_ref(&user).or_insert_with(|| {
            due.insert((now, room.clone(), user.clone()));
            UserConfirms { rules, is_writing: false, waiting: Vec::new() }
        });
        known.rules = rules;
        let same = |(step, _): &&mut (ReceiptMove, Vec<ReceiptReply>)| {
            step.kind == kind && step.at.epoch == at.epoch
        };
        let is_full = known.waiting.len() == MAX_MOVES;
        match known.waiting.iter_mut().find(same) {
            Some((step, replies)) => {
                step.at.seq = step.at.seq.max(at.seq);
                if step.by.len() < MAX_NAMED && !step.by.contains(&by) {
                    step.by.push(by);
                }
                replies.push(reply);
            }
            None if is_full => return Some(reply),
            None => {
                let step = ReceiptMove { user, at, kind, by: vec![by] };
                known.waiting.push((step, vec![reply]));
            }
        }
        None
    }

    /// When the next user is to be looked at.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(due, ..)| *due)
    }

    /// What is to be written now, of a bounded number of users; the rest stays due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<ReceiptWrite> {
        let mut writes: HashMap<RoomName, ReceiptWrite> = HashMap::new();
        for _ in 0..USERS_PER_WRITE {
            if self.due().is_none_or(|due| due > now) {
                break;
            }
            let Some((due, room, user)) = self.due.pop_first() else { break };
            let Some(users) = self.rooms.get_mut(&room) else { continue };
            let Some(known) = users.get_mut(&user) else { continue };
            if known.is_writing {
                self.due.insert((now + BUSY_PAUSE, room, user));
                continue;
            }
            if known.waiting.is_empty() {
                users.remove(&user);
                if users.is_empty() {
                    self.rooms.remove(&room);
                }
                continue;
            }
            if !writes.contains_key(&room) {
                let busy = self.busy.entry(partition_of(&room)).or_default();
                if busy.writes == WRITES_PER_PARTITION {
                    busy.held.push((due, room, user));
                    continue;
                }
                busy.writes += 1;
            }
            known.is_writing = true;
            let write = writes.entry_ref(&room).or_insert_with(|| ReceiptWrite {
                room: room.clone(),
                rules: known.rules,
                moves: Vec::new(),
                replies: Vec::new(),
            });
            for (step, replies) in known.waiting.drain(..) {
                write.moves.push(step);
                write.replies.push(replies);
            }
            self.due.insert((now + WRITE_INTERVAL, room, user));
        }
        writes.into_values().collect()
    }

    /// A write ended.
    pub(super) fn wrote(&mut self, room: &RoomName, moves: &[ReceiptMove]) {
        if let Entry::Occupied(mut busy) = self.busy.entry(partition_of(room)) {
            self.due.extend(mem::take(&mut busy.get_mut().held));
            busy.get_mut().writes -= 1;
            if busy.get().writes == 0 {
                busy.remove();
            }
        }
        let Some(users) = self.rooms.get_mut(room) else { return };
        for step in moves {
            if let Some(known) = users.get_mut(&step.user) {
                known.is_writing = false;
            }
        }
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.due.is_empty() && self.busy.is_empty()
    }
}

#[cfg(test)]
mod tests;
