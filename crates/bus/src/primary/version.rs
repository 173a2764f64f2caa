//! The version of the list of servers, as each server stores it. The scripts refuse a node with an
//! older list, so that no room is ever published to in two places.

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{RedisResult, Script};

use crate::placement::keys::Keyspace;

/// How long a server keeps the version without any node: every key has an expiry.
pub(crate) const VERSION_TTL_MS: u64 = 24 * 3600 * 1000;

/// Raises the server's version to the caller's and answers the higher of both. A server without the
/// key has version 1, which is not stored. A server that refuses writes is no hazard: nothing is
/// published to it under any version, and it gets the version within a second after it accepts
/// writes.
static STAMP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local known = tonumber(redis.call('GET', KEYS[1]) or 1)
        local mine = tonumber(ARGV[1])
        if mine > 1 and known <= mine then
          redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        end
        return math.max(known, mine)",
    )
});

/// Sends a server the version of the list that names it; the answer is higher if another node has a
/// newer list.
pub(crate) async fn stamp(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keyspace,
    version: u64,
) -> RedisResult<u64> {
    STAMP.key(keys.version()).arg(version).arg(VERSION_TTL_MS).invoke_async(connection).await
}
