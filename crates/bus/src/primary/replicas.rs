//! Whether `min-replicas-to-write` applies to what nodes write. They write by scripts, and Redis
//! checks replicas for scripts only from 7.0 on. Pure.

use tracing::warn;

use super::server::field;

/// Logs a warning if the bound is set and does not apply.
pub(crate) fn warn_if_unbound(info: &str) {
    if are_unbound(info) {
        warn!(
            "min-replicas-to-write is set, and this Redis is older than 7.0: it does not hold for \
             scripts, by which nodes publish; use namespaces.*.wait_replicas instead"
        );
    }
}

/// Whether the bound is set and does not apply to scripts, by the text of INFO: Redis counts the
/// good replicas only where the bound is set.
fn are_unbound(info: &str) -> bool {
    let is_old = |version: &str| {
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        major.is_some_and(|major| major < 7)
    };
    field(info, "valkey_version").is_none()
        && field(info, "redis_version").is_some_and(is_old)
        && field(info, "min_slaves_good_slaves").is_some()
}

#[cfg(test)]
mod tests {
    use roomcast_testkit::RedisServer;

    use super::*;

    #[test]
    fn only_before_7_and_only_where_it_is_set() {
        let set = "min_slaves_good_slaves:0";
        for (info, expected) in [
            (format!("redis_version:6.2.14\r\n{set}\r\n"), true),
            (format!("redis_version:7.0.15\r\n{set}\r\n"), false),
            (format!("redis_version:10.0.0\r\n{set}\r\n"), false),
            (format!("redis_version:6.2.14\r\nvalkey_version:8.0.0\r\n{set}\r\n"), false),
            ("redis_version:6.2.14\r\n".to_owned(), false),
            (set.to_owned(), false),
        ] {
            assert_eq!(are_unbound(&info), expected, "{info}");
        }
    }

    #[test]
    fn a_server_tells_whether_it_is_set() {
        for (setting, expected) in [("0", false), ("1", true)] {
            let server = RedisServer::with(&["--min-replicas-to-write", setting]);
            let redis::Value::BulkString(info) = server.command(&["INFO"]) else {
                panic!("no INFO")
            };
            let info = String::from_utf8(info).expect("text").replace("redis_version:", "was:");
            assert_eq!(are_unbound(&format!("redis_version:6.2.0\r\n{info}")), expected);
        }
    }
}
