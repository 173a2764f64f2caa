//! Rooms with state: snapshots, with whose end the position moves, and gaps that leave out what has
//! newer values.

use std::collections::VecDeque;

use roomcast_protocol::{Position, RoomName, StateEntry};

use super::Action;
use super::rooms::{Rooms, tell};
use crate::Event;

/// How far a snapshot of a room's state is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum SnapshotPhase {
    /// None is under way, or it was just announced.
    Before,
    /// Parts of it have come.
    Inside,
}

/// How a room goes on after `joined`, `gap` or `reset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Continuation {
    /// With the frame, which moves the position.
    Messages,
    /// With a snapshot, whose end moves it.
    Snapshot,
}

impl Continuation {
    /// That of a frame with this `state`.
    pub(super) fn of(state: bool) -> Self {
        if state { Self::Snapshot } else { Self::Messages }
    }
}

/// What a gap leaves out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum GapKind {
    /// What is lost to the reader.
    Lost,
    /// What has newer values.
    Conflated,
    /// What a snapshot stands for, which follows.
    Snapshot,
}

impl GapKind {
    /// That of a frame with this `conflated` and this `state`.
    pub(super) fn of(conflated: bool, state: bool) -> Self {
        match (conflated, state) {
            (_, true) => Self::Snapshot,
            (true, false) => Self::Conflated,
            (false, false) => Self::Lost,
        }
    }
}

impl Rooms {
    /// A part of a snapshot at `at`; whether others follow.
    pub(super) fn state(
        &mut self,
        name: RoomName,
        (at, more): (Position, bool),
        entries: Vec<StateEntry>,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(room) = self.member(&name) else { return };
        let begins = room.snapshot == SnapshotPhase::Before;
        room.snapshot = if more { SnapshotPhase::Inside } else { SnapshotPhase::Before };
        let position = (!more).then_some(at);
        if !more {
            room.reader.reset(at);
        }
        tell(actions, Event::State { room: name, begins, entries, position });
    }
}
