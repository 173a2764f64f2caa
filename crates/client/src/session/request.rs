//! What an application may ask that has an answer of its own, and how it is asked.

#![expect(missing_docs, reason = "public for the simulation only")]

use roomcast_protocol::{
    ClientFrame, Data, HistoryQuery, Position, PresenceStatus, Publish, RequestId, RoomName,
};

use crate::Confirms;
use crate::answer::ClientAnswer;

/// A request.
#[derive(Debug, Clone)]
pub enum ClientRequest {
    /// A message to publish.
    Publish(Publish),
    /// A page to read.
    History(HistoryQuery),
    /// A page of members.
    Members { room: RoomName, page: Option<Box<str>> },
    /// A part of a room's state.
    State { room: RoomName, page: Option<Box<str>> },
    /// Where rooms are.
    Rooms(Vec<RoomName>),
    /// What other members are to see.
    Show(RoomName, Showing),
    /// What the user has received or read.
    Confirm { room: RoomName, position: Position, confirms: Confirms },
}

/// What other members see of the client; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Showing {
    pub info: Option<Data>,
    pub status: Option<PresenceStatus>,
}

impl ClientRequest {
    pub(super) fn frame(&self, id: RequestId) -> ClientFrame {
        let id = Some(id);
        match self.clone() {
            Self::Publish(publish) => ClientFrame::Publish(Publish { id, ..publish }),
            Self::History(query) => ClientFrame::History(HistoryQuery { id, ..query }),
            Self::Members { room, page } => ClientFrame::Members { id, room, page },
            Self::State { room, page } => ClientFrame::State { id, room, page },
            Self::Rooms(rooms) => ClientFrame::Room { id, rooms },
            Self::Show(room, Showing { info, status }) => {
                ClientFrame::Presence { id, room, info, status }
            }
            Self::Confirm { room, position: Position { epoch, seq }, confirms } => {
                let read = confirms == Confirms::Read;
                ClientFrame::Received { id, room, epoch, seq, read }
            }
        }
    }

    /// Whether sending it twice is the same as sending it once.
    pub(super) fn repeatable(&self) -> bool {
        match self {
            Self::Publish(Publish { key, .. }) => key.is_some(),
            _ => true,
        }
    }

    pub(super) fn is_answered_by(&self, answer: &ClientAnswer) -> bool {
        matches!(
            (self, answer),
            (Self::History(_), ClientAnswer::History(_))
                | (Self::Members { .. }, ClientAnswer::Members(_))
                | (Self::State { .. }, ClientAnswer::State(_))
                | (Self::Rooms(_), ClientAnswer::Rooms(_))
                | (Self::Show(..), ClientAnswer::Shown)
                | (Self::Confirm { .. }, ClientAnswer::Confirmed(_))
        )
    }

    /// The rooms that are each answered by a frame.
    pub(super) fn rooms_asked(&self) -> usize {
        match self {
            Self::Rooms(rooms) => rooms.len(),
            _ => 1,
        }
    }
}
