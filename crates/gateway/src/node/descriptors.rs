//! The descriptor limit: raised as far as the system lets us, since every connection is one.

use roomcast_metrics::Metrics;

/// Descriptors for everything but connections: listeners, Redis, logs, epoll.
const RESERVED: u64 = 256;

/// Raises the limit and returns how many connections it allows.
pub(super) fn raise(metrics: &Metrics) -> usize {
    let limit = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!("the descriptor limit stays as it is: {error}");
            rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(1024, |(soft, _)| soft)
        }
    };
    let connections = limit.saturating_sub(RESERVED).max(limit / 2);
    tracing::info!(limit, connections, "file descriptors");
    metrics.node.descriptor_limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    usize::try_from(connections).unwrap_or(usize::MAX)
}
