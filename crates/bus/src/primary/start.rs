//! The checks before a node uses a Redis: it is reachable, gives the node the permissions it needs,
//! is new enough and does not evict.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::fault::{RedisFault, RedisStartError};
use super::overhear::explain;
use super::server::{ask, connect};
use super::verdict::{ServerUse, judge};
use super::version::stamp;
use crate::placement::address::{Address, Target};
use crate::placement::describe::place;
use crate::placement::endpoint::RedisEndpoint;
use crate::placement::keys::Keyspace;
use crate::scripts;

/// Checks every server of a list.
pub(crate) async fn check_servers(
    servers: &[Address],
    keys: &Keyspace,
    version: u64,
) -> Result<(), RedisStartError> {
    for server in servers {
        check_server(server, keys, version).await?;
    }
    Ok(())
}

/// Checks the first node of a cluster that answers.
pub(crate) async fn check_cluster(
    nodes: &[RedisEndpoint],
    keys: &Keyspace,
) -> Result<(), RedisStartError> {
    let checks = nodes.iter().map(|node| check_node(node, ServerUse::Cluster, keys));
    first(checks.collect()).await.map(drop)
}

async fn check_server(server: &Address, keys: &Keyspace, own: u64) -> Result<(), RedisStartError> {
    let info = locate(&server.target).await?;
    let checked = check_node(&info, ServerUse::Server, keys).await;
    let mut connection = checked.map_err(|error| in_failover(error, server.target.may_move()))?;
    let at = || place(info.addr());
    let known = stamp(&mut connection, keys, own).await;
    let known = known.map_err(|error| RedisFault::read(&error).at(at()))?;
    if known > own { Err(RedisFault::Outdated { known, own }.at(at())) } else { Ok(()) }
}

/// A primary's address; the first sentinel that knows it decides.
async fn locate(target: &Target) -> Result<RedisEndpoint, RedisStartError> {
    let (asked, name, settings) = match target {
        Target::At(info) => return Ok(info.clone()),
        Target::Sentinels { asked, name, settings } => (asked, name, settings),
    };
    let questions = asked.iter().map(|sentinel| async move {
        let failed = match ask(sentinel, name).await {
            Ok(Some(place)) => return Ok(place),
            Ok(None) => RedisFault::UnknownName(name.clone()),
            Err(error) => explain(sentinel, &error).await,
        };
        Err(failed.at(place(sentinel.addr())))
    });
    let (host, port) = first(questions.collect()).await?;
    Ok(settings.at(host, port))
}

/// The first success, or else the error that says most.
async fn first<T>(
    mut tries: FuturesUnordered<impl Future<Output = Result<T, RedisStartError>>>,
) -> Result<T, RedisStartError> {
    let mut worst: Option<RedisStartError> = None;
    while let Some(result) = tries.next().await {
        match result {
            Ok(value) => return Ok(value),
            Err(error) if worst.as_ref().is_some_and(|it| weight(it) >= weight(&error)) => {}
            Err(error) => worst = Some(error),
        }
    }
    Err(worst.expect("a topology has at least one address"))
}

/// Ranks errors: a refusal applies to all addresses; a sentinel that does not know a name may be
/// new, while unreachable ones may know it.
fn weight(error: &RedisStartError) -> u8 {
    match error {
        RedisStartError::Server { fault: RedisFault::UnknownName(_), .. } => 0,
        error if error.passes() => 1,
        _ => 2,
    }
}

/// Sentinels may name a replica for a moment during a failover: the node waits. A fixed address of
/// a replica is an error.
fn in_failover(error: RedisStartError, may_move: bool) -> RedisStartError {
    match error {
        RedisStartError::Server { at, fault: RedisFault::Replica } if may_move => {
            RedisFault::Busy("the sentinels name it, and it is a replica now".to_owned()).at(at)
        }
        error => error,
    }
}

/// A connection to a node that passed: its INFO is acceptable, and this node may load its scripts,
/// subscribe and publish.
async fn check_node(
    info: &RedisEndpoint,
    used: ServerUse,
    keys: &Keyspace,
) -> Result<MultiplexedConnection, RedisStartError> {
    let at = || place(info.addr());
    let mut connection = match connect(info, |_| ()).await {
        Ok(connection) => connection,
        Err(error) => return Err(explain(info, &error).await.at(at())),
    };
    let said = redis::cmd("INFO").query_async(&mut connection).await;
    let said: String = said.map_err(|error| RedisFault::read(&error).at(at()))?;
    judge(&said, used).map_err(|fault| fault.at(at()))?;
    let tried = try_out(&mut connection, keys).await;
    tried.map_err(|error| RedisFault::read(&error).at(at()))?;
    Ok(connection)
}

/// Tries what a user may lack the permission for, without writing anything.
async fn try_out(connection: &mut MultiplexedConnection, keys: &Keyspace) -> RedisResult<()> {
    let channel = keys.probe("start", 0);
    scripts::load(connection).await?;
    connection.subscribe(&channel).await?;
    redis::cmd("PUBLISH").arg(&channel).arg(0).exec_async(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_passes_only_where_sentinels_decide() {
        let error = || RedisFault::Replica.at("h:1");
        assert!(in_failover(error(), true).passes());
        assert_eq!(in_failover(error(), false), error());
    }

    #[tokio::test]
    async fn a_refusal_outweighs_silence_and_silence_ignorance() {
        let away = || RedisFault::Away("away".into()).at("a");
        let refused = || RedisFault::Refused("NOAUTH".into()).at("b");
        let unknown = || RedisFault::UnknownName("main".into()).at("c");
        for (errors, expected) in [
            (vec![away(), refused(), unknown()], refused()),
            (vec![unknown(), away()], away()),
            (vec![unknown(), unknown()], unknown()),
        ] {
            let tries = errors.into_iter().map(|error| std::future::ready(Err::<(), _>(error)));
            assert_eq!(first(tries.collect()).await, Err(expected));
        }
    }
}
