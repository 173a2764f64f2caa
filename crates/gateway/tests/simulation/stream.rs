//! The model of one room in Redis: its meta, its stream and the results that it remembers.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use roomcast_bus::RoomStateRead;
use roomcast_bus::simulation::RoomPage;
use roomcast_protocol::{ConnectionId, Epoch, Lineage, Message, Position, PublishKey, Seq};

use super::Climate;
use super::state::{Change, StateHash};
use super::truth::{Id, Stored, Truth};
use super::wire::payload;
use crate::hub::BackfillRange;

/// Ancestors that a room remembers, as in the scripts.
const MAX_ANCESTORS: usize = 16;

/// One publication on its way.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: Id,
    pub(super) key: Option<PublishKey>,
    pub(super) connection: Option<ConnectionId>,
    pub(super) echo: bool,
    /// What it does to the room's state, if the room keeps one.
    pub(super) change: Option<Change>,
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

/// What is asked of a room's stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Span {
    Standing,
    /// After this seq, whatever users may see.
    Repair(Seq),
    /// This part of what users may see.
    History(BackfillRange),
}

/// A room as a server knows it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    index: usize,
    pub(super) epoch: Epoch,
    pub(super) seq: Seq,
    /// The server that its epoch began on.
    pub(super) life: usize,
    ancestors: Vec<(Epoch, Seq)>,
    stream: BTreeMap<Seq, Arc<Message>>,
    /// Per run of a node: its last group and the answer.
    pub(super) groups: BTreeMap<u64, (u64, Answer)>,
    keys: BTreeMap<PublishKey, Position>,
    state: StateHash,
}

impl Room {
    /// A room that begins on this server.
    pub(super) fn begin(index: usize, life: usize, truth: &mut Truth) -> Self {
        Self {
            index,
            epoch: truth.begin(index, None),
            seq: 0,
            life,
            ancestors: Vec::new(),
            stream: BTreeMap::new(),
            groups: BTreeMap::new(),
            keys: BTreeMap::new(),
            state: StateHash::default(),
        }
    }

    /// The room's life is another server's: it goes on in a new epoch.
    pub(super) fn fork(&mut self, life: usize, truth: &mut Truth) {
        self.ancestors.push((self.epoch, self.seq));
        if self.ancestors.len() > MAX_ANCESTORS {
            self.ancestors.remove(0);
        }
        self.epoch = truth.begin(self.index, Some((self.epoch, self.seq)));
        self.life = life;
    }

    /// Sequences a group; what was stored before under a key is not stored again.
    pub(super) fn take(
        &mut self,
        group: &Group,
        (time, width): (u64, usize),
        truth: &mut Truth,
    ) -> Vec<Arc<Message>> {
        let (mut answer, mut pushed) = (Vec::new(), Vec::new());
        for item in &group.items {
            if let Some(known) = item.key.as_ref().and_then(|key| self.keys.get(key)) {
                answer.push(*known);
                continue;
            }
            if item.change.is_some_and(|change| !self.state.admits(change)) {
                // Nobody asked where it is.
                answer.push(Position { epoch: self.epoch, seq: self.seq });
                continue;
            }
            self.seq += 1;
            let at = Position { epoch: self.epoch, seq: self.seq };
            let Item { id, connection, echo, change, .. } = *item;
            truth.stored(at, Stored { id, connection, echo, change });
            let message = Arc::new(message(at.seq, time, item, width));
            if let Some(change) = change {
                self.state.apply(change, &message);
            }
            self.stream.insert(at.seq, message.clone());
            self.keys.extend(item.key.clone().map(|key| (key, at)));
            pushed.push(message);
            answer.push(at);
        }
        self.groups.insert(group.node, (group.number, answer));
        pushed
    }

    /// Keeps so many entries at most.
    pub(super) fn keep(&mut self, most: usize, visible: Seq, truth: &mut Truth) {
        while self.stream.len() > most {
            self.stream.pop_first();
        }
        let gone = self.stream.first_key_value().map_or(self.seq, |(&first, _)| first - 1);
        truth.hide(self.epoch, gone.max(self.seq.saturating_sub(visible)));
    }

    /// A page of the stream, and where the room stands.
    pub(super) fn page(&self, span: Span, Climate { page, history, .. }: Climate) -> RoomPage {
        let oldest = self.seq.saturating_sub(history);
        let (after, to) = match span {
            Span::Standing => (Seq::MAX - 1, Seq::MAX),
            Span::Repair(after) => (after, Seq::MAX),
            Span::History(BackfillRange::After(after)) => (after.max(oldest), Seq::MAX),
            Span::History(BackfillRange::UpTo(to, _)) => (oldest.min(to), to),
        };
        let range = self.stream.range((Excluded(after), Included(to)));
        let mut messages: Vec<_> = range.map(|(_, message)| message.clone()).collect();
        let all = messages.len();
        if let Span::History(BackfillRange::UpTo(_, limit)) = span {
            messages.drain(..all.saturating_sub(page.min(limit as usize)));
        } else {
            messages.truncate(page);
        }
        let lineage = Lineage::of(self.epoch, self.ancestors.clone());
        let more = messages.len() < all;
        RoomPage { lineage, last: self.seq, messages, more }
    }

    /// The whole state, and the room's position.
    pub(super) fn state(&self) -> RoomStateRead {
        self.state.read(Lineage::of(self.epoch, self.ancestors.clone()), self.seq)
    }

    /// How many entries the stream has.
    pub(super) fn len(&self) -> usize {
        self.stream.len()
    }
}

fn message(seq: Seq, time: u64, item: &Item, width: usize) -> Message {
    Message {
        seq,
        time,
        user: None,
        connection: item.connection,
        event: None,
        key: item.key.clone(),
        echo: item.echo,
        traceparent: None,
        state_key: item.change.and_then(Change::key),
        ttl_ms: item.change.and_then(Change::ttl_ms),
        remove: item.change.is_some_and(Change::removes),
        info: None,
        data: payload(item.id, width),
    }
}
