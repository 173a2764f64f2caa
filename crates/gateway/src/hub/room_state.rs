//! The state of one room as the hub keeps it: read once from the bus, then changed by what the feed
//! delivers. It is whole once the log has come to where it was read. Pure: `room_states.rs` reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_bus::RoomStateRead;
use roomcast_protocol::{Message, Position, RoomName, Seq, StateKey};
use tokio::time::Instant;

use crate::room_log::{Budget, ENTRY_BYTES, RoomLog, StateItem, StateView};

/// Removals that are remembered, so that slow readers get them as messages; beyond that they get a
/// snapshot.
const MAX_REMOVALS: usize = 1024;
/// A view is made again when the log has grown since by this share of the view: a joiner reads that
/// after the snapshot, and views cost so many times the messages at most.
const VIEW_LAG_SHARE: usize = 4;
/// Longest random delay after a value's end until this node removes it: another node that has the room
/// open may be first.
const END_JITTER: Duration = Duration::from_millis(1500);
/// Pause until a removal that brought no message is tried again.
const END_RETRY: Duration = Duration::from_secs(1);

/// What the hub keeps of one room's state.
#[derive(Debug)]
pub(super) struct KeptState {
    /// Values that a key keeps as points.
    points: u32,
    phase: StatePhase,
    /// The newest change of each key, removals included.
    changes: HashMap<Option<StateKey>, KeptChange>,
    order: BTreeMap<Seq, Option<StateKey>>,
    removals: BTreeSet<Seq>,
    forgotten: Seq,
    /// When which value is to be removed.
    ends: BTreeSet<(Instant, Seq)>,
    /// When which value expires: a view and the log behind it must not show it from then on.
    expiries: BTreeSet<(Instant, Seq)>,
    /// The last view that was made.
    view: Option<Arc<StateView>>,
    /// The view was asked for since the last call of `forget_unused`.
    is_view_used: bool,
    /// Workers that wait for a view, and the seq that it must have reached.
    wanted: Vec<(usize, Seq)>,
    /// The number of the last read.
    reads: u64,
    /// Where the log was when it began.
    read_from: Position,
    charged: usize,
    budget: Budget,
}

/// How much is known.
#[derive(Debug)]
enum StatePhase {
    /// Nothing: the memory was needed for something else.
    Unread,
    /// It is being read; changes since the feed's position are known.
    Reading,
    /// It was read at a position that the log has not reached.
    Ahead(Box<RoomStateRead>, Instant),
    /// All.
    Whole,
}

/// The newest change of one key.
#[derive(Debug)]
struct KeptChange {
    message: Arc<Message>,
    /// When the value expires, and when this node removes it.
    end: Option<(Instant, Instant)>,
    points: Vec<Arc<Message>>,
    /// What it counts in the budget.
    bytes: usize,
}

impl KeptChange {
    fn new(
        message: Arc<Message>,
        end: Option<(Instant, Instant)>,
        points: Vec<Arc<Message>>,
    ) -> Self {
        let bytes = weight_of(&message, &points);
        Self { message, end, points, bytes }
    }
}

fn weight_of(message: &Arc<Message>, points: &[Arc<Message>]) -> usize {
    let all = std::iter::once(message).chain(points);
    all.map(|message| message.data.len() + ENTRY_BYTES).sum()
}

impl KeptState {
    /// Nothing is known yet.
    pub(super) fn new(points: u32, budget: &Budget) -> Self {
        Self {
            points,
            phase: StatePhase::Unread,
            changes: HashMap::new(),
            order: BTreeMap::new(),
            removals: BTreeSet::new(),
            forgotten: 0,
            ends: BTreeSet::new(),
            expiries: BTreeSet::new(),
            view: None,
            is_view_used: false,
            wanted: Vec::new(),
            reads: 0,
            read_from: Position::START,
            charged: 0,
            budget: budget.clone(),
        }
    }

    /// Forgets everything, until it is read again.
    pub(super) fn forget(&mut self) {
        self.drop_view();
        self.phase = StatePhase::Unread;
        self.changes = HashMap::new();
        self.order = BTreeMap::new();
        self.removals = BTreeSet::new();
        self.ends = BTreeSet::new();
        self.expiries = BTreeSet::new();
        self.forgotten = 0;
        self.budget.release(std::mem::take(&mut self.charged));
    }

    /// It is to be read, from where the log is now. The number of the read.
    pub(super) fn begin(&mut self, end: Position) -> u64 {
        self.forget();
        self.phase = StatePhase::Reading;
        (self.reads, self.read_from) = (self.reads + 1, end);
        self.reads
    }

