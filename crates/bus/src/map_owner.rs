//! The owners of the server map: each starts and ends the shards of its primaries and replaces the
//! map, by a list of servers or by the answers of a cluster's nodes. The first way to Redis is here
//! too. It must not know what is published or read.

pub(crate) mod cluster;
pub(crate) mod opening;
pub(crate) mod servers;
pub(crate) mod shard_maker;
