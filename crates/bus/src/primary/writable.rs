//! Whether a primary accepts writes: it refuses them when its memory is full (OOM), its disk fails
//! (MISCONF) or replicas are missing (NOREPLICAS), and still answers everything else.

use std::sync::LazyLock;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{ErrorKind, RedisError, RedisResult, Script};

use super::fault::clean;
use super::version;
use crate::placement::keys::Keyspace;

/// The codes of refused writes.
const REFUSAL_CODES: [&str; 3] = ["OOM", "MISCONF", "NOREPLICAS"];

/// A script that writes nothing and is not declared read-only: from 7.0 on Redis refuses such a
/// script before it runs whenever it refuses writes. It has no key, so that any node of a cluster
/// accepts it.
static ASK: LazyLock<Script> = LazyLock::new(|| Script::new("#!lua\nreturn 1"));

/// Before 7.0 only a write shows a refusal. It writes the version's key with its own value; a
/// server without the key has version 1.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local known = redis.call('GET', KEYS[1]) or '1'
        redis.call('SET', KEYS[1], known, 'PX', ARGV[1])
        return 1",
    )
});

/// How a primary is asked whether it accepts writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteProbe {
    /// By a script that could write, from 7.0 on.
    Ask,
    /// By a write.
    Write,
}

impl WriteProbe {
    /// Finds out which of both a server supports, and loads its script.
    pub(crate) async fn load(connection: &mut impl ConnectionLike) -> RedisResult<Self> {
        match ASK.load_async(connection).await {
            Ok(_) => Ok(Self::Ask),
            // Before 7.0 its first line is a syntax error.
            Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                WRITE.load_async(connection).await?;
                Ok(Self::Write)
            }
            Err(error) => Err(error),
        }
    }

    /// Why the server refuses writes, in its own words; `None` if it accepts them.
    pub(crate) async fn refusal(
        self,
        connection: &mut MultiplexedConnection,
        keys: &Keyspace,
    ) -> RedisResult<Option<String>> {
        let asked: RedisResult<u64> = match self {
            Self::Ask => ASK.prepare_invoke().invoke_async(connection).await,
            Self::Write => {
                let mut write = WRITE.key(keys.version());
                write.arg(version::VERSION_TTL_MS).invoke_async(connection).await
            }
        };
        match asked {
            Ok(_) => Ok(None),
            Err(error) => read(&error).map(Some).ok_or(error),
        }
    }
}

fn read(error: &RedisError) -> Option<String> {
    let code = error.code().filter(|code| REFUSAL_CODES.contains(code))?;
    Some(clean(&format!("{code} {}", error.detail().unwrap_or_default())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use roomcast_testkit::RedisServer;

    use super::*;
    use crate::placement::address::{self, RedisTopology, Target};
    use crate::primary::server::connect;

    async fn connected(server: &RedisServer) -> MultiplexedConnection {
        let RedisTopology::Servers(servers) =
            address::read(&server.url(), Default::default()).unwrap()
        else {
            panic!("one server");
        };
        let Target::At(info) = &servers[0].target else { panic!("at an address") };
        connect(info, |_| ()).await.unwrap()
    }

    #[tokio::test]
    async fn both_ways_tell_each_refusal_and_its_end() {
        let server = RedisServer::start();
        let keys = Keyspace::new("p");
        let mut connection = connected(&server).await;
        assert_eq!(WriteProbe::load(&mut connection).await.unwrap(), WriteProbe::Ask);
        for probe in [WriteProbe::Ask, WriteProbe::Write] {
            for (name, bad, good, code) in [
                ("maxmemory", "100kb", "0", "OOM "),
                ("min-replicas-to-write", "1", "0", "NOREPLICAS "),
            ] {
                assert_eq!(probe.refusal(&mut connection, &keys).await.unwrap(), None);
                server.command(&["CONFIG", "SET", name, bad]);
                let refusal = probe.refusal(&mut connection, &keys).await.unwrap();
                assert!(refusal.as_ref().is_some_and(|why| why.starts_with(code)), "{refusal:?}");
                server.command(&["CONFIG", "SET", name, good]);
            }
            assert_eq!(probe.refusal(&mut connection, &keys).await.unwrap(), None);
        }
        // The write changes no version.
        let known = |text: &str| {
            assert_eq!(server.ask::<String>(&["GET", "p:version"]).unwrap(), text);
        };
        known("1");
        server.command(&["SET", "p:version", "7"]);
        assert_eq!(WriteProbe::Write.refusal(&mut connection, &keys).await.unwrap(), None);
        known("7");
    }
}
