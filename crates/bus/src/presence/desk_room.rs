//! One room at the desk: this node's members of it, and what of them Redis does not have yet. Pure.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use roomcast_protocol::{ConnectionId, UserName};

use super::call::{CallItem, ITEMS_PER_CALL, InfoUse};
use super::seat_replies::{SeatReplies, SeatWord};
use crate::api::{Departure, PresenceMember, PresencePolicy};
use crate::leases::Incarnation;

/// A connection of this node, as far as this room is concerned.
#[derive(Debug)]
pub(super) struct DeskSeat<R> {
    pub(super) member: PresenceMember,
    /// How it ended; `None` while it is in the room.
    pub(super) gone: Option<Departure>,
    /// Whether Redis may have another state of it.
    pub(super) is_dirty: bool,
    /// Whether Redis may know it.
    is_sent: bool,
    info_use: InfoUse,
    replies: SeatReplies<R>,
}

/// A call that has no outcome yet.
#[derive(Debug)]
pub(super) struct Flight<R> {
    pub(super) number: u64,
    seats: Vec<ConnectionId>,
    replies: Vec<(ConnectionId, SeatReplies<R>)>,
    dues: Vec<UserName>,
}

/// One room.
#[derive(Debug)]
pub(super) struct DeskRoom<R> {
    /// `None`: as before.
    pub(super) policy: Option<PresencePolicy>,
    pub(super) seats: HashMap<ConnectionId, DeskSeat<R>>,
    /// The seats that are dirty, in the order of their changes.
    dirty: VecDeque<ConnectionId>,
    /// Users whose grace may be over.
    dues: Vec<UserName>,
    /// Users whose grace runs.
    graces: HashSet<UserName>,
    pub(super) flight: Option<Flight<R>>,
    /// Whether the room's feed is open: only then a change that follows an answer is heard.
    pub(super) is_open: bool,
    /// Whether the index of this incarnation has the room.
    pub(super) is_indexed: bool,
    /// Whether the index may have it: an add of this incarnation was sent.
    pub(super) may_be_indexed: bool,
    /// Whether the index may have lost the room since its add was sent.
    may_be_lost: bool,
    /// The incarnation that members may still be written under.
    pub(super) replaces: Option<Incarnation>,
    /// The number of the last call that was done; 0: none under this incarnation.
    pub(super) done: u64,
    /// The last number of this incarnation that the room's hash is known to have had.
    pub(super) seen: u64,
    /// Reads of what its hash has of this node that are under way.
    pub(super) scans: u32,
    /// Whether the desk's queue has it.
    pub(super) is_queued: bool,
    /// Calls in a row without an outcome.
    pub(super) failures: u32,
}

impl<R> DeskRoom<R> {
    pub(super) fn new(policy: Option<PresencePolicy>) -> Self {
        Self {
            policy,
            seats: HashMap::new(),
            dirty: VecDeque::new(),
            dues: Vec::new(),
            graces: HashSet::new(),
            flight: None,
            is_open: false,
            is_indexed: false,
            may_be_indexed: false,
            may_be_lost: false,
            replaces: None,
            done: 0,
            seen: 0,
            scans: 0,
            is_queued: false,
            failures: 0,
        }
    }

    /// A connection comes, or shows something else. Returns a reply that waits no more.
    pub(super) fn put(&mut self, member: PresenceMember, word: SeatWord<R>) -> Option<R> {
        let connection = member.connection;
        let seat = self.seats.entry(connection).or_insert_with(|| DeskSeat {
            // An enter without info shows nothing new of a user that other connections show.
            info_use: if member.info.is_some() { InfoUse::Show } else { InfoUse::Keep },
            member: member.clone(),
            gone: None,
            is_dirty: false,
            is_sent: false,
            replies: SeatReplies::new(),
        });
        if seat.gone.take().is_some() {
            seat.info_use = if member.info.is_some() { InfoUse::Show } else { InfoUse::Keep };
        } else if seat.member.info != member.info {
            seat.info_use = InfoUse::Show;
        }
        seat.member = member;
        let superseded = seat.replies.add(word);
        self.soil(connection);
        superseded
    }

    /// A connection goes. Returns those who waited for its enter.
    pub(super) fn leave(&mut self, connection: ConnectionId, how: Departure) -> Vec<R> {
        let Some(seat) = self.seats.get_mut(&connection).filter(|seat| seat.gone.is_none()) else {
            return Vec::new();
        };
        let replies = std::mem::replace(&mut seat.replies, SeatReplies::new());
        if seat.is_sent {
            seat.gone = Some(how);
            self.soil(connection);
        } else {
            self.seats.remove(&connection);
        }
        replies.into_all().collect()
    }

    fn soil(&mut self, connection: ConnectionId) {
        if let Some(seat) = self.seats.get_mut(&connection)
            && !std::mem::replace(&mut seat.is_dirty, true)
        {
            self.dirty.push_back(connection);
        }
    }

