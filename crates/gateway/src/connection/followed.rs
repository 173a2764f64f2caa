//! The messages of one connection whose receipts it is told of. It knows rooms by their ids only.

use std::cell::RefCell;
use std::collections::VecDeque;

use roomcast_protocol::Seq;
use tokio::time::Instant;

use super::{Connection, RoomId};

/// The messages, the oldest first; most connections have none.
#[derive(Debug, Default)]
pub(super) struct FollowedByAuthor(RefCell<Option<FollowedList>>);

/// With the time at which each was published.
type FollowedList = Box<VecDeque<(RoomId, Seq, Instant)>>;

impl Connection {
    /// Adds a message. If there are more than `most` now, the oldest is given back.
    pub(crate) fn follow_receipts(
        &self,
        (room, seq): (RoomId, Seq),
        now: Instant,
        most: usize,
    ) -> Option<(RoomId, Seq)> {
        let mut followed = self.followed.0.borrow_mut();
        let messages = followed.get_or_insert_default();
        if messages.iter().any(|known| (known.0, known.1) == (room, seq)) {
            return None;
        }
        messages.push_back((room, seq, now));
        let oldest = if messages.len() > most { messages.pop_front() } else { None };
        oldest.map(|(room, seq, _)| (room, seq))
    }

    /// Takes out those of rooms that it is not in, and where it published none of them at or after
    /// `since`.
    pub(crate) fn end_quiet_followed(&self, since: Instant) -> Vec<(RoomId, Seq)> {
        let mut followed = self.followed.0.borrow_mut();
        let Some(messages) = followed.as_mut() else { return Vec::new() };
        if messages.front().is_none_or(|(.., at)| *at >= since) {
            return Vec::new();
        }
        let recent: Vec<RoomId> =
            messages.iter().filter(|(.., at)| *at >= since).map(|(room, ..)| *room).collect();
        let is_quiet = |room: RoomId| !recent.contains(&room) && self.membership_in(room).is_none();
        let quiet = messages.iter().filter(|(room, ..)| is_quiet(*room));
        let quiet: Vec<_> = quiet.map(|(room, seq, _)| (*room, *seq)).collect();
        messages.retain(|(room, ..)| !is_quiet(*room));
        quiet
    }

    /// Takes all of them out.
    pub(crate) fn end_followed(&self) -> impl Iterator<Item = (RoomId, Seq)> {
        let followed = self.followed.0.take().into_iter().flat_map(|messages| *messages);
        followed.map(|(room, seq, _)| (room, seq))
    }
}
