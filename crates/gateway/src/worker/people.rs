//! Members as others see them: the bus is told of each that enters, shows something of itself or goes,
//! where the namespace has presence, and joins wait for a second at most until it has written them.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use roomcast_bus::{Departure, PresenceMember, PresenceMode, PresencePolicy};
use roomcast_protocol::{
    CloseCode, ConnectionId, Data, ErrorCode, PresenceCounts, PresenceStatus, RequestId, RoomName,
    ServerFrame,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::Worker;
use super::requests::{BusAnswer, Requester};
use crate::connection::{Connection, ConnectionPhase, Ended, RoomId};
use crate::permit::RoomAction;
use crate::room::{Attachment, JoinPresence, Room, ShownSelf, ShownSource};
use crate::settings::{PresenceSetting, PresenceSettings};

/// How long a join waits for its numbers; it is looked at four times a second.
const NUMBERS_TIMEOUT: Duration = Duration::from_millis(750);
/// How long an answer to `presence` may take.
const SHOW_TIMEOUT: Duration = Duration::from_secs(2);
/// Those whose gates were full ask for lists again within this time, in ms.
const MISSED_SPREAD_MS: u64 = 1_000;

/// Joins that wait for their numbers, the first of them longest; each with the number of its enter.
pub(super) type WaitingForNumbers = VecDeque<(Instant, RoomId, (ConnectionId, u64))>;

/// What came of `presence`.
pub(crate) struct ShownAnswer {
    pub(crate) to: Requester,
    pub(crate) room: RoomName,
    pub(crate) shown: ShownSelf,
    /// `None`: the bus has not written it in time.
    pub(crate) counts: Option<PresenceCounts>,
}

/// What the bus is to know of a namespace; `None` where presence is off.
fn policy_of(settings: PresenceSettings) -> Option<PresencePolicy> {
    let mode = match settings.mode {
        PresenceSetting::Off => return None,
        PresenceSetting::Counts => PresenceMode::Counts,
        PresenceSetting::Events => PresenceMode::Events,
    };
    Some(PresencePolicy { mode, grace: settings.grace, events_max: settings.events_max })
}

/// Whether others see who is in a room.
pub(super) fn has_presence(room: &Room) -> bool {
    policy_of(room.namespace.borrow().presence).is_some()
}

/// How the memberships of a connection end that has ended.
pub(super) fn departure(connection: &Connection) -> Departure {
    match connection.phase() {
        ConnectionPhase::Closing(Ended::Node(code)) | ConnectionPhase::Gone(Ended::Node(code))
            if matches!(code, CloseCode::Banned | CloseCode::Disconnected) =>
        {
            Departure::Left
        }
        _ => Departure::Ended,
    }
}

impl Worker {
    /// Tells the bus of the connections that wait to be members, each once, if the room has presence
    /// and its log is here.
    pub(super) fn appear_all(&self, room: &Room) {
        let Some(policy) = policy_of(room.namespace.borrow().presence) else { return };
        let mut state = room.state.borrow_mut();
        if !matches!(state.attachment, Attachment::Live(_)) {
            return;
        }
        let mut appearing = Vec::new();
        for pending in &mut state.pending {
            if pending.presence == JoinPresence::Unasked {
                let number = self.rooms.next_number();
                pending.presence = JoinPresence::Asked(number);
                appearing.push((pending.connection.clone(), pending.info.clone(), number));
            }
        }
        drop(state);
        let due = Instant::now() + NUMBERS_TIMEOUT;
        for (connection, info, number) in appearing {
            let shown = first_shown(&connection, info);
            self.appear_as((&connection, number), room, shown, policy);
            let enter = (connection.id, number);
            self.waiting_for_numbers.borrow_mut().push_back((due, room.id, enter));
        }
    }

    fn appear_as(
        &self,
        (connection, number): (&Connection, u64),
        room: &Room,
        shown: ShownSelf,
        policy: PresencePolicy,
    ) {
        let member = member_of(connection, &shown);
        room.state.borrow_mut().people.put(connection.id, shown);
        let (answers, name, id) = (self.answers.clone(), room.name.clone(), connection.id);
        let reply = Box::new(move |counts| {
            // The worker may have ended meanwhile.
            let _ =
                answers.send(BusAnswer::Appeared { room: name, connection: id, number, counts });
        });
        self.bus.presence_enter(&room.name, member, policy, reply);
    }

    /// The bus has written a member, or an exit of it came first.
    pub(super) fn take_numbers(
        &self,
        room: &Rc<Room>,
        (id, number): (ConnectionId, u64),
        counts: Option<PresenceCounts>,
    ) {
        if self.end_wait(room, (id, number), counts) {
            return self.resolve(room);
        }
        let was_late = {
            let people = &mut room.state.borrow_mut().people;
            people.missed(id);
            let shown = people.get_mut(id);
            shown.is_some_and(|shown| shown.late.take_if(|late| *late == number).is_some())
        };
        let connection = self.connections.get(id).filter(|_| was_late && counts.is_some());
        if let Some(connection) = connection
            && self.listens(&connection, room)
        {
            let room = room.name.clone();
            connection.send(&ServerFrame::PresenceReset { room, after_ms: 0 });
            self.write_soon(&connection);
        }
    }

    /// A join waits for its numbers no more; false if it did not.
    fn end_wait(
        &self,
        room: &Room,
        (id, number): (ConnectionId, u64),
        counts: Option<PresenceCounts>,
    ) -> bool {
        let mut state = room.state.borrow_mut();
        let waiting = |join: &&mut crate::room::PendingJoin| {
            join.connection.id == id && join.presence == JoinPresence::Asked(number)
        };
        let Some(pending) = state.pending.iter_mut().find(waiting) else { return false };
        pending.presence = JoinPresence::Known(counts);
        true
    }

    /// Lets up to `count` joins go on that have waited too long for their numbers. True if others may
    /// be left.
    pub(crate) fn end_waits_for_numbers(&self, now: Instant, count: usize) -> bool {
        for _ in 0..count {
            let mut waiting = self.waiting_for_numbers.borrow_mut();
            let Some(&(due, room, enter)) = waiting.front() else { return false };
            if due > now {
                return false;
            }
            waiting.pop_front();
            drop(waiting);
            let Some(room) = self.rooms.by_id(room) else { continue };
            if self.end_wait(&room, enter, None) {
                let (id, number) = enter;
                if let Some(shown) = room.state.borrow_mut().people.get_mut(id) {
                    shown.late = Some(number);
                }
                self.resolve(&room);
            }
        }
        true
    }

    /// Tells the bus that a connection is in a room no more, or will not be.
    pub(super) fn disappear(&self, connection: &Connection, room: &Room, how: Departure) {
        if room.state.borrow_mut().people.remove(connection.id) {
            self.bus.presence_exit(&room.name, connection.id, how);
        }
    }

    /// The numbers that a member may know.
    pub(super) fn numbers_for(
        &self,
        connection: &Connection,
        room: &Room,
        presence: JoinPresence,
    ) -> Option<PresenceCounts> {
        let JoinPresence::Known(Some(counts)) = presence else { return None };
        self.decide(connection, &room.name, RoomAction::SeeMembers).ok().map(|()| counts)
    }

    /// A room's namespace has another policy: its members appear or disappear, or one of them brings
    /// the policy to the bus.
    pub(super) fn follow_presence(&self, room: &Room, before: PresenceSettings) {
        let after = room.namespace.borrow().presence;
        match (policy_of(before), policy_of(after)) {
            (None, Some(policy)) => {
                let mut state = room.state.borrow_mut();
                let members = state.members.iter_mut();
                let all: Vec<_> =
                    members.filter_map(|(_, member)| member.connection.clone()).collect();
                drop(state);
                for connection in all {
                    let shown = first_shown(&connection, connection.info_in(room.id));
                    self.appear_as((&connection, self.rooms.next_number()), room, shown, policy);
                }
            }
            (Some(_), None) => {
                let all = room.state.borrow_mut().people.take_all();
                all.into_iter()
                    .for_each(|id| self.bus.presence_exit(&room.name, id, Departure::Left));
            }
            (Some(before), Some(policy)) if before != policy => {
                let known = {
                    let mut state = room.state.borrow_mut();
                    let mut members = state.members.iter_mut();
                    let first = members.find_map(|(_, member)| member.connection.clone());
                    drop(members);
                    let shown = first.as_ref().and_then(|first| state.people.get_mut(first.id));
                    first.clone().zip(shown.cloned())
                };
                if let Some((connection, shown)) = known {
                    self.appear_as((&connection, self.rooms.next_number()), room, shown, policy);
                }
            }
            _ => {}
        }
    }

    /// A member shows something else of itself.
    pub(super) fn show(
        &self,
        connection: &Rc<Connection>,
        room: &Rc<Room>,
        id: Option<RequestId>,
        (info, status): (Option<Data>, Option<PresenceStatus>),
    ) {
        let mut state = room.state.borrow_mut();
        let Some(shown) = state.people.get_mut(connection.id) else {
            drop(state);
            let reason = (ErrorCode::Unsupported, "this room's namespace has no presence");
            return self.refuse(connection, id, Some(&room.name), reason);
        };
        if info.is_some() {
            shown.info = info;
            shown.source = ShownSource::Member;
        }
        shown.status = status.unwrap_or(shown.status);
        let shown = shown.clone();
        drop(state);
        let to = self.begin_request(connection, id);
        let (answers, name) = (self.answers.clone(), room.name.clone());
        let (written, answer) = oneshot::channel();
        // Where nobody waits any more the answer is not needed.
        let reply = Box::new(move |counts| {
            let _ = written.send(counts);
        });
        self.bus.presence_show(&room.name, member_of(connection, &shown), reply);
        tokio::task::spawn_local(async move {
            let counts = timeout(SHOW_TIMEOUT, answer).await;
            let counts = counts.ok().and_then(Result::ok).flatten();
            // The worker may have ended meanwhile.
            let _ = answers.send(BusAnswer::Shown(Box::new(ShownAnswer {
                to,
                room: name,
                shown,
                counts,
            })));
        });
    }

    /// A member that shows the info of its token shows that of the token that it has now.
    pub(super) fn follow_token_info(&self, connection: &Connection, room: &Room) {
        let mut state = room.state.borrow_mut();
        let Some(shown) = state.people.get_mut(connection.id) else { return };
        if shown.source == ShownSource::Member {
            return;
        }
        let info = token_info(connection);
        if shown.info == info {
            return;
        }
        shown.info = info;
        let member = member_of(connection, shown);
        drop(state);
        // Nothing waits for it.
        self.bus.presence_show(&room.name, member, Box::new(|_| {}));
    }

    /// Answers `presence`.
    pub(super) fn answer_show(&self, answer: ShownAnswer) {
        let ShownAnswer { to, room, shown, counts } = answer;
        let Some(connection) = self.end_request(to) else { return };
        match counts {
            Some(counts) => connection.send(&ServerFrame::Presence {
                id: to.id,
                room,
                user: connection.user.clone(),
                connection: connection.user.is_none().then_some(connection.id),
                info: shown.info,
                status: Some(shown.status),
                rev: Some(counts.rev),
            }),
            None => {
                let reason = (ErrorCode::BusUnavailable, "the bus does not answer; try again");
                self.refuse(&connection, to.id, Some(&room), reason);
            }
        }
        self.write_soon(&connection);
    }

    /// Until when a member missed what others did; nothing of a connection that is none.
    pub(super) fn missed_until(&self, id: ConnectionId, room: &RoomName) -> Option<Instant> {
        self.room(room)?.state.borrow().people.missed_until(id)
    }

    /// A member may no longer see who is in the room.
    pub(super) fn stop_listening(&self, connection: &Connection, room: &Room) {
        if let Some((_, slot)) = connection.membership_in(room.id) {
            room.state.borrow_mut().members.at_mut(slot).listens = false;
        }
    }

    /// Whether a member follows who is in the room.
    fn listens(&self, connection: &Connection, room: &Room) -> bool {
        let member = connection.membership_in(room.id);
        member.is_some_and(|(_, slot)| room.state.borrow().members.at(slot).listens)
    }

    /// A connection takes what it is written again, and has missed who came and went.
    pub(super) fn reset_missed_lists(&self, connection: &Rc<Connection>) {
        if connection.is_blocked() || connection.unread_control() > 0 {
            return;
        }
        connection.missed_list.set(false);
        for room in connection.all_rooms() {
            let Some(room) = self.rooms.by_id(room) else { continue };
            if self.listens(connection, &room) {
                let after_ms = rand::random_range(0..=MISSED_SPREAD_MS);
                room.state.borrow_mut().people.missed(connection.id);
                let room = room.name.clone();
                connection.send(&ServerFrame::PresenceReset { room, after_ms });
            }
        }
        self.write_soon(connection);
    }
}

/// What a member shows at first: this info, or else that of its token.
fn first_shown(connection: &Connection, info: Option<Data>) -> ShownSelf {
    match info {
        Some(_) => ShownSelf { info, source: ShownSource::Member, ..ShownSelf::default() },
        None => ShownSelf { info: token_info(connection), ..ShownSelf::default() },
    }
}

/// What a connection's token says of its user.
pub(super) fn token_info(connection: &Connection) -> Option<Data> {
    connection.judge(|identity| identity.info().cloned())
}

fn member_of(connection: &Connection, shown: &ShownSelf) -> PresenceMember {
    PresenceMember {
        connection: connection.id,
        user: connection.user.clone(),
        info: shown.info.clone(),
        status: shown.status,
    }
}

#[cfg(test)]
mod tests;
