//! Texts for logs and errors about where Redis is: addresses without users and passwords. Pure.

use super::endpoint::RedisEndpoint;
use redis::ConnectionAddr;

use super::address::{Address, RedisTopology, Target};

/// One address: `host:port`, or a path.
pub(crate) fn place(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        }
        other => other.to_string(),
    }
}

/// All addresses, with how they are used.
pub(crate) fn describe(topology: &RedisTopology) -> String {
    match topology {
        RedisTopology::Cluster(nodes) => format!("Redis Cluster at {}", places(nodes)),
        RedisTopology::Servers(servers) => {
            let all: Vec<_> = servers.iter().map(describe_one).collect();
            match all.len() {
                1 => all.join(""),
                count => format!("{count} servers: {}", all.join("; ")),
            }
        }
    }
}

fn describe_one(server: &Address) -> String {
    let (info, place) = match &server.target {
        Target::At(info) => (info, format!("Redis at {}", place(info.addr()))),
        Target::Sentinels { asked, name, settings } => {
            (settings, format!("Redis {name:?} of the sentinels at {}", places(asked)))
        }
    };
    let tls = if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) { ", TLS" } else { "" };
    format!("{place}, database {}{tls}", info.redis_settings().db())
}

fn places(infos: &[RedisEndpoint]) -> String {
    infos.iter().map(|info| place(info.addr())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::address;

    #[test]
    fn words_name_the_topology_and_no_password() {
        for (url, words) in [
            ("redis://u:secret@h", "Redis at h:6379, database 0"),
            ("rediss://:secret@[::1]:1/2", "Redis at [::1]:1, database 2, TLS"),
            ("unix:///run/redis.sock", "Redis at /run/redis.sock, database 0"),
            (
                "redis+sentinel://:secret@a,b:7/main/3?sentinel_password=secret",
                "Redis \"main\" of the sentinels at a:26379, b:7, database 3",
            ),
            ("redis+cluster://u:secret@a:1,b", "Redis Cluster at a:1, b:6379"),
            (
                "redis://a?name=x redis://:secret@b:7/1",
                "2 servers: Redis at a:6379, database 0; Redis at b:7, database 1",
            ),
        ] {
            assert_eq!(describe(&address::read(url, Default::default()).unwrap()), words, "{url}");
        }
    }
}
