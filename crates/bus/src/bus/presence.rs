//! The handle's half for presence: who is in which room, on all nodes together. It only selects the
//! kind of bus.

use std::sync::Arc;
use std::time::Duration;

use roomcast_protocol::{ConnectionId, RoomName};
use tokio::time::Instant;

use super::{Bus, Kind};
use crate::api::{
    Departure, PresenceCounts, PresenceList, PresenceMember, PresencePolicy, PresenceReply,
    ReadError,
};

impl Bus {
    /// Adds a connection of this node to a room. `reply` is called exactly once: with the numbers
    /// after the member is in them, or `None` where an exit of it came first. Over Redis the member
    /// is written once the room's feed is open, so that no change after its numbers is missed; the
    /// bus goes on trying for as long as that takes, so the caller has a time limit of its own.
    pub fn presence_enter(
        &self,
        room: &RoomName,
        member: PresenceMember,
        policy: PresencePolicy,
        reply: PresenceReply,
    ) {
        match &self.0 {
            Kind::Memory(bus) => bus.presence_put(room, member, Some(policy), reply),
            Kind::Redis(bus) => bus.presence().enter(room, member, policy, reply),
        }
    }

    /// Changes info and status of a member that entered. `reply` is called as for an enter, and with
    /// `None` where the member shows something else before this was written.
    pub fn presence_show(&self, room: &RoomName, member: PresenceMember, reply: PresenceReply) {
        match &self.0 {
            Kind::Memory(bus) => bus.presence_put(room, member, None, reply),
            Kind::Redis(bus) => bus.presence().show(room, member, reply),
        }
    }

    /// Takes a connection out of a room; nothing happens if it is not in it.
    pub fn presence_exit(&self, room: &RoomName, connection: ConnectionId, how: Departure) {
        match &self.0 {
            Kind::Memory(bus) => bus.presence_exit(room, connection, how),
            Kind::Redis(bus) => bus.presence().exit(room, connection, how),
        }
    }

    /// A room's numbers. Nothing is written; of a room without presence they are zeros.
    pub async fn presence_counts(&self, room: &RoomName) -> Result<PresenceCounts, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.presence_counts(room)),
            Kind::Redis(bus) => bus.presence().lists().counts(room).await,
        }
    }

    /// A room's list, at most a second old and, if asked, read after `since`. Over Redis, and of a large
    /// room in memory, it is made once a second at most: those who ask meanwhile get the same one, or
    /// wait for the next.
    pub async fn presence_list(
        &self,
        room: &RoomName,
        since: Option<Instant>,
    ) -> Result<Arc<PresenceList>, ReadError> {
        match &self.0 {
            Kind::Memory(bus) => Ok(bus.presence_list(room, since).await),
            Kind::Redis(bus) => bus.presence().lists().list(room, since).await,
        }
    }

    /// Connections of all nodes together, at most 5 s old; `None` where Redis has not answered for
    /// longer, and of the bus in memory, where the node's own count is all there is.
    pub fn online(&self) -> Option<u64> {
        match &self.0 {
            Kind::Memory(_) => None,
            Kind::Redis(bus) => bus.presence().online(),
        }
    }

    /// Waits until what presence has to write was written, or the time is over.
    pub async fn presence_flush(&self, limit: Duration) {
        if let Kind::Redis(bus) = &self.0 {
            bus.presence().flush(limit).await;
        }
    }
}
