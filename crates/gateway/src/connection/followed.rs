//! The messages of one connection whose receipts it is told of. It knows rooms by their ids only.

use std::cell::RefCell;
use std::collections::VecDeque;

use roomcast_protocol::Seq;

use super::{Connection, RoomId};

/// The messages, the oldest first; most connections have none.
#[derive(Debug, Default)]
pub(super) struct FollowedByAuthor(RefCell<Option<FollowedList>>);

type FollowedList = Box<VecDeque<(RoomId, Seq)>>;

impl Connection {
    /// Adds a message. If there are more than `most` now, the oldest is given back.
    pub(crate) fn follow_receipts(
        &self,
        room: RoomId,
        seq: Seq,
        most: usize,
    ) -> Option<(RoomId, Seq)> {
        let mut followed = self.followed.0.borrow_mut();
        let messages = followed.get_or_insert_default();
        if messages.contains(&(room, seq)) {
            return None;
        }
        messages.push_back((room, seq));
        if messages.len() > most { messages.pop_front() } else { None }
    }

    /// Takes all of them out.
    pub(crate) fn end_followed(&self) -> impl Iterator<Item = (RoomId, Seq)> {
        self.followed.0.take().into_iter().flat_map(|messages| *messages)
    }
}
