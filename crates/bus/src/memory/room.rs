//! One room in memory: its sequence, its recent messages and the results of keyed publishes. The
//! time is passed in as Unix ms; nothing here waits or wakes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use roomcast_protocol::{Lineage, Message, Position, Seq, UserName};

use super::rate::RoomRate;
use super::receipts::MemoryReceipts;
use super::results::Results;
use super::state::{MemoryState, SCANS_PER_CALL, removal};
use crate::api::{
    History, HistoryRange, HistoryRequest, Publication, PublishAck, PublishError, Retention,
    RoomOutline, RoomStateRead, StateAction, StateChange, random_epoch,
};
use crate::fingerprint::fingerprint;
use crate::owner::KeyOwner;

/// How long a room is kept after its history, or without any publication: enough to open it, read
/// its position and reconnect once.
const LINGER_MS: u64 = 120_000;

/// A room's state.
pub(crate) struct MemoryRoom {
    pub(crate) lineage: Lineage,
    pub(crate) last: Seq,
    /// Whether the feeds listen to the room.
    pub(crate) open: bool,
    /// Whether `MemoryRooms` has an expiry of it queued.
    pub(crate) queued: bool,
    /// Time of the last message; 0 before the first.
    time: u64,
    /// When it was last listened to, published to or created.
    touched: u64,
    /// The retention of the last publication.
    kept: Option<Retention>,
    messages: VecDeque<Arc<Message>>,
    results: Results,
    rate: RoomRate,
    pub(crate) receipts: MemoryReceipts,
    values: MemoryState,
    /// How long the room is kept at least after its last publication, for its state.
    state_age: Duration,
    /// Messages that the feeds have not been given.
    stored: Vec<Arc<Message>>,
}