    /// Redis may not have this node's members: all are written again. `seen` is the number that the
    /// room's hash has of them, or 0.
    pub(super) fn register(&mut self, seen: u64) {
        let all: Vec<_> = self.seats.keys().copied().collect();
        all.into_iter().for_each(|connection| self.soil(connection));
        self.unplace();
        (self.done, self.seen) = (0, seen);
    }

    /// The index may have lost the room.
    pub(super) fn unplace(&mut self) {
        (self.is_indexed, self.may_be_lost) = (false, true);
    }

    /// The index has the room, as the add that was under way tells.
    pub(super) fn place(&mut self) {
        self.is_indexed = !self.may_be_lost;
    }

    /// Redis has a connection of this incarnation that the desk may not know.
    pub(super) fn found(&mut self, connection: ConnectionId, user: Option<UserName>) {
        if self.seats.contains_key(&connection) {
            return;
        }
        let member = PresenceMember { connection, user, info: None, status: Default::default() };
        let seat = DeskSeat {
            member,
            gone: Some(Departure::Ended),
            is_dirty: false,
            is_sent: true,
            info_use: InfoUse::Keep,
            replies: SeatReplies::new(),
        };
        self.seats.insert(connection, seat);
        self.soil(connection);
    }

    /// A user's grace began.
    pub(super) fn grace(&mut self, user: UserName) {
        self.graces.insert(user);
    }

    /// A user's grace may be over.
    pub(super) fn due(&mut self, user: UserName) {
        if self.graces.remove(&user) {
            self.dues.push(user);
        }
    }

    /// Whether a call is under way, and not only a change of the index.
    pub(super) fn is_calling(&self) -> bool {
        let has_items = |it: &Flight<R>| !it.seats.is_empty() || !it.dues.is_empty();
        self.flight.as_ref().is_some_and(has_items)
    }

    /// Whether something is to be written.
    pub(super) fn has_work(&self) -> bool {
        !self.dirty.is_empty() || !self.dues.is_empty()
    }

    /// Whether the room needs no place in the index.
    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.graces.is_empty() && self.dues.is_empty()
    }

    /// The room's place in the index changes; nothing else happens meanwhile.
    pub(super) fn take_nothing(&mut self, number: u64) {
        let (seats, replies, dues) = (Vec::new(), Vec::new(), Vec::new());
        self.may_be_lost = false;
        self.flight = Some(Flight { number, seats, replies, dues });
    }

    /// The items of the next call.
    pub(super) fn take(&mut self, number: u64) -> Vec<CallItem> {
        let mut flight =
            Flight { number, seats: Vec::new(), replies: Vec::new(), dues: Vec::new() };
        let (mut items, mut gone) = (Vec::new(), Vec::new());
        while items.len() + gone.len() < ITEMS_PER_CALL
            && let Some(connection) = self.dirty.pop_front()
        {
            let Some(seat) = self.seats.get_mut(&connection) else { continue };
            seat.is_dirty = false;
            seat.is_sent = true;
            flight.seats.push(connection);
            let replies = std::mem::replace(&mut seat.replies, SeatReplies::new());
            flight.replies.push((connection, replies));
            match seat.gone {
                None => items.push(CallItem::Here(seat.member.clone(), seat.info_use)),
                Some(how) => {
                    gone.push(CallItem::Gone(connection, seat.member.user.clone(), how));
                }
            }
        }
        // A user that goes from one connection to another does not leave between them.
        items.append(&mut gone);
        while items.len() < ITEMS_PER_CALL
            && let Some(user) = self.dues.pop()
        {
            items.push(CallItem::Due(user.clone()));
            flight.dues.push(user);
        }
        self.flight = Some(flight);
        items
    }

    /// The call was done. Returns those who waited for it.
    pub(super) fn landed(&mut self) -> Vec<R> {
        let Some(flight) = self.flight.take() else { return Vec::new() };
        for connection in flight.seats {
            let Some(seat) = self.seats.get_mut(&connection) else { continue };
            if seat.is_dirty {
                continue;
            }
            seat.info_use = InfoUse::Keep;
            if seat.gone.is_some() {
                self.seats.remove(&connection);
            } else if let Some(user) = &seat.member.user {
                self.graces.remove(user);
            }
        }
        (self.done, self.seen) = (flight.number, flight.number);
        self.failures = 0;
        if self.dirty.is_empty() {
            self.replaces = None;
        }
        flight.replies.into_iter().flat_map(|(_, replies)| replies.into_all()).collect()
    }

    /// The call has no outcome. Returns those who wait no more: the connection is gone, or has shown
    /// something else.
    pub(super) fn lost(&mut self) -> Vec<R> {
        let Some(flight) = self.flight.take() else { return Vec::new() };
        flight.seats.into_iter().for_each(|connection| self.soil(connection));
        self.dues.extend(flight.dues);
        self.failures = self.failures.saturating_add(1);
        let mut superseded = Vec::new();
        for (connection, replies) in flight.replies {
            match self.seats.get_mut(&connection).filter(|seat| seat.gone.is_none()) {
                Some(seat) => superseded.extend(seat.replies.restore(replies)),
                None => superseded.extend(replies.into_all()),
            }
        }
        superseded
    }
}
