//! The owners of the server map: each starts and ends the shards of its primaries and replaces the
//! map, by a list of servers or by what a cluster's nodes say. It owns the way to the first map.

pub(crate) mod cluster;
pub(crate) mod opening;
pub(crate) mod servers;
pub(crate) mod shard_maker;
