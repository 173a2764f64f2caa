//! Whether a node may use a Redis server: its version, role and mode, and that it does not evict.
//! Pure.

use tracing::warn;

use super::fault::RedisFault;
use super::replicas::warn_if_unbound;
use super::server::{field, read_identity};

/// The oldest supported Redis: exclusive ranges and `XTRIM MINID` came with 6.2. Tested: 7.0.15.
const MIN_REDIS: (u32, u32) = (6, 2);
/// The oldest supported Valkey: its first release, which succeeds Redis 7.2. Not tested here.
const MIN_VALKEY: (u32, u32) = (7, 2);
/// The oldest Redis whose cluster is supported: sharded Pub/Sub came with 7.0.
const MIN_CLUSTER: (u32, u32) = (7, 0);

/// How the node will use a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerUse {
    /// As a primary that has rooms by itself.
    Server,
    /// As one node of a cluster, primary or not.
    Cluster,
}

/// Checks the text of INFO.
pub(crate) fn judge(info: &str, used: ServerUse) -> Result<(), RedisFault> {
    let (product, found, least, needed) = match (field(info, "valkey_version"), used) {
        (Some(found), _) => ("Valkey", Some(found), MIN_VALKEY, "7.2"),
        (None, ServerUse::Server) => ("Redis", field(info, "redis_version"), MIN_REDIS, "6.2"),
        (None, ServerUse::Cluster) => ("Redis", field(info, "redis_version"), MIN_CLUSTER, "7.0"),
    };
    match found {
        Some(found) if version(found) < least => {
            return Err(RedisFault::TooOld { product, found: found.to_owned(), needed });
        }
        Some(_) => {}
        None => warn!("Redis does not report its version; at least 6.2 is needed"),
    }
    match (used, field(info, "redis_mode")) {
        (ServerUse::Server, Some("cluster")) => {
            return Err(RedisFault::Mode("is part of a cluster; write redis+cluster://"));
        }
        (ServerUse::Server, Some("sentinel")) => {
            return Err(RedisFault::Mode("is a sentinel; write redis+sentinel://host/NAME"));
        }
        (ServerUse::Cluster, Some(mode)) if mode != "cluster" => {
            return Err(RedisFault::Mode("is no part of a cluster; write redis://"));
        }
        _ => {}
    }
    if used == ServerUse::Server && !read_identity(info).primary {
        return Err(RedisFault::Replica);
    }
    warn_if_unbound(info);
    match (field(info, "maxmemory"), field(info, "maxmemory_policy")) {
        (Some("0"), _) | (_, Some("noeviction")) => Ok(()),
        (Some(_), Some(policy)) => Err(RedisFault::Eviction(policy.to_owned())),
        _ => {
            warn!("Redis does not report its eviction policy; it must be noeviction");
            Ok(())
        }
    }
}

fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: &str, rest: &str, expected: Result<(), RedisFault>) {
        let info =
            format!("# Server\r\n{version}\r\nrole:master\r\nmaster_replid:ab\r\n{rest}\r\n");
        assert_eq!(judge(&info, ServerUse::Server), expected, "{info}");
    }

    #[test]
    fn versions_are_judged_by_product() {
        let old = |product, found: &str, needed| {
            Err(RedisFault::TooOld { product, found: found.to_owned(), needed })
        };
        check("redis_version:7.0.15", "maxmemory:0", Ok(()));
        check("redis_version:6.2.0", "maxmemory:0", Ok(()));
        check("redis_version:10.0.1", "maxmemory:0", Ok(()));
        check("redis_version:6.0.16", "maxmemory:0", old("Redis", "6.0.16", "6.2"));
        check("redis_version:7.2.4\r\nvalkey_version:8.1.0", "maxmemory:0", Ok(()));
        check("redis_version:7.2.4\r\nvalkey_version:7.1.0", "", old("Valkey", "7.1.0", "7.2"));
    }

    #[test]
    fn eviction_is_refused_where_memory_is_bounded() {
        let version = "redis_version:7.0.15";
        check(version, "maxmemory:0\r\nmaxmemory_policy:allkeys-lru", Ok(()));
        check(version, "maxmemory:100\r\nmaxmemory_policy:noeviction", Ok(()));
        let refused = Err(RedisFault::Eviction("allkeys-lru".to_owned()));
        check(version, "maxmemory:100\r\nmaxmemory_policy:allkeys-lru", refused);
    }

    #[test]
    fn a_replica_is_refused() {
        let info = "redis_version:7.0.15\r\nrole:slave\r\nmaxmemory:0";
        assert_eq!(judge(info, ServerUse::Server), Err(RedisFault::Replica));
        assert_eq!(judge(info, ServerUse::Cluster), Ok(()), "any node knows its cluster");
    }

    #[test]
    fn a_url_of_the_wrong_kind_is_told() {
        let of = |mode: &str| {
            format!("redis_version:7.0.15\r\nredis_mode:{mode}\r\nrole:master\r\nmaxmemory:0")
        };
        assert!(matches!(judge(&of("cluster"), ServerUse::Server), Err(RedisFault::Mode(_))));
        assert!(matches!(judge(&of("sentinel"), ServerUse::Server), Err(RedisFault::Mode(_))));
        assert!(matches!(judge(&of("standalone"), ServerUse::Cluster), Err(RedisFault::Mode(_))));
        assert_eq!(judge(&of("cluster"), ServerUse::Cluster), Ok(()));
        assert_eq!(judge(&of("standalone"), ServerUse::Server), Ok(()));
    }
}
