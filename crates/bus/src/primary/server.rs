//! One Redis primary: its address now, its identity, and connections to it. Where sentinels monitor
//! it they are asked for each connection, so that none is made to an old address.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, PushInfo, RedisResult};
use tokio::time::timeout;

use super::named_host::NamedHost;
use crate::placement::address::Target;
use crate::placement::endpoint::RedisEndpoint;

/// Longest connect, handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for a command's answer; three tries fit into a publish's deadline.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_millis(600);
/// Commands that may wait for the connection's task; the library's default of 50 would stall a
/// burst.
const PIPELINE_COMMANDS: usize = 4096;

/// A server's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The replication id: the identity of its data.
    pub(crate) life: String,
    /// Whether it is a primary, not a replica.
    pub(crate) primary: bool,
}

impl Target {
    /// The primary's address now.
    pub(crate) async fn locate(&self) -> RedisResult<RedisEndpoint> {
        match self {
            Self::At(info) => Ok(info.clone()),
            Self::Sentinels { asked, name, settings } => {
                let mut answers: FuturesUnordered<_> =
                    asked.iter().map(|sentinel| ask(sentinel, name)).collect();
                let mut last = (ErrorKind::Client, "no sentinel answers").into();
                while let Some(answer) = answers.next().await {
                    match answer {
                        Ok(Some((host, port))) => return Ok(settings.at(host, port)),
                        Ok(None) => {
                            last = (ErrorKind::Client, "the sentinel knows no such primary").into();
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    /// The database that this node uses on the primary.
    pub(crate) fn database(&self) -> i64 {
        match self {
            Self::At(info) => info.redis_settings().db(),
            Self::Sentinels { settings, .. } => settings.redis_settings().db(),
        }
    }

    /// Whether the primary's address may change.
    pub(crate) fn may_move(&self) -> bool {
        matches!(self, Self::Sentinels { .. })
    }
}

/// The primary's address by one sentinel; `None` if it knows no primary of that name.
pub(crate) async fn ask(
    sentinel: &RedisEndpoint,
    name: &str,
) -> RedisResult<Option<(String, u16)>> {
    let asked = async {
        let mut connection = connect(sentinel, |_| ()).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        command.query_async(&mut connection).await
    };
    let silent = |_| Err((ErrorKind::Io, "the sentinel does not answer").into());
    timeout(CONNECT_TIMEOUT, asked).await.unwrap_or_else(silent)
}

/// A connection. `pushed` receives the server's pushes and the notice that the connection is lost,
/// on the connection's task: it must not wait.
pub(crate) async fn connect(
    info: &RedisEndpoint,
    pushed: impl Fn(PushInfo) + Send + Sync + 'static,
) -> RedisResult<MultiplexedConnection> {
    let push_sender = move |info| {
        pushed(info);
        Ok::<(), ()>(())
    };
    let (info, config) = connection_config(info);
    let config = config.set_push_sender(push_sender);
    Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
}

/// What every connection is opened with, but its push sender.
pub(crate) fn connection_config(at: &RedisEndpoint) -> (ConnectionInfo, AsyncConnectionConfig) {
    let (info, resolved_to) = at.verified();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT))
        .set_pipeline_buffer_size(PIPELINE_COMMANDS);
    match resolved_to {
        Some(host) => (info, config.set_dns_resolver(NamedHost(host))),
        None => (info, config),
    }
}

/// Asks a server for its identity.
pub(crate) async fn identify(connection: &mut impl ConnectionLike) -> RedisResult<Identity> {
    let info: String = redis::cmd("INFO").arg("replication").query_async(connection).await?;
    Ok(read_identity(&info))
}

/// Reads `INFO replication`.
pub(crate) fn read_identity(info: &str) -> Identity {
    Identity {
        life: field(info, "master_replid").unwrap_or_default().to_owned(),
        primary: field(info, "role") == Some("master"),
    }
}

/// One field of an `INFO` answer.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
