//! The scripts and how they are called: by hash, loaded again where the server forgot them.

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind};
use roomcast_protocol::RoomName;

use super::keys::Keys;

/// One of the scripts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    /// `publish.lua`
    Publish,
    /// `read.lua`
    Read,
}

static PUBLISH: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("meta.lua"), include_str!("publish.lua"))));
static READ: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("meta.lua"), include_str!("read.lua"))));

impl Call {
    fn script(self) -> &'static Script {
        match self {
            Self::Publish => &PUBLISH,
            Self::Read => &READ,
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

    /// Sends a command made by `on`.
    pub(crate) async fn send<T: FromRedisValue>(
        self,
        command: &Cmd,
        connection: &mut impl ConnectionLike,
    ) -> RedisResult<T> {
        match command.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script().load_async(connection).await?;
                command.query_async(connection).await
            }
            result => result,
        }
    }
}

/// Loads every script, so that the first calls find them.
pub(crate) async fn load(connection: &mut impl ConnectionLike) -> RedisResult<()> {
    PUBLISH.load_async(connection).await?;
    READ.load_async(connection).await?;
    Ok(())
}
