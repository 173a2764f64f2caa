//! One primary with this node's part of it: the command link, the lanes that listen to its rooms,
//! their health. Its tasks end when the last handle is dropped.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use roomcast_protocol::RoomName;

use crate::feed::LaneHandle;
use crate::primary::health::Vitals;
use crate::primary::link::RedisLink;

/// One primary.
pub(crate) struct Shard {
    /// Its name among the servers, or its id in the cluster.
    pub(crate) id: String,
    /// `host:port` in a cluster, as redirections name it; else empty.
    pub(crate) address: String,
    /// The command connections.
    pub(crate) link: RedisLink,
    /// The health reports of its lanes.
    pub(crate) vitals: Vitals,
    /// The lanes' handles; what waits in each is bounded by the rooms of the node.
    pub(crate) lanes: Vec<LaneHandle>,
}

impl Shard {
    /// The lane that listens to a room.
    pub(crate) fn lane(&self, room: &RoomName) -> &LaneHandle {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(room);
        &self.lanes[hash as usize % self.lanes.len()]
    }
}
