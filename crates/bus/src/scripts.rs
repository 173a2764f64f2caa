//! The scripts, called by hash and loaded again where the server does not have them.

use std::sync::LazyLock;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, Value};
use roomcast_protocol::RoomName;

use crate::placement::keys::Keyspace;

/// One of the scripts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ScriptCall {
    /// `publish.lua`
    Publish,
    /// `read.lua`
    Read,
    /// `read_state.lua`
    ReadState,
    /// `leases/advance.lua`
    Advance,
    /// `leases/bury.lua`
    Bury,
    /// `orders/exchange.lua`
    ExchangeOrders,
    /// `tickets/ticket.lua`
    Ticket,
    /// `online/set.lua`
    SetOnline,
    /// `receipts/receipts.lua`
    Receipts,
    /// `presence/presence.lua`
    Presence,
    /// `presence/index.lua`
    PresenceIndex,
}

/// A command that goes out with a call, in one pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escort {
    /// Nothing.
    None,
    /// `ASKING` before it: the room's slot is moving to this server.
    Asking,
    /// Both: `ASKING` before it, and `WAIT` after it for this many replicas.
    AskingAndWait(u32),
    /// `WAIT` after it: for this many replicas to have what was written.
    Wait(u32),
}

/// First word of the error of a call that failed after it had stored something.
pub(crate) const PARTIAL: &str = "ROOMCASTPARTIAL";

/// Longest wait for replicas; shorter than the wait for the call's answer.
const REPLICA_TIMEOUT_MS: u64 = 400;

static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/common.lua"),
        include_str!("scripts/meta.lua"),
        include_str!("scripts/state.lua"),
        include_str!("scripts/publish.lua")
    ))
});
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/common.lua"),
        include_str!("scripts/meta.lua"),
        include_str!("scripts/read.lua")
    ))
});
static READ_STATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/common.lua"),
        include_str!("scripts/meta.lua"),
        include_str!("scripts/read_state.lua")
    ))
});
static ADVANCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("scripts/common.lua"), include_str!("leases/advance.lua")))
});
static BURY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("scripts/common.lua"), include_str!("leases/bury.lua")))
});
static EXCHANGE_ORDERS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("scripts/common.lua"), include_str!("orders/exchange.lua")))
});
static TICKET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("scripts/common.lua"), include_str!("tickets/ticket.lua")))
});

static SET_ONLINE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("scripts/common.lua"), include_str!("online/set.lua")))
});

static RECEIPTS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/common.lua"),
        include_str!("scripts/meta.lua"),
        include_str!("receipts/receipts.lua")
    ))
});

static PRESENCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/common.lua"),
        include_str!("scripts/meta.lua"),
        include_str!("presence/presence.lua")
    ))
});
static PRESENCE_INDEX: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("scripts/common.lua"), include_str!("presence/index.lua")))
});

impl ScriptCall {
    fn script(self) -> &'static Script {
        match self {
            Self::Publish => &PUBLISH,
            Self::Read => &READ,
            Self::ReadState => &READ_STATE,
            Self::Advance => &ADVANCE,
            Self::Bury => &BURY,
            Self::ExchangeOrders => &EXCHANGE_ORDERS,
            Self::Ticket => &TICKET,
            Self::SetOnline => &SET_ONLINE,
            Self::Receipts => &RECEIPTS,
            Self::Presence => &PRESENCE,
            Self::PresenceIndex => &PRESENCE_INDEX,
        }
    }

    /// A command that calls the script on a room; the arguments follow.
    pub(crate) fn on(self, keys: &Keyspace, room: &RoomName) -> Cmd {
        let keys = keys.room(room);
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script().get_hash()).arg(5).arg(keys.meta()).arg(keys.stream());
        command.arg(&keys.results()).arg(keys.state());
        command
    }

    /// The same with the room's receipts as the last key.
    pub(crate) fn on_with_receipts(self, keys: &Keyspace, room: &RoomName) -> Cmd {
        let keys = keys.room(room);
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script().get_hash()).arg(6).arg(keys.meta()).arg(keys.stream());
        command.arg(&keys.results()).arg(keys.state()).arg(keys.receipts());
        command
    }

    /// A command that calls the script on keys of one slot; the arguments follow.
    pub(crate) fn on_keys(self, keys: &[&str]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script().get_hash()).arg(keys.len()).arg(keys);
        command
    }

    /// Sends a command made by `on` or `on_keys`. With `Escort::Wait` the second value is the number
    /// of replicas that have what it wrote.
    pub(crate) async fn send(
        self,
        command: &Cmd,
        escort: Escort,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<(Value, u32)> {
        match once(command, escort, connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script().load_async(connection).await?;
                once(command, escort, connection).await
            }
            result => result,
        }
    }
}

async fn once(
    command: &Cmd,
    escort: Escort,
    connection: &mut MultiplexedConnection,
) -> RedisResult<(Value, u32)> {
    let mut both = redis::pipe();
    match escort {
        // Without a pipeline's bookkeeping: nearly every message is sent this way.
        Escort::None => return Ok((command.query_async(connection).await?, 0)),
        Escort::Asking => both.cmd("ASKING").ignore().add_command(command.clone()),
        Escort::Wait(replicas) => {
            both.add_command(command.clone()).cmd("WAIT").arg(replicas).arg(REPLICA_TIMEOUT_MS)
        }
        Escort::AskingAndWait(replicas) => {
            both.cmd("ASKING").ignore().add_command(command.clone());
            both.cmd("WAIT").arg(replicas).arg(REPLICA_TIMEOUT_MS)
        }
    };
    // The library would wrap an error into a pipeline's; callers need its own kind.
    let results: Vec<RedisResult<Value>> = both.ignore_errors().query_async(connection).await?;
    let mut results = results.into_iter();
    let missing = || Err((ErrorKind::UnexpectedReturnType, "an answer is missing").into());
    let answer = results.next().unwrap_or_else(missing)?;
    // The script's writes are done, even if the `WAIT` after it failed.
    let count = results.next().and_then(Result::ok);
    let replicas = count.and_then(|count| redis::from_redis_value(count).ok()).unwrap_or(0);
    Ok((answer, replicas))
}

/// Loads every script, so that the first calls find them.
pub(crate) async fn load(connection: &mut impl ConnectionLike) -> RedisResult<()> {
    PUBLISH.load_async(connection).await?;
    READ.load_async(connection).await?;
    READ_STATE.load_async(connection).await?;
    ADVANCE.load_async(connection).await?;
    BURY.load_async(connection).await?;
    EXCHANGE_ORDERS.load_async(connection).await?;
    TICKET.load_async(connection).await?;
    SET_ONLINE.load_async(connection).await?;
    RECEIPTS.load_async(connection).await?;
    PRESENCE.load_async(connection).await?;
    PRESENCE_INDEX.load_async(connection).await?;
    Ok(())
}

/// Milliseconds, at most what Redis accepts as an expiry.
pub(crate) fn millis(duration: Duration) -> u64 {
    /// A hundred years.
    const MAX_EXPIRY_MS: u64 = 100 * 365 * 24 * 3600 * 1000;
    u64::try_from(duration.as_millis()).unwrap_or(MAX_EXPIRY_MS).min(MAX_EXPIRY_MS)
}
