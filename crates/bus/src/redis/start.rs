//! What is checked before a node starts on a Redis: that it is there, takes writes, is new enough
//! and does not evict. Every error says what to do.

use redis::aio::ConnectionLike;
use redis::{ErrorKind, RedisError};
use tracing::warn;

use super::address::{Address, Topology};
use super::keys::Keys;
use super::server::{connect, field, read_identity};
use super::version::stamp;

/// The oldest Redis whose commands suffice: exclusive ranges and `XTRIM MINID` came with 6.2.
/// Tested: 7.0.15.
const MIN_REDIS: (u32, u32) = (6, 2);
/// The oldest Valkey: its first release, which is Redis 7.2's successor. Not tested here.
const MIN_VALKEY: (u32, u32) = (7, 2);
/// The oldest Redis whose cluster suffices: sharded Pub/Sub came with 7.0.
const MIN_CLUSTER: (u32, u32) = (7, 0);

/// Why a node cannot start on this Redis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Correct the URL.
    #[error("the Redis URL is not valid: {0}")]
    Url(String),
    /// Correct the prefix.
    #[error("the Redis prefix must be 1 to 64 printable characters without blanks")]
    Prefix,
    /// Start Redis, or correct the address.
    #[error("Redis cannot be reached: {0}; start it, or correct the address or bus.redis_ca")]
    Unreachable(String),
    /// Correct the user and password, or the user's permissions.
    #[error("Redis refuses this user: {0}; correct the credentials or the permissions")]
    Refused(String),
    /// Point the URL at the primary.
    #[error("this Redis is a replica; connect to its primary")]
    Replica,
    /// Write the URL with the other scheme: `redis+cluster://` or `redis://`.
    #[error("this Redis {0}")]
    Mode(&'static str),
    /// Give the node the list of servers that the others have.
    #[error("the list of servers has version {known} already, and {own} here; take the newer list")]
    Outdated {
        /// What the servers say.
        known: u64,
        /// What this node was given.
        own: u64,
    },
    /// Upgrade Redis.
    #[error("{product} {found} is too old; use {needed} or newer")]
    TooOld {
        /// Redis or Valkey.
        product: &'static str,
        /// What runs there.
        found: String,
        /// The oldest version that is enough.
        needed: &'static str,
    },
    /// Set `maxmemory-policy noeviction`, else Redis would drop rooms silently.
    #[error("Redis may evict keys (maxmemory-policy {0}); set maxmemory-policy to noeviction")]
    Eviction(String),
}

impl From<RedisError> for StartError {
    fn from(error: RedisError) -> Self {
        let text = error.to_string();
        match (error.kind(), error.code()) {
            (ErrorKind::InvalidClientConfig, _) => Self::Url(text),
            // Without HELLO, which came with 6.0, it cannot be asked for its version first.
            (ErrorKind::RESP3NotSupported, _) => {
                Self::TooOld { product: "Redis", found: "before 6.0".to_owned(), needed: "6.2" }
            }
            (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
                Self::Refused(text)
            }
            _ => Self::Unreachable(text),
        }
    }
}

/// How a server is going to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// As a primary that holds rooms by itself.
    Server,
    /// As one node of a cluster, primary or not.
    Cluster,
}

/// Checks, once at start, every server of a list, or one node of a cluster.
pub(crate) async fn check_all(
    topology: &Topology,
    keys: &Keys,
    version: u64,
) -> Result<(), StartError> {
    match topology {
        Topology::Servers(servers) => {
            for server in servers {
                check_server(server, keys, version).await?;
            }
            Ok(())
        }
        Topology::Cluster(nodes) => {
            let mut last = StartError::Unreachable("no node is named".to_owned());
            for node in nodes {
                match connect(node, |_| ()).await {
                    Ok(mut connection) => return check(&mut connection, Use::Cluster).await,
                    Err(error) => last = error.into(),
                }
            }
            Err(last)
        }
    }
}

async fn check_server(server: &Address, keys: &Keys, own: u64) -> Result<(), StartError> {
    let mut connection = connect(&server.target.locate().await?, |_| ()).await?;
    let checked = check(&mut connection, Use::Server).await;
    checked.map_err(|error| in_failover(error, server.target.may_move()))?;
    let known = stamp(&mut connection, keys, own).await?;
    if known > own { Err(StartError::Outdated { known, own }) } else { Ok(()) }
}

