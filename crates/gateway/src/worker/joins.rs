//! Joining and leaving: a client's request to become a member, which waits until the worker has the
//! room's log (`backfill_joins.rs`) or is refused, and its request to be a member no longer.

use std::rc::Rc;
use std::time::Duration;

use roomcast_access::identity::RoomPass;
use roomcast_bus::Departure;
use roomcast_metrics::ResumeOutcome;
use roomcast_protocol::{ErrorCode, JoinRoom, RequestId, RoomKind, RoomName, ServerFrame, Since};
use tokio::time::Instant;

use super::Worker;
use super::chores::SLICE;
use crate::connection::Connection;
use crate::room::{
    AfterJoin, Attachment, JoinLookup, JoinPresence, JoinReply, PendingJoin, PositionCheck,
    ReplacedJoin, Room,
};

/// How long a join may wait for the bus before it is refused.
const JOIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a join is not answered whose client took it back.
pub(super) const LEFT_EARLY: (ErrorCode, &str) =
    (ErrorCode::Cancelled, "the connection left before it had joined");

/// What a join comes with besides what is asked.
#[derive(Debug, Default)]
pub(super) struct JoinMeans {
    /// A token of the room's own.
    pub(super) pass: Option<RoomPass>,
    /// The backend that asks for it.
    pub(super) backend: Option<JoinReply>,
    /// What it takes the place of.
    pub(super) replaces: ReplacedJoin,
}

impl Worker {
    /// A client asks to become a member, perhaps by a token of the room's own.
    pub(super) fn join(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        join: JoinRoom,
        pass: Option<RoomPass>,
    ) {
        if join.room.kind() == RoomKind::User && connection.is_auto_joined.take() {
            return self.join_again(connection, id, join, pass);
        }
        match self.may_enter(connection, &join.room) {
            Ok(()) => {
                let means = JoinMeans { pass, ..JoinMeans::default() };
                self.wait_to_join(connection, id, join, means);
            }
            Err(reason) => self.refuse(connection, id, Some(&join.room), reason),
        }
    }

    /// Whether a connection may be in one room more; then it counts for its user.
    pub(super) fn may_enter(
        &self,
        connection: &Connection,
        name: &RoomName,
    ) -> Result<(), (ErrorCode, &'static str)> {
        if self.is_in(connection, name) {
            return Err((ErrorCode::AlreadyJoined, "this connection is in that room already"));
        }
        let most = self.settings.borrow().limits.rooms;
        if connection.rooms() + connection.joining() >= most {
            return Err((ErrorCode::TooManyRooms, "this connection is in too many rooms"));
        }
        match self.take_user_room(connection) {
            true => Ok(()),
            false => {
                Err((ErrorCode::TooManyRooms, "this user's connections are in too many rooms"))
            }
        }
    }

    /// Whether a connection is in a room, or waits to be.
    pub(super) fn is_in(&self, connection: &Connection, name: &RoomName) -> bool {
        self.room(name).is_some_and(|room| {
            connection.is_joining(room.id) || connection.membership_in(room.id).is_some()
        })
    }

    /// Has a connection wait for a room that it may enter.
    pub(super) fn wait_to_join(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        join: JoinRoom,
        JoinMeans { pass, backend, replaces }: JoinMeans,
    ) {
        let room = self.room_or_ask(&join.room);
        let lookup = self.look_up_join(connection, &room, &join);
        let resumes = join.since.is_some();
        // Where there is state, a join begins with that.
        let kept = match room.keeps_state() {
            true => 0,
            false => room.namespace.borrow().retention.history_size,
        };
        let pending = PendingJoin {
            connection: connection.clone(),
            id,
            since: join.since.and_then(Since::position),
            history: join.history.unwrap_or(0).min(kept),
            // Also for a join that turns out to resume.
            oldest: match resumes || lookup != JoinLookup::Known {
                true => self.oldest_for(connection, &join.room, pass.as_ref()),
                false => None,
            },
            lookup,
            resumes,
            strict: join.strict,
            marks: None,
            backend,
            replaces,
            withheld: None,
            deadline: Instant::now() + JOIN_TIMEOUT,
            known: PositionCheck::Unasked,
            info: join.info,
            listens: join.presence,
            presence: match join.strict {
                true => JoinPresence::Undecided,
                false => JoinPresence::Unasked,
            },
            then: Vec::new(),
        };
        if replaces != ReplacedJoin::Membership {
            connection.begin_join(room.id);
        }
        if let Some(pass) = pass {
            self.hold_pass(connection, room.id, pass);
        }
        {
            let waiting = &mut room.state.borrow_mut().pending;
            if waiting.is_empty() {
                // When many rooms open at once, each has one join: more space would be wasted.
                waiting.reserve_exact(1);
            }
            waiting.push(pending);
        }
        self.resolve(&room);
        if !room.state.borrow().pending.is_empty() {
            self.rooms.watch(&room);
        }
    }

    /// A client asks to be a member no longer, or takes back a join that is not answered yet.
    pub(super) fn leave(&self, connection: &Rc<Connection>, id: Option<RequestId>, name: RoomName) {
        let room = self.room(&name);
        let membership = room.as_ref().and_then(|room| connection.membership_in(room.id));
        match (membership, room) {
            (Some((membership, _)), _) => {
                self.send_waiting_signals(connection, &name);
                self.exit(connection, membership, Departure::Left);
            }
            (None, Some(room)) if self.cancel_join(connection, &room) => {}
            _ => {
                let reason = (ErrorCode::NotJoined, "this connection is not in that room");
                return self.refuse(connection, id, Some(&name), reason);
            }
        }
        connection.send(&ServerFrame::Left { id, room: name, reason: None });
    }

