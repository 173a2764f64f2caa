//! A subscribe connection: how it is made, and how rooms are subscribed on it. The lane decides
//! what is sent when.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

use super::inbox::Inbox;
use crate::feed::subscriptions::SubscriptionChange;
use crate::placement::endpoint::RedisEndpoint;
use crate::primary::link::RedisLink;
use crate::primary::server;

/// All of a command's confirmations come within this, even from a busy server.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(3);

/// Which commands rooms are subscribed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscribeDialect {
    /// `SUBSCRIBE`, many rooms at once.
    Plain,
    /// `SSUBSCRIBE`, each room by itself: a room's channel has the slot of its keys, and a command
    /// takes channels of one slot only (Redis Cluster; sharded Pub/Sub came with 7.0).
    Sharded,
}

/// A subscribe connection.
pub(super) struct Subscriber {
    pub(super) sender: MultiplexedConnection,
    pub(super) inbox: Arc<Inbox>,
    /// The primary's address.
    pub(super) at: Arc<RedisEndpoint>,
}

impl Subscriber {
    /// Connects to the primary that the link leads to, once it does, and subscribes the channel of
    /// the probes.
    pub(super) async fn connect(link: RedisLink, probe_channel: &str) -> RedisResult<Self> {
        let inbox = Arc::new(Inbox::default());
        let receiving = inbox.clone();
        // To the address that commands go to: a probe published there must come back here.
        let at = link.some_day().await.at;
        let mut sender = server::connect(&at, move |info| receiving.put(info)).await?;
        sender.set_response_timeout(CONFIRM_TIMEOUT);
        sender.subscribe(probe_channel).await?;
        Ok(Self { sender, inbox, at })
    }
}

/// Sends one command for all of these channels and waits for its answers.
pub(super) async fn change_channels(
    connection: &mut MultiplexedConnection,
    dialect: SubscribeDialect,
    change: SubscriptionChange,
    channels: &[String],
) -> RedisResult<()> {
    match (dialect, change) {
        (SubscribeDialect::Sharded, _) => one_by_one(connection, change, channels).await,
        (SubscribeDialect::Plain, SubscriptionChange::Subscribe) => {
            connection.subscribe(channels).await
        }
        (SubscribeDialect::Plain, SubscriptionChange::Unsubscribe) => {
            connection.unsubscribe(channels).await
        }
    }
}

/// A command for each channel, in one pipeline.
async fn one_by_one(
    connection: &mut MultiplexedConnection,
    change: SubscriptionChange,
    channels: &[String],
) -> RedisResult<()> {
    let name = match change {
        SubscriptionChange::Subscribe => "SSUBSCRIBE",
        SubscriptionChange::Unsubscribe => "SUNSUBSCRIBE",
    };
    let mut commands = redis::pipe();
    for channel in channels {
        commands.cmd(name).arg(channel);
    }
    // Confirmations come as pushes and are counted there. A subscription that the server ends by
    // itself may be among these answers and shift them by one, so they are not matched to channels.
    let answers: Vec<RedisResult<Value>> = commands.ignore_errors().query_async(connection).await?;
    answers.into_iter().try_for_each(|answer| answer.map(drop))
}
