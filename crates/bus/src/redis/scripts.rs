//! The scripts: by hash, loaded again where the server forgot them.

use std::sync::LazyLock;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, Value};
use roomcast_protocol::RoomName;

use super::keys::Keys;

/// One of the scripts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    /// `publish.lua`
    Publish,
    /// `read.lua`
    Read,
    /// `leases/advance.lua`
    Advance,
    /// `leases/bury.lua`
    Bury,
}

/// What goes out with a call, in one pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escort {
    /// Nothing.
    None,
    /// Before it `ASKING`: the room is on its way to this server.
    Asking,
    /// After it `WAIT`: this many replicas shall have what was written.
    Wait(u32),
}

/// Begins the error of a call that failed after it had stored something.
pub(crate) const PARTIAL: &str = "ROOMCASTPARTIAL";

/// How long a call waits for replicas; an answer must still come in time.
const WAIT_MS: u64 = 400;

static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("common.lua"),
        include_str!("meta.lua"),
        include_str!("publish.lua")
    ))
});
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("common.lua"),
        include_str!("meta.lua"),
        include_str!("read.lua")
    ))
});
static ADVANCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("common.lua"), include_str!("../leases/advance.lua")))
});
static BURY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("common.lua"), include_str!("../leases/bury.lua")))
});

impl Call {
    fn script(self) -> &'static Script {
        match self {
            Self::Publish => &PUBLISH,
            Self::Read => &READ,
            Self::Advance => &ADVANCE,
            Self::Bury => &BURY,
        }
    }

    /// A command that calls the script on a room; the arguments follow.
    pub(crate) fn on(self, keys: &Keys, room: &RoomName) -> Cmd {
        let keys = keys.room(room);
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script().get_hash()).arg(4).arg(keys.meta()).arg(keys.stream());
        keys.results().iter().for_each(|key| {
            command.arg(key);
        });
        command
    }

    /// A command that calls the script on one key; the arguments follow.
    pub(crate) fn on_key(self, key: &str) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script().get_hash()).arg(1).arg(key);
        command
    }

    /// Sends a command made by `on` or `on_key`. With `Escort::Wait` the second value is the number of
    /// replicas that have it.
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
        // Without a pipeline's bookkeeping: this is the way of nearly every message.
        Escort::None => return Ok((command.query_async(connection).await?, 0)),
        Escort::Asking => both.cmd("ASKING").ignore().add_command(command.clone()),
        Escort::Wait(replicas) => {
            both.add_command(command.clone()).cmd("WAIT").arg(replicas).arg(WAIT_MS)
        }
    };
    // The library would wrap an error in the pipeline's; its kind is needed as it is.
    let results: Vec<RedisResult<Value>> = both.ignore_errors().query_async(connection).await?;
    let mut results = results.into_iter();
    let missing = || Err((ErrorKind::UnexpectedReturnType, "an answer is missing").into());
    let answer = results.next().unwrap_or_else(missing)?;
    // What the script did is done, whatever became of the `WAIT` after it.
    let count = results.next().and_then(Result::ok);
    let replicas = count.and_then(|count| redis::from_redis_value(count).ok()).unwrap_or(0);
    Ok((answer, replicas))
}

/// Loads every script, so that the first calls find them.
pub(crate) async fn load(connection: &mut impl ConnectionLike) -> RedisResult<()> {
    PUBLISH.load_async(connection).await?;
    READ.load_async(connection).await?;
    ADVANCE.load_async(connection).await?;
    BURY.load_async(connection).await?;
    Ok(())
}
