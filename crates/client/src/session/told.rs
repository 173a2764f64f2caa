//! What a node's frames about a room mean to the application: each is told as an event, and those
//! that move the reader move it. Frames of rooms that the client is no member of are dropped.

use std::collections::VecDeque;
use std::time::Duration;

use roomcast_protocol::{ClientFrame, Position, PresenceStatus, RoomName, ServerFrame};

use super::Action;
use super::request::Showing;
use super::rooms::{Rooms, Standing, tell};
use crate::{ConfirmedMarks, Event};

impl Rooms {
    /// A frame that only members get: `joined` and everything after it.
    pub(super) fn told(&mut self, frame: ServerFrame, actions: &mut VecDeque<Action>) {
        match frame {
            ServerFrame::Joined { .. } => self.joined(frame, actions),
            ServerFrame::Message { room, message } => {
                let Some(reader) = self.reader_of_member(&room) else { return };
                match reader.message(message.seq) {
                    Some(position) => tell(actions, Event::Message { room, position, message }),
                    None => self.count_duplicate(),
                }
            }
            ServerFrame::Gap { room, from, to, conflated, state } => {
                let Some(reader) = self.reader_of_member(&room) else { return };
                if let Some((from, position)) = reader.gap((from, to), state.into()) {
                    tell(actions, Event::Gap { room, from, to, position, conflated, state });
                }
            }
            ServerFrame::Reset { room, epoch, seq, lost, state } => {
                let Some(reader) = self.reader_of_member(&room) else { return };
                let position = Position { epoch, seq };
                reader.reset(position, state.into());
                tell(actions, Event::Reset { room, position, lost, state });
            }
            ServerFrame::State { id: None, room, epoch, seq, entries, more, .. } => {
                let Some(reader) = self.reader_of_member(&room) else { return };
                let position = Position { epoch, seq };
                let is_first = reader.state(position, more.into());
                tell(actions, Event::State { room, position, is_first, more, entries });
            }
            frame => self.told_of_people(frame, actions),
        }
    }

    fn joined(&mut self, frame: ServerFrame, actions: &mut VecDeque<Action>) {
        let ServerFrame::Joined { room: name, epoch, seq, recovered, counts, marks, state, .. } =
            frame
        else {
            return;
        };
        let Some(room) = self.get_mut(&name) else { return };
        if !matches!(room.standing, Standing::Joining { .. }) {
            return;
        }
        let position = room.reader.joined(Position { epoch, seq }, recovered, state.into());
        room.standing = Standing::Joined;
        room.refusals = 0;
        let is_away = room.status == Some(PresenceStatus::Away);
        let again = is_away.then(|| ClientFrame::Presence {
            id: None,
            room: name.clone(),
            info: None,
            status: room.status,
        });
        tell(actions, Event::Joined { room: name, position, recovered, counts, marks, state });
        actions.extend(again.map(Action::Send));
    }

    /// What members are told of each other.
    fn told_of_people(&mut self, frame: ServerFrame, actions: &mut VecDeque<Action>) {
        let (name, event) = match frame {
            ServerFrame::Signal { room, user, connection, event, data } => {
                (room.clone(), Event::Signal { room, user, connection, event, data })
            }
            ServerFrame::Typing { room, user, connection, active } => {
                (room.clone(), Event::Typing { room, user, connection, active })
            }
            ServerFrame::UserJoined(event) => (event.room.clone(), Event::UserJoined(event)),
            ServerFrame::UserLeft(event) => (event.room.clone(), Event::UserLeft(event)),
            ServerFrame::Count { room, count, users, rev, list } => {
                (room.clone(), Event::Count { room, count, users, rev, list })
            }
            ServerFrame::PresenceReset { room, after_ms } => {
                let after = Duration::from_millis(after_ms);
                (room.clone(), Event::PresenceReset { room, after })
            }
            ServerFrame::Presence { room, user, connection, info, status, rev, .. } => {
                (room.clone(), Event::Presence { room, user, connection, info, status, rev })
            }
            ServerFrame::Received { id: None, room, epoch, seq, read } => {
                let confirmation = ConfirmedMarks { epoch, received: seq, read };
                (room.clone(), Event::Received { room, confirmation })
            }
            _ => return,
        };
        if self.is_member(&name) {
            tell(actions, event);
        }
    }

    /// The node shows this of the client now: so it is after each entry from now on.
    pub(super) fn shown(&mut self, name: &RoomName, showing: Showing) {
        let Some(room) = self.get_mut(name) else { return };
        room.options.info = showing.info.or(room.options.info.take());
        room.status = showing.status.or(room.status);
    }

    /// Whether an ephemeral frame about this room may go out: not while the client is about to be
    /// a member. In a room that is not wanted the node refuses it.
    pub(super) fn admits(&mut self, name: &RoomName) -> bool {
        self.get_mut(name).is_none_or(|room| room.standing == Standing::Joined)
    }

    /// Whether the client is a member, or is about to be.
    pub(super) fn wants(&mut self, name: &RoomName) -> bool {
        self.get_mut(name).is_some_and(|room| !matches!(room.standing, Standing::Leaving { .. }))
    }

    fn is_member(&mut self, name: &RoomName) -> bool {
        self.get_mut(name).is_some_and(|room| room.standing == Standing::Joined)
    }
}
