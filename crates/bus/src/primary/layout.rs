//! The number of the layout of keys, kept in Redis without an expiry: a node refuses to use keys of
//! another layout.

use redis::aio::ConnectionLike;
use redis::{ErrorKind, RedisResult, ServerErrorKind};

use crate::placement::keys::Keyspace;

/// The layout of this version: 1,024 partitions, hash tags `PREFIX:n`, kinds of pushes.
pub(crate) const LAYOUT: &str = "1";

/// Compares the server's layout with this version's, and stores it if the server has none. In a
/// cluster only the owner of the key's slot answers; the other nodes are accepted.
pub(crate) async fn check_layout(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keyspace,
) -> RedisResult<()> {
    let known: RedisResult<Option<String>> =
        redis::cmd("GET").arg(keys.layout()).query_async(connection).await;
    match known {
        Ok(Some(known)) if known == LAYOUT => Ok(()),
        Ok(Some(known)) => {
            let text = format!("{} is {known}, and {LAYOUT} in this version", keys.layout());
            Err((ErrorKind::Client, "its keys are laid out in another way", text).into())
        }
        Ok(None) => {
            let mut set = redis::cmd("SET");
            set.arg(keys.layout()).arg(LAYOUT).arg("NX");
            match set.query_async::<Option<String>>(connection).await {
                // A server that refuses writes now (also for lack of memory or replicas, whose errors
                // are extensions) gets the number at a later connect.
                Err(error)
                    if !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) =>
                {
                    Err(error)
                }
                _ => Ok(()),
            }
        }
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => Ok(()),
        Err(error) => Err(error),
    }
}
