//! What really happened: every epoch of every room with what was sequenced in it, kept for ever, so
//! that whatever anybody is told can be judged.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use roomcast_protocol::{ConnectionId, Epoch, Position, Seq};

use super::state::{Change, Values};

/// The number of a message over the whole world; its payload.
pub(super) type Id = u64;

/// A message as it was sequenced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) id: Id,
    /// The connection it came by.
    pub(super) connection: Option<ConnectionId>,
    /// Whether that connection receives it too.
    pub(super) echo: bool,
    /// What it did to the room's state.
    pub(super) change: Option<Change>,
}

/// One epoch of a room.
#[derive(Debug)]
struct Line {
    room: usize,
    /// The epoch it grew from, and the last seq it shares with it.
    parent: Option<(Epoch, Seq)>,
    own: BTreeMap<Seq, Stored>,
    /// The state after each of them.
    states: BTreeMap<Seq, Rc<Values>>,
    /// Up to here users may not find everything in history: what a gap may name.
    floor: Seq,
}

/// Everything that was ever sequenced.
#[derive(Debug)]
pub(super) struct Truth {
    lines: HashMap<Epoch, Line>,
    epochs: u64,
    ids: Id,
    /// There was one server only, ever: nobody is told a reset without asking for it.
    pub(super) is_calm: bool,
    /// Gaps have no reason but what Redis has dropped.
    pub(super) is_strict: bool,
    /// A push was lost and nobody was told: only a sweep finds it.
    pub(super) is_leaky: bool,
}

impl Truth {
    pub(super) fn new(is_strict: bool) -> Self {
        Self { lines: HashMap::new(), epochs: 0, ids: 0, is_calm: true, is_strict, is_leaky: false }
    }

    /// The number of a message about to be published.
    pub(super) fn next_id(&mut self) -> Id {
        self.ids += 1;
        self.ids
    }

    /// A new epoch, grown from another or from nothing.
    pub(super) fn begin(&mut self, room: usize, parent: Option<(Epoch, Seq)>) -> Epoch {
        self.epochs += 1;
        let epoch = Epoch(self.epochs);
        let floor = parent.map_or(0, |(parent, base)| self.floor(parent).min(base));
        let (own, states) = (BTreeMap::new(), BTreeMap::new());
        self.lines.insert(epoch, Line { room, parent, own, states, floor });
        epoch
    }

    /// A message was sequenced.
    pub(super) fn stored(&mut self, at: Position, stored: Stored) {
        let mut state = self.state_at(Position { seq: at.seq - 1, ..at }).expect("no holes");
        if let Some(change) = stored.change {
            change.apply(Rc::make_mut(&mut state), at.seq);
        }
        let line = self.lines.get_mut(&at.epoch).expect("the model began it");
        let before = line.own.insert(at.seq, stored);
        line.states.insert(at.seq, state);
        assert!(before.is_none(), "the model stored two messages at {at:?}");
    }

    /// Readers may not find what lies up to `floor`.
    pub(super) fn hide(&mut self, epoch: Epoch, floor: Seq) {
        let line = self.lines.get_mut(&epoch).expect("the model began it");
        line.floor = line.floor.max(floor);
    }

    /// The last seq that a gap may name.
    pub(super) fn floor(&self, epoch: Epoch) -> Seq {
        self.lines.get(&epoch).map_or(0, |line| line.floor)
    }

    /// The message at a position, if there is one.
    pub(super) fn at(&self, position: Position) -> Option<Id> {
        self.stored_at(position).map(|stored| stored.id)
    }

    fn stored_at(&self, Position { mut epoch, seq }: Position) -> Option<Stored> {
        loop {
            let line = self.lines.get(&epoch)?;
            if let Some(&stored) = line.own.get(&seq) {
                return Some(stored);
            }
            epoch = line.parent.filter(|&(_, base)| seq <= base)?.0;
        }
    }

    /// The state at a position, if there is that position.
    pub(super) fn state_at(&self, Position { mut epoch, seq }: Position) -> Option<Rc<Values>> {
        loop {
            let line = self.lines.get(&epoch)?;
            if seq == 0 {
                return Some(Rc::default());
            }
            if let Some(state) = line.states.get(&seq) {
                return Some(state.clone());
            }
            epoch = line.parent.filter(|&(_, base)| seq <= base)?.0;
        }
    }

    /// What the message at a position did to the state.
    pub(super) fn change_at(&self, position: Position) -> Option<Change> {
        self.stored_at(position)?.change
    }

    /// Whether a key changes in the epoch after a position.
    pub(super) fn changes_after(&self, key: u8, position: Position) -> bool {
        let later = (position.seq + 1..).map(|seq| Position { seq, ..position });
        let mut stored = later.map_while(|at| self.stored_at(at));
        stored.any(|stored| stored.change.is_some_and(|change| change.key == key))
    }

    /// Whether whoever has everything up to `position` has everything of `epoch` up to there: some
    /// epoch that both grew from, or are, was left later.
    pub(super) fn admits(&self, epoch: Epoch, mut position: Position) -> bool {
        while !self.descends(epoch, position) {
            let parent = self.lines.get(&position.epoch).and_then(|line| line.parent);
            let Some((parent, _)) = parent.filter(|&(_, base)| position.seq <= base) else {
                return false;
            };
            position.epoch = parent;
        }
        true
    }

    /// Whether a position lives on in an epoch that is its own or grew from it.
    fn descends(&self, mut epoch: Epoch, position: Position) -> bool {
        let mut bound = Seq::MAX;
        loop {
            if epoch == position.epoch {
                return position.seq <= bound;
            }
            let Some((parent, base)) = self.lines.get(&epoch).and_then(|line| line.parent) else {
                return false;
            };
            (epoch, bound) = (parent, bound.min(base));
        }
    }

    /// Whether a room once stood at a position.
    pub(super) fn knows(&self, room: usize, at: Position) -> bool {
        let line = self.lines.get(&at.epoch);
        line.is_some_and(|line| line.room == room) && (at.seq == 0 || self.at(at).is_some())
    }

    /// Whether `reader` is the author of the message there and asked not to see it.
    pub(super) fn is_skipped(&self, at: Position, reader: ConnectionId) -> bool {
        self.stored_at(at).is_some_and(|stored| stored.connection == Some(reader) && !stored.echo)
    }

    /// Any epoch that was ever begun, or one that never will be; for positions of long ago.
    pub(super) fn some_epoch(&self, dice: u64) -> Epoch {
        match dice % (self.epochs + 1) {
            0 => Epoch(u64::MAX),
            epoch => Epoch(epoch),
        }
    }
}
