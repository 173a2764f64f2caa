//! One Redis server: how to reach it, what it says of itself, and connections to it. It resolves
//! the address anew at each connect, so this is also where a Sentinel would be asked.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo,
    RedisResult,
};

/// A connect with its handshake takes at most this long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A command's answer is waited for at most this long; three tries fit a publish's deadline.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_millis(600);
/// What was sent is acknowledged by the peer's kernel within this, or the connection is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Commands that may wait for the connection's driver; the library's 50 would stall a burst.
const PIPELINE: usize = 4096;

/// How to reach a server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    client: Client,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The replication id: identity of its data.
    pub(crate) life: String,
    /// Whether it takes writes of its own.
    pub(crate) primary: bool,
}

impl Server {
    /// The server at a URL `redis://[user:password@]host:port[/db]`.
    pub(crate) fn new(url: &str) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        let protocol = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(USER_TIMEOUT);
        let info = info.set_redis_settings(protocol).set_tcp_settings(tcp);
        Ok(Self { client: Client::open(info)? })
    }

    /// The address and the settings of its connections.
    pub(crate) fn info(&self) -> &ConnectionInfo {
        self.client.get_connection_info()
    }

    /// A connection; `pushed` receives what the server pushes and the word that it is gone, on the
    /// connection's driver: it must not wait.
    pub(crate) async fn connect(
        &self,
        pushed: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> RedisResult<MultiplexedConnection> {
        let push_sender = move |info| {
            pushed(info);
            Ok::<(), ()>(())
        };
        let config = connection_config().set_push_sender(push_sender);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

/// The settings of every connection but its push sender.
pub(crate) fn connection_config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT))
        .set_pipeline_buffer_size(PIPELINE)
}

/// Asks a server who it is.
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
