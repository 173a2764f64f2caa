//! Which rooms the application wants, how far each membership is, and what is told about them.
//! Where the application stands in a room is `reader`'s.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use roomcast_protocol::{
    ClientFrame, Data, ErrorCode, JoinRoom, PresenceStatus, RequestId, RoomName, Since,
};

use super::Action;
use super::reader::ApplicationReader;
use super::requests::Refusal;
use crate::backoff::Pauses;
use crate::{Event, JoinOptions};

/// Rooms in one `join` frame: about 8 KiB at the longest names, far below any node's limit.
const ROOMS_PER_JOIN: usize = 32;
/// What members show of themselves in one `join` frame, in bytes: the first of them always fits.
const INFO_BYTES_PER_JOIN: usize = 16 * 1024;

/// The rooms the application wants to be in, or is leaving.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: BTreeMap<RoomName, RoomWish>,
    duplicates: u64,
}

#[derive(Debug)]
pub(super) struct RoomWish {
    pub(super) options: JoinOptions,
    /// What the application last said of itself; said again after each entry.
    pub(super) status: Option<PresenceStatus>,
    pub(super) reader: ApplicationReader,
    pub(super) standing: Standing,
    /// Joins refused in a row.
    pub(super) refusals: u32,
}

#[derive(Debug, PartialEq)]
pub(super) enum Standing {
    /// To be joined, not before the time given.
    Wanted { from: Option<Instant> },
    /// `join` was sent.
    Joining { id: RequestId },
    /// A member.
    Joined,
    /// `leave` was sent; afterwards perhaps joined anew.
    Leaving { id: RequestId, then: Option<Box<JoinOptions>> },
}

impl RoomWish {
    fn new(options: JoinOptions) -> Self {
        let (standing, status) = (Standing::Wanted { from: None }, None);
        let reader = ApplicationReader::new(options.since.and_then(Since::position));
        Self { options, status, reader, standing, refusals: 0 }
    }

    fn request(&self, room: &RoomName) -> JoinRoom {
        let since = self.reader.position().map(Since::Position).or(self.options.since);
        let JoinOptions { history, presence, strict, ref info, .. } = self.options;
        let history = if since.is_none() { history } else { None };
        let (room, info) = (room.clone(), info.clone());
        JoinRoom { room, since, history, presence, strict, info, token: None }
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
        match self.rooms.get_mut(&name).map(|room| &mut room.standing) {
            Some(Standing::Leaving { then, .. }) => *then = Some(Box::new(options)),
            Some(_) => {}
            None => drop(self.rooms.insert(name, RoomWish::new(options))),
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

    pub(super) fn get_mut(&mut self, name: &RoomName) -> Option<&mut RoomWish> {
        self.rooms.get_mut(name)
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
        let due = |room: &RoomWish| match room.standing {
            Standing::Wanted { from } => from.is_none_or(|from| from <= now),
            _ => false,
        };
        let mut wanted = self.rooms.iter_mut().filter(|(_, room)| due(room)).peekable();
        while wanted.peek().is_some() {
            *last_id += 1;
            let id = *last_id;
            let mut rooms = Vec::new();
            let mut info_bytes = 0;
            while let Some((name, room)) = wanted.next_if(|(_, room)| {
                info_bytes += room.options.info.as_ref().map_or(0, Data::len);
                rooms.is_empty() || info_bytes <= INFO_BYTES_PER_JOIN
            }) {
                room.standing = Standing::Joining { id };
                rooms.push(room.request(name));
                if rooms.len() == ROOMS_PER_JOIN {
                    break;
                }
            }
            actions.push_back(Action::Send(ClientFrame::Join { id: Some(id), rooms }));
        }
    }

    /// `left`: the answer to a `leave` (with its id), or the node's own doing (without).
    pub(super) fn left(
        &mut self,
        id: Option<RequestId>,
        name: RoomName,
        reason: Option<Box<str>>,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(room) = self.rooms.get_mut(&name) else { return };
        let then = match &mut room.standing {
            Standing::Leaving { id: sent, then } if id.is_none_or(|id| id == *sent) => then.take(),
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
                Some(RoomWish { standing: Standing::Leaving { id: sent, then }, .. })
                    if *sent == id =>
                {
                    let then = then.take();
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
            match &mut room.standing {
                Standing::Leaving { then, .. } => left.push((name.clone(), then.take())),
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
        then: Option<Box<JoinOptions>>,
        reason: Option<Box<str>>,
        actions: &mut VecDeque<Action>,
    ) {
        match then {
            Some(options) => drop(self.rooms.insert(name.clone(), RoomWish::new(*options))),
            None => drop(self.rooms.remove(&name)),
        }
        tell(actions, Event::Left { room: name, reason });
    }

    pub(super) fn count_duplicate(&mut self) {
        self.duplicates += 1;
    }

    pub(super) fn reader_of_member(&mut self, name: &RoomName) -> Option<&mut ApplicationReader> {
        let room = self.rooms.get_mut(name)?;
        (room.standing == Standing::Joined).then_some(&mut room.reader)
    }
}

/// Refusals that may not be repeated tomorrow.
fn may_pass(code: ErrorCode) -> bool {
    use ErrorCode::{BusUnavailable, Internal, NotReady, Overloaded, RateLimited};
    matches!(code, BusUnavailable | Internal | NotReady | Overloaded | RateLimited)
}
