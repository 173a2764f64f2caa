//! Which rooms the application wants, how far each membership is, and what is told about them.
//! Where the application stands in a room is `reader`'s.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use roomcast_protocol::{
    ClientFrame, ErrorCode, JoinRoom, Message, Position, RequestId, RoomName, Seq, Since,
};

use super::Action;
use super::reader::ApplicationReader;
use super::requests::Refusal;
use super::snapshots::{Continuation, GapKind, SnapshotPhase};
use crate::backoff::Pauses;
use crate::{Event, JoinOptions};

/// Rooms in one `join` frame: about 8 KiB at the longest names, far below any node's limit.
const ROOMS_PER_JOIN: usize = 32;

/// The rooms the application wants to be in, or is leaving.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: BTreeMap<RoomName, ClientRoom>,
    duplicates: u64,
}

#[derive(Debug)]
pub(super) struct ClientRoom {
    /// For the first entry.
    options: JoinOptions,
    pub(super) reader: ApplicationReader,
    standing: Standing,
    pub(super) snapshot: SnapshotPhase,
    /// Joins refused in a row.
    refusals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Standing {
    /// To be joined, not before the time given.
    Wanted { from: Option<Instant> },
    /// `join` was sent.
    Joining { id: RequestId },
    /// A member.
    Joined,
    /// `leave` was sent; afterwards perhaps joined anew.
    Leaving { id: RequestId, then: Option<JoinOptions> },
}

impl ClientRoom {
    fn new(options: JoinOptions) -> Self {
        let standing = Standing::Wanted { from: None };
        let reader = ApplicationReader::new(options.since);
        Self { options, reader, standing, snapshot: SnapshotPhase::Before, refusals: 0 }
    }

    fn request(&self, room: &RoomName) -> JoinRoom {
        let since = self.reader.position().map(Since::Position);
        let history = if since.is_none() { self.options.history } else { None };
        JoinRoom {
            room: room.clone(),
            since,
            history,
            presence: false,
            strict: false,
            info: None,
            token: None,
        }
    }
}

pub(super) fn tell(actions: &mut VecDeque<Action>, event: Event) {
    actions.push_back(Action::Tell(event));
}

impl Rooms {
    pub(super) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Wants to be in a room; changes nothing for one that is wanted already.
    pub(super) fn join(&mut self, name: RoomName, options: JoinOptions) {
        let room = self.rooms.entry(name).or_insert_with(|| ClientRoom::new(options));
        if let Standing::Leaving { then, .. } = &mut room.standing {
            *then = Some(options);
        }
    }

    /// Wants to be out of a room; `id` is for the `leave`, if one is needed.
    pub(super) fn leave(&mut self, name: &RoomName, id: RequestId, actions: &mut VecDeque<Action>) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        match &mut room.standing {
            Standing::Wanted { .. } => {
                self.rooms.remove(name);
                tell(actions, Event::Left { room: name.clone(), reason: None });
            }
            Standing::Joining { .. } | Standing::Joined => {
                room.standing = Standing::Leaving { id, then: None };
                actions.push_back(Action::Send(ClientFrame::Leave {
                    id: Some(id),
                    room: name.clone(),
                }));
            }
            Standing::Leaving { then, .. } => *then = None,
        }
    }

    /// When the next room is to be joined; `None` if all are, or nothing keeps them from it.
    pub(super) fn next_join(&self) -> Option<Instant> {
        self.rooms
            .values()
            .filter_map(|room| match room.standing {
                Standing::Wanted { from } => from,
                _ => None,
            })
            .min()
    }

    /// Joins whatever is wanted and may be joined at `now`.
    pub(super) fn send_joins(
        &mut self,
        now: Instant,
        last_id: &mut RequestId,
        actions: &mut VecDeque<Action>,
    ) {
        let due = |room: &ClientRoom| match room.standing {
            Standing::Wanted { from } => from.is_none_or(|from| from <= now),
            _ => false,
        };
        let mut wanted = self.rooms.iter_mut().filter(|(_, room)| due(room)).peekable();
        while wanted.peek().is_some() {
            *last_id += 1;
            let id = *last_id;
            let join = |(name, room): (&RoomName, &mut ClientRoom)| {
                room.standing = Standing::Joining { id };
                room.request(name)
            };
            let rooms = wanted.by_ref().take(ROOMS_PER_JOIN).map(join).collect();
            actions.push_back(Action::Send(ClientFrame::Join { id: Some(id), rooms }));
        }
    }

    pub(super) fn joined(
        &mut self,
        name: RoomName,
        (at, then): (Position, Continuation),
        recovered: Option<bool>,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(room) = self.rooms.get_mut(&name) else { return };
        if !matches!(room.standing, Standing::Joining { .. }) {
            return;
        }
        let position = match then {
            Continuation::Messages => room.reader.joined(at, recovered),
            Continuation::Snapshot => room.reader.position().unwrap_or(at),
        };
        room.snapshot = SnapshotPhase::Before;
        room.standing = Standing::Joined;
        room.refusals = 0;
        tell(actions, Event::Joined { room: name, position, recovered });
    }