/// Sentinels that name a replica have not heard yet of what they decide: this passes, unlike an
/// address that is wrong.
fn in_failover(error: StartError, may_move: bool) -> StartError {
    match error {
        StartError::Replica if may_move => {
            StartError::Unreachable("the sentinels name a server that is a replica now".to_owned())
        }
        error => error,
    }
}

async fn check(connection: &mut impl ConnectionLike, used: Use) -> Result<(), StartError> {
    let info: String = redis::cmd("INFO").query_async(connection).await?;
    judge(&info, used)
}

fn judge(info: &str, used: Use) -> Result<(), StartError> {
    let (product, found, least, needed) = match (field(info, "valkey_version"), used) {
        (Some(found), _) => ("Valkey", Some(found), MIN_VALKEY, "7.2"),
        (None, Use::Server) => ("Redis", field(info, "redis_version"), MIN_REDIS, "6.2"),
        (None, Use::Cluster) => ("Redis", field(info, "redis_version"), MIN_CLUSTER, "7.0"),
    };
    match found {
        Some(found) if version(found) < least => {
            return Err(StartError::TooOld { product, found: found.to_owned(), needed });
        }
        Some(_) => {}
        None => warn!("Redis does not tell its version; at least 6.2 is needed"),
    }
    match (used, field(info, "redis_mode")) {
        (Use::Server, Some("cluster")) => {
            return Err(StartError::Mode("is part of a cluster; write redis+cluster://"));
        }
        (Use::Server, Some("sentinel")) => {
            return Err(StartError::Mode("is a sentinel; write redis+sentinel://host/NAME"));
        }
        (Use::Cluster, Some(mode)) if mode != "cluster" => {
            return Err(StartError::Mode("is no part of a cluster; write redis://"));
        }
        _ => {}
    }
    if used == Use::Server && !read_identity(info).primary {
        return Err(StartError::Replica);
    }
    match (field(info, "maxmemory"), field(info, "maxmemory_policy")) {
        (Some("0"), _) | (_, Some("noeviction")) => Ok(()),
        (Some(_), Some(policy)) => Err(StartError::Eviction(policy.to_owned())),
        _ => {
            warn!("Redis does not tell its eviction policy; it must be noeviction");
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

    fn check(version: &str, rest: &str, expected: Result<(), StartError>) {
        let info =
            format!("# Server\r\n{version}\r\nrole:master\r\nmaster_replid:ab\r\n{rest}\r\n");
        assert_eq!(judge(&info, Use::Server), expected, "{info}");
    }

    #[test]
    fn versions_are_judged_by_product() {
        let old = |product, found: &str, needed| {
            Err(StartError::TooOld { product, found: found.to_owned(), needed })
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
        let refused = Err(StartError::Eviction("allkeys-lru".to_owned()));
        check(version, "maxmemory:100\r\nmaxmemory_policy:allkeys-lru", refused);
    }

    #[test]
    fn a_replica_is_refused() {
        let info = "redis_version:7.0.15\r\nrole:slave\r\nmaxmemory:0";
        assert_eq!(judge(info, Use::Server), Err(StartError::Replica));
        assert_eq!(judge(info, Use::Cluster), Ok(()), "any node knows its cluster");
        let passes = |may_move| in_failover(StartError::Replica, may_move);
        assert!(matches!(passes(true), StartError::Unreachable(_)), "a failover is under way");
        assert_eq!(passes(false), StartError::Replica);
    }

    #[test]
    fn a_url_of_the_wrong_kind_is_told() {
        let of = |mode: &str| {
            format!("redis_version:7.0.15\r\nredis_mode:{mode}\r\nrole:master\r\nmaxmemory:0")
        };
        assert!(matches!(judge(&of("cluster"), Use::Server), Err(StartError::Mode(_))));
        assert!(matches!(judge(&of("sentinel"), Use::Server), Err(StartError::Mode(_))));
        assert!(matches!(judge(&of("standalone"), Use::Cluster), Err(StartError::Mode(_))));
        assert_eq!(judge(&of("cluster"), Use::Cluster), Ok(()));
        assert_eq!(judge(&of("standalone"), Use::Server), Ok(()));
    }
}
