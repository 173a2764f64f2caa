//! What the desk learns of Redis: the outcomes of its tasks, and what reads found there. Pure.

use std::time::Duration;

use roomcast_protocol::{ConnectionId, RoomName, UserName};
use tokio::time::Instant;

use super::call::CallOutcome;
use super::desk::{Desk, IndexOutcome, NumberFound};
use super::desk_room::DeskRoom;
use crate::leases::Incarnation;

impl<R> Desk<R> {
    /// What a room's hash says while the desk's last call was this one. Returns whether the members
    /// that the hash has are to be read: they are another state than the desk's.
    pub(super) fn compared(&mut self, room: &RoomName, done: u64, found: NumberFound) -> bool {
        let Some(state) = self.rooms.get_mut(room) else { return false };
        if state.done != done || state.is_calling() || found == NumberFound::Call(done) {
            return false;
        }
        state.register(match found {
            NumberFound::Call(number) => number,
            NumberFound::Missing => 0,
        });
        state.scans += 1;
        self.queue(room);
        true
    }

    /// What the hash has of this incarnation and its graces.
    pub(super) fn scanned(
        &mut self,
        room: &RoomName,
        seats: Vec<(ConnectionId, Option<UserName>)>,
        leaving: Vec<UserName>,
        now: Instant,
    ) {
        let Some(state) = self.rooms.get_mut(room) else { return };
        state.scans = state.scans.saturating_sub(1);
        seats.into_iter().for_each(|(connection, user)| state.found(connection, user));
        let grace = state.policy.map_or(Duration::ZERO, |policy| policy.grace);
        self.queue(room);
        leaving.into_iter().for_each(|user| self.grace(room, user, grace, now));
    }

    /// The index has a room. Returns whether its members are to be read, because the desk knows none.
    pub(super) fn adopt(&mut self, room: &RoomName) -> bool {
        let state = self.rooms.entry_ref(room).or_insert_with(|| DeskRoom::new(None));
        if !state.is_empty() || state.flight.is_some() {
            return false;
        }
        state.is_open = true;
        // A late removal may still come: an add of a higher number is safe from it.
        (state.is_indexed, state.may_be_indexed) = (false, true);
        state.scans += 1;
        true
    }

    /// A room was added to the index of an incarnation, or not.
    pub(super) fn indexed(
        &mut self,
        room: &RoomName,
        own: Incarnation,
        outcome: IndexOutcome,
        now: Instant,
    ) {
        let is_own = self.incarnation == Some(own);
        let Some(state) = self.rooms.get_mut(room) else { return };
        state.flight = None;
        if outcome == IndexOutcome::Done && is_own {
            state.place();
            self.queue(room);
        } else {
            state.failures = state.failures.saturating_add(1);
            self.retry(room, now);
        }
    }

    /// A room was removed from the index, or not. Returns whether its members are to be read.
    pub(super) fn unindexed(
        &mut self,
        room: &RoomName,
        own: Incarnation,
        outcome: IndexOutcome,
        now: Instant,
    ) -> bool {
        let is_own = self.incarnation == Some(own);
        let Some(state) = self.rooms.get_mut(room) else { return false };
        state.flight = None;
        match outcome {
            IndexOutcome::Behind(number) if is_own => {
                state.register(number);
                state.scans += 1;
                return true;
            }
            // An add after a removal whose outcome is unknown has a higher number.
            IndexOutcome::Lost if is_own => {
                state.is_indexed = false;
                self.retry(room, now);
            }
            _ => {
                if is_own {
                    (state.is_indexed, state.may_be_indexed) = (false, false);
                }
                self.queue(room);
            }
        }
        false
    }

    /// A call of an incarnation has this outcome. Returns whether the members that the hash has are
    /// to be read: it had lost calls before this one.
    pub(super) fn called(
        &mut self,
        room: &RoomName,
        own: Incarnation,
        outcome: CallOutcome,
        now: Instant,
    ) -> bool {
        let is_own = self.incarnation == Some(own);
        let Some(state) = self.rooms.get_mut(room) else { return false };
        match outcome {
            CallOutcome::Done(answer) if is_own => {
                let written = state.landed();
                if answer.is_behind {
                    state.register(state.seen);
                    state.scans += 1;
                }
                let counts = Some(answer.counts);
                self.answers.extend(written.into_iter().map(|reply| (reply, counts)));
                for grace in answer.graces {
                    self.grace(room, grace.user, grace.left, now);
                }
                self.queue(room);
                answer.is_behind
            }
            _ => {
                let superseded = state.lost();
                self.answers.extend(superseded.into_iter().map(|reply| (reply, None)));
                self.retry(room, now);
                false
            }
        }
    }
}