    /// Takes back a join that waits; false if there is none.
    pub(super) fn cancel_join(&self, connection: &Rc<Connection>, room: &Rc<Room>) -> bool {
        if !connection.end_join(room.id) {
            return false;
        }
        self.drop_pass(connection, room.id);
        self.settle_user_rooms(connection);
        self.disappear(connection, room, Departure::Left);
        self.cancel_pending(connection, room, LEFT_EARLY);
        self.forget_if_empty(room);
        true
    }

    /// Answers a join that waits with this error, and publishes what waited for it.
    pub(super) fn cancel_pending(
        &self,
        connection: &Rc<Connection>,
        room: &Room,
        reason: (ErrorCode, &str),
    ) {
        let mut state = room.state.borrow_mut();
        let is_its = |join: &PendingJoin| Rc::ptr_eq(&join.connection, connection);
        let Some(at) = state.pending.iter().position(is_its) else { return };
        let PendingJoin { id, then, backend, .. } = state.pending.remove(at);
        drop(state);
        let is_join = |request: &AfterJoin| {
            matches!(request, AfterJoin::Token { .. } | AfterJoin::Backend { .. })
        };
        let (joins, others): (Vec<_>, Vec<_>) = then.into_iter().partition(is_join);
        if connection.is_open() {
            self.refuse_join(connection, &room.name, (id, backend), reason);
        }
        // Joins of the same room that waited for this one are taken back with it.
        for request in joins {
            connection.in_flight.set(connection.in_flight.get() - 1);
            match request {
                AfterJoin::Token { id, .. } if connection.is_open() => {
                    self.refuse(connection, id, Some(&room.name), reason);
                }
                AfterJoin::Backend { reply, .. } if connection.is_open() => {
                    reply.answer(Err((reason.0, reason.1.to_owned())));
                }
                _ => {}
            }
        }
        self.go_on_after_join(connection, &room.name, others);
    }

    /// Refuses all joins of a room: at once if they are few, else in slices, as if they had waited too
    /// long. Then the hub is asked again, for joins that come meanwhile.
    pub(super) fn refuse_soon(&self, room: &Rc<Room>, code: ErrorCode) {
        let mut state = room.state.borrow_mut();
        if state.pending.len() <= SLICE {
            let refused = std::mem::take(&mut state.pending);
            // Without its log the room hears of no receipts, and must be asked for again.
            state.followed.clear();
            drop(state);
            return self.refuse_joins(room, refused, code);
        }
        let now = Instant::now();
        state.pending.iter_mut().for_each(|pending| pending.deadline = now);
        self.rooms.unwatch(&mut state);
        let number = self.rooms.next_number();
        state.attachment = Attachment::Asked(number);
        drop(state);
        self.rooms.watch(room);
        self.hub.attach(room.name.clone(), number);
    }

    /// Refuses joins that were taken out of a room, and publishes what waited for them.
    pub(super) fn refuse_joins(&self, room: &Rc<Room>, refused: Vec<PendingJoin>, code: ErrorCode) {
        let mut after = Vec::new();
        for PendingJoin { connection, id, since, then, backend, replaces, .. } in refused {
            if replaces == ReplacedJoin::Membership {
                // It is a member as before.
                connection.is_auto_joined.set(true);
            } else {
                connection.end_join(room.id);
                self.drop_pass(&connection, room.id);
                self.settle_user_rooms(&connection);
                let how = match code {
                    ErrorCode::Unrecoverable => Departure::Left,
                    _ => Departure::Ended,
                };
                self.disappear(&connection, room, how);
            }
            if since.is_some() {
                self.metrics.rooms.resumes[ResumeOutcome::Failed].inc();
            }
            let message = match code {
                ErrorCode::Overloaded => "the node holds as many rooms as it may; try again",
                ErrorCode::Unrecoverable => "not all messages since that position can be delivered",
                _ => "the bus does not answer; try again",
            };
            self.refuse_join(&connection, &room.name, (id, backend), (code, message));
            after.push((connection, then, replaces));
        }
        self.forget_if_empty(room);
        // What joins the room again asks for its log again, where there is no member.
        for (connection, then, replaces) in after {
            self.go_on_after_join(&connection, &room.name, then);
            if replaces == ReplacedJoin::Waiting && connection.is_open() {
                self.join_own_room(&connection, &self.settings());
            }
            self.write_soon(&connection);
        }
    }

    /// Tells the side that asked for a join that it is refused.
    fn refuse_join(
        &self,
        connection: &Rc<Connection>,
        room: &RoomName,
        (id, backend): (Option<RequestId>, Option<JoinReply>),
        (code, message): (ErrorCode, &str),
    ) {
        match backend {
            Some(backend) => backend.answer(Err((code, message.to_owned()))),
            None => self.refuse(connection, id, Some(room), (code, message)),
        }
    }

    /// Refuses up to `count` joins that have waited too long. True if others may be left.
    pub(crate) fn refuse_late(&self, now: Instant, count: usize) -> bool {
        let mut left = count;
        while left > 0 {
            let Some(room) = self.rooms.take_due(now) else { return false };
            let mut state = room.state.borrow_mut();
            let is_late = |pending: &&PendingJoin| pending.deadline <= now;
            let late = state.pending.iter().take(left).take_while(is_late).count();
            let refused: Vec<PendingJoin> = state.pending.drain(..late).collect();
            drop(state);
            self.rooms.watch(&room);
            self.refuse_joins(&room, refused, ErrorCode::BusUnavailable);
            left -= late.clamp(1, left);
        }
        true
    }
}