    /// Whether nothing is known, and no read is under way.
    pub(super) fn is_unread(&self) -> bool {
        matches!(self.phase, StatePhase::Unread)
    }

    /// Whether all is known.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.phase, StatePhase::Whole)
    }

    /// Bytes that it holds, its view included.
    pub(super) fn bytes(&self) -> usize {
        self.charged + self.view.as_ref().map_or(0, |view| view.snapshot.weight())
    }

    /// Whether a read of this number is waited for.
    pub(super) fn awaits(&self, read: u64) -> bool {
        self.reads == read && matches!(self.phase, StatePhase::Reading)
    }

    /// Whether what was read and the changes since then are the whole state. A replica that took over
    /// without the last messages is behind the log, in the log's epoch, until the room goes on.
    pub(super) fn accepts(&self, read: &RoomStateRead) -> bool {
        read.lineage.epoch == self.read_from.epoch && read.last >= self.read_from.seq
    }

    /// A read that is accepted has come.
    pub(super) fn arrived(&mut self, read: RoomStateRead, end: Seq, now: Instant) {
        self.phase = StatePhase::Ahead(Box::new(read), now);
        self.caught_up(end);
    }

    /// The log has come to `end`: what was read ahead of it may be known now.
    pub(super) fn caught_up(&mut self, end: Seq) {
        match std::mem::replace(&mut self.phase, StatePhase::Whole) {
            StatePhase::Ahead(read, at) if read.last <= end => self.merge(*read, at),
            other => self.phase = other,
        }
    }

    /// Adds what was read to the changes that have come since.
    fn merge(&mut self, read: RoomStateRead, at: Instant) {
        for value in read.entries {
            let key = value.message.state_key.clone();
            if let Some(known) = self.changes.get_mut(&key)
                && known.message.seq >= value.message.seq
            {
                // Its later points are known already.
                if !known.message.remove && self.points > 0 {
                    let first = known.points.first().map_or(0, |point| point.seq);
                    let older = value.points.into_iter().filter(|point| point.seq < first);
                    let mut points: Vec<_> = older.collect();
                    points.append(&mut known.points);
                    keep_newest(&mut points, self.points);
                    known.points = points;
                    let bytes = weight_of(&known.message, &known.points);
                    let before = std::mem::replace(&mut known.bytes, bytes);
                    self.count(bytes, before);
                }
                continue;
            }
            let end = value.left.map(|left| match left.is_zero() {
                // It has waited long enough: this node may have read the state for it.
                true => (at, at),
                false => jittered(at + left),
            });
            self.insert(key, KeptChange::new(value.message, end, value.points));
        }
        self.forgotten = self.forgotten.max(read.forgotten);
        let forgotten = self.forgotten;
        while self.removals.first().is_some_and(|seq| *seq <= forgotten) {
            self.drop_oldest_removal();
        }
    }

    /// The log's next message.
    pub(super) fn follow(&mut self, message: &Arc<Message>, now: Instant) {
        if self.is_unread() {
            return;
        }
        let key = message.state_key.clone();
        let mut points = Vec::new();
        if self.points > 0 && !message.remove {
            let known = self.changes.get_mut(&key);
            let is_live = |known: &&mut KeptChange| known.end.is_none_or(|(end, _)| end > now);
            points = known
                .filter(is_live)
                .map_or_else(Vec::new, |known| std::mem::take(&mut known.points));
            points.push(message.clone());
            keep_newest(&mut points, self.points);
        }
        let left = message.ttl_ms.filter(|_| !message.remove).map(Duration::from_millis);
        let end = left.and_then(|left| now.checked_add(left)).map(jittered);
        self.insert(key, KeptChange::new(message.clone(), end, points));
        if message.remove {
            self.removals.insert(message.seq);
            if self.removals.len() > MAX_REMOVALS {
                self.drop_oldest_removal();
            }
        }
    }

    fn insert(&mut self, key: Option<StateKey>, change: KeptChange) {
        let seq = change.message.seq;
        self.count(change.bytes, 0);
        self.order.insert(seq, key.clone());
        if let Some((end, due)) = change.end {
            self.ends.insert((due, seq));
            self.expiries.insert((end, seq));
        }
        if let Some(old) = self.changes.insert(key, change) {
            self.count(0, old.bytes);
            self.order.remove(&old.message.seq);
            self.removals.remove(&old.message.seq);
            if let Some((end, due)) = old.end {
                self.ends.remove(&(due, old.message.seq));
                self.expiries.remove(&(end, old.message.seq));
            }
        }
    }

    fn drop_oldest_removal(&mut self) {
        let Some(seq) = self.removals.pop_first() else { return };
        self.forgotten = self.forgotten.max(seq);
        if let Some(key) = self.order.remove(&seq)
            && let Some(old) = self.changes.remove(&key)
        {
            self.count(0, old.bytes);
        }
    }

    fn count(&mut self, more: usize, less: usize) {
        self.budget.charge(more);
        self.budget.release(less);
        self.charged = self.charged + more - less;
    }

    /// A worker wants a view that has reached this seq.
    pub(super) fn want(&mut self, worker: usize, seq: Seq) {
        self.wanted.retain(|(known, _)| *known != worker);
        self.wanted.push((worker, seq));
    }

    /// Whether a worker waits for a view.
    pub(super) fn is_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// The workers that wait, and a view for them, once all is known and the log has come as far as
    /// they want.
    pub(super) fn serve(
        &mut self,
        room: &RoomName,
        log: &RoomLog,
        now: Instant,
    ) -> Option<(Vec<usize>, Arc<StateView>)> {
        if self.wanted.is_empty() || !matches!(self.phase, StatePhase::Whole) {
            return None;
        }
        let least = self.wanted.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
        let view = self.view_at(room, log, least, now);
        let workers = std::mem::take(&mut self.wanted).into_iter().map(|(worker, _)| worker);
        Some((workers.collect(), view))
    }

    fn view_at(
        &mut self,
        room: &RoomName,
        log: &RoomLog,
        least: Seq,
        now: Instant,
    ) -> Arc<StateView> {
        self.is_view_used = true;
        while self.expiries.first().is_some_and(|(end, _)| *end <= now) {
            self.expiries.pop_first();
            self.drop_view();
        }
        let serves = |view: &&Arc<StateView>| {
            let lag = view.snapshot.weight() / VIEW_LAG_SHARE;
            view.at.seq >= least && view.leads_into(log) && log.bytes_after(view.at.seq) <= lag
        };
        if let Some(view) = self.view.as_ref().filter(serves) {
            return view.clone();
        }
        self.drop_view();
        let view = Arc::new(self.make_view(room, log.end(), now));
        self.view = Some(view.clone());
        view
    }

    fn make_view(&self, room: &RoomName, at: Position, now: Instant) -> StateView {
        let mut values = Vec::new();
        let mut changes = Vec::with_capacity(self.order.len());
        for change in self.order.values().filter_map(|key| self.changes.get(key)) {
            changes.push(change.message.clone());
            if !change.message.remove && change.end.is_none_or(|(end, _)| end > now) {
                let (message, points) = (change.message.clone(), change.points.clone());
                values.push(StateItem { message, points });
            }
        }
        StateView::new(room, (at, self.forgotten), changes, &values, &self.budget)
    }

    fn drop_view(&mut self) {
        if let Some(view) = self.view.take() {
            view.snapshot.leave();
        }
    }

    /// Drops the view if it was not asked for since the last call.
    pub(super) fn forget_unused(&mut self) {
        if !std::mem::take(&mut self.is_view_used) {
            self.drop_view();
        }
    }

    /// When the next value is to be removed.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().filter(|_| self.is_whole()).map(|(due, _)| *due)
    }

    /// Values that are to be removed now, at most `count`. They are tried again later unless a message
    /// has changed them.
    pub(super) fn take_ends(&mut self, now: Instant, count: usize) -> Vec<(Option<StateKey>, Seq)> {
        let due: Vec<_> =
            self.ends.iter().take_while(|(due, _)| *due <= now).take(count).copied().collect();
        let mut taken = Vec::with_capacity(due.len());
        for place in due {
            self.ends.remove(&place);
            let (_, seq) = place;
            let Some(key) = self.order.get(&seq).cloned() else { continue };
            if let Some(KeptChange { end: Some((_, due)), .. }) = self.changes.get_mut(&key) {
                *due = now + END_RETRY;
                self.ends.insert((*due, seq));
                taken.push((key, seq));
            }
        }
        taken
    }
}

impl Drop for KeptState {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Drops the oldest points beyond `most`.
fn keep_newest(points: &mut Vec<Arc<Message>>, most: u32) {
    points.drain(..points.len().saturating_sub(most as usize));
}

/// The end of a value, and when this node removes it.
fn jittered(end: Instant) -> (Instant, Instant) {
    (end, end + END_JITTER.mul_f64(rand::random::<f64>()))
}

#[cfg(test)]
mod tests;