impl MemoryRoom {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            lineage: Lineage::new(random_epoch()),
            last: 0,
            open: false,
            queued: false,
            time: 0,
            touched: now,
            kept: None,
            messages: VecDeque::new(),
            results: Results::default(),
            rate: RoomRate::default(),
            receipts: MemoryReceipts::default(),
            values: MemoryState::default(),
            state_age: Duration::ZERO,
            stored: Vec::new(),
        }
    }

    /// Sequences a publication. What is stored by it, and before it, waits for `take_stored`.
    pub(crate) fn publish(
        &mut self,
        publication: Publication,
        now: u64,
    ) -> Result<PublishAck, PublishError> {
        let retention = publication.retention;
        let keyed = publication.key.clone().map(|key| {
            let print = fingerprint(&publication);
            ((KeyOwner::of(&publication), key), print)
        });
        if let Some((scope, print)) = &keyed {
            self.results.expire(now);
            if let Some(known) = self.results.find(scope, *print, now) {
                return known;
            }
        }
        let here = Position { epoch: self.lineage.epoch, seq: self.last };
        let holds = |at: Position| at == here || (at == Position::START && here.seq == 0);
        if publication.if_seq.is_some_and(|at| !holds(at)) {
            return Err(PublishError::SeqConflict(here));
        }
        if let Some((scope, _)) = &keyed
            && !self.results.admits(&scope.0, retention, now)
        {
            return Err(PublishError::TooManyKeys);
        }
        if let Some(change) = &publication.state {
            self.state_age = change.bounds.age;
            self.judge_state(change, publication.data.len(), now)?;
        }
        self.state_age = self.state_age.max(publication.keys_age);
        self.rate.take(publication.room_rate, now).map_err(PublishError::RoomRate)?;
        self.touch(now);
        self.kept = Some(retention);
        let ack = self.store(publication, now);
        self.trim(now);
        if let Some((scope, print)) = keyed {
            self.results.insert(scope, print, ack);
        }
        Ok(ack)
    }

    /// Whether the state takes a change. Where it is full, what has expired is removed first, by
    /// messages of its own.
    fn judge_state(
        &mut self,
        change: &StateChange,
        bytes: usize,
        now: u64,
    ) -> Result<(), PublishError> {
        for _ in 0..SCANS_PER_CALL {
            let here = Position { epoch: self.lineage.epoch, seq: self.last };
            match self.values.judge(change, bytes, here, now) {
                Err(PublishError::StateFull) => {}
                other => return other,
            }
            let expired = self.values.expired(now);
            if expired.is_empty() {
                break;
            }
            for key in expired {
                self.store(removal(key, change.bounds), now);
            }
        }
        let here = Position { epoch: self.lineage.epoch, seq: self.last };
        self.values.judge(change, bytes, here, now)
    }

    fn store(&mut self, publication: Publication, now: u64) -> PublishAck {
        self.last += 1;
        self.time = self.time.max(now);
        let position = Position { epoch: self.lineage.epoch, seq: self.last };
        let ack = PublishAck { position, time: self.time };
        let (state_key, ttl_ms, remove) = match &publication.state {
            Some(state) => (state.key.clone(), state.ttl_ms, state.action != StateAction::Set),
            None => (None, None, false),
        };
        let message = Arc::new(Message {
            seq: self.last,
            time: self.time,
            user: publication.user,
            connection: publication.connection,
            event: publication.event,
            key: publication.key,
            echo: publication.echo,
            traceparent: publication.traceparent,
            state_key,
            ttl_ms,
            remove,
            info: publication.info,
            data: publication.data,
        });
        if let Some(change) = &publication.state {
            self.values.apply(&message, change.bounds, now);
        }
        self.messages.push_back(message.clone());
        self.stored.push(message);
        ack
    }

    /// The messages that were stored since the last call.
    pub(crate) fn take_stored(&mut self) -> Vec<Arc<Message>> {
        std::mem::take(&mut self.stored)
    }

    /// The room's state.
    pub(crate) fn state(&self, points: u32, now: u64) -> RoomStateRead {
        RoomStateRead {
            lineage: self.lineage.clone(),
            last: self.last,
            forgotten: self.values.forgotten(),
            entries: self.values.entries(points, now),
        }
    }

    /// The room was in use until now.
    pub(crate) fn touch(&mut self, now: u64) {
        self.touched = self.touched.max(now);
    }

    /// Drops messages that are too old or too many.
    pub(crate) fn trim(&mut self, now: u64) {
        self.results.expire(now);
        let Some(kept) = self.kept else { return };
        let most = kept.history_size.max(kept.repair_window) as usize;
        let age = millis(kept);
        while let Some(oldest) = self.messages.front() {
            if self.messages.len() <= most && oldest.time.saturating_add(age) > now {
                break;
            }
            self.messages.pop_front();
        }
    }

    /// When something is due to be dropped (Unix ms); the room itself, if `is_spent` by then.
    pub(crate) fn due(&self) -> Option<u64> {
        let age = self.kept.map_or(0, millis);
        let oldest = self.messages.front().map(|message| message.time.saturating_add(age));
        let end = (!self.open).then(|| self.end());
        oldest.into_iter().chain(self.results.due()).chain(end).min()
    }

    /// Whether the room may be forgotten.
    pub(crate) fn is_spent(&self, now: u64) -> bool {
        !self.open && self.end() <= now
    }

    fn end(&self) -> u64 {
        let age = self.kept.map_or(0, millis);
        let state_age = u64::try_from(self.state_age.as_millis()).unwrap_or(u64::MAX);
        self.touched.saturating_add(age.saturating_add(LINGER_MS).max(state_age))
    }

    /// Where the room is, and a user in it.
    pub(crate) fn outline(
        &self,
        user: Option<&UserName>,
        kept: Retention,
        now: u64,
    ) -> RoomOutline {
        let (received, read) = user.map(|user| self.receipts.of(user)).unwrap_or_default();
        let oldest = read.max(self.last.saturating_sub(kept.history_size.into()));
        let is_unread = |message: &&Arc<Message>| {
            message.seq > oldest && message.time.saturating_add(millis(kept)) > now
        };
        let unread = user.map_or(0, |_| self.messages.iter().filter(is_unread).count() as u64);
        let (epoch, last, time) = (self.lineage.epoch, self.last, self.time);
        RoomOutline { epoch, last, time, received, read, unread }
    }

    /// The position before the first message of a time or later, as far as messages are kept.
    pub(crate) fn position_at(&self, time: u64) -> Position {
        let before = self.messages.partition_point(|message| message.time < time);
        let seq = match before.checked_sub(1).and_then(|at| self.messages.get(at)) {
            _ if time > self.time => self.last,
            Some(message) => message.seq,
            None => 0,
        };
        Position { epoch: self.lineage.epoch, seq }
    }

    /// A page of what users may see.
    pub(crate) fn history(&self, request: HistoryRequest, now: u64) -> History {
        let HistoryRequest { range, limit, max_bytes, retention } = request;
        let oldest_seq = self.last.saturating_sub(retention.history_size.into());
        let age = millis(retention);
        let visible = |message: &&Arc<Message>| {
            message.seq > oldest_seq && message.time.saturating_add(age) > now
        };
        let mut bytes = 0;
        let mut fits = |page: &Vec<Arc<Message>>, message: &Message| {
            bytes += message.data.len();
            page.len() < limit as usize && (page.is_empty() || bytes <= max_bytes)
        };
        let mut messages = Vec::new();
        let mut more = false;
        let mut add = |message: &Arc<Message>| {
            let fits = fits(&messages, message);
            if fits {
                messages.push(message.clone());
            }
            more = !fits;
            fits
        };
        let all = self.messages.iter().filter(visible);
        match range {
            HistoryRange::After(seq) => all.skip_while(|m| m.seq <= seq).all(&mut add),
            HistoryRange::Before(seq) => all.rev().skip_while(|m| m.seq >= seq).all(&mut add),
            HistoryRange::Latest => all.rev().all(&mut add),
        };
        if !matches!(range, HistoryRange::After(_)) {
            messages.reverse();
        }
        History { lineage: self.lineage.clone(), last: self.last, messages, more }
    }
}

fn millis(retention: Retention) -> u64 {
    u64::try_from(retention.history_age.as_millis()).unwrap_or(u64::MAX)
}