    pub(super) fn message(
        &mut self,
        name: RoomName,
        message: Arc<Message>,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(reader) = self.reader_of_member(&name) else { return };
        match reader.message(message.seq) {
            Some(position) => tell(actions, Event::Message { room: name, position, message }),
            None => self.duplicates += 1,
        }
    }

    pub(super) fn gap(
        &mut self,
        name: RoomName,
        (from, to): (Seq, Seq),
        kind: GapKind,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(member) = self.member(&name) else { return };
        if kind == GapKind::Snapshot {
            member.snapshot = SnapshotPhase::Before;
            return;
        }
        let Some((from, position)) = member.reader.gap(from, to) else { return };
        let room = name;
        let event = match kind {
            GapKind::Conflated => Event::Conflated { room, from, to, position },
            _ => Event::Gap { room, from, to, position },
        };
        tell(actions, event);
    }

    pub(super) fn reset(
        &mut self,
        name: RoomName,
        (at, then): (Position, Continuation),
        lost: u64,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(member) = self.member(&name) else { return };
        if then == Continuation::Snapshot {
            member.snapshot = SnapshotPhase::Before;
            return;
        }
        member.reader.reset(at);
        tell(actions, Event::Reset { room: name, position: at, lost });
    }

    /// `left`: the answer to a `leave` (with its id), or the node's own doing (without).
    pub(super) fn left(
        &mut self,
        id: Option<RequestId>,
        name: RoomName,
        reason: Option<Box<str>>,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(room) = self.rooms.get(&name) else { return };
        let then = match room.standing {
            Standing::Leaving { id: sent, then } if id.is_none_or(|id| id == sent) => then,
            Standing::Joining { .. } | Standing::Joined if id.is_none() => None,
            _ => return,
        };
        self.out(name, then, reason, actions);
    }

    /// An `error` with the id of a join or a leave, about one of its rooms or about all.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        (id, name): (RequestId, Option<RoomName>),
        refusal: Refusal,
        pauses: &mut Pauses,
        actions: &mut VecDeque<Action>,
    ) {
        let about = |room: &RoomName| name.as_ref().is_none_or(|name| name == room);
        let names: Vec<RoomName> = self.rooms.keys().filter(|room| about(room)).cloned().collect();
        for name in names {
            match self.rooms.get_mut(&name) {
                Some(room) if room.standing == (Standing::Joining { id }) => {
                    let retry_in = may_pass(refusal.code).then(|| {
                        room.refusals += 1;
                        let pause = pauses.before_repeat(room.refusals);
                        pause.max(refusal.retry_after.unwrap_or_default())
                    });
                    match retry_in {
                        Some(pause) => {
                            room.standing = Standing::Wanted { from: Some(now + pause) };
                        }
                        None => drop(self.rooms.remove(&name)),
                    }
                    let (code, message) = (refusal.code, refusal.message.clone());
                    tell(actions, Event::Error { room: Some(name), code, message, retry_in });
                }
                Some(ClientRoom { standing: Standing::Leaving { id: sent, then }, .. })
                    if *sent == id =>
                {
                    let then = *then;
                    self.out(name, then, None, actions);
                }
                _ => {}
            }
        }
    }

    /// The connection is gone: every membership is to be had again.
    pub(super) fn lost(&mut self, actions: &mut VecDeque<Action>) {
        let mut left = Vec::new();
        for (name, room) in &mut self.rooms {
            match room.standing {
                Standing::Leaving { then, .. } => left.push((name.clone(), then)),
                // A pause that a refusal asked for was for that node.
                _ => room.standing = Standing::Wanted { from: None },
            }
        }
        for (name, then) in left {
            self.out(name, then, None, actions);
        }
    }

    fn out(
        &mut self,
        name: RoomName,
        then: Option<JoinOptions>,
        reason: Option<Box<str>>,
        actions: &mut VecDeque<Action>,
    ) {
        match then {
            Some(options) => drop(self.rooms.insert(name.clone(), ClientRoom::new(options))),
            None => drop(self.rooms.remove(&name)),
        }
        tell(actions, Event::Left { room: name, reason });
    }

    fn reader_of_member(&mut self, name: &RoomName) -> Option<&mut ApplicationReader> {
        self.member(name).map(|room| &mut room.reader)
    }

    /// A room that the client is a member of.
    pub(super) fn member(&mut self, name: &RoomName) -> Option<&mut ClientRoom> {
        self.rooms.get_mut(name).filter(|room| room.standing == Standing::Joined)
    }
}

/// Refusals that may not be repeated tomorrow.
fn may_pass(code: ErrorCode) -> bool {
    use ErrorCode::{BusUnavailable, Internal, NotReady, Overloaded, RateLimited};
    matches!(code, BusUnavailable | Internal | NotReady | Overloaded | RateLimited)
}
