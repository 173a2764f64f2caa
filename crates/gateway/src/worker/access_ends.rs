//! The ends that a worker's connections wait for: of identities, of rooms' tokens, and the moments
//! at which cookies' connections are asked to come back. Pure: the time comes in as a value.

use std::collections::BTreeMap;

use roomcast_protocol::ConnectionId;

use crate::connection::{EndPlace, RoomId};

/// What is due at an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessEnd {
    /// The connection's identity has ended.
    Connection(ConnectionId),
    /// The connection is to come back with a new cookie.
    Return(ConnectionId),
    /// The token with which the connection is in a room has ended.
    Room(ConnectionId, RoomId),
}

/// All of one worker, each until it is due or taken back.
#[derive(Debug, Default)]
pub(super) struct AccessEnds {
    by_place: BTreeMap<EndPlace, AccessEnd>,
    last: u64,
}

impl AccessEnds {
    /// Adds one that is due at this moment, in ms since 1970.
    pub(super) fn add(&mut self, at: u64, end: AccessEnd) -> EndPlace {
        self.last += 1;
        let place = EndPlace { at, number: self.last };
        self.by_place.insert(place, end);
        place
    }

    /// Takes one back.
    pub(super) fn remove(&mut self, place: EndPlace) {
        self.by_place.remove(&place);
    }

    /// Takes out the earliest if it is due.
    pub(super) fn take_due(&mut self, now: u64) -> Option<AccessEnd> {
        let (place, _) = self.by_place.first_key_value()?;
        if place.at > now {
            return None;
        }
        self.by_place.pop_first().map(|(_, end)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_in_their_order_and_not_before() {
        let mut ends = AccessEnds::default();
        let end = |id| AccessEnd::Connection(ConnectionId(id));
        let late = ends.add(30, end(3));
        ends.add(10, end(1));
        ends.add(20, end(2));
        ends.add(20, AccessEnd::Return(ConnectionId(2)));
        assert_eq!(ends.take_due(9), None);
        assert_eq!(ends.take_due(20), Some(end(1)));
        assert_eq!(ends.take_due(20), Some(end(2)));
        assert_eq!(ends.take_due(20), Some(AccessEnd::Return(ConnectionId(2))));
        assert_eq!(ends.take_due(20), None);
        ends.remove(late);
        assert_eq!(ends.take_due(u64::MAX), None);
    }
}
