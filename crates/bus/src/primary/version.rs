//! The version of the list of servers, as each server knows it. A node with an older list is
//! refused by the scripts, so that no room is ever published to in two places.

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{RedisResult, Script};

use crate::placement::keys::Keyspace;

/// How long a server remembers it without any node: every key has an end.
pub(crate) const VERSION_TTL_MS: u64 = 24 * 3600 * 1000;

/// Raises the server's version to the caller's and answers what holds then. A server that was
/// never told has version 1, which is not written down. A server that refuses writes is in nobody's
/// way: nothing is published to it by any version, and it is told again within a second.
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

/// Tells a server the version of the list it stands in; the answer is higher if another node
/// knows a newer list.
pub(crate) async fn stamp(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keyspace,
    version: u64,
) -> RedisResult<u64> {
    STAMP.key(keys.version()).arg(version).arg(VERSION_TTL_MS).invoke_async(connection).await
}
