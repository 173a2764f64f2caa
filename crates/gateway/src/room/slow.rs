//! Members that fell off a room's log: which of them are slow readers, and which only lost their
//! messages to the node's memory budget.

use std::rc::Rc;

use roomcast_protocol::Position;

use super::members::MemberReader;
use super::view::RoomState;
use crate::connection::Connection;
use crate::room_log::Floor;

/// What is to be done with a member that fell off the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaggardVerdict {
    /// It was slower than the room's log is long.
    Slow,
    /// The node's memory budget took its messages: it catches up from history.
    Evicted,
}

/// A member that fell off the log, and its position.
#[derive(Debug)]
pub(crate) struct Laggard {
    pub(crate) connection: Rc<Connection>,
    pub(crate) slot: u32,
    pub(crate) position: Position,
    pub(crate) verdict: LaggardVerdict,
}

impl RoomState {
    /// Members whose cursor is before the floor; to be called before the log is trimmed. It looks at
    /// all members only if one may be there.
    pub(super) fn fallen(&mut self, floor: Floor) -> Vec<Laggard> {
        if floor.all <= self.lowest.max(self.log.base()) {
            return Vec::new();
        }
        let mut fallen = Vec::new();
        let mut lowest = u64::MAX;
        for (slot, member) in self.members.iter_mut() {
            let (MemberReader::Log(cursor), Some(connection)) =
                (&member.reader, &member.connection)
            else {
                continue;
            };
            if cursor.batch >= floor.all {
                lowest = lowest.min(cursor.batch);
                continue;
            }
            let position = self.log.position_of(*cursor);
            let verdict = if cursor.batch < floor.slow {
                LaggardVerdict::Slow
            } else {
                LaggardVerdict::Evicted
            };
            fallen.push(Laggard { connection: connection.clone(), slot, position, verdict });
        }
        self.lowest = lowest;
        fallen
    }
}
