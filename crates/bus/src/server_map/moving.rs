//! A room whose slot is on the move: while some of its keys are on the one server and some on the
//! other, or none is anywhere, Redis Cluster refuses a call with several keys (`TRYAGAIN`). Calls
//! with one key still work, so the meta key alone says whether the room exists, and a new room's
//! keys are made one by one.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use roomcast_protocol::RoomName;

use super::ServerMap;
use crate::primary::link::LinkUp;
use crate::scripts::Escort;

/// How long a key that was made alone lasts, unless a script prolongs it, in ms: longer than a
/// call is tried for.
const ALONE_TTL_MS: u64 = 60_000;

impl ServerMap {
    /// Whether a room exists, by its meta key alone; `None` if no server has an answer.
    pub(crate) async fn exists(&self, room: &RoomName) -> Option<bool> {
        let up = self.of(room)?.link.up()?;
        let key = self.keys.room(room).meta();
        let mut look = redis::cmd("HGET");
        look.arg(key).arg("epoch");
        let epoch = self.ask(&up, room, &[look]).await.ok()?;
        Some(epoch != Value::Nil)
    }

    /// Makes the keys of the room if it does not exist, so that the call which was refused succeeds
    /// when it is tried again; a room of the version before lacks the one for state. What fails here
    /// is tried again with it.
    pub(crate) async fn prepare(&self, room: &RoomName) {
        let _ = match self.exists(room).await {
            Some(false) => self.make_keys(room).await,
            Some(true) => self.make_hash(room, &self.keys.room(room).state()).await,
            None => Ok(()),
        };
    }

    /// Makes a hash of the room, with an end, unless it exists.
    async fn make_hash(&self, room: &RoomName, key: &str) -> RedisResult<()> {
        let away = || RedisError::from((ErrorKind::Io, "the room has no primary"));
        let up = self.of(room).and_then(|shard| shard.link.up()).ok_or_else(away)?;
        let mut set = redis::cmd("HSET");
        set.arg(key).arg("").arg("");
        self.ask(&up, room, &[set, expiry(key)]).await?;
        Ok(())
    }

    /// Makes the key of a room's receipts, so that the call which was refused finds all of its keys
    /// when it is tried again.
    pub(crate) async fn prepare_receipts(&self, room: &RoomName) {
        let Some(up) = self.of(room).and_then(|shard| shard.link.up()) else { return };
        let key = self.keys.room(room).receipts();
        let mut add = redis::cmd("ZADD");
        // A member that is none of those that the script writes.
        add.arg(&key).arg("NX").arg(0).arg("");
        let _ = self.ask(&up, room, &[add, expiry(&key)]).await;
    }

    /// Makes the keys of a room that does not exist, where its slot is on its way to. Without an
    /// epoch they are no room yet: the script that comes next begins it. Each call changes nothing
    /// if its key is in use.
    async fn make_keys(&self, room: &RoomName) -> RedisResult<()> {
        let away = || RedisError::from((ErrorKind::Io, "the room has no primary"));
        let up = self.of(room).and_then(|shard| shard.link.up()).ok_or_else(away)?;
        let names = self.keys.room(room);
        for key in std::iter::once(names.meta()).chain(names.results()).chain([names.state()]) {
            self.make_hash(room, &key).await?;
        }
        let stream = names.stream();
        let mut add = redis::cmd("XADD");
        add.arg(&stream).arg("MAXLEN").arg(0).arg("0-1").arg("t").arg(0);
        match self.ask(&up, room, &[add, expiry(&stream)]).await {
            // A stream that is in use has a later id than this one, and refuses it.
            Err(error) if error.kind() != ErrorKind::Server(ServerErrorKind::ResponseError) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Sends commands on one key to its owner, or to the server the key is on its way to; the
    /// answer of the first.
    pub(crate) async fn ask(
        &self,
        up: &LinkUp,
        room: &RoomName,
        commands: &[Cmd],
    ) -> RedisResult<Value> {
        let error = match together(commands, Escort::None, &mut up.of(room)).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(target) = self.redirected(&error) else { return Err(error) };
        together(commands, Escort::Asking, &mut target.of(room)).await
    }
}

/// Sends commands in one write: a node or a server that stops between two calls would leave a key
/// without an end.
async fn together(
    commands: &[Cmd],
    escort: Escort,
    connection: &mut MultiplexedConnection,
) -> RedisResult<Value> {
    let mut all = Pipeline::new();
    for command in commands {
        if escort == Escort::Asking {
            all.cmd("ASKING").ignore();
        }
        all.add_command(command.clone());
    }
    let answers: Vec<RedisResult<Value>> = all.ignore_errors().query_async(connection).await?;
    let missing = || Err((ErrorKind::UnexpectedReturnType, "an answer is missing").into());
    answers.into_iter().next().unwrap_or_else(missing)
}

/// An end for a key that has none yet.
fn expiry(key: &str) -> Cmd {
    let mut expire = redis::cmd("PEXPIRE");
    expire.arg(key).arg(ALONE_TTL_MS).arg("NX");
    expire
}
